// What is said of a wrong rule file: place, text, reason, suggestion. These messages are read by people at 3 a.m.

import Customers
import Rules
import Testing

@Suite struct ErrorTests {
  static func problems(_ text: String, exponent: Int = 2) -> [String] {
    do throws(RuleFileError) {
      _ = try RuleSet(text: text, file: "tags.yaml", exponent: exponent)
      return []
    } catch {
      return error.problems.map(\.description)
    }
  }

  /// The problem of a flag with this condition; the expression starts at 5:11.
  static func problem(_ when: String) -> String {
    problems("version: 1\ntags:\n  - name: t\n    layer: value\n    when: \(when)\n").joined(separator: "\n")
  }

  @Test(arguments: [
    // Names
    ("orders.cuont >= 1", "5:11: unknown name (texts stand in quotes): `orders.cuont`; did you mean `orders.count`?"),
    ("orders.cuont(90d) >= 1", "5:11: unknown feature or function: `orders.cuont`; did you mean `orders.count`?"),
    ("1 < 2 and  profile.gender = female", "5:39: unknown name (texts stand in quotes): `female`"),
    ("events.count(pageview, 7d) > 1", "5:24: unknown event type: `pageview`; did you mean `page_view`?"),
    (
      "events.count(\"page_view\", 7d) > 1",
      "5:24: an event type such as page_view is due here, without quotes: `\"page_view\"`"
    ),
    ("profile.region in tier1", "5:29: unknown list: `tier1`"),
    (
      "profile.gender = \"femal\"",
      "5:28: profile.gender is one of female, male, other: `\"femal\"`; did you mean `female`?"
    ),
    // Windows
    ("orders.count(90) > 1", "5:24: a window is a whole number of days: `90`; did you mean `90d`?"),
    ("orders.count(1.5d) > 1", "5:24: a window is a whole number of days: `1.5d`"),
    ("orders.count(366d) > 1", "5:24: the window must be 1d to 365d: `366d`"),
    ("events.count(page_view, 31d) > 1", "5:35: the window must be 1d to 30d: `31d`"),
    ("events.count(support_ticket, 91d) > 1", "5:40: the window must be 1d to 90d: `91d`"),
    (
      "orders.growth > 1",
      "5:11: this feature needs one window of at most 182d, such as orders.growth(90d): `orders.growth`"
    ),
    ("cart.items(3d) > 1", "5:11: this feature takes no parentheses: `cart.items(3d)`; did you mean `cart.items`?"),
    (
      "orders.count(3d, 4d) > 1",
      "5:11: this feature takes one window, such as orders.count(90d), or no parentheses for all time: `orders.count(3d, 4d)`"
    ),
    // Types
    ("orders.revenue > orders.count", "5:11: money cannot be compared with a number: `orders.revenue > orders.count`"),
    ("orders.revenue + orders.count > 3", "5:11: money cannot be added with a number: `orders.revenue + orders.count`"),
    (
      "orders.revenue * orders.revenue > 3",
      "5:11: money cannot be multiplied by money: `orders.revenue * orders.revenue`"
    ),
    ("orders.count / orders.revenue > 3", "5:11: a number cannot be divided by money: `orders.count / orders.revenue`"),
    (
      "orders.count >= 30%",
      "5:11: a number cannot be compared with a ratio; a percentage is a ratio: 30% is 0.3: `orders.count >= 30%`"
    ),
    (
      "cart.age_hours >= 24h",
      "5:11: a number cannot be compared with a number of days; cart.age_hours counts hours: write 24, not 24h: `cart.age_hours >= 24h`"
    ),
    ("orders.count", "5:11: this is a number, not a condition; compare it with something: `orders.count`"),
    ("not orders.count", "5:15: this is a number, not a condition; compare it with something: `orders.count`"),
    (
      "profile.gender > \"male\"",
      "5:11: texts have no order; compare them with =, != or `in`: `profile.gender > \"male\"`"
    ),
    ("profile.gender = 3", "5:11: a text cannot be compared with a constant: `profile.gender = 3`"),
    ("profile.region = \"\"", "5:28: an empty text never occurs; use `not defined(profile.region)`: `\"\"`"),
    ("(1 < 2) = (2 < 3)", "5:11: conditions are not compared; join them with `and`, `or`, `not`: `(1 < 2) = (2 < 3)`"),
    ("orders.count / 0 > 1", "5:26: division by zero: `0`"),
    ("orders.count in [1, orders.paid]", "5:31: a list behind `in` holds constants only: `orders.paid`"),
    ("orders.count in [\"a\"]", "5:28: a list behind `in` holds constants only: `\"a\"`"),
    ("profile.region in [1]", "5:30: profile.region is a text, so the list must hold texts in quotes: `1`"),
    // Continuous features
    (
      "churn.probability > orders.repeat_rate",
      "5:11: churn.probability changes at every instant, so it may only be compared with a constant (or stand first in `score`): otherwise the instant at which the rule flips could not be solved for: `churn.probability`"
    ),
    (
      "churn.probability * 2 > 1",
      "5:11: churn.probability changes at every instant, so it may only be compared with a constant (or stand first in `score`): otherwise the instant at which the rule flips could not be solved for: `churn.probability`"
    ),
    (
      "churn.probability in [0.5]",
      "5:11: churn.probability changes at every instant, so it may only be compared with a constant (or stand first in `score`): otherwise the instant at which the rule flips could not be solved for: `churn.probability`"
    ),
    // Functions
    (
      "score(orders.count) > 1",
      "5:11: `score` takes a number, 1 to 9 ascending cut points, and `descending` where more is worse: `score(orders.count)`"
    ),
    (
      "score(orders.count, 3, 2) > 1",
      "5:34: cut points of `score` must ascend (for less is better, add `descending`): `2`"
    ),
    ("score(orders.count, orders.paid) > 1", "5:31: cut points of `score` are constants: `orders.paid`"),
    ("min(orders.count) > 1", "5:11: `min` takes two or more numbers: `min(orders.count)`"),
    ("scor(orders.count, 1) > 1", "5:11: unknown feature or function: `scor`; did you mean `score`?"),
    ("score > 1", "5:11: this function needs arguments in parentheses: `score`"),
    ("defined(3)", "5:11: a constant is always defined; use a feature: `defined(3)`"),
    // Syntax
    ("orders.count > ", "5:25: the expression ends where a feature, a number or a condition is due"),
    (
      "orders.count > 1 orders.paid > 2",
      "5:28: unexpected text after a complete expression; `and` or `or` may be missing: `orders.paid`"
    ),
    ("1 < orders.count < 5", "5:28: comparisons do not chain; join two with `and`, or use `between`: `<`"),
    ("orders.count >= 1 && orders.paid > 2", "5:29: unknown operator: `&&`; did you mean `and`?"),
    ("orders.count => 1", "5:24: unknown operator: `=>`; did you mean `>=`?"),
    ("orders.count ≥ 1", "5:24: this character has no meaning in an expression: `≥`; did you mean `>=`?"),
    (
      "orders.count > 30m",
      "5:26: unknown unit behind a number; known units are d (days), h (hours), w (weeks) and %: `30m`"
    ),
    ("profile.region = \"x", "5:28: the text has no closing quote: `\"x`"),
    ("(orders.count > 1", "5:28: the expression ends where `)` of the group is due"),
    ("orders.count not 3", "5:28: unexpected text after `not`, where `in` or `between` is due: `3`"),
    ("orders.count between 1 or 2", "5:34: unexpected text where `and` of `between ... and ...` is due: `or`"),
    (
      "orders.count > 1234567890123456789",
      "5:26: the number has more than 18 digits; write a smaller one: `1234567890123456789`"
    ),
    ("", "5:10: the expression is empty"),
  ]) func expression(_ when: String, _ expected: String) {
    #expect(Self.problem(when) == "tags.yaml:" + expected)
  }

  @Test(arguments: [
    ("", ["tags.yaml: the file is empty; it needs `version: 1` and `tags`"]),
    ("tags: []", ["tags.yaml:1:1: `version: 1` is due at the top of the file"]),
    ("version: 2\ntags: []", ["tags.yaml:1:10: `version: 1` is due at the top of the file: `2`"]),
    ("version: 1", ["tags.yaml:1:1: `tags` is missing"]),
    (
      "version: 1\ntag: []\ntags: []",
      ["tags.yaml:2:1: unknown key; known keys are version, revision, lists, define, tags: `tag`; did you mean `tags`?"]
    ),
    (
      "version: 1\ntags:\n  - {name: A b, layer: basic, when: 'true'}",
      ["tags.yaml:3:12: the name of a tag is up to 64 lower-case letters, digits, _ and single dots inside: `A b`"]
    ),
    (
      "version: 1\ntags:\n  - {name: a, layer: bsic, when: 'true'}",
      ["tags.yaml:3:22: unknown layer; the layers are basic, behaviour, value: `bsic`; did you mean `basic`?"]
    ),
    (
      "version: 1\ntags:\n  - {name: a, layer: behavior, when: 'true'}",
      ["tags.yaml:3:22: unknown layer; the layers are basic, behaviour, value: `behavior`; did you mean `behaviour`?"]
    ),
    (
      "version: 1\ntags:\n  - {name: a, layer: basic, when: 'true'}\n  - {name: a, layer: basic, when: 'true'}",
      ["tags.yaml:4:12: a tag of this name stands above: `a`"]
    ),
    // YAML holds 5 and "5" for two keys.
    (
      "version: 1\ntags:\n  - {name: a, layer: basic, cases: {5: orders.count > 5, \"5\": 'true'}}",
      ["tags.yaml:3:58: this key stands twice in its mapping: `5`"]
    ),
    (
      "version: 1\ntags:\n  - {name: a, layer: basic, title: {\"1\": a, 1: b}, when: 'true'}",
      ["tags.yaml:3:45: this key stands twice in its mapping: `1`"]
    ),
    (
      "version: 1\ntags:\n  - {name: a, layer: basic, wehn: 'true'}",
      [
        "tags.yaml:3:5: the tag needs `when`, `cases` or `value`",
        "tags.yaml:3:29: unknown key; known keys are name, layer, title, revision, shadow, when, until, cases, value: `wehn`; did you mean `when`?",
      ]
    ),
    (
      "version: 1\ntags:\n  - {name: a, layer: basic, when: 'true', revision: 0}",
      ["tags.yaml:3:53: a revision is a whole number from 1: `0`"]
    ),
    (
      "version: 1\ntags:\n  - {name: a, layer: basic, when: 'true', shadow: maybe}",
      ["tags.yaml:3:51: `true` or `false` is due here: `maybe`"]
    ),
    (
      "version: 1\ntags:\n  - {name: a, layer: basic, value: orders.count}",
      [
        "tags.yaml:3:36: this is a number, but `value` takes a text feature such as preferences.category: `orders.count`"
      ]
    ),
    (
      "version: 1\ntags:\n  - {name: a, layer: basic, value: profile.gender, until: 'true'}",
      ["tags.yaml:3:5: `until` says how long what `when` has set is kept; the tag has no `when`"]
    ),
    (
      "version: 1\ntags:\n  - {name: a, layer: basic, cases: {x: 'score(orders.count, 2) = 1', y: orders.count in [1, 2]}}",
      [
        "tags.yaml:3:89: the file is not YAML: did not find expected ',' or '}' while parsing a flow mapping that starts at 3:36 (an expression that starts with a quote or bracket, or holds `: ` or ` #`, must be quoted as a whole)"
      ]
    ),
    (
      "version: 1\ntags:\n  - {name: a, layer: basic, cases: {x: max(orders.count, 2) = 1}}",
      [
        "tags.yaml:3:56: the expression ends where `,` or `)` of `max(...)` is due",
        "tags.yaml:3:58: the case has no condition (inside { } a comma ends a case: write one case a line): `2) = 1`",
      ]
    ),
    (
      "version: 1\ndefine:\n  a: b + 1\n  b: a\ntags: []",
      [
        "tags.yaml:3:6: a definition refers to itself (b -> a -> b): `b`",
        "tags.yaml:4:6: a definition refers to itself (a -> b -> a): `a`",
      ]
    ),
    (
      "version: 1\ndefine:\n  score: 1\ntags: []",
      ["tags.yaml:3:3: this word belongs to the language; choose another name: `score`"]
    ),
    (
      "version: 1\nlists:\n  x: [a]\ndefine:\n  x: 1\ntags: []",
      ["tags.yaml:5:3: a list or definition of this name stands above: `x`"]
    ),
    (
      "version: 1\nlists:\n  x: a\ntags: []",
      ["tags.yaml:3:6: a list stands in brackets, such as `[beijing, shanghai]`, or one entry a line behind `- `: `a`"]
    ),
    (
      "version: 1\na: [\ntags: []",
      [
        "tags.yaml:4:1: the file is not YAML: did not find expected ',' or ']' while parsing a flow sequence that starts at 2:4 (an expression that starts with a quote or bracket, or holds `: ` or ` #`, must be quoted as a whole)"
      ]
    ),
  ]) func file(_ text: String, _ expected: [String]) {
    #expect(Self.problems(text) == expected)
  }

  @Test func everyProblemIsReportedOnceInOrder() {
    let text = """
      version: 1
      define:
        r: score(orders.days_since_lst, 7, 30)
      tags:
        - name: a
          layer: value
          when: r > 3
        - name: b
          layer: value
          when: >-
            orders.count >= 1
            and   r > 2
            or cart.itms > 1
        - name: c
          layer: value
          when: 'profile.region = ''x'' and orders.averge > 1'
        - name: d
          layer: value
          when: "profile.region = \\"北京\\" and orders.averge > 1"
        - name: e
          layer: value
          when: orders.count >= 1
            and orders.averge > 1
      """
    #expect(
      Self.problems(text) == [
        "tags.yaml:3:12: unknown name (texts stand in quotes): `orders.days_since_lst`; did you mean `orders.days_since_last`?",
        "tags.yaml:16:39: unknown name (texts stand in quotes): `orders.averge`; did you mean `orders.average`?",
        "tags.yaml:19:40: unknown name (texts stand in quotes): `orders.averge`; did you mean `orders.average`?",
        "tags.yaml:23:11: unknown name (texts stand in quotes): `orders.averge`; did you mean `orders.average`?",
      ])
    let folded = text.replacingOccurrences("days_since_lst", "days_since_last")
    #expect(
      Self.problems(folded).first
        == "tags.yaml:13:10: unknown name (texts stand in quotes): `cart.itms`; did you mean `cart.items`?")
  }

  @Test func limitsAreNamed() {
    func tags(_ n: Int) -> String {
      "version: 1\ntags:\n" + (0..<n).map { "  - { name: t\($0), layer: basic, when: 'true' }\n" }.joined()
    }
    #expect(Self.problems(tags(RuleLimits.tags)) == [])
    #expect(Self.problems(tags(RuleLimits.tags + 1)) == ["tags.yaml:3:3: more than 256 tags"])

    func cases(_ n: Int) -> String {
      "version: 1\ntags:\n  - name: t\n    layer: basic\n    cases:\n"
        + (0..<n).map { "      c\($0): orders.count = \($0)\n" }.joined()
    }
    #expect(Self.problems(cases(RuleLimits.cases)) == [])
    #expect(Self.problems(cases(RuleLimits.cases + 1)) == ["tags.yaml:6:7: more than 255 cases"])

    let deep = String(repeating: "(", count: 63) + "true" + String(repeating: ")", count: 63)
    #expect(Self.problem(deep) == "")
    #expect(Self.problem("(\(deep))").contains("nested deeper than 64"))
    #expect(Self.problem(String(repeating: "not ", count: 63) + "true") == "")
    #expect(Self.problem(String(repeating: "not ", count: 64) + "true").contains("nested deeper than 64"))
    #expect(Self.problem("1" + String(repeating: " + 1", count: 63) + " > 0").contains("nested deeper than 64"))
    #expect(Self.problem("true" + String(repeating: " and true", count: 400)) == "")
    #expect(Self.problem("true" + String(repeating: " and true", count: 500)).contains("longer than 4096"))

    // Definitions that double at each step would unfold to a billion parts.
    var doubling = "version: 1\ndefine:\n  d0: orders.count\n"
    for index in 1...30 { doubling += "  d\(index): d\(index - 1) + d\(index - 1)\n" }
    let told = Self.problems(doubling + "tags: []\n")
    #expect(!told.isEmpty && told.allSatisfy { $0.contains("more than 8192 parts") })

    #expect(
      Self.problems(String(repeating: "#", count: RuleLimits.fileBytes + 1)) == [
        "tags.yaml: the file is larger than 1048576 bytes"
      ])
    #expect(
      Self.problems("version: 1\ntags: []", exponent: 5) == ["tags.yaml: the currency exponent 5 is outside 0...4"])
    #expect(throws: RuleFileError.self) { try RuleSet.load(path: "/nowhere/tags.yaml", exponent: 2) }
  }

  @Test func nearestNamesAreNear() {
    #expect(nearestName(to: "cart.itmes", among: ["cart.items", "cart.value"]) == "cart.items")
    #expect(nearestName(to: "zzz", among: ["cart.items"]) == nil)
    #expect(nearestName(to: "", among: ["a"]) == "a")
    #expect(nearestName(to: "ab", among: ["ba", "ac"]) == "ac")
  }
}
