// The rule files that ship: they load, and say what the documentation says.

import Customers
import Rules
import Testing

@Suite struct ConfigTests {
  @Test func referenceWorkloadTagsLoadInOrder() throws {
    let rules = try RuleSet.load(path: packageRoot + "/config/w1-tags.yaml", exponent: 2)
    #expect(rules.rules.map(\.name) == ["value.high", "frequency.high", "frequency.mid", "cart.active", "loyal"])
    #expect(rules.rules.allSatisfy { !$0.isTimed })
    #expect(!rules.usesChurnModel)
  }

  @Test func defaultTagsLoad() throws {
    let rules = try RuleSet.load(path: packageRoot + "/config/tags.yaml", exponent: 2)
    #expect(rules.count == rules.rules.count)
    #expect(
      rules.rules.map(\.name) == [
        "age.band", "gender", "region.tier", "occupation", "purchase.frequency", "preference.category",
        "preference.channel", "sensitive.price", "sensitive.service", "cart.abandoned", "value.high", "value.potential",
        "loyal", "new", "sleeping", "rfm.r", "rfm.f", "rfm.m", "rfm.segment", "rfm.tier",
      ])
    for rule in rules.rules { #expect(rule.titles.map(\.language) == ["en", "zh"], "\(rule.name)") }
  }
}
