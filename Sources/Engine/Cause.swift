// Why something changed: written into every output.

import Events

/// The cause of a change.
enum Cause {
  case event(Origin, id: ByteSlice)
  /// An order was cancelled or money went back.
  case refund(Origin, id: ByteSlice)
  /// An event came late and corrected the past.
  case late(Origin, id: ByteSlice)
  /// Silence.
  case time
  case ruleChange
  /// Held back while the task caught up for the first time.
  case backfill

  var name: StaticString {
    switch self {
    case .event: "event"
    case .refund: "refund"
    case .late: "late"
    case .time: "time"
    case .ruleChange: "rule_change"
    case .backfill: "backfill"
    }
  }

  func write(to json: inout JSONWriter, topicNames: [String], backfill: Bool) {
    json.beginObject()
    json.key("kind")
    json.string(name)
    switch self {
    case .event(let origin, let id), .refund(let origin, let id), .late(let origin, let id):
      json.key("topic")
      json.string(Int(origin.topic) < topicNames.count ? topicNames[Int(origin.topic)] : "")
      json.key("partition")
      json.integer(Int64(origin.partition))
      json.key("offset")
      json.integer(origin.offset)
      if !id.isEmpty {
        json.key("event_id")
        json.string(id.buffer)
      }
    case .time, .ruleChange, .backfill: break
    }
    if backfill {
      json.key("backfill")
      json.bool(true)
    }
    json.endObject()
  }
}
