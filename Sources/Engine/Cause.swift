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
  /// The model, the alert policy or the time zone's rules are others than before.
  case modelChange
  /// Held back while the task caught up for the first time.
  case backfill
  /// Silent for so long that the record goes.
  case retention

  var isBackfill: Bool {
    if case .backfill = self { true } else { false }
  }
  var isModelChange: Bool {
    if case .modelChange = self { true } else { false }
  }

  func write(to json: inout JSONWriter, context: EngineContext, backfill: Bool) {
    switch self {
    case .event(let origin, let id):
      json.literal("{\"kind\":\"event\"")
      write(origin, id, to: &json, context: context)
    case .refund(let origin, let id):
      json.literal("{\"kind\":\"refund\"")
      write(origin, id, to: &json, context: context)
    case .late(let origin, let id):
      json.literal("{\"kind\":\"late\"")
      write(origin, id, to: &json, context: context)
    case .time: json.literal("{\"kind\":\"time\"")
    case .ruleChange: json.literal("{\"kind\":\"rule_change\"")
    case .modelChange: json.literal("{\"kind\":\"model_change\"")
    case .backfill: json.literal("{\"kind\":\"backfill\"")
    case .retention: json.literal("{\"kind\":\"retention\"")
    }
    if backfill { json.literal(",\"backfill\":true") }
    json.endObject()
  }

  private func write(_ origin: Origin, _ id: ByteSlice, to json: inout JSONWriter, context: EngineContext) {
    json.literal(",\"topic\":")
    json.literal(context.topicName(origin))
    json.literal(",\"partition\":")
    json.decimal(Int64(origin.partition))
    json.literal(",\"offset\":")
    json.decimal(origin.offset)
    if !id.isEmpty {
      json.literal(",\"event_id\":")
      json.string(id.buffer)
    }
  }
}
