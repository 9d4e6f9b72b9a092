// What a task says at each step, whole: an output that a test does not name fails it.

import Customers
import Engine
import Events
import Models
import ReferenceTesting
import Rules
import Testing

/// A task whose every step is stated with all of its outputs.
final class Steps {
  private(set) var task: EngineTask
  private var settings: EngineSettings
  private var offset: Int64 = 0

  init(_ settings: EngineSettings, alerts: Bool = false) {
    self.settings = settings
    self.settings.alerts.enabled = alerts
    task = EngineTask(settings: self.settings, seed: 1)
  }

  private func said() throws -> [SaidRecord] {
    var said = Said()
    said.take(&task.outputs)
    return try said.records(.tagChanges) + said.records(.churnAlerts)
  }

  @discardableResult
  func apply(_ event: SampleEvent, is expected: ApplyResult = .applied, says lines: [String]) throws -> [SaidRecord] {
    offset += 1
    #expect(task.apply(event, offset: offset) == expected)
    let records = try said()
    #expect(records.map(\.description) == lines)
    return records
  }

  @discardableResult
  func advance(
    to text: String, maxTimers: Int = .max, leavesMore: Bool = false, says lines: [String]
  ) throws -> [SaidRecord] {
    #expect(task.advance(to: at(text), maxTimers: maxTimers) == leavesMore)
    let records = try said()
    #expect(records.map(\.description) == lines)
    return records
  }

  /// One step, whatever it says.
  func advance(to text: String, maxTimers: Int, into lines: inout [String]) throws -> Bool {
    let leavesMore = task.advance(to: at(text), maxTimers: maxTimers)
    lines += try said().map(\.description)
    return leavesMore
  }

  func caughtUp() { task.caughtUp() }

  func advanceTask(to instant: Instant, into said: inout Said) -> Bool {
    let leavesMore = task.advance(to: instant)
    said.take(&task.outputs)
    return leavesMore
  }

  /// Writes the state down and reads it back under these settings.
  func restart(_ change: (inout EngineSettings) throws -> Void = { _ in }) throws {
    task.save(into: &saved)
    try change(&settings)
    task = EngineTask(settings: settings, seed: 2)
    // In order of keys: customers get their numbers, and sweeps their order, from the order of the entries.
    let sorted = saved.sorted { $0.key.lexicographicallyPrecedes($1.key) }
    try task.restoreAll(sorted.map { ($0.key, $0.value) })
  }
  private var saved: [[UInt8]: [UInt8]] = [:]
}

func event(_ type: EventType, _ time: String, _ customer: String = "c", id: String? = nil) -> SampleEvent {
  SampleEvent(type, at: at(time), customer: customer, id: id)
}

func order(
  _ type: EventType, _ order: String, _ time: String, _ customer: String = "c", amount: Int64? = nil,
  id: String? = nil
) -> SampleEvent {
  var event = SampleEvent(type, at: at(time), customer: customer, id: id)
  event.order = order
  event.amount = amount
  return event
}

struct EngineStepTests {
  static let shopRules = """
    version: 1
    tags:
      - { name: new, layer: value, when: orders.days_since_first < 30 }
      - { name: sleeping, layer: value, when: orders.days_since_last >= 30 }
      - { name: cart, layer: behaviour, when: cart.items >= 1 and cart.age_hours >= 24 }
      - { name: spent, layer: value, cases: { much: orders.revenue >= 100, some: orders.revenue > 0 } }
    """

  @Test func aCustomersFirstWeeks() throws {
    let steps = Steps(try TestSettings.make(rules: Self.shopRules))
    try steps.apply(event(.pageView, "2026-01-01T10:00:00Z", id: "1"), says: [])
    try steps.apply(event(.addToCart, "2026-01-01T10:05:00.250Z", id: "2"), says: [])
    try steps.advance(to: "2026-01-02T10:05:00Z", says: [])
    // Instants are rounded up to a second.
    try steps.advance(to: "2026-01-02T10:05:01Z", says: ["c cart set true @2026-01-02T10:05:01.000Z time"])
    try steps.apply(
      order(.orderPaid, "o1", "2026-01-03T08:00:00Z", amount: 5_000, id: "3"),
      says: [
        "c new set true @2026-01-03T08:00:00.000Z event", "c cart unset - @2026-01-03T08:00:00.000Z event",
        "c spent set some @2026-01-03T08:00:00.000Z event",
      ])
    try steps.apply(
      order(.orderPaid, "o1", "2026-01-03T08:00:00Z", amount: 5_000, id: "3"), is: .duplicate, says: [])
    try steps.apply(
      order(.orderPaid, "o2", "2026-01-10T08:00:00Z", amount: 7_000, id: "4"),
      says: ["c spent change much @2026-01-10T08:00:00.000Z event"])
    let refund = try steps.apply(
      order(.orderRefunded, "o2", "2026-01-11T08:00:00Z", id: "5"),
      says: ["c spent change some @2026-01-11T08:00:00.000Z refund"])
    #expect(refund.map(\.sequence) == [6])
    // Wholly refunded, the second order is no purchase: silence counts from the first.
    try steps.advance(
      to: "2026-03-01T00:00:00Z",
      says: ["c new unset - @2026-02-02T08:00:00.000Z time", "c sleeping set true @2026-02-02T08:00:00.000Z time"])
    try steps.advance(to: "2028-01-01T00:00:00Z", says: [])
    // Only retention is left to look for, first 1095 days after the first event.
    #expect(steps.task.nextDue == at("2028-12-31T10:00:00Z"))
  }

  @Test func lateEventsCorrectAndTooLateOnesDoNothing() throws {
    let steps = Steps(try TestSettings.make(rules: Self.shopRules))
    try steps.apply(
      order(.orderPaid, "o1", "2026-01-03T08:00:00Z", amount: 5_000),
      says: ["c new set true @2026-01-03T08:00:00.000Z event", "c spent set some @2026-01-03T08:00:00.000Z event"])
    try steps.advance(to: "2026-01-20T00:00:00Z", says: [])
    try steps.apply(
      event(.login, "2026-01-20T00:00:00Z"), says: [])
    let late = try steps.apply(
      order(.orderPaid, "o0", "2026-01-15T08:00:00Z", amount: 9_000), is: .late,
      says: ["c spent change much @2026-01-20T00:00:00.000Z late"])
    #expect(late.first?.late == true)
    try steps.apply(order(.orderPaid, "o9", "2026-01-12T23:59:59Z", amount: 9_000), is: .tooLate, says: [])
    #expect(steps.task.counters.tooLate == 1 && steps.task.counters.late == 1)
    // The late order moved the silence, and nothing fires at the old instant.
    try steps.advance(
      to: "2026-02-13T00:00:00Z", says: ["c new unset - @2026-02-02T08:00:00.000Z time"])
    try steps.advance(to: "2026-02-14T08:00:00Z", says: ["c sleeping set true @2026-02-14T08:00:00.000Z time"])
  }

  @Test func timersOfOneInstantFireInOrderOfCustomerID() throws {
    let steps = Steps(try TestSettings.make(rules: Self.shopRules))
    for id in ["b", "a", "ab", "B", "aa"] {
      try steps.apply(
        event(.addToCart, "2026-01-01T00:00:00Z", id), says: [])
    }
    try steps.apply(event(.addToCart, "2026-01-01T00:00:10Z", "0"), says: [])
    let ties = ["B", "a", "aa", "ab", "b"].map { "\($0) cart set true @2026-01-02T00:00:00.000Z time" }
    try steps.advance(
      to: "2026-01-05T00:00:00Z", says: ties + ["0 cart set true @2026-01-02T00:00:10.000Z time"])
  }

  @Test func aLimitOnTimersOnlyCutsTheWork() throws {
    let steps = Steps(try TestSettings.make(rules: Self.shopRules))
    for (number, id) in ["c", "b", "a"].enumerated() {
      try steps.apply(event(.addToCart, "2026-01-01T00:00:0\(number)Z", id), says: [])
    }
    try steps.advance(
      to: "2026-01-05T00:00:00Z", maxTimers: 1, leavesMore: true,
      says: ["c cart set true @2026-01-02T00:00:00.000Z time"])
    try steps.advance(
      to: "2026-01-05T00:00:00Z", maxTimers: 1, leavesMore: true,
      says: ["b cart set true @2026-01-02T00:00:01.000Z time"])
    // What is overdue fires before the customer's next event, wherever the clock has stopped.
    try steps.apply(
      event(.addToCart, "2026-01-05T00:00:00Z", "a"), says: ["a cart set true @2026-01-02T00:00:02.000Z time"])
    try steps.advance(to: "2026-01-05T00:00:00Z", says: [])
  }

  @Test func aWaveOfOneInstantIsCutToo() throws {
    let steps = Steps(try TestSettings.make(rules: Self.shopRules))
    for id in ["b", "a", "ab", "B", "aa"] { try steps.apply(event(.addToCart, "2026-01-01T00:00:00Z", id), says: []) }
    func set(_ id: String) -> String { "\(id) cart set true @2026-01-02T00:00:00.000Z time" }
    // Who is first is known when all five have been collected, two at a time.
    for _ in 0..<2 { try steps.advance(to: "2026-01-05T00:00:00Z", maxTimers: 2, leavesMore: true, says: []) }
    try steps.advance(to: "2026-01-05T00:00:00Z", maxTimers: 2, leavesMore: true, says: [set("B"), set("a")])
    // In the middle of the wave: what is overdue fires before the customer's next event, and once.
    try steps.apply(event(.addToCart, "2026-01-05T00:00:00Z", "b"), says: [set("b")])
    try steps.advance(to: "2026-01-05T00:00:00Z", maxTimers: 1, leavesMore: true, says: [set("aa")])
    try steps.restart()
    try steps.advance(to: "2026-01-05T00:00:00Z", says: [set("ab")])
  }

  @Test func aWaveKeepsItsOrderHoweverItIsCut() throws {
    for seed in testSeeds(20) {
      var random = Seeded(seed)
      let steps = Steps(try TestSettings.make(rules: Self.shopRules))
      // Many alike in their first eight bytes, some shorter than that.
      var ids: Set<String> = []
      for _ in 0...random.index(300) {
        ids.insert(random.pick(["customer-", "customer", "c", ""]) + "\(random.index(1_000))")
      }
      for id in ids.sorted().shuffled(using: &random) {
        try steps.apply(event(.addToCart, "2026-01-01T00:00:00Z", id), says: [])
      }
      let first = "2026-01-02T00:00:00Z"
      var said: [String] = []
      var leavesMore = true
      while leavesMore {
        leavesMore = try steps.advance(to: first, maxTimers: 1 + random.index(40), into: &said)
        // Others do not wait for its end.
        if leavesMore, random.chance(0.2) {
          try steps.apply(event(.login, "2026-01-02T00:00:00Z", "z\(said.count)"), says: [])
        }
      }
      let sorted = ids.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
      #expect(said == sorted.map { "\($0) cart set true @2026-01-02T00:00:00.000Z time" }, "seed \(seed)")
    }
  }

  @Test func theClockNeverGoesBack() throws {
    let steps = Steps(try TestSettings.make(rules: Self.shopRules))
    try steps.advance(to: "2026-01-05T00:00:00Z", says: [])
    try steps.advance(to: "2026-01-04T00:00:00Z", says: [])
    #expect(steps.task.clock == at("2026-01-05T00:00:00Z"))
  }
}
