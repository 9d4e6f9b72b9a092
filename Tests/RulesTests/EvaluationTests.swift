// Compiled rules against a slow walk over the tree they were printed from, on random expressions and sources.

import Customers
import Events
import Rules
import Testing

@Suite struct EvaluationTests {
  /// Small values, so that equalities and undefined parts are met often.
  static func source(for features: [Feature], _ random: inout Seeded) -> Fixed {
    var source = Fixed()
    for feature in features {
      if feature.type == .text {
        if random.chance(80) { source.texts[feature] = textHash(random.pick(ExpressionMaker.texts)) }
      } else if random.chance(85) {
        let whole = Double(random.below(9))
        switch feature.type {
        case .money: source.numbers[feature] = whole * 100 + (random.chance(30) ? 25 : 0)
        case .ratio: source.numbers[feature] = whole / 4
        default: source.numbers[feature] = whole
        }
      }
    }
    return source
  }

  @Test(arguments: 0..<400) func compiledEqualsWalked(seed: Int) throws {
    var maker = ExpressionMaker(seed: UInt64(seed))
    var text = ""
    var trees: [(when: Truth, until: Truth)] = []
    for index in 0..<6 {
      let tree = (maker.truth(depth: 3), maker.truth(depth: 2))
      trees.append(tree)
      text += "  - name: t\(index)\n    layer: basic\n    when: '\(maker.print(tree.0))'\n"
      if index % 2 == 1 { text += "    until: '\(maker.print(tree.1))'\n" }
    }
    text += "  - name: cases\n    layer: basic\n    when: '\(maker.print(trees[0].when))'\n    cases:\n"
    for (index, tree) in trees.enumerated() { text += "      c\(index): '\(maker.print(tree.until))'\n" }
    text += "  - name: text\n    layer: basic\n    when: '\(maker.print(trees[1].when))'\n    value: profile.region\n"
    text += "  - name: kept\n    layer: basic\n    when: '\(maker.print(trees[2].when))'\n"
    text += "    until: '\(maker.print(trees[3].until))'\n    value: profile.region\n"
    text += "  - name: kept_cases\n    layer: basic\n    when: '\(maker.print(trees[4].when))'\n"
    text += "    until: '\(maker.print(trees[5].until))'\n    cases:\n"
    for (index, tree) in trees.enumerated() { text += "      c\(index): '\(maker.print(tree.until))'\n" }
    let rules = try RuleSet(text: "version: 1\n" + maker.definitionText + "tags:\n" + text, file: "r", exponent: 2)

    var random = Seeded(UInt64(seed) + 1_000_000)
    let features = Set(rules.rules.flatMap(\.features)).sorted { $0.name < $1.name }
    for _ in 0..<20 {
      let source = Self.source(for: features, &random)
      for (index, tree) in trees.enumerated() {
        let on = tree.when.holds(source)
        #expect(rules.evaluate(index, source: source, current: 0) == (on ? 1 : 0), "t\(index) of \(text)")
        let staysOn = index % 2 == 1 ? on || !tree.until.holds(source) : on
        #expect(rules.evaluate(index, source: source, current: 1) == (staysOn ? 1 : 0), "t\(index) kept, of \(text)")
      }
      let first = trees.firstIndex { $0.until.holds(source) }.map { UInt64($0 + 1) } ?? 0
      let cases = trees[0].when.holds(source) ? first : 0
      #expect(rules.evaluate(6, source: source, current: 0) == cases, "cases of \(text)")
      #expect(rules.evaluate(6, source: source, current: 3) == cases, "cases of \(text)")
      let region = trees[1].when.holds(source) ? source.text(.region) : 0
      #expect(rules.evaluate(7, source: source, current: 9) == region, "text of \(text)")
      let isSet = trees[2].when.holds(source)
      let isKept = isSet || !trees[3].until.holds(source)
      #expect(rules.evaluate(8, source: source, current: 0) == (isSet ? source.text(.region) : 0), "kept of \(text)")
      #expect(rules.evaluate(8, source: source, current: 9) == (isKept ? source.text(.region) : 0), "kept of \(text)")
      let isCase = trees[4].when.holds(source)
      let isCaseKept = isCase || !trees[5].until.holds(source)
      #expect(rules.evaluate(9, source: source, current: 0) == (isCase ? first : 0), "kept_cases of \(text)")
      #expect(rules.evaluate(9, source: source, current: 2) == (isCaseKept ? first : 0), "kept_cases of \(text)")
    }
  }

  /// What one rule has computed is there for the next ones, and never anything else.
  @Test(arguments: 0..<200) func rulesShareWhatTheyRead(seed: Int) throws {
    var maker = ExpressionMaker(seed: UInt64(seed) + 50_000)
    let conditions = (0..<3).map { _ in maker.print(maker.truth(depth: 3)) }
    var text = ""
    for index in 0..<9 {
      // Parts of the same few conditions, so that rules have much in common.
      let when = "(\(conditions[index % 3])) or (\(conditions[(index + index / 3) % 3]))"
      text += "  - name: t\(index)\n    layer: basic\n    when: '\(when)'\n"
      if index % 2 == 1 { text += "    until: '\(conditions[index / 3])'\n" }
    }
    let rules = try RuleSet(text: "version: 1\n" + maker.definitionText + "tags:\n" + text, file: "r", exponent: 2)
    let machine = RuleMachine(rules)
    var random = Seeded(UInt64(seed) + 2_000_000)
    let features = Set(rules.rules.flatMap(\.features)).sorted { $0.name < $1.name }
    for _ in 0..<20 {
      let source = Self.source(for: features, &random)
      var known = KnownTerms()
      for _ in 0..<30 {
        let index = random.below(rules.count)
        let current = UInt64(random.below(2))
        #expect(
          machine.evaluate(index, source: source, current: current, known: &known)
            == rules.evaluate(index, source: source, current: current), "t\(index) of \(text)")
      }
    }
  }

  @Test func hysteresisKeepsATagBetweenTheThresholds() throws {
    let rules = try RuleSet(
      text: flagFile("orders.average >= 2000", until: "orders.average < 1800"), file: "r", exponent: 2)
    func value(_ average: Double, _ current: UInt64) -> UInt64 {
      rules.evaluate(0, source: Fixed(numbers: [.ordersAverage(.life): average]), current: current)
    }
    #expect(value(199_999, 0) == 0)
    #expect(value(200_000, 0) == 1)
    #expect(value(180_000, 1) == 1)
    #expect(value(179_999, 1) == 0)
    // Undefined: `until` is false as well, so the tag stays.
    #expect(value(.nan, 1) == 1)
    #expect(value(.nan, 0) == 0)
  }

  /// A tag with a value follows it while it is kept.
  @Test func hysteresisKeepsAValueBetweenTheThresholds() throws {
    let rules = try RuleSet(
      text: """
        version: 1
        tags:
          - name: t
            layer: value
            when: preferences.category_share >= 50%
            until: not (preferences.category_share >= 30%)
            value: preferences.category
        """, file: "r", exponent: 2)
    func value(_ share: Double, _ category: UInt64, _ current: UInt64) -> UInt64 {
      rules.evaluate(
        0, source: Fixed(numbers: [.topCategoryShare: share], texts: [.topCategory: category]),
        current: current)
    }
    #expect(value(0.49, 7, 0) == 0)
    #expect(value(0.5, 7, 0) == 7)
    #expect(value(0.3, 7, 7) == 7)
    #expect(value(0.3, 8, 7) == 8)
    #expect(value(0.29, 7, 7) == 0)
    #expect(value(.nan, 0, 7) == 0)
  }

  @Test func undefinedMakesEveryComparisonFalse() throws {
    for operation in ["=", "!=", "<", "<=", ">", ">="] {
      for when in ["orders.average \(operation) 5", "5 \(operation) orders.average"] {
        let rules = try RuleSet(text: flagFile(when), file: "r", exponent: 2)
        #expect(rules.evaluate(0, source: Fixed(), current: 0) == 0, "\(when)")
      }
    }
    let holding = [
      "not (orders.average = 5)", "not defined(orders.average)", "not defined(profile.region)",
      "not (profile.region = \"x\")", "not (orders.average in [5])",
    ]
    for when in holding {
      let rules = try RuleSet(text: flagFile(when), file: "r", exponent: 2)
      #expect(rules.evaluate(0, source: Fixed(), current: 0) == 1, "\(when)")
    }
    let failing = [
      "profile.region != \"x\"", "profile.region not in [\"x\"]", "orders.average not in [5]",
      "orders.average not between 1 and 2", "orders.revenue / orders.count > 0", "orders.revenue / orders.count <= 0",
      "max(orders.average, 7) > 5", "score(orders.average, 1, 2) >= 1",
    ]
    let source = Fixed(numbers: [.ordersRevenue(.life): 5, .ordersCount(.life): 0])
    for when in failing {
      let rules = try RuleSet(text: flagFile(when), file: "r", exponent: 2)
      #expect(rules.evaluate(0, source: source, current: 0) == 0, "\(when)")
    }
  }

  @Test func moneyIsWrittenInMajorUnits() throws {
    func holds(_ when: String, _ minor: Double, exponent: Int) throws -> Bool {
      let rules = try RuleSet(text: flagFile(when), file: "r", exponent: exponent)
      return rules.evaluate(0, source: Fixed(numbers: [.ordersRevenue(.life): minor]), current: 0) == 1
    }
    #expect(try holds("orders.revenue = 19.99", 1999, exponent: 2))
    #expect(try holds("orders.revenue = 0.29", 29, exponent: 2))
    #expect(try holds("orders.revenue = 1.1", 1100, exponent: 3))
    #expect(try holds("orders.revenue = 2000", 2000, exponent: 0))
    #expect(try holds("orders.revenue in [1, 19.99]", 1999, exponent: 2))
    #expect(try holds("score(orders.revenue, 10, 20) = 2", 1000, exponent: 2))
    #expect(try holds("orders.revenue * 2 = 4", 200, exponent: 2))
    #expect(try holds("max(5, orders.revenue) = 5", 200, exponent: 2))
    #expect(try holds("orders.revenue + 1.5 = 3.5", 200, exponent: 2))
    #expect(try holds("3 / orders.revenue = 1.5", 200, exponent: 2))
  }

  @Test func scoresCountCutsPassed() throws {
    let ages = try RuleSet(
      text: flagFile("true").replacingOccurrences(
        "when: 'true'",
        "cases: { a: \"score(profile.age, 10, 20) = 1\", b: \"score(profile.age, 10, 20) = 2\", c: \"score(profile.age, 10, 20, descending) = 1\" }"
      ),
      file: "r", exponent: 2)
    func value(_ age: Double) -> UInt64 { ages.evaluate(0, source: Fixed(numbers: [.age: age]), current: 0) }
    #expect(value(9) == 1)
    #expect(value(10) == 2)
    #expect(value(19) == 2)
    #expect(value(20) == 3)
  }

  @Test func selectionsListTheRulesThatReadAPart() throws {
    var text = "version: 1\ntags:\n"
    for index in 0..<256 {
      let feature = ["orders.count", "cart.items", "events.count(search, 7d)", "profile.age"][index % 4]
      text += "  - { name: t\(index), layer: basic, when: '\(feature) > \(index)' }\n"
    }
    let rules = try RuleSet(text: text, file: "r", exponent: 2)
    #expect(rules.count == 256)
    #expect(Array(rules.affected(by: .orders)) == Array(stride(from: 0, to: 256, by: 4)))
    #expect(Array(rules.affected(by: .cart)) == Array(stride(from: 1, to: 256, by: 4)))
    #expect(Array(rules.affected(by: .events(.search))) == Array(stride(from: 2, to: 256, by: 4)))
    #expect(rules.affected(by: .events(.login)).isEmpty)
    #expect(rules.affected(by: [.cart, .profile]).count == 128)
    #expect(Array(rules.affected(by: .all)) == Array(0..<256))
    #expect(rules.affected(by: .profile).contains(255))
    #expect(!rules.affected(by: .profile).contains(254))
  }
}

extension String {
  func replacingOccurrences(_ old: String, _ new: String) -> String {
    split(separator: old, omittingEmptySubsequences: false).joined(separator: new)
  }
}
