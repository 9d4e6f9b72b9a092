// The reference page says what the code does: names, limits, examples.

import Customers
import Events
import Foundation
import Rules
import Testing

@Suite struct ReferenceTests {
  let page: String

  init() throws {
    page = try String(
      contentsOfFile: packageRoot + "/Sources/Rules/Rules.docc/RuleReference.md", encoding: .utf8)
  }

  /// The fenced blocks of a language.
  private func blocks(_ language: String) -> [String] {
    page.components(separatedBy: "```\(language)\n").dropFirst().compactMap { $0.components(separatedBy: "```").first }
  }

  @Test func everyFeatureStandsInTheTableWithItsTypeAndWindow() {
    for entry in FeatureCatalogue.entries {
      let type =
        switch entry.example.type {
        case .number: "number"
        case .money: "money"
        case .ratio: "ratio"
        case .days: "days"
        case .text: "text"
        }
      let window =
        switch entry.parameters {
        case .none: "none"
        case .window: "optional, 1d to \(Window.longestDays)d"
        case .days(let most): "needed, 1d to \(most)d"
        case .eventAndDays(let most): "needed, 1d to \(most)d (`support_ticket`: to \(FeatureCatalogue.ticketDays)d)"
        }
      #expect(page.contains("\n| `\(entry.name)` | \(type) | \(window) | "), "\(entry.name)")
    }
    for type in EventType.allCases { #expect(page.contains("`\(type.name)`"), "\(type.name)") }
    for function in Checker.functions { #expect(page.contains("`\(function)("), "\(function)") }
  }

  @Test func everyFeatureIsInTheCatalogueUnderTheNameItPrints() throws {
    // One of each case: a case missing here does not compile the switch of `name`, a case missing there fails here.
    for entry in FeatureCatalogue.entries {
      let written = [entry.make(.life, .activity), entry.make(.days(7), .search)]
      for feature in written {
        if case .window = entry.parameters {} else if feature == written[0], entry.parameters != .none { continue }
        let when = feature.type == .text ? "defined(\(feature.name))" : "\(feature.name) > 0"
        let rules = try RuleSet(text: flagFile(when), file: "r", exponent: 2)
        #expect(rules.rules[0].features == [feature], "\(feature.name)")
        #expect(rules.rules[0].groups == feature.groups)
        #expect(rules.usesChurnModel == feature.name.hasPrefix("churn."))
      }
    }
  }

  @Test func everyLimitStandsInTheTable() {
    let limits: [(String, Int)] = [
      ("bytes of a file", RuleLimits.fileBytes), ("tags", RuleLimits.tags), ("definitions", RuleLimits.definitions),
      ("lists", RuleLimits.lists), ("entries of a list", RuleLimits.listEntries), ("cases of a tag", RuleLimits.cases),
      ("characters of an expression", RuleLimits.expressionLength),
      ("nesting of an expression, definitions unfolded", RuleLimits.expressionDepth),
      ("parts of a tag, definitions unfolded", RuleLimits.nodesPerTag),
      ("cut points of a `score`", RuleLimits.scoreCuts),
      ("arguments of a function", RuleLimits.arguments), ("characters of a name", RuleLimits.nameLength),
      ("characters of a title", RuleLimits.titleLength),
      ("numbers held at once in an expression", RuleLimits.stackDepth),
      ("things silence can change in one tag", RuleLimits.watches),
      ("instants looked at in a row", RuleLimits.changeCandidates),
    ]
    for (name, value) in limits { #expect(page.contains("| \(name) | \(value) |"), "\(name)") }
  }

  @Test func examplesCompile() throws {
    let files = blocks("yaml")
    #expect(!files.isEmpty)
    for file in files { _ = try RuleSet(text: file, file: "reference", exponent: 2) }
    // The table of undefined values, for a customer of whom nothing is known.
    let rows = page.components(
      separatedBy: "| expression, for a customer without a purchase | value |\n| --- | --- |\n")
    let table = rows.last?.components(separatedBy: "\n\n").first ?? ""
    var checked = 0
    for row in table.split(separator: "\n") {
      let cells = row.components(separatedBy: " | ")
      guard cells.count == 2, let code = cells[0].components(separatedBy: "`").dropFirst().first else { continue }
      let rules = try RuleSet(text: flagFile(code), file: "reference", exponent: 2)
      let expected: UInt64 = cells[1].hasPrefix("true") ? 1 : 0
      #expect(rules.evaluate(0, source: Fixed(), current: 0) == expected, "\(code)")
      checked += 1
    }
    #expect(checked == 5)
  }
}
