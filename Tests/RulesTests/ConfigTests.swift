// The rule files that ship: they load, and their tags mean what their titles say.

import Customers
import Events
import Rules
import Testing

@Suite struct ConfigTests {
  let rules: RuleSet

  init() throws { rules = try RuleSet.load(path: packageRoot + "/config/tags.yaml", exponent: 2) }

  /// The name of the tag's value for a source.
  private func value(_ tag: String, _ source: Fixed, current: UInt64 = 0) -> String? {
    guard let index = rules.rules.firstIndex(where: { $0.name == tag }) else { return "no such tag" }
    return rules.rules[index].valueName(rules.evaluate(index, source: source, current: current))
  }

  @Test func referenceWorkloadTagsLoadInOrder() throws {
    let rules = try RuleSet.load(path: packageRoot + "/config/w1-tags.yaml", exponent: 2)
    #expect(rules.rules.map(\.name) == ["value.high", "frequency.high", "frequency.mid", "cart.active", "loyal"])
    #expect(rules.rules.allSatisfy { !$0.isTimed })
    #expect(rules.groups == [.orders, .cart])
    func values(paid: Double, gross: Double, refunds: Double, cart: Double) -> [UInt64] {
      let source = Fixed(numbers: [
        .ordersPaid(.life): paid, .ordersGross(.life): gross, .refundsCount(.life): refunds, .cartItems: cart,
      ])
      return (0..<5).map { rules.evaluate($0, source: source, current: 0) }
    }
    #expect(values(paid: 0, gross: 0, refunds: 0, cart: 1) == [0, 0, 0, 1, 0])
    #expect(values(paid: 1, gross: 200_000, refunds: 0, cart: 0) == [1, 0, 0, 0, 0])
    #expect(values(paid: 2, gross: 399_999, refunds: 0, cart: 0) == [0, 0, 1, 0, 0])
    #expect(values(paid: 4, gross: 0, refunds: 0, cart: 0) == [0, 0, 1, 0, 1])
    #expect(values(paid: 5, gross: 0, refunds: 1, cart: 0) == [0, 1, 0, 0, 0])
  }

  @Test func defaultTagsAreTheListed() throws {
    #expect(
      rules.rules.map(\.name) == [
        "age.band", "gender", "region.tier", "occupation", "purchase.frequency", "preference.category",
        "preference.channel", "sensitive.price", "sensitive.service", "cart.abandoned", "value.high",
        "value.potential", "loyal", "new", "sleeping", "rfm.r", "rfm.f", "rfm.m", "rfm.segment", "rfm.tier",
      ])
    for rule in rules.rules {
      #expect(rule.titles.map(\.language) == ["en", "zh"], "\(rule.name)")
      let revision: Int32 =
        switch rule.name {
        case "rfm.f", "rfm.m": 2  // customers without an order no longer get them
        case "preference.category", "preference.channel": 3  // need more than a click, and stand for a while
        default: 1
        }
      #expect(rule.revision == revision && !rule.shadow, "\(rule.name)")
    }
    #expect(!rules.usesChurnModel)
    // Money has other exponents elsewhere; the file does not care.
    _ = try RuleSet.load(path: packageRoot + "/config/tags.yaml", exponent: 0)
  }

  @Test func basicTags() {
    let bands = [
      (17, "under_18"), (18, "18-24"), (24, "18-24"), (25, "25-34"), (44, "35-44"), (54, "45-54"), (64, "55-64"),
    ]
    for (age, band) in bands + [(65, "65+"), (99, "65+")] {
      #expect(value("age.band", Fixed(numbers: [.age: Double(age)])) == band)
    }
    #expect(value("age.band", Fixed()) == nil)
    for (region, tier) in [
      ("beijing", "tier1"), ("上海市", "tier1"), ("xi'an", "tier1_new"), ("无锡", "tier2"), ("x", "other"),
    ] {
      #expect(value("region.tier", Fixed(texts: [.region: textHash(region)])) == tier)
    }
    #expect(value("region.tier", Fixed()) == nil)
  }

  @Test func behaviourTags() {
    func frequency(_ count: Double) -> String? {
      value("purchase.frequency", Fixed(numbers: [.ordersCount(.days(365)): count]))
    }
    #expect([0, 1, 2, 4, 5].map(frequency) == [nil, "low", "mid", "mid", "high"])
    func abandoned(_ items: Double, _ hours: Double) -> String? {
      value("cart.abandoned", Fixed(numbers: [.cartItems: items, .cartAgeHours: hours]))
    }
    #expect(abandoned(1, 24) == "true")
    #expect(abandoned(1, 23) == nil)
    #expect(abandoned(0, .nan) == nil)
    func price(_ count: Double, _ share: Double, _ current: UInt64) -> String? {
      let numbers: [Feature: Double] = [.ordersCount(.days(365)): count, .discountShare(.days(365)): share]
      return value("sensitive.price", Fixed(numbers: numbers), current: current)
    }
    #expect(price(3, 0.6, 0) == "true")
    #expect(price(3, 0.55, 0) == nil)
    #expect(price(2, 0.55, 1) == "true")
    #expect(price(3, 0.49, 1) == nil)
    #expect(price(0, .nan, 1) == nil)
    #expect(value("sensitive.service", Fixed(numbers: [.eventCount(.supportTicket, days: 90): 2])) == "true")
    #expect(value("sensitive.service", Fixed(numbers: [.ordersPaid(.life): 3, .refundRate: 0.34])) == "true")
    #expect(value("sensitive.service", Fixed(numbers: [.ordersPaid(.life): 2, .refundRate: 0.5])) == nil)
  }

  /// An order's weight is a little less than 5 with the very next click: the tag must not go with it.
  @Test func preferencesStandUntilHalfHasFaded() {
    func category(_ weight: Double, _ share: Double, _ current: UInt64) -> Bool {
      let source = Fixed(
        numbers: [.categoryWeight: weight, .topCategoryShare: share], texts: [.topCategory: 7])
      let index = rules.rules.firstIndex { $0.name == "preference.category" } ?? 0
      return rules.evaluate(index, source: source, current: current) == 7
    }
    #expect(category(5, 0.3, 0))
    #expect(!category(4.99, 1, 0))
    #expect(!category(9, 0.29, 0))
    #expect(category(2.5, 0.2, 7))
    #expect(category(4.99, 1, 8))
    #expect(!category(2.49, 1, 7))
    #expect(!category(9, 0.19, 7))
  }

  @Test func valueTags() {
    func high(_ average: Double, _ current: UInt64) -> String? {
      value(
        "value.high", Fixed(numbers: [.ordersCount(.life): 1, .ordersAverage(.life): average]), current: current)
    }
    #expect(high(200_000, 0) == "true")
    #expect(high(199_999, 0) == nil)
    #expect(high(180_000, 1) == "true")
    #expect(high(179_999, 1) == nil)
    #expect(high(.nan, 1) == nil)
    #expect(value("value.potential", Fixed(numbers: [.ordersGrowth(days: 90): 0.3])) == "true")
    #expect(value("loyal", Fixed(numbers: [.repeatRate: 0.5])) == "true")
    #expect(value("new", Fixed(numbers: [.daysSinceFirstOrder: 29])) == "true")
    #expect(value("new", Fixed(numbers: [.daysSinceFirstOrder: 30])) == nil)
    #expect(value("sleeping", Fixed(numbers: [.daysSinceLastOrder: 30])) == "true")
    #expect(value("sleeping", Fixed()) == nil)
  }

  @Test func theSegmentGridCoversEveryCellOnce() throws {
    // By r from 5 down to 1 and fm < 2, 2..3, 3..4, >= 4, as the comment in the file draws it from right to left.
    let grid = [
      5: ["new", "potential_loyalist", "loyal", "champions"],
      4: ["promising", "potential_loyalist", "loyal", "champions"],
      3: ["about_to_sleep", "need_attention", "need_attention", "loyal"],
      2: ["hibernating", "hibernating", "at_risk", "at_risk"],
      1: ["lost", "hibernating", "at_risk", "cannot_lose"],
    ]
    let recency: [Int: Double] = [5: 13, 4: 14, 3: 30, 2: 60, 1: 120]
    let frequency: [Double] = [1, 2, 3, 5, 10]
    let money: [Double] = [19_999, 20_000, 50_000, 100_000, 300_000]
    var seen: Set<String> = []
    for (r, days) in recency {
      for f in 1...5 {
        for m in 1...5 {
          let source = Fixed(numbers: [
            .ordersCount(.life): frequency[f - 1], .ordersCount(.days(365)): frequency[f - 1],
            .ordersRevenue(.days(365)): money[m - 1], .daysSinceLastOrder: days,
          ])
          #expect(value("rfm.r", source) == "\(r)")
          #expect(value("rfm.f", source) == "\(f)")
          #expect(value("rfm.m", source) == "\(m)")
          let column = min(max((f + m) / 2 - 1, 0), 3)
          let segment = value("rfm.segment", source)
          #expect(segment == grid[r]?[column], "r \(r), f \(f), m \(m)")
          seen.insert(segment ?? "")
          let tier = r <= 2 ? "churn_warning" : (f + m >= 8 ? "high_value" : "potential")
          #expect(value("rfm.tier", source) == tier)
        }
      }
    }
    #expect(seen.count == 11)
    for tag in ["rfm.r", "rfm.segment", "rfm.tier"] {
      #expect(value(tag, Fixed(numbers: [.ordersCount(.life): 0])) == nil)
    }
  }

  @Test func fingerprintsFollowMeaningOnly() throws {
    func set(_ text: String) throws -> RuleSet { try RuleSet(text: text, file: "r", exponent: 2) }
    let base = "version: 1\ntags:\n  - { name: a, layer: basic, when: orders.average >= 2000 }\n"
    let print = try set(base).fingerprint
    let same = [
      "# a comment\n" + base, base.replacingOccurrences("2000", "(2000)"),
      base.replacingOccurrences("layer: basic,", "layer: basic, title: { en: A },"),
      base.replacingOccurrences("orders.average >= 2000", "2000 <= orders.average"),
      "version: 1\ndefine: { high: 2000 }\ntags:\n  - { name: a, layer: basic, when: orders.average >= high }\n",
    ]
    for text in same { #expect(try set(text).fingerprint == print, "\(text)") }
    let other = [
      base.replacingOccurrences("2000", "2001"), base.replacingOccurrences("name: a", "name: b"),
      base.replacingOccurrences("layer: basic", "layer: value"), base.replacingOccurrences(">=", ">"),
      base.replacingOccurrences("layer: basic,", "layer: basic, revision: 2,"),
      base.replacingOccurrences("layer: basic,", "layer: basic, shadow: true,"),
      base.replacingOccurrences("tags:", "revision: 2\ntags:"),
      base.replacingOccurrences("2000 }", "2000, until: 'false' }"),
    ]
    for text in other { #expect(try set(text).fingerprint != print, "\(text)") }
    // Stable over builds and machines: checkpoints keep it.
    #expect(try set(base).rules[0].fingerprint == textHash("flag when (orders.average >= 200000.0) until not when"))
  }
}
