// A live task: the wall moves in its own steps, events come before and behind it, and a restart comes in between. What
// a customer ends up with is what the events say, and every promise about the stream of changes holds.

import Customers
import Engine
import Events
import Models
import ReferenceTesting
import Rules
import Testing

struct WallClockTests {
  @Test func liveTasksKeepTheirPromises() throws {
    let text = """
      version: 1
      tags:
        - { name: regular, layer: value, when: orders.count(90d) >= 2 }
        - { name: sleeping, layer: value, when: orders.days_since_last >= 30 }
        - { name: quiet, layer: behaviour, when: seen.days_since_last > 9 }
        - { name: cart, layer: behaviour, when: cart.items >= 1 and cart.age_hours >= 24 }
        - { name: risk, layer: value, when: churn.probability >= 0.5 }
        - { name: refunds, layer: value, when: refunds.count(30d) >= 1 }
      """
    for seed in testSeeds(150) {
      var random = Seeded(seed ^ 0x3a11)
      let model = try ChurnModelPreset.cdnow.model(horizon: .days(random.pick([60, 180])))
      var settings = try TestSettings.make(rules: text, churn: model, clockMode: .wall)
      settings.alerts.backfillPerSecond = 1
      var options = StreamOptions()
      options.visits = 25
      options.lateness = .days(6)
      let arrivals = EventStream(seed: seed, options: options).arrivals
      let end = (arrivals.map(\.time).max() ?? .distantPast) + .days(random.int(0...120))

      let said = try runLive(arrivals, settings, end: end, random: &random)
      let changes = try said.records(.tagChanges)
      try checkChanges(changes, seed: seed)
      try checkAlerts(try said.records(.churnAlerts), settings, seed: seed)

      // The same events in a replay, read at the same instant.
      settings.clockMode = .event
      var replayed = EngineTask(settings: settings, seed: 1)
      var expected = Said()
      replayed.replay(arrivals.enumerated().map { ($0, $1) }, into: &expected)
      replayed.advance(to: end, into: &expected)
      try #require(tags(changes) == tags(try expected.records(.tagChanges)), "seed \(seed)")
    }
  }

  private func runLive(
    _ arrivals: [SampleEvent], _ settings: EngineSettings, end: Instant, random: inout Seeded
  ) throws -> Said {
    var task = EngineTask(settings: settings, seed: 1)
    var said = Said()
    var saved: [[UInt8]: [UInt8]] = [:]
    var newest = Instant.distantPast
    let live = random.index(arrivals.count)
    for (position, event) in arrivals.enumerated() {
      newest = max(newest, event.time)
      if position == live { task.caughtUp() }
      _ = task.apply(event, offset: Int64(position))
      // A producer may be ahead of the wall by minutes, or behind it by an hour.
      if random.chance(0.7) { _ = task.advance(to: newest + .seconds(random.int(-240...3600)), maxTimers: 2) }
      said.take(&task.outputs)
      if random.chance(0.05) {
        task.save(into: &saved)
        task = EngineTask(settings: settings, seed: 1)
        try task.restoreAll(saved.map { ($0.key, $0.value) })
      }
    }
    task.advance(to: end, into: &said)
    return said
  }

  private func tags(_ changes: [SaidRecord]) -> [String: String] {
    var tags: [String: String] = [:]
    for change in changes { tags[change.tag ?? ""] = change.new?.text }
    return tags
  }

  /// Milliseconds and microseconds in one form, so that the order of texts is that of instants.
  private func sortable(_ time: String) -> String {
    let digits = time.dropLast()
    return digits + String(repeating: "0", count: max(0, 26 - digits.count))
  }

  private func checkChanges(_ changes: [SaidRecord], seed: UInt64) throws {
    let numbers = changes.compactMap(\.sequence)
    try #require(numbers == (0..<changes.count).map { $0 + 1 }, "seed \(seed)")
    var latest = ""
    for change in changes {
      let effective = sortable(try #require(change.effectiveAt))
      try #require(effective >= latest, "seed \(seed): \(change) takes effect before its predecessor")
      try #require(sortable(change.emittedAt) >= effective, "seed \(seed): \(change) is said before it is true")
      latest = effective
    }
  }

  private func checkAlerts(_ alerts: [SaidRecord], _ settings: EngineSettings, seed: UInt64) throws {
    var open: [Int: SaidRecord] = [:]
    var last = Instant.distantPast
    for alert in alerts {
      let (number, kind) = try (#require(alert.alertNumber), #require(alert.kind))
      let time = at(alert.emittedAt)
      if alert.status == "raised" {
        try #require(last == .distantPast || time - last >= settings.alerts.window, "seed \(seed): \(alert) too soon")
        try #require(!open.values.contains { $0.kind == kind }, "seed \(seed): \(alert) while one is open")
        try #require(at(alert.crossedAt ?? "") <= time, "seed \(seed): \(alert) before its crossing")
        let isBackfill = alert.cause.kind == "backfill"
        let respondBy = (isBackfill ? time.roundedUpToSecond : at(alert.crossedAt ?? "")) + settings.alerts.window
        try #require(alert.respondBy == instantText(respondBy), "seed \(seed): \(alert)")
        try #require((alert.overdue ?? false) == (time > respondBy), "seed \(seed): \(alert)")
        last = time
        // Caught up late, what crossed before is backfill: nothing here is behind its time but for the window's sake.
        try #require(alert.cause.backfill == (isBackfill ? true : nil), "seed \(seed): \(alert)")
        open[number] = alert
      } else {
        let raised = try #require(open[number], "seed \(seed): \(alert) ends what is not open")
        open[number] = nil
        try #require(raised.kind == kind, "seed \(seed): \(alert)")
        let wasFollowed = raised.cause.backfill == true && last > at(raised.emittedAt)
        try #require(
          alert.respondBy == (wasFollowed ? instantText(last.roundedUpToSecond) : raised.respondBy),
          "seed \(seed): \(alert)")
      }
    }
  }
}
