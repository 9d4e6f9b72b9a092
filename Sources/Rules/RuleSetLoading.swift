// A rule file to a compiled rule set, or all that is wrong with it.

import Customers
import InputFiles

extension RuleSet {
  /// Reads and compiles the rule file at `path`. `exponent`: a major unit of the reporting currency is 10^exponent
  /// minor ones (2 for CNY, 0 for JPY); 0...4.
  public static func load(path: String, exponent: Int) throws(RuleFileError) -> RuleSet {
    let text: String
    do throws(TextFileError) { text = try readTextFile(path) } catch {
      let message = "the file \(error); check `rules`"
      throw RuleFileError(problems: [RuleProblem(file: path, line: 0, column: 0, text: "", message: message)])
    }
    return try RuleSet(text: text, file: path, exponent: exponent)
  }

  /// Compiles `text`; `file` is what messages call it. For `exponent` see `load`.
  public init(text: String, file: String, exponent: Int) throws(RuleFileError) {
    let reader = RuleFileReader(text: text, file: file)
    var problems = reader.problems
    if !(0...4).contains(exponent) {
      let message = "the currency exponent \(exponent) is outside 0...4"
      problems.append(RuleProblem(file: file, line: 0, column: 0, text: "", message: message))
    }
    let definitions = Dictionary(
      reader.definitions.map { ($0.name, $0.syntax) }, uniquingKeysWith: { first, _ in first })
    var checker = Checker(definitions: definitions, lists: reader.lists, exponent: exponent)
    for (name, syntax) in reader.definitions {
      checker.beginTag()
      do throws(RuleProblem) { try checker.definition(name, syntax) } catch { problems.append(error) }
    }
    var checked: [CheckedTag] = []
    for tag in reader.tags {
      checker.beginTag()
      do throws(RuleProblem) { checked.append(try CheckedTag(tag, &checker)) } catch { problems.append(error) }
    }
    var builder = ProgramBuilder(for: checked.map(\.rule))
    var rules: [Rule] = []
    for tag in checked {
      do throws(RuleProblem) { rules.append(try tag.compiled(by: &builder)) } catch { problems.append(error) }
    }
    guard problems.isEmpty else { throw RuleFileError(problems: Self.inOrder(problems)) }
    self.init(rules: rules, revision: reader.revision, program: builder.program)
  }

  /// By place, each once: a definition with a problem is met by every tag that uses it.
  private static func inOrder(_ problems: [RuleProblem]) -> [RuleProblem] {
    var seen: Set<RuleProblem> = []
    return problems.filter { seen.insert($0).inserted }.sorted { ($0.line, $0.column) < ($1.line, $1.column) }
  }
}

/// A tag whose types are right.
private struct CheckedTag {
  let rule: CheckedRule
  private let syntax: TagSyntax
  private let kind: RuleKind
  private let features: [Feature]
  /// The same for every spelling of the same meaning.
  private let canonical: String
  /// Where it stands in the file.
  private let place: Span?

  init(_ tag: TagSyntax, _ checker: inout Checker) throws(RuleProblem) {
    syntax = tag
    var when: Condition?
    if let syntax = tag.when { when = try checker.condition(syntax) }
    let body: CheckedRule.Body
    var canonical = ""
    var features: [Feature] = []
    func note(_ feature: Feature) { if !features.contains(feature) { features.append(feature) } }
    if let cases = tag.cases {
      var conditions: [Condition] = []
      for one in cases { conditions.append(try checker.condition(one.when)) }
      when?.forEachFeature(note)
      for condition in conditions { condition.forEachFeature(note) }
      body = .cases(conditions)
      kind = .cases(cases.map(\.name))
      let named = zip(cases, conditions).map { "\($0.name): \($1.canonical)" }
      canonical = "cases when \(when?.canonical ?? "true") \(named.joined(separator: "; "))"
      place = cases.first?.when.span
    } else if let value = tag.value {
      let feature = try checker.textFeature(value)
      note(feature)
      when?.forEachFeature(note)
      body = .text(feature)
      kind = .text(feature)
      canonical = "value \(feature.name) when \(when?.canonical ?? "true")"
      place = value.span
    } else {
      when?.forEachFeature(note)
      body = .flag
      kind = .flag
      canonical = "flag when \(when?.canonical ?? "false")"
      place = tag.when?.span
    }
    var until: Condition?
    if let syntax = tag.until { until = try checker.condition(syntax) }
    until?.forEachFeature(note)
    // Fingerprints are kept with states: what has no `until` is written as it always was.
    if let until { canonical += " until \(until.canonical)" } else if kind == .flag { canonical += " until not when" }
    rule = CheckedRule(when: when ?? .truth(kind != .flag), until: until, body: body)
    self.canonical = canonical
    self.features = features
  }

  func compiled(by builder: inout ProgramBuilder) throws(RuleProblem) -> Rule {
    do throws(ProgramBuilder.TooLarge) { try builder.append(rule) } catch {
      let what =
        switch error {
        case .code, .stack: "it is too long once definitions are unfolded; split it"
        case .features: "the file reads more than 65535 different features"
        case .watches: "silence can change more than \(RuleLimits.watches) things it reads; split it"
        }
      let message = "the tag \(syntax.name) cannot be compiled: \(what)"
      throw place?.problem(message) ?? RuleProblem(file: "", line: 0, column: 0, text: syntax.name, message: message)
    }
    return Rule(
      name: syntax.name, layer: syntax.layer, titles: syntax.titles, caseTitles: syntax.cases?.map(\.titles) ?? [],
      revision: syntax.revision, shadow: syntax.shadow, kind: kind,
      groups: features.reduce(into: []) { $0.formUnion($1.groups) }, features: features,
      isTimed: builder.hasWatches, fingerprint: textHash(canonical))
  }
}
