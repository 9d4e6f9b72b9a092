// What the engine really writes, against the published schemas.

import Customers
import Engine
import Events
import Foundation
import Models
import Rules
import SchemaTesting
import Testing

private let package = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
  .deletingLastPathComponent()

func publishedSchema(_ name: String) throws -> JSONSchema {
  try JSONSchema(JSONValue(Data(contentsOf: package.appendingPathComponent("config/schemas/\(name).json"))))
}

private func settings(_ mode: ClockMode, horizonDays: Int64 = 180, rules: String? = nil) throws -> EngineSettings {
  let path = package.appendingPathComponent("config/tags.yaml").path
  let set = try rules.map { try RuleSet(text: $0, file: "test", exponent: 2) } ?? RuleSet.load(path: path, exponent: 2)
  var settings = EngineSettings(
    rules: set, churn: try ChurnModelPreset.cdnow.model(horizon: .days(horizonDays)),
    calendar: try ZonedCalendar(identifier: "Asia/Shanghai"))
  settings.clockMode = mode
  settings.profiles = true
  settings.topicNames = ["clickstream", "orders"]
  settings.alerts.holdoutPercent = 20
  settings.alerts.treatments = [
    Treatment(name: "premium", revenueAtLeast: Money(minorUnits: 500_000)),
    Treatment(name: "light", revenueAtLeast: .zero),
  ]
  return settings
}

/// What was seen, so that a test can say that the stream was varied enough.
private struct Seen {
  var topics: [OutputTopic: Int] = [:]
  var words: Set<String> = []

  mutating func note(_ name: String, _ value: JSONValue?) {
    switch value {
    case .string(let text): words.insert("\(name)=\(text)")
    case .bool(let flag): words.insert("\(name)=\(flag)")
    case .null: words.insert("\(name)=null")
    default: if value != nil { words.insert(name) }
    }
  }
}

private struct Schemas {
  let byTopic: [OutputTopic: JSONSchema]

  init() throws {
    byTopic = [
      .tagChanges: try publishedSchema("tag-change"), .churnAlerts: try publishedSchema("churn-alert"),
      .profiles: try publishedSchema("customer-profile"),
    ]
  }

  /// Checks and empties the buffer; stops at the first bad record.
  func check(_ outputs: inout OutputBuffer, _ seen: inout Seen) throws {
    for entry in outputs.entries {
      let value = try JSONValue(outputs.bytes[entry.value])
      let schema = try #require(byTopic[entry.topic])
      let problems = schema.problems(of: value)
      try #require(
        problems.isEmpty, "\(entry.topic): \(problems)\n\(String(decoding: outputs.bytes[entry.value], as: UTF8.self))")
      // The key is the customer, as it came.
      #expect(value["customer"]?.string == String(decoding: outputs.bytes[entry.key], as: UTF8.self))
      seen.topics[entry.topic, default: 0] += 1
      for name in ["op", "layer", "late", "kind", "status", "resolution", "overdue", "treatment", "holdout"] {
        seen.note(name, value[name])
      }
      for reason in value["reasons"]?.elements ?? [] { seen.note("reason", reason["code"]) }
      if let cause = value["cause"] {
        seen.note("cause", cause["kind"])
        seen.note("backfill", cause["backfill"])
      }
      if entry.topic == .tagChanges { seen.note("new", value["new"].map { $0 == .bool(true) ? $0 : .bool(false) }) }
    }
    outputs.removeAll()
  }
}

@Suite struct OutputSchemaTests {
  @Test(arguments: 1...2 as ClosedRange<UInt64>) func eventClock(seed: UInt64) throws {
    let schemas = try Schemas()
    var seen = Seen()
    var task = EngineTask(settings: try settings(.event), seed: seed)
    let arena = TextArena()
    var shop = RandomShop(seed: seed, arena: arena)
    for event in shop.events(customers: 300, days: 500, count: 4000) {
      _ = task.apply(event)
      task.advance(to: event.time - .seconds(10))
      try schemas.check(&task.outputs, &seen)
    }
    task.advance(to: RandomShop.start + .days(800))
    task.flushProfiles()
    for index in task.customersByID() { task.emitProfile(of: index) }
    try schemas.check(&task.outputs, &seen)

    for topic in [OutputTopic.tagChanges, .churnAlerts, .profiles] { #expect(seen.topics[topic, default: 0] > 100) }
    let wanted: Set<String> = [
      "op=set", "op=unset", "op=change", "new=true", "new=false", "layer=basic", "layer=behaviour", "layer=value",
      "cause=event", "cause=refund", "cause=late", "cause=time", "late=true", "kind=churn", "kind=silent", "kind=lost",
      "status=raised", "status=resolved", "status=expired", "resolution=returned", "resolution=corrected",
      "holdout=true", "holdout=false", "treatment=premium", "treatment=light", "reason=silence_days",
      "reason=single_purchase", "reason=unseen_days", "reason=refund_rate",
    ]
    #expect(wanted.subtracting(seen.words) == [])
  }

  /// Wall clock: what happened before catching up is marked, and alerts held back come then.
  @Test func wallClockAndBackfill() throws {
    let schemas = try Schemas()
    var seen = Seen()
    var task = EngineTask(settings: try settings(.wall), seed: 9)
    let arena = TextArena()
    var shop = RandomShop(seed: 9, arena: arena)
    for event in shop.events(customers: 300, days: 200, count: 3000) {
      _ = task.apply(event)
      task.advance(to: event.time - .seconds(10))
      try schemas.check(&task.outputs, &seen)
    }
    #expect(seen.topics[.churnAlerts] == nil)
    task.caughtUp()
    for second in 0..<20 as Range<Int64> {
      task.advance(to: RandomShop.start + .days(201) + .seconds(second))
      try schemas.check(&task.outputs, &seen)
    }
    #expect(seen.topics[.churnAlerts, default: 0] > 50)
    #expect(seen.words.isSuperset(of: ["backfill=true", "cause=backfill"]))
  }

  /// The same state under other rules.
  @Test func ruleChange() throws {
    func rules(_ threshold: Int, revision: Int) -> String {
      """
      version: 1
      revision: \(revision)
      tags:
        - name: buyer
          layer: value
          revision: \(revision)
          when: orders.count >= \(threshold)
      """
    }
    let schemas = try Schemas()
    var seen = Seen()
    var old = EngineTask(settings: try settings(.event, rules: rules(1, revision: 1)), seed: 3)
    let arena = TextArena()
    var shop = RandomShop(seed: 3, arena: arena)
    for event in shop.events(customers: 50, days: 20, count: 500) {
      _ = old.apply(event)
      old.advance(to: event.time - .seconds(10))
    }
    var new = EngineTask(settings: try settings(.event, rules: rules(5, revision: 2)), seed: 4)
    var entries: [([UInt8], [UInt8]?)] = []
    let changes = ChangeList()
    old.takeChanges(into: changes)
    changes.readEntries { key, value in entries.append((Array(key), value.map { Array($0) })) }
    for (key, value) in entries {
      try key.withUnsafeBytes { key in
        if let value {
          try value.withUnsafeBytes { try new.restore(key: key, value: $0) }
        } else {
          try new.restore(key: key, value: nil)
        }
      }
    }
    try new.finishRestore()
    for _ in 0..<10 { new.advance(to: RandomShop.start + .days(21)) }
    try schemas.check(&new.outputs, &seen)
    #expect(seen.words.isSuperset(of: ["cause=rule_change", "op=unset"]))
  }
}
