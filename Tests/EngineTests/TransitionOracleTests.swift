// The stream of tag changes of a customer, against rules evaluated over the full history at every instant at which
// anything could change.

import Customers
import Engine
import Events
import Models
import ReferenceTesting
import Rules
import Testing

/// The full history as rules see it. Remembers values: many rules ask for the same.
private final class HistorySource: FeatureSource {
  let snapshot: ReferenceSnapshot
  let model: ChurnModel?
  private var numbers: [Feature: Double] = [:]

  init(_ snapshot: ReferenceSnapshot, model: ChurnModel?) {
    self.snapshot = snapshot
    self.model = model
  }

  var now: Instant { snapshot.now }

  var history: PurchaseHistory? {
    let bought = snapshot.orders.purchases.compactMap(\.paidAt)
    guard let first = bought.first, let last = bought.last else { return nil }
    return PurchaseHistory(first: first, last: last, repeats: Int(snapshot.number(.repeatDays)))
  }

  func number(_ feature: Feature) -> Double {
    if let known = numbers[feature] { return known }
    let value: Double =
      switch feature {
      case .churnProbability: history.flatMap { h in model?.churnProbability(h, at: now) } ?? .nan
      case .lostProbability: history.flatMap { h in model?.deadProbability(h, at: now) } ?? .nan
      default: snapshot.number(feature)
      }
    numbers[feature] = value
    return value
  }

  func text(_ feature: Feature) -> UInt64 { textHash(snapshot.text(feature)) }
  func at(_ instant: Instant) -> Self { self }
  func nextStep(_ feature: Feature) -> Instant { .distantFuture }
  func crossing(_ feature: Feature, threshold: Double) -> Instant { .distantFuture }
}

/// What a customer should be told.
private struct TagOracle {
  let rules: RuleSet
  let model: ChurnModel?
  let calendar: ZonedCalendar
  var customer: ReferenceCustomer
  var values: [UInt64]
  var asOf = Instant.distantPast
  var told: [String] = []

  init(_ settings: EngineSettings) {
    rules = settings.rules
    model = settings.churn
    calendar = settings.calendar
    customer = ReferenceCustomer(calendar: settings.calendar)
    values = Array(repeating: 0, count: settings.rules.count)
  }

  static func line(_ tag: String, _ op: String, _ value: String, _ instant: Instant) -> String {
    "\(tag) \(op) \(value) \(instantText(instant))"
  }

  private mutating func evaluate(_ source: HistorySource, at now: Instant) {
    for (index, rule) in rules.rules.enumerated() where !rule.name.hasPrefix("preference.") {
      let value = rules.evaluate(index, source: source, current: values[index])
      if value == values[index] { continue }
      let op = values[index] == 0 ? "set" : value == 0 ? "unset" : "change"
      values[index] = value
      var name = rule.valueName(value) ?? "-"
      if case .text(let feature) = rule.kind, value != 0 { name = source.snapshot.text(feature) ?? "-" }
      told.append(Self.line(rule.name, op, name, now))
    }
  }

  mutating func apply(_ event: SampleEvent) {
    let now = max(asOf, event.time)
    silence(until: now)
    guard customer.apply(event) else { return }
    asOf = now
    evaluate(HistorySource(customer.snapshot(at: now), model: model), at: now)
  }

  /// Evaluates at every instant in (asOf, end] at which silence may change anything.
  mutating func silence(until end: Instant) {
    guard asOf != .distantPast, end > asOf else { return }
    let snapshot = customer.snapshot(at: asOf)
    var instants: Set<Instant> = []
    var day = calendar.day(of: asOf)
    while calendar.start(of: day) <= end {
      instants.insert(calendar.start(of: day))
      day = day + 1
    }
    for (since, period) in snapshot.periods {
      var instant = since
      // No rule looks at a cart longer than this.
      let last = period == .hours(1) ? min(end, since + .hours(60)) : end
      while instant <= last {
        instants.insert(instant.roundedUpToSecond)
        instant = instant + period
      }
    }
    if let model, let history = HistorySource(snapshot, model: model).history {
      for threshold in [0.3, 0.35, 0.5.nextUp] {
        instants.insert(firstSecond(end) { model.churnProbability(history, at: $0) >= threshold })
      }
      instants.insert(firstSecond(end) { model.deadProbability(history, at: $0) >= 0.45 })
    }
    for instant in instants.filter({ $0 > asOf && $0 <= end }).sorted() {
      evaluate(HistorySource(snapshot.at(instant), model: model), at: instant)
    }
    asOf = end
  }

  /// By bisection; `end` when there is none before.
  private func firstSecond(_ end: Instant, _ holds: (Instant) -> Bool) -> Instant {
    var low = asOf.microseconds / 1_000_000
    var high = end.microseconds / 1_000_000
    while high - low > 1 {
      let middle = (low + high) / 2
      if holds(Instant(seconds: middle)) { high = middle } else { low = middle }
    }
    return Instant(seconds: high)
  }
}

struct TransitionOracleTests {
  @Test func tagsFlipAtTheInstantsAnExhaustiveScanFinds() throws {
    let text = try TestSettings.manyRules()
    for seed in testSeeds(30) {
      var random = Seeded(seed ^ 0x7a95)
      let model = try ChurnModelPreset.cdnow.model(horizon: .days(random.pick([30, 60, 120])))
      let settings = try TestSettings.make(
        rules: text, churn: model, zone: random.pick(["UTC", "Asia/Shanghai", "America/New_York", "Asia/Beirut"]))
      var options = StreamOptions()
      options.visits = 4 + random.index(14)
      options.wholeSeconds = true
      let arrivals = EventStream(seed: seed, options: options).arrivals
      var task = EngineTask(settings: settings, seed: seed)
      var said = Said()
      var oracle = TagOracle(settings)
      task.replay(arrivals.enumerated().map { ($0, $1) }, into: &said)
      for event in arrivals { oracle.apply(event) }
      let end = oracle.asOf + .days(420)
      task.advance(to: end, into: &said)
      oracle.silence(until: end)

      // Within one instant rules are independent: compare as sets there, in order over time.
      let told = try said.records(.tagChanges).filter { !($0.tag ?? "").hasPrefix("preference.") }
        .map { "\($0.effectiveAt ?? "") \($0.tag ?? "") \($0.op ?? "") \($0.new?.text ?? "-")" }
      let expected = oracle.told.map { line in
        let parts = line.split(separator: " ")
        return "\(parts[3]) \(parts[0]) \(parts[1]) \(parts[2])"
      }
      let (unexpected, missing) = (
        told.filter { !expected.contains($0) }, expected.filter { !told.contains($0) }
      )
      try #require(unexpected.isEmpty && missing.isEmpty, "seed \(seed): unexpected \(unexpected), missing \(missing)")
      try #require(told.sorted() == expected.sorted(), "seed \(seed): a change came twice")
      #expect(told.map { $0.prefix(24) } == told.map { $0.prefix(24) }.sorted(), "seed \(seed): not in order of time")
    }
  }

  @Test func anyArrivalOrderLeavesTheSameTags() throws {
    // Rules without `until`: their value depends on nothing but the features.
    let text = """
      version: 1
      tags:
        - { name: regular, layer: value, when: orders.count(90d) >= 2 }
        - { name: sleeping, layer: value, when: orders.days_since_last >= 30 }
        - { name: quiet, layer: behaviour, when: seen.days_since_last > 9 }
        - { name: cart, layer: behaviour, when: cart.items >= 1 and cart.age_hours >= 24 }
        - { name: risk, layer: value, when: churn.probability >= 0.5 }
        - { name: gender, layer: basic, value: profile.gender }
      """
    let settings = try TestSettings.make(rules: text, churn: ChurnModelPreset.cdnow.model(horizon: .days(60)))
    for seed in testSeeds(100) {
      var random = Seeded(seed)
      var options = StreamOptions()
      options.visits = 20
      options.isShuffled = false
      options.hasDuplicates = false
      let inOrder = EventStream(seed: seed, options: options).arrivals
      let shuffled = EventStream.arrange(inOrder, lateness: settings.records.lateness, random: &random)
      let end = (inOrder.map(\.time).max() ?? .distantPast) + .days(random.int(0...40))
      func tags(_ events: [SampleEvent]) throws -> [String: String] {
        var task = EngineTask(settings: settings, seed: 1)
        var said = Said()
        task.replay(events.enumerated().map { ($0, $1) }, into: &said)
        task.advance(to: end, into: &said)
        var tags: [String: String] = [:]
        for record in try said.records(.tagChanges) { tags[record.tag ?? ""] = record.new?.text }
        return tags
      }
      try #require(try tags(inOrder) == tags(shuffled), "seed \(seed)")
    }
  }
}
