// Drives one task as a replay does, and reads back what it says.

import Customers
import Engine
import Events
import Foundation
import Models
import ReferenceTesting
import Rules

/// A tag change or alert, decoded.
// Names as in the records.
// swift-format-ignore: AlwaysUseLowerCamelCase
struct SaidRecord: Decodable, Equatable, CustomStringConvertible {
  struct Cause: Decodable, Equatable {
    var kind: String
    var backfill: Bool?
  }
  var customer: String
  var effectiveAt: String?
  var emittedAt: String
  var cause: Cause
  // Tag changes.
  var tag: String?
  var op: String?
  var old: TagText?
  var new: TagText?
  var sequence: Int?
  var late: Bool?
  // Alerts.
  var alertID: String?
  var kind: String?
  var status: String?
  var crossedAt: String?
  var respondBy: String?
  var overdue: Bool?
  var resolution: String?

  enum CodingKeys: String, CodingKey {
    case customer, cause, tag, op, old, new, sequence, late, kind, status, overdue, resolution
    case effectiveAt = "effective_at"
    case emittedAt = "emitted_at"
    case alertID = "alert_id"
    case crossedAt = "crossed_at"
    case respondBy = "respond_by"
  }

  /// The number at the end of `alert_id`.
  var alertNumber: Int? { alertID.flatMap { $0.split(separator: "-").last }.flatMap { Int($0) } }

  var description: String {
    if let tag { return "\(customer) \(tag) \(op ?? "") \(new?.text ?? "-") @\(effectiveAt ?? "") \(cause.kind)" }
    return "\(customer) \(kind ?? "") \(status ?? "") #\(alertNumber ?? 0) @\(emittedAt) \(cause.kind)"
  }
}

/// A tag's value: `true`, or a name.
struct TagText: Decodable, Equatable {
  var text: String
  init(from decoder: any Decoder) throws {
    let container = try decoder.singleValueContainer()
    if let name = try? container.decode(String.self) {
      text = name
    } else {
      text = String(try container.decode(Bool.self))
    }
  }
}

/// Everything a task says in one run, kept as bytes and decoded on demand.
struct Said: Equatable {
  var lines: [String] = []

  mutating func take(_ buffer: inout OutputBuffer) {
    for entry in buffer.entries {
      let key = String(decoding: buffer.bytes[entry.key], as: UTF8.self)
      let id = String(decoding: buffer.bytes[entry.id], as: UTF8.self)
      let value = String(decoding: buffer.bytes[entry.value], as: UTF8.self)
      lines.append("\(entry.topic.name) \(key) \(id) \(entry.emittedAt.microseconds)\n\(value)")
    }
    buffer.removeAll()
  }

  func records(_ topic: OutputTopic) throws -> [SaidRecord] {
    try lines.filter { $0.hasPrefix(topic.name + " ") }.map { line in
      let value = line.split(separator: "\n", maxSplits: 1)[1]
      return try JSONDecoder().decode(SaidRecord.self, from: Data(value.utf8))
    }
  }
}

extension EngineTask {
  /// Applies a sample; outputs stay in the buffer.
  mutating func apply(_ sample: SampleEvent, offset: Int64) -> ApplyResult {
    sample.withEvent(offset: offset) { apply($0) }
  }

  /// Applies samples in event mode, the clock 10 s behind the greatest event time, as a replay does.
  mutating func replay(_ samples: some Sequence<(Int, SampleEvent)>, into said: inout Said, advanceEvery step: Int = 1)
  {
    var greatest = Instant.distantPast
    for (position, sample) in samples {
      greatest = max(greatest, sample.time)
      _ = apply(sample, offset: Int64(position))
      if position % step == 0 { _ = advance(to: greatest + .seconds(-10)) }
      said.take(&outputs)
    }
    _ = advance(to: max(clock, greatest + .seconds(-10)))
    said.take(&outputs)
  }

  mutating func advance(to instant: Instant, into said: inout Said) {
    while advance(to: instant) {}
    said.take(&outputs)
  }

  /// Brings what a checkpoint keeps up to date; returns how many entries changed. `changes`: what was copied ahead.
  @discardableResult
  mutating func save(into entries: inout [[UInt8]: [UInt8]], with changes: ChangeList = ChangeList()) -> Int {
    takeChanges(into: changes)
    changes.readEntries { key, value in entries[Array(key)] = value.map { Array($0) } }
    defer { changes.removeAll() }
    return changes.count
  }

  mutating func restoreAll(_ entries: [([UInt8], [UInt8])]) throws {
    for (key, value) in entries {
      try key.withUnsafeBytes { key in try value.withUnsafeBytes { try restore(key: key, value: $0) } }
    }
    try finishRestore()
  }
}

func instantText(_ instant: Instant) -> String {
  var bytes: [UInt8] = []
  bytes.appendRFC3339(instant)
  return String(decoding: bytes, as: UTF8.self)
}

/// `2026-03-01T12:00:00.000Z` and the like.
func at(_ text: String) -> Instant {
  let format = Date.ISO8601FormatStyle(includingFractionalSeconds: text.contains("."))
  let date = (try? format.parse(text)) ?? .distantPast
  return Instant(microseconds: Int64((date.timeIntervalSince1970 * 1e6).rounded()))
}

enum TestSettings {
  static func make(
    rules: String = "version: 1\ntags: []\n", churn: ChurnModel? = nil, zone: String = "UTC",
    clockMode: ClockMode = .event
  ) throws -> EngineSettings {
    var settings = EngineSettings(
      rules: try RuleSet(text: rules, file: "rules", exponent: 2), churn: churn,
      calendar: try ZonedCalendar(identifier: zone))
    settings.clockMode = clockMode
    settings.records.maxCartItems = 1000
    settings.topicNames = ["events"]
    return settings
  }

  /// The default tags of the project and more, to reach every kind of feature and every way of waiting.
  static func manyRules() throws -> String {
    let file = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .deletingLastPathComponent().appendingPathComponent("config/tags.yaml")
    return try String(contentsOf: file, encoding: .utf8) + """

        - name: x.fresh
          layer: behaviour
          when: seen.days_since_last < 2
        - name: x.quiet
          layer: behaviour
          when: seen.days_since_last > 9
          until: events.total(1d) >= 2
        - name: x.known
          layer: behaviour
          when: seen.days_since_first >= 100 and events.total(30d) >= 3
        - name: x.busy
          layer: behaviour
          when: events.total(7d) >= 8 or events.count(login, 1d) >= 1
        - name: x.returns
          layer: behaviour
          when: refunds.count(365d) >= 2 and refunds.count(30d) < 2
        - name: x.spender
          layer: value
          when: orders.revenue(30d) > orders.revenue(90d) / 2
        - name: x.gap
          layer: value
          when: orders.days_since_last > orders.mean_gap_days
        - name: x.shrinking
          layer: value
          when: orders.growth(30d) < 0
        - name: x.gross
          layer: value
          when: orders.gross(7d) != orders.revenue(7d)
        - name: x.cartly
          layer: behaviour
          when: cart.value >= 100 and cart.age_hours in [1, 5, 30]
        - name: x.risk
          layer: value
          when: churn.probability >= 0.35
          until: churn.probability < 0.3
        - name: x.between
          layer: value
          when: churn.probability > 0.5 and not (churn.lost_probability >= 0.45)
        - name: x.grown
          layer: basic
          when: profile.age >= 30 and profile.age < 40
        - name: x.steps
          layer: value
          cases: { a: orders.days_since_last < 3, b: orders.days_since_last < 12, c: orders.count(90d) >= 1 }

      """
  }
}
