// Customers who stay silent for long: what is said, what is forgotten, what goes on when they come back.

import Customers
import Engine
import Events
import Models
import ReferenceTesting
import Rules
import Testing

struct RetentionTests {
  private static let rules = """
    version: 1
    tags:
      - { name: known, layer: basic, when: seen.days_since_first >= 0 }
      - { name: buyer, layer: value, when: orders.count >= 1 }
      - { name: ghost, layer: value, shadow: true, when: orders.count >= 1 }
      - { name: who, layer: basic, value: profile.gender }
    """

  private func settings(days: Int64 = 400, rules: String = rules) throws -> EngineSettings {
    var settings = try TestSettings.make(rules: rules)
    settings.retention = .days(days)
    return settings
  }

  @Test func tagsAreUnsetOnceAtTheInstant() throws {
    let steps = Steps(try settings())
    var hello = event(.profileUpdate, "2024-01-01T00:00:00Z")
    hello.gender = .female
    let first = "@2024-01-01T00:00:00.000Z"
    try steps.apply(hello, says: ["c known set true \(first) event", "c who set female \(first) event"])
    try steps.apply(
      order(.orderPaid, "o", "2024-01-02T00:00:00.250Z", amount: 100),
      says: ["c buyer set true @2024-01-02T00:00:00.250Z event"])
    // 400 days after what was heard last, rounded up to a second.
    try steps.advance(to: "2025-02-05T00:00:00Z", says: [])
    #expect(steps.task.customerCount == 1 && steps.task.evictions == 0)
    let last = "@2025-02-05T00:00:01.000Z retention"
    let records = try steps.advance(
      to: "2025-02-05T00:00:01Z",
      says: ["c known unset - \(last)", "c buyer unset - \(last)", "c who unset - \(last)"])
    #expect(records.map(\.sequence) == [4, 5, 6])
    #expect(records.map { $0.old?.text } == ["true", "true", "female"])
    #expect(steps.task.customerCount == 0 && steps.task.evictions == 1 && steps.task.stubCount == 1)
    #expect(steps.task.counters.shadowChanges == 2)
    #expect(steps.task.sums() == CustomerSums())
    try steps.advance(to: "2035-01-01T00:00:00Z", says: [])
    #expect(steps.task.timerCount == 0)

    // It comes back: everything begins anew, but the numbers of what is said go on.
    try steps.restart()
    let again = try steps.apply(
      event(.login, "2035-01-01T00:00:05Z"), says: ["c known set true @2035-01-01T00:00:05.000Z event"])
    #expect(again.map(\.sequence) == [7])
    #expect(steps.task.stubCount == 0 && steps.task.customerCount == 1)
    // Forgotten on disk too, and a second time it is the same.
    try steps.restart()
    let gone = try steps.advance(
      to: "2037-01-01T00:00:00Z", says: ["c known unset - @2036-02-05T00:00:05.000Z retention"])
    #expect(gone.map(\.sequence) == [8] && steps.task.stubCount == 1)
  }

  /// Not the clock but the next event shows that the silence was too long.
  @Test func anEventAfterTooLongASilenceBeginsAnew() throws {
    let steps = Steps(try settings())
    try steps.apply(
      order(.orderPaid, "o", "2024-01-01T00:00:00Z", amount: 100),
      says: ["c known set true @2024-01-01T00:00:00.000Z event", "c buyer set true @2024-01-01T00:00:00.000Z event"])
    let at = "@2025-02-04T00:00:00.000Z retention"
    let records = try steps.apply(
      event(.login, "2025-03-01T00:00:00Z"),
      says: [
        "c known unset - \(at)", "c buyer unset - \(at)", "c known set true @2025-03-01T00:00:00.000Z event",
      ])
    #expect(records.map(\.sequence) == [3, 4, 5])
    #expect(steps.task.customerCount == 1 && steps.task.stubCount == 0)
    // An event in time keeps it.
    try steps.apply(event(.login, "2026-04-04T23:59:59Z"), says: [])
    #expect(steps.task.evictions == 1)
  }

  /// The sweep after a change of rules comes to customers whose timers, or whose wave, will look for them afterwards.
  @Test func aSweepMayEvictWhoIsInAWave() throws {
    func rules(_ revision: Int, _ condition: String) -> String {
      "version: 1\nrevision: \(revision)\ntags: [{ name: known, layer: basic, when: \(condition) }]"
    }
    for perStep in 1...5 {
      let steps = Steps(try settings(rules: rules(1, "seen.days_since_first >= 0")))
      // Alike for longer than what a wave compares without a look at the record.
      let ids = (0..<40).map { "somebody-with-a-long-name-\($0 * 7 % 40 + 10)" }
      for id in ids {
        try steps.apply(
          event(.login, "2024-01-01T00:00:00Z", id), says: ["\(id) known set true @2024-01-01T00:00:00.000Z event"])
      }
      try steps.restart {
        $0.sweepBatch = 1
        $0.rules = try RuleSet(text: rules(2, "seen.days_since_last >= 0"), file: "rules", exponent: 2)
      }
      var said: [String] = []
      while try steps.advance(to: "2026-01-01T00:00:00Z", maxTimers: perStep, into: &said) {}
      #expect(said.allSatisfy { $0.hasSuffix(" retention") })
      #expect(said.map { $0.prefix { $0 != "@" } }.sorted() == ids.sorted().map { "\($0) known unset - " })
      #expect(steps.task.customerCount == 0 && steps.task.evictions == 40 && steps.task.timerCount == 0)
    }
  }

  @Test func whoWasNeverToldAnythingLeavesNothing() throws {
    let steps = Steps(try settings(rules: "version: 1\ntags: []\n"))
    try steps.apply(event(.login, "2024-01-01T00:00:00Z"), says: [])
    try steps.advance(to: "2026-01-01T00:00:00Z", says: [])
    #expect(steps.task.customerCount == 0 && steps.task.stubCount == 0 && steps.task.evictions == 1)
  }

  @Test func openAlertsExpireAndTheirNumbersGoOn() throws {
    var settings = try settings(rules: "version: 1\ntags: []\n")
    settings.alerts.silentAfter = .days(30)
    settings.alerts.expireAfter = .days(3000)
    let steps = Steps(settings, alerts: true)
    try steps.apply(order(.orderPaid, "o", "2024-01-01T00:00:00Z", amount: 100), says: [])
    try steps.advance(
      to: "2025-02-05T00:00:00Z",
      says: [
        "c silent raised #1 @2024-01-31T00:00:00.000Z time", "c silent expired #1 @2025-02-04T00:00:00.000Z retention",
      ])
    #expect(steps.task.counters.expired == 1)
    try steps.restart()
    try steps.apply(order(.orderPaid, "p", "2025-06-01T00:00:00Z", amount: 100), says: [])
    try steps.restart()
    try steps.advance(to: "2025-07-02T00:00:00Z", says: ["c silent raised #2 @2025-07-01T00:00:00.000Z time"])
  }

  @Test func profilesOfTheEvictedAreNotWritten() throws {
    var settings = try settings()
    settings.profiles = true
    var task = EngineTask(settings: settings, seed: 1)
    var said = Said()
    for id in ["a", "b"] { _ = task.apply(event(.login, "2024-01-01T00:00:00Z", id), offset: 1) }
    task.flushProfiles()
    task.advance(to: at("2024-06-01T00:00:00Z"), into: &said)
    _ = task.apply(event(.login, "2024-06-01T00:00:00Z", "b"), offset: 3)
    said = Said()
    task.advance(to: at("2025-03-01T00:00:00Z"), into: &said)
    // In the place that the evicted one had.
    _ = task.apply(event(.login, "2025-03-01T00:00:00Z", "c"), offset: 4)
    task.flushProfiles()
    said.take(&task.outputs)
    let profiles = said.lines.filter { $0.hasPrefix("customer-profiles ") }
    // Of who is gone it is said that there is none: an empty value.
    #expect(profiles.map { $0.split(separator: " ")[1] } == ["a", "b", "c"])
    #expect(profiles.map { $0.hasSuffix("\n") } == [true, false, false])
    for index in task.customersByID() { task.emitProfile(of: index) }
    task.emitProfiles(in: 0..<task.placeCount)
    said = Said()
    said.take(&task.outputs)
    #expect(said.lines.count == 4 && task.placeCount == 2)
  }

  @Test func timersDoNotGrowWithEvents() throws {
    let settings = try settings()
    var task = EngineTask(settings: settings, seed: 1)
    var said = Said()
    var time = at("2024-01-01T00:00:00Z")
    var most = 0
    for number in 0..<10_000 {
      time = time + .minutes(7)
      _ = task.apply(SampleEvent(.pageView, at: time, customer: "c", id: "\(number)"), offset: Int64(number))
      task.advance(to: time, into: &said)
      most = max(most, task.timerCount)
    }
    #expect(most == 1)
    // A year of silence later: looked at once, scheduled anew, then evicted.
    let fired = task.counters.timersFired
    task.advance(to: time + .days(399), into: &said)
    #expect(task.timerCount == 1 && task.counters.timersFired == fired + 1)
    task.advance(to: time + .days(401), into: &said)
    #expect(task.timerCount == 0 && task.customerCount == 0 && task.counters.timersFired == fired + 2)
  }

  @Test func aStateWrittenForALongerRetentionTakesUpTheShorterOne() throws {
    let steps = Steps(try settings(days: 4_000))
    try steps.apply(event(.login, "2024-01-01T00:00:00Z"), says: ["c known set true @2024-01-01T00:00:00.000Z event"])
    try steps.advance(to: "2026-01-01T00:00:00Z", says: [])
    try steps.restart { $0.retention = .days(400) }
    try steps.advance(to: "2026-01-01T00:00:01Z", says: ["c known unset - @2025-02-04T00:00:00.000Z retention"])
  }

  /// Customers who come and go for years.
  private func shop(_ random: inout Seeded) -> [SampleEvent] {
    var events: [SampleEvent] = []
    var time = at("2020-01-01T00:00:00Z")
    let ids = (0..<6).map { "c\($0)" }
    for number in 0..<160 {
      time = time + .hours(Int64(random.int(1...1_000)))
      if random.index(12) == 0 { time = time + .days(Int64(random.int(100...450))) }
      var event = SampleEvent(
        random.pick([.pageView, .login, .addToCart, .favorite, .orderPaid]), at: time, customer: random.pick(ids),
        id: "e\(number)")
      if random.index(5) == 0 { event.time = time + .hours(-Int64(random.int(1...160))) }
      event.category = random.pick(["tea", "books", "shoes"])
      event.amount = Int64(random.int(100...20_000))
      if event.type == .orderPaid { event.order = "o\(number)" }
      events.append(event)
    }
    return events
  }

  @Test func anyRestartGoesOnByteForByte() throws {
    var evictions = 0
    var returns = 0
    for seed in testSeeds(25) {
      var random = Seeded(seed ^ 0x2e7)
      var settings = try TestSettings.make(
        rules: TestSettings.manyRules(), churn: ChurnModelPreset.cdnow.model(horizon: .days(60)),
        zone: random.pick(["UTC", "Asia/Shanghai"]))
      settings.retention = .days(random.pick([400, 500]))
      settings.alerts.expireAfter = .days(random.pick([90, 2_000]))
      settings.profiles = true
      let events = Array(shop(&random).enumerated().map { ($0, $1) })
      let end = (events.last?.1.time ?? .distantPast) + .days(1_000)

      var straight = EngineTask(settings: settings, seed: 5)
      var expected = Said()
      for event in events {
        straight.replay([event], into: &expected)
        straight.flushProfiles()
        expected.take(&straight.outputs)
      }
      straight.advance(to: end, into: &expected)
      #expect(straight.customerCount == 0, "seed \(seed): everybody is silent in the end")
      evictions += straight.evictions

      var task = EngineTask(settings: settings, seed: 5)
      var actual = Said()
      var saved: [[UInt8]: [UInt8]] = [:]
      var restarts: UInt64 = 0
      let changes = ChangeList()
      for event in events {
        task.replay([event], into: &actual)
        task.flushProfiles()
        actual.take(&task.outputs)
        switch random.index(6) {
        case 0: task.save(into: &saved, with: changes)
        case 1, 2: task.copyAhead(into: changes, leaving: random.index(4))
        case 3:
          task.save(into: &saved, with: changes)
          let digest = task.digest()
          let (count, stubs) = (task.customerCount, task.stubCount)
          restarts += 1
          task = EngineTask(settings: settings, seed: 100 + restarts)
          try task.restoreAll(saved.map { ($0.key, $0.value) }.shuffled(using: &random))
          try #require(task.digest() == digest, "seed \(seed)")
          try #require(task.customerCount == count && task.stubCount == stubs, "seed \(seed)")
          #expect(task.save(into: &saved) == 0, "seed \(seed): a restored state has nothing to write")
        default: break
        }
      }
      task.advance(to: end, into: &actual)
      try #require(actual == expected, "seed \(seed)")
      #expect(task.digest() == straight.digest() && task.stubCount == straight.stubCount, "seed \(seed)")

      // No id twice, no gap in anybody's numbers, nothing left set.
      let ids = expected.lines.compactMap { line in line.split(separator: " ").dropFirst(2).first.map(String.init) }
      #expect(Set(ids).count == ids.count, "seed \(seed): an output id came twice")
      var sequences: [String: Int] = [:]
      var tags: [String: Set<String>] = [:]
      for record in try expected.records(.tagChanges) {
        let next = sequences[record.customer, default: 0] + 1
        #expect(record.sequence == next, "seed \(seed)")
        sequences[record.customer] = next
        if record.op == "unset" {
          tags[record.customer]?.remove(record.tag ?? "")
        } else {
          if record.cause.kind == "event", tags[record.customer] == [] { returns += 1 }
          tags[record.customer, default: []].insert(record.tag ?? "")
        }
      }
      #expect(tags.values.allSatisfy { $0.isEmpty }, "seed \(seed)")
      var open: Set<String> = []
      for record in try expected.records(.churnAlerts) {
        let id = record.alertID ?? ""
        if record.status == "raised" { open.insert(id) } else { open.remove(id) }
      }
      #expect(open.isEmpty, "seed \(seed)")
    }
    #expect(evictions > 200 && returns > 20, "\(evictions) evictions, \(returns) returns")
  }
}
