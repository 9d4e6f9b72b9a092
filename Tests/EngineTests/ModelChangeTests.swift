// A model or policy that changes under living state: timers reckoned anew, alerts taken back or raised, at a bounded rate.

import Customers
import Engine
import Events
import Models
import ReferenceTesting
import Rules
import Testing

struct ModelChangeTests {
  private static let rules = """
    version: 1
    tags:
      - { name: risk, layer: value, when: churn.probability >= 0.5 }
      - { name: lost, layer: value, when: churn.lost_probability >= 0.5 }
      - { name: sleeping, layer: value, when: orders.days_since_last >= 30 }
    """

  private static func model(_ days: Int64, raise: Double = 0.6, clear: Double = 0.55) throws -> ChurnModel {
    try ChurnModel(
      parameters: ChurnModelPreset.cdnow.parameters, horizon: .days(days), version: "test", raise: raise, clear: clear,
      lost: 0.99)
  }

  /// One line for each tag change after `start`.
  private func changes(_ said: Said, after start: Instant) throws -> [String] {
    try said.records(.tagChanges).filter { at($0.effectiveAt ?? "") > start }.map(\.description)
  }

  private func tags(_ said: Said, until end: Instant) throws -> [String: String] {
    var tags: [String: String] = [:]
    for change in try said.records(.tagChanges) where at(change.effectiveAt ?? "") <= end {
      tags[change.tag ?? ""] = change.new?.text
    }
    return tags
  }

  @Test("MODELS: a new model recomputes the timers, so tags are those of a task that always had it")
  func tagsAreThoseOfTheNewModel() throws {
    for seed in testSeeds(60) {
      var random = Seeded(seed ^ 0x0de1)
      var options = StreamOptions()
      options.visits = Int(random.int(2...25))
      let arrivals = EventStream(seed: seed, options: options).arrivals
      let stop = (arrivals.map(\.time).max() ?? .distantPast) + .days(random.int(0...100))
      let end = stop + .days(800)
      let old = try TestSettings.make(rules: Self.rules, churn: Self.model(random.pick([30, 90, 180])))
      let new = try TestSettings.make(rules: Self.rules, churn: Self.model(random.pick([30, 90, 180])))

      var changed = EngineTask(settings: old, seed: 1)
      var said = Said()
      changed.replay(arrivals.enumerated().map { ($0, $1) }, into: &said)
      changed.advance(to: stop, into: &said)
      var saved: [[UInt8]: [UInt8]] = [:]
      changed.save(into: &saved)
      changed = EngineTask(settings: new, seed: 1)
      try changed.restoreAll(saved.map { ($0.key, $0.value) })
      changed.advance(to: stop, into: &said)
      changed.advance(to: end, into: &said)

      var constant = EngineTask(settings: new, seed: 1)
      var expected = Said()
      constant.replay(arrivals.enumerated().map { ($0, $1) }, into: &expected)
      constant.advance(to: stop, into: &expected)
      constant.advance(to: end, into: &expected)
      try #require(try tags(said, until: stop) == tags(expected, until: stop), "seed \(seed)")
      try #require(try changes(said, after: stop) == changes(expected, after: stop), "seed \(seed)")
      let causes = Set(try said.records(.tagChanges).map(\.cause.kind))
      try #require(causes.isSubset(of: ["event", "late", "refund", "time", "model_change"]), "seed \(seed)")
    }
  }

  @Test func anAlertThatANewPolicyFindsCrossedIsDatedByTheChange() throws {
    let steps = Steps(try TestSettings.make(), alerts: true)
    try steps.apply(order(.orderPaid, "o", "2026-01-01T00:00:00Z", amount: 1), says: [])
    try steps.advance(to: "2026-01-25T00:00:00Z", says: [])
    try steps.restart { $0.alerts.silentAfter = .days(20) }
    let raised = try steps.advance(
      to: "2026-01-25T00:00:00Z", says: ["c silent raised #1 @2026-01-25T00:00:00.000Z model_change"])
    #expect(raised.first?.crossedAt == "2026-01-25T00:00:00.000Z" && raised.first?.overdue == nil)
    #expect(raised.first?.respondBy == "2026-01-27T00:00:00.000Z")
    // Once is enough, and nothing is left of the timer of before.
    try steps.restart()
    try steps.advance(to: "2026-02-10T00:00:00Z", says: [])
  }

  @Test func anAlertThatANewModelDoesNotFindIsTakenBack() throws {
    let steps = Steps(try TestSettings.make(churn: Self.model(60)), alerts: true)
    let bought = at("2026-01-01T00:00:00Z")
    for number in 0..<8 as Range<Int64> {
      try steps.apply(order(.orderPaid, "o\(number)", instantText(bought + .days(number * 5)), amount: 1), says: [])
    }
    let history = PurchaseHistory(first: bought, last: bought + .days(35), repeats: 7)
    guard case .at(let crossing) = try Self.model(60).raiseCrossing(history),
      case .at(let later) = try Self.model(60, raise: 0.9, clear: 0.8).raiseCrossing(history)
    else { return #expect(Bool(false), "no crossing") }
    try steps.advance(
      to: instantText(crossing), says: ["c churn raised #1 @\(instantText(crossing)) time"])
    try #require(later > crossing + .days(3))
    try steps.restart { $0.churn = try Self.model(60, raise: 0.9, clear: 0.8) }
    let taken = try steps.advance(
      to: instantText(crossing), says: ["c churn resolved #1 @\(instantText(crossing)) model_change"])
    #expect(taken.first?.resolution == "corrected")
    try steps.advance(to: instantText(later), says: ["c churn raised #2 @\(instantText(later)) time"])
  }

  @Test func theSameModelChangesNothing() throws {
    let steps = Steps(try TestSettings.make(churn: Self.model(90)), alerts: true)
    try steps.apply(order(.orderPaid, "o", "2026-01-01T00:00:00Z", amount: 1), says: [])
    try steps.restart { $0.churn = try Self.model(90) }
    let sweepsBefore = steps.task.isSweeping
    try steps.restart { $0.churn = try Self.model(91) }
    let sweepsAfter = steps.task.isSweeping
    #expect(!sweepsBefore && sweepsAfter)
  }

  /// Before 0.4 a state did not say what it was reckoned with.
  @Test func aStateThatDoesNotSayItsModelIsTakenForOneOfThisModel() throws {
    var task = EngineTask(settings: try TestSettings.make(rules: Self.rules, churn: Self.model(90)), seed: 1)
    var said = Said()
    task.replay([(0, order(.orderPaid, "o", "2026-01-01T00:00:00Z", amount: 1))], into: &said)
    var saved: [[UInt8]: [UInt8]] = [:]
    task.save(into: &saved)
    let key = [2] + Array("rules".utf8) + [0, 0, 0, 1]
    let text = String(decoding: try #require(saved[key]), as: UTF8.self)
    let head = try #require(text.split(separator: "\n").first)
    let fields = head.split(separator: "\t")
    try #require(fields.count == 3)
    saved[key] = Array(text.replacing(head, with: fields[..<2].joined(separator: "\t")).utf8)
    for days in [90, 30] as [Int64] {
      let settings = try TestSettings.make(rules: Self.rules, churn: Self.model(days))
      task = EngineTask(settings: settings, seed: 1)
      try task.restoreAll(saved.map { ($0.key, $0.value) })
      let sweepsAtOnce = task.isSweeping
      #expect(!sweepsAtOnce)
      // From here on it says so.
      var next = saved
      _ = task.apply(order(.orderPaid, "o2", "2026-01-02T00:00:00Z", amount: 1), offset: 1)
      task.save(into: &next)
      var other = EngineTask(settings: try TestSettings.make(rules: Self.rules, churn: Self.model(60)), seed: 1)
      try other.restoreAll(next.map { ($0.key, $0.value) })
      let sweeps = other.isSweeping
      #expect(sweeps)
    }
  }

  @Test func aSweepLooksAtNoMoreCustomersThanACallMay() throws {
    let steps = Steps(try TestSettings.make(), alerts: true)
    for number in 0..<100 {
      try steps.apply(order(.orderPaid, "o", "2026-01-01T00:00:00Z", "c\(number)", amount: 1), says: [])
    }
    try steps.advance(to: "2026-01-25T00:00:00Z", says: [])
    try steps.restart { $0.alerts.silentAfter = .days(20) }
    var left = true
    var calls = 0
    while left {
      var lines: [String] = []
      left = try steps.advance(to: "2026-01-25T00:00:00Z", maxTimers: 8, into: &lines)
      calls += 1
      #expect(lines.count <= 8)
    }
    #expect(calls >= 13 && steps.task.counters.raisedSilent == 100)
  }
}
