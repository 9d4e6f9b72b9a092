// The instant a rule says it will flip at, against a scan of every hour of the silence that follows.

import Customers
import Events
import Rules
import Testing

@Suite struct NextChangeTests {
  static let horizonHours = 24 * 75

  /// Follows `nextChange` as the engine does (an answer without a flip is a check: ask again there) and compares with
  /// the first hour of a scan at which the value differs.
  static func compare<S: FeatureSource>(_ rules: RuleSet, _ index: Int, _ shopper: S, _ context: String) -> (
    flip: Bool, checks: Int
  ) {
    let start = rules.evaluate(index, source: shopper, current: 0)
    let end = shopper.now + .hours(Int64(horizonHours))
    var scanned: Instant?
    var hour = shopper.now
    while scanned == nil, hour < end {
      hour = hour + .hours(1)
      if rules.evaluate(index, source: shopper.at(hour), current: start) != start { scanned = hour }
    }
    var view = shopper
    var checks = 0
    while true {
      let next = rules.nextChange(index, source: view, current: start)
      #expect(next > view.now && next == next.roundedUpToSecond, "\(context)")
      guard let flip = scanned else {
        if next > end { return (false, checks) }
        let value = rules.evaluate(index, source: view.at(next), current: start)
        #expect(value == start, "flips at \(next), a scan never: \(context)")
        if value != start { return (true, checks) }
        view = view.at(next)
        checks += 1
        continue
      }
      #expect(next <= flip, "late: flips at \(next), a scan at \(flip): \(context)")
      if next > flip { return (true, checks) }
      if rules.evaluate(index, source: view.at(next), current: start) != start {
        #expect(next > flip - .hours(1), "early flip: \(context)")
        let before = max(view.now, next - .seconds(1))
        #expect(
          rules.evaluate(index, source: view.at(before), current: start) == start, "not the first second: \(context)")
        return (true, checks)
      }
      view = view.at(next)
      checks += 1
    }
  }

  @Test(arguments: 0..<60) func randomRules(seed: Int) throws {
    var maker = ExpressionMaker(seed: UInt64(seed) + 7_000)
    var text = ""
    for index in 0..<6 {
      text += "  - name: t\(index)\n    layer: basic\n    when: '\(maker.print(maker.truth(depth: 2)))'\n"
      if index % 2 == 1 { text += "    until: '\(maker.print(maker.truth(depth: 2)))'\n" }
    }
    text += "  - name: cases\n    layer: basic\n    when: '\(maker.print(maker.truth(depth: 1)))'\n    cases:\n"
    for index in 0..<3 { text += "      c\(index): '\(maker.print(maker.truth(depth: 1)))'\n" }
    text +=
      "  - name: text\n    layer: basic\n    when: '\(maker.print(maker.truth(depth: 2)))'\n    value: profile.region\n"
    text += "  - name: kept\n    layer: basic\n    when: '\(maker.print(maker.truth(depth: 1)))'\n"
    text += "    until: '\(maker.print(maker.truth(depth: 1)))'\n    value: profile.region\n"
    let rules = try RuleSet(text: "version: 1\n" + maker.definitionText + "tags:\n" + text, file: "r", exponent: 2)
    var random = Seeded(UInt64(seed))
    for _ in 0..<3 {
      let shopper = Shopper.random(&random)
      for index in 0..<rules.count {
        _ = Self.compare(rules, index, shopper, "rule \(index) of \(text)")
      }
      Self.compareAll(rules, shopper, text)
    }
  }

  /// The rules of a customer together: the first flip of any is that of whichever comes first alone.
  static func compareAll<S: FeatureSource>(_ rules: RuleSet, _ shopper: S, _ context: String) {
    let machine = RuleMachine(rules)
    let values = (0..<rules.count).map { rules.evaluate($0, source: shopper, current: 0) }
    func flips(_ index: Int, at instant: Instant) -> Bool {
      rules.evaluate(index, source: shopper.at(instant), current: values[index]) != values[index]
    }
    /// Follows what `selection` is told until one of it flips; nil beyond the horizon.
    func firstFlip(of selection: RuleSelection) -> Instant? {
      var view = shopper
      while true {
        let next = machine.nextChange(of: selection, source: view) { values[$0] }
        if next > shopper.now + .hours(Int64(horizonHours)) { return nil }
        #expect(next > view.now && next == next.roundedUpToSecond, "\(context)")
        if selection.contains(where: { flips($0, at: next) }) { return next }
        view = view.at(next)
      }
    }
    let alone = (0..<rules.count).compactMap { index in
      var one = RuleSelection()
      one.insert(index)
      return firstFlip(of: one)
    }
    #expect(firstFlip(of: machine.all) == alone.min(), "\(context)")
  }

  /// More instants than a word of a mask has bits, some shared, some not: each is the first to come for some customer.
  @Test func manyInstants() throws {
    var text = "version: 1\ntags:\n"
    for days in 1...150 {
      text += "  - name: t\(days)\n    layer: basic\n    when: orders.days_since_last >= \(days)\n"
      if days % 3 == 0 { text += "    until: seen.days_since_last >= \(days + 1)\n" }
    }
    let rules = try RuleSet(text: text, file: "r", exponent: 2)
    let machine = RuleMachine(rules)
    var shopper = Shopper()
    shopper.orders = [Shopper.Order(paid: 1_000_000, amount: 1, discounted: false)]
    for days in 0..<150 {
      shopper.now = Instant(seconds: 1_000_000 + Int64(days) * 86_400)
      let next = machine.nextChange(of: machine.all, source: shopper) {
        rules.evaluate($0, source: shopper, current: 0)
      }
      #expect(next == shopper.now + .days(1), "after \(days) days")
    }
  }

  /// Rules that move often, so that the comparison is not over constants; every one flips for some shopper.
  @Test(arguments: [
    "orders.days_since_last >= 5", "orders.days_since_last > 5", "orders.days_since_last = 5",
    "orders.days_since_last != 5", "orders.days_since_last < 5", "orders.days_since_last <= 5",
    "5 <= orders.days_since_last", "orders.days_since_last in [2, 5]", "orders.days_since_last between 2 and 4",
    "not (orders.days_since_last < 36h)", "cart.items >= 1 and cart.age_hours >= 24", "profile.age >= 3",
    "orders.count(7d) >= 1", "orders.average(30d) > 3", "orders.growth(30d) >= 30%", "orders.discount_share(30d) < 0.5",
    "churn.probability >= 60%", "churn.probability > 0.6", "churn.probability < 0.6", "0.6 <= churn.probability",
    "score(churn.probability, 20%, 40%, 60%, 80%) = 4", "defined(orders.average(7d))",
    "score(orders.days_since_last, 2, 5, 9, 20, descending) = 3", "seen.days_since_last * 2 > 5d",
    "orders.days_since_last > 2 * orders.mean_gap_days", "orders.days_since_last <= orders.last_gap_days",
    "orders.days_since_last = max(3, orders.last_gap_days)", "orders.days_since_first >= 3 * orders.days_since_last",
    "events.count(page_view, 7d) + orders.count(30d) = 2", "events.total(7d) < 2 or orders.count(1d) >= 1",
  ]) func movingRules(when: String) throws {
    let rules = try RuleSet(text: flagFile(when), file: "r", exponent: 2)
    #expect(rules.rules[0].isTimed)
    var random = Seeded(42)
    var flips = 0
    var checks = 0
    for _ in 0..<20 {
      let result = Self.compare(rules, 0, Shopper.random(&random), when)
      flips += result.flip ? 1 : 0
      checks += result.checks
    }
    #expect(flips > 0, "the comparison is over constants: \(when)")
    #expect(checks == 0 || when.contains("*"), "a check too many: \(when)")
  }

  @Test func untilWaitsForItsOwnThreshold() throws {
    let rules = try RuleSet(
      text: flagFile("orders.days_since_last >= 10", until: "orders.days_since_last < 3"), file: "r", exponent: 2)
    var shopper = Shopper()
    shopper.now = Instant(seconds: 1_000_000)
    shopper.orders = [Shopper.Order(paid: 1_000_000, amount: 1, discounted: false)]
    #expect(rules.nextChange(0, source: shopper, current: 0) == Instant(seconds: 1_000_000 + 10 * 86_400))
    #expect(rules.nextChange(0, source: shopper.at(shopper.now + .days(10)), current: 1) == .distantFuture)
  }

  /// A day-by-day walk is cut off at the named limit, and the answer is then a check, not a flip.
  @Test func longWalksEndInACheck() throws {
    let rules = try RuleSet(text: flagFile("orders.days_since_last * 2 > 1000"), file: "r", exponent: 2)
    var shopper = Shopper()
    shopper.now = Instant(seconds: 86_400)
    shopper.orders = [Shopper.Order(paid: 86_400, amount: 1, discounted: false)]
    let check = rules.nextChange(0, source: shopper, current: 0)
    #expect(check == shopper.now + .days(Int64(RuleLimits.changeCandidates)))
    #expect(rules.evaluate(0, source: shopper.at(check), current: 0) == 0)
  }

  /// Rules that are looked at in vain, at instants of their own, do not cut each other's search short.
  @Test func rulesTireAlone() throws {
    let text = """
      version: 1
      tags:
        - { name: last, layer: value, when: orders.days_since_last * 2 > 1000 }
        - { name: first, layer: value, when: orders.days_since_first * 2 > 1000 }
      """
    let rules = try RuleSet(text: text, file: "r", exponent: 2)
    let machine = RuleMachine(rules)
    var shopper = Shopper()
    shopper.now = Instant(seconds: 86_400)
    shopper.orders = [
      Shopper.Order(paid: 30_000, amount: 1, discounted: false),
      Shopper.Order(paid: 60_000, amount: 1, discounted: false),
    ]
    let check = machine.nextChange(of: machine.all, source: shopper) { _ in 0 }
    #expect(check == Instant(seconds: 30_000) + .days(Int64(RuleLimits.changeCandidates)))
  }

  /// A solver may answer a hair too early; the flip is then found at the second where it is true.
  @Test func solutionsThatFallShortAreTriedAgain() throws {
    struct Hasty: FeatureSource {
      var now = Instant(seconds: 0)
      func number(_ feature: Feature) -> Double { now >= Instant(seconds: 102) ? 0.6 : 0.599 }
      func text(_ feature: Feature) -> UInt64 { 0 }
      func at(_ instant: Instant) -> Hasty { Hasty(now: instant) }
      func nextStep(_ feature: Feature) -> Instant { .distantFuture }
      func crossing(_ feature: Feature, threshold: Double) -> Instant {
        now < Instant(seconds: 100) ? Instant(seconds: 100) : .distantFuture
      }
    }
    let rules = try RuleSet(text: flagFile("churn.probability >= 60%"), file: "r", exponent: 2)
    #expect(rules.nextChange(0, source: Hasty(), current: 0) == Instant(seconds: 102))
  }

  @Test func constantRulesNeverFlip() throws {
    for when in [
      "orders.count >= 3", "profile.gender = \"male\"", "true", "cart.items > 0", "orders.mean_gap_days > 3",
    ] {
      let rules = try RuleSet(text: flagFile(when), file: "r", exponent: 2)
      #expect(!rules.rules[0].isTimed)
      var random = Seeded(1)
      #expect(rules.nextChange(0, source: Shopper.random(&random), current: 0) == .distantFuture)
    }
  }
}
