// Broken rule files, by the thousand: an answer or a problem with a place in the file, never a crash.

import Customers
import Rules
import Testing

@Suite struct FuzzTests {
  private static let pieces: [String] = [
    "(", ")", "[", "]", "{", "}", ",", "'", "\"", "\\", ":", ": ", " #", "- ", "\n", "\n  ", "\t", "&a ", "*a", "|",
    ">", "%",
    "!", "=", "<", "not ", " and ", " or ", " in ", " between ", "score(", "min(", "orders.count", "90d", "30%", "1e9",
    "-", "--", "*", "/", "\u{0}", "\u{feff}", "é", "北京", "\u{2028}", "999999999999999999", ".", "0.", "~", "null",
    "<<: *a",
  ]

  private static func mutated(_ text: [Character], _ random: inout Seeded) -> String {
    var text = text
    for _ in 0...random.below(4) {
      let at = random.below(text.count + 1)
      switch random.below(4) {
      case 0: text.insert(contentsOf: Array(random.pick(pieces)), at: at)
      case 1: text.removeSubrange(at..<min(text.count, at + 1 + random.below(6)))
      case 2:
        let piece = Array(text[at..<min(text.count, at + random.below(30))])
        text.insert(contentsOf: piece, at: random.below(text.count + 1))
      default: if at < text.count { text[at] = random.pick(pieces).first ?? " " }
      }
    }
    return String(text)
  }

  /// Returns whether the file was accepted.
  private static func load(_ text: String) -> Bool {
    do throws(RuleFileError) {
      let rules = try RuleSet(text: text, file: "f", exponent: 2)
      let source = Fixed(numbers: [.ordersCount(.life): 3, .cartItems: 1], texts: [.region: 7])
      for index in 0..<rules.count {
        for current in [0, 1] as [UInt64] {
          _ = rules.evaluate(index, source: source, current: current)
          _ = rules.nextChange(index, source: source, current: current)
        }
      }
      return true
    } catch {
      let lines = text.unicodeScalars.count { "\n\r\u{85}\u{2028}\u{2029}".unicodeScalars.contains($0) } + 1
      #expect(!error.problems.isEmpty)
      for problem in error.problems {
        #expect(problem.line >= 0 && problem.line <= lines + 1, "\(problem)")
        #expect(!problem.message.isEmpty)
      }
      return false
    }
  }

  private static let file = """
    version: 1
    lists:
      near: [beijing, 'xi''an', "x\\u00e9"]
      few: [1, 2.5, -3]
    define:
      r: score(orders.days_since_last, 7d, 30d, descending)
      big: 2000
    tags:
      - name: a.b
        layer: value
        title: { en: A, zh: 甲 }
        revision: 2
        when: orders.count(90d) >= 1 and orders.average >= big
        until: not (orders.average >= 1800) or r < 2
      - name: c
        layer: basic
        shadow: true
        when: defined(profile.age)
        cases:
          one: { when: profile.region in near, title: { en: One } }
          2: >-
            max(orders.count, cart.items) in few
            and churn.probability >= 60%
          rest: true
      - name: d
        layer: behaviour
        value: preferences.channel
        when: preferences.channel_share >= 50%
    """

  @Test func theFileItselfIsRight() { #expect(Self.load(Self.file)) }

  @Test(arguments: 0..<8) func mutatedFiles(seed: Int) {
    var random = Seeded(UInt64(seed))
    let text = Array(Self.file)
    var accepted = 0
    for _ in 0..<150 { if Self.load(Self.mutated(text, &random)) { accepted += 1 } }
    // Some mutations are harmless: were none, the files would be broken before the interesting parts are reached.
    #expect(accepted > 0 && accepted < 150)
  }

  @Test(arguments: 0..<8) func mutatedExpressions(seed: Int) {
    var maker = ExpressionMaker(seed: UInt64(seed))
    var random = Seeded(UInt64(seed) + 99)
    var accepted = 0
    for _ in 0..<400 {
      let text = Self.mutated(Array(maker.print(maker.truth(depth: 2))), &random)
      let scalars = Array(text.unicodeScalars)
      let positions = (0...scalars.count).map { Position(line: 1, column: $0 + 1) }
      do throws(RuleProblem) {
        let syntax = try ExpressionParser.parse(ExpressionText(file: "f", scalars: scalars, positions: positions))
        var checker = Checker(definitions: [:], lists: [:], exponent: 2)
        let condition = try checker.condition(syntax)
        var builder = ProgramBuilder()
        try? builder.append(CheckedRule(when: condition, body: .flag))
        accepted += 1
      } catch {
        #expect(error.line == 1 && (1...scalars.count + 1).contains(error.column), "\(error) in \(text)")
      }
    }
    #expect(accepted > 0 && accepted < 400)
  }

  @Test func deepAndLargeFilesAreRefused() {
    #expect(!Self.load(String(repeating: "[", count: 100_000)))
    #expect(!Self.load(String(repeating: "{a: ", count: 50_000)))
    #expect(!Self.load("version: 1\ntags: " + String(repeating: "- ", count: 20_000)))
    #expect(!Self.load("version: 1\ntags: " + String(repeating: "[", count: 900) + String(repeating: "]", count: 900)))
    #expect(!Self.load(String(repeating: "? ", count: 5_000)))
    #expect(!Self.load("a: &a [*a]"))
    #expect(!Self.load("\u{0}"))
  }
}
