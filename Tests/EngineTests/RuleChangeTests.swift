// Rules that change under living state: values carried over, tags taken back, sweeps that resume, shadows, refusals.

import Customers
import Engine
import Events
import ReferenceTesting
import Rules
import Testing

struct RuleChangeTests {
  private static func rules(revision: Int = 1, _ tags: String) -> String {
    "version: 1\nrevision: \(revision)\ntags:\n" + tags.split(separator: "\n").map { "  \($0)\n" }.joined()
  }

  private static let first = rules(
    """
    - { name: seen, layer: basic, when: "seen.days_since_first >= 0" }
    - { name: buyer, layer: value, when: "orders.count >= 1" }
    - { name: who, layer: basic, value: profile.gender }
    - { name: where, layer: basic, value: profile.region }
    - { name: size, layer: value, cases: { big: "orders.revenue >= 100", small: "orders.revenue > 0" } }
    """)

  private func reload(_ text: String) -> (inout EngineSettings) throws -> Void {
    { $0.rules = try RuleSet(text: text, file: "rules", exponent: 2) }
  }

  @Test func valuesAreCarriedOverAndLostTagsTakenBack() throws {
    let steps = Steps(try TestSettings.make(rules: Self.first))
    var hello = event(.profileUpdate, "2026-01-01T00:00:00Z")
    hello.gender = .other
    hello.region = "lima"
    let day = "@2026-01-01T00:00:00.000Z"
    try steps.apply(
      hello, says: ["c seen set true \(day) event", "c who set other \(day) event", "c where set lima \(day) event"])
    try steps.apply(
      order(.orderPaid, "o", "2026-01-01T00:00:00Z", amount: 20_000),
      says: ["c buyer set true \(day) event", "c size set big \(day) event"])
    try steps.advance(to: "2026-01-02T00:00:00Z", says: [])

    // Another order of the tags; `seen` now says something else, `buyer` and all texts are gone, `size` has new cases.
    try steps.restart(
      reload(
        Self.rules(
          revision: 2,
          """
          - { name: fresh, layer: basic, when: "seen.days_since_last < 5" }
          - { name: size, layer: value, cases: { huge: "orders.revenue >= 150", small: "orders.revenue > 0" } }
          - { name: seen, layer: basic, when: "seen.days_since_first >= 0 or orders.count > 1" }
          """)))
    let now = "@2026-01-02T00:00:00.000Z"
    let records = try steps.advance(
      to: "2026-01-02T00:00:00Z",
      says: [
        "c buyer unset - \(now) rule_change", "c who unset - \(now) rule_change", "c where unset - \(now) rule_change",
        "c size unset - \(now) rule_change", "c fresh set true \(now) rule_change",
        "c size set huge \(now) rule_change",
      ])
    #expect(records.map { $0.old?.text } == ["true", "other", "lima", "big", nil, nil])
    #expect(records.map(\.sequence) == [6, 7, 8, 9, 10, 11])
    try steps.advance(to: "2026-01-06T00:00:00Z", says: ["c fresh unset - @2026-01-06T00:00:00.000Z time"])
    try steps.restart()
    try steps.advance(to: "2026-01-07T00:00:00Z", says: [])
  }

  /// No part of a record is read by it, and none was touched.
  @Test func aRuleThatReadsNothingReachesThoseWhoAreKnown() throws {
    let steps = Steps(try TestSettings.make(rules: Self.rules("- { name: seen, layer: basic, when: \"true\" }")))
    let day = "@2026-01-01T00:00:00.000Z"
    try steps.apply(event(.pageView, "2026-01-01T00:00:00Z"), says: ["c seen set true \(day) event"])
    try steps.advance(to: "2026-01-02T00:00:00Z", says: [])
    try steps.restart(
      reload(
        Self.rules(
          revision: 2,
          """
          - { name: seen, layer: basic, when: "true" }
          - { name: all, layer: basic, cases: { one: "false", two: "true" } }
          """)))
    try steps.advance(
      to: "2026-01-02T00:00:00Z", says: ["c all set two @2026-01-02T00:00:00.000Z rule_change"])
  }

  @Test func casesAreCarriedOverByName() throws {
    func cases(_ revision: Int, _ cases: String) -> String {
      Self.rules(revision: revision, "- { name: size, layer: value, cases: { \(cases) } }")
    }
    let steps = Steps(
      try TestSettings.make(
        rules: cases(1, "big: orders.revenue >= 100, mid: orders.revenue >= 50, small: orders.revenue > 0")))
    let then = "@2026-01-01T00:00:00.000Z"
    for (id, amount, name) in [("a", 20_000, "big"), ("b", 7_000, "mid"), ("c", 1_000, "small")]
      as [(String, Int64, String)]
    {
      try steps.apply(
        order(.orderPaid, "o", "2026-01-01T00:00:00Z", id, amount: amount),
        says: ["\(id) size set \(name) \(then) event"])
    }
    try steps.advance(to: "2026-01-02T00:00:00Z", says: [])
    let now = "@2026-01-02T00:00:00.000Z"
    // One before the others, and one behind: nobody's value changes but that of who is huge now.
    try steps.restart(
      reload(
        cases(
          2,
          "huge: orders.revenue >= 150, big: orders.revenue >= 100, mid: orders.revenue >= 50, small: orders.revenue > 0, "
            + "none: orders.paid >= 0")))
    let changed = try steps.advance(to: "2026-01-02T00:00:00Z", says: ["a size change huge \(now) rule_change"])
    #expect(changed.first?.old?.text == "big")
    // Another order alone is no change; a name that is gone is taken back.
    try steps.restart(
      reload(
        cases(
          3,
          "small: orders.revenue > 0 and orders.revenue < 50, middle: orders.revenue < 100, huge: orders.revenue >= 150"
        )))
    try steps.advance(
      to: "2026-01-02T00:00:00Z",
      says: ["b size unset - \(now) rule_change", "b size set middle \(now) rule_change"])
  }

  @Test func aSweepResumesWhereItStopped() throws {
    var settings = try TestSettings.make(rules: Self.first)
    settings.sweepBatch = 2
    let steps = Steps(settings)
    for id in ["a", "b", "c", "d", "e"] {
      try steps.apply(
        event(.login, "2026-01-01T00:00:00Z", id), says: ["\(id) seen set true @2026-01-01T00:00:00.000Z event"])
    }
    let next = Self.rules(revision: 2, "- { name: known, layer: basic, when: \"seen.days_since_first >= 0\" }")
    try steps.advance(to: "2026-01-02T00:00:00Z", says: [])
    try steps.restart(reload(next))
    var told: [SaidRecord] = []
    func take() throws {
      var said = Said()
      _ = steps.advanceTask(to: at("2026-01-02T00:00:00Z"), into: &said)
      told += try said.records(.tagChanges)
    }
    try take()
    #expect(told.count == 4, "two customers, two changes each")
    // An event reaches a customer before the sweep does; restarts come in between.
    try steps.restart()
    try take()
    try steps.restart()
    for _ in 0..<3 { try take() }
    #expect(told.count == 10)
    #expect(Set(told.map(\.description)).count == 10, "nothing is said twice")
    #expect(told.allSatisfy { $0.cause.kind == "rule_change" })
    #expect(Set(told.map(\.customer)) == ["a", "b", "c", "d", "e"])
  }

  @Test func newRulesNeverLookBehindTheClock() throws {
    let cases = """
      - { name: step, layer: value, cases: { a: "orders.days_since_last < 3", b: "orders.days_since_last < 12" } }
      """
    let steps = Steps(try TestSettings.make(rules: Self.rules(cases)))
    for id in ["a", "b"] {
      try steps.apply(
        order(.orderPaid, "o", "2026-01-01T00:00:00Z", id, amount: 1),
        says: ["\(id) step set a @2026-01-01T00:00:00.000Z event"])
    }
    try steps.apply(order(.orderPaid, "o2", "2026-01-01T00:00:01Z", "b", amount: 1), says: [])
    // Stopped in the middle, with the timer that `b` no longer needs: it is left with one due long ago.
    try steps.advance(
      to: "2026-01-05T00:00:00Z", maxTimers: 2, leavesMore: true,
      says: ["a step change b @2026-01-04T00:00:00.000Z time"])
    try steps.restart(
      reload(Self.rules(revision: 2, cases + "\n- { name: more, layer: value, when: orders.count >= 2 }")))
    try steps.advance(
      to: "2026-01-20T00:00:00Z",
      says: [
        "a step unset - @2026-01-20T00:00:00.000Z rule_change", "b step unset - @2026-01-20T00:00:00.000Z rule_change",
        "b more set true @2026-01-20T00:00:00.000Z rule_change",
      ])
    try steps.advance(to: "2026-02-20T00:00:00Z", says: [])
  }

  @Test func shadowsAreCountedAndNeverEmitted() throws {
    let shadow = Self.rules("- { name: ghost, layer: basic, shadow: true, when: \"seen.days_since_last < 2\" }")
    let steps = Steps(try TestSettings.make(rules: shadow))
    try steps.apply(event(.login, "2026-01-01T00:00:00Z"), says: [])
    try steps.advance(to: "2026-01-01T12:00:00Z", says: [])
    #expect(steps.task.counters.shadowChanges == 1 && steps.task.counters.tagChanges == 0)
    // Out of the shadow it is new to those who listen, back in it they are told that it is gone.
    let light = Self.rules(revision: 2, "- { name: ghost, layer: basic, when: \"seen.days_since_last < 2\" }")
    try steps.restart(reload(light))
    try steps.advance(
      to: "2026-01-01T12:00:00Z", says: ["c ghost set true @2026-01-01T12:00:00.000Z rule_change"])
    try steps.restart(reload(shadow.replacing("revision: 1", with: "revision: 3")))
    try steps.advance(
      to: "2026-01-01T13:00:00Z", says: ["c ghost unset - @2026-01-01T13:00:00.000Z rule_change"])
    try steps.advance(to: "2026-01-09T00:00:00Z", says: [])
  }

  @Test("money is never taken for another currency's, nor for other units", arguments: [("EUR", 2), ("CNY", 0)])
  func otherMoneyIsRefused(code: String, digits: Int) throws {
    let steps = Steps(try TestSettings.make(rules: Self.first))
    try steps.apply(
      event(.login, "2026-01-01T00:00:00Z"), says: ["c seen set true @2026-01-01T00:00:00.000Z event"])
    try steps.restart()
    let error = #expect(throws: StateError.self) {
      try steps.restart { settings in
        settings.currencyCode = code
        settings.currencyExponent = digits
      }
    }
    #expect(error?.description.contains("in CNY with 2 decimal places") == true)
    #expect(error?.description.contains("\(code) with \(digits)") == true)
  }

  @Test func olderRulesAreRefused() throws {
    let steps = Steps(try TestSettings.make(rules: Self.first.replacing("revision: 1", with: "revision: 5")))
    try steps.apply(
      event(.login, "2026-01-01T00:00:00Z"), says: ["c seen set true @2026-01-01T00:00:00.000Z event"])
    #expect(throws: StateError.self) {
      try steps.restart(reload(Self.first.replacing("revision: 1", with: "revision: 4")))
    }
  }
}
