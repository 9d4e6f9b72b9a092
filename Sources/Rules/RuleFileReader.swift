// Reads the YAML of a rule file into syntax: structure, names, titles, lists. Goes on after a problem, to report all.

import Yams

/// A tag as written.
struct TagSyntax {
  var name = ""
  var layer = RuleLayer.basic
  var titles: [RuleTitle] = []
  var revision: Int32 = 1
  var shadow = false
  var when: Syntax?
  var until: Syntax?
  var cases: [(name: String, titles: [RuleTitle], when: Syntax)]?
  var value: Syntax?
}

struct RuleFileReader {
  private let map: SourceMap
  private(set) var problems: [RuleProblem] = []
  private(set) var revision: Int32 = 1
  private(set) var lists: [String: [Syntax]] = [:]
  private(set) var definitions: [(name: String, syntax: Syntax)] = []
  private(set) var tags: [TagSyntax] = []

  init(text: String, file: String) {
    map = SourceMap(file: file, text: text)
    guard text.utf8.count <= RuleLimits.fileBytes else {
      report(whole: "the file is larger than \(RuleLimits.fileBytes) bytes")
      return
    }
    do {
      guard let root = try Parser(yaml: text, encoding: .utf8).singleRoot() else {
        report(whole: "the file is empty; it needs `version: 1` and `tags`")
        return
      }
      readRoot(root)
    } catch let error as YamlError {
      report(error)
    } catch {
      report(whole: "the file is not YAML (\(error))")
    }
  }

  // MARK: Problems

  private mutating func report(whole message: String) {
    problems.append(RuleProblem(file: map.file, line: 0, column: 0, text: "", message: message))
  }

  private mutating func report(_ node: Node, _ message: String, suggestion: String? = nil) {
    var text = ""
    if case .scalar(let scalar) = node { text = String(scalar.string.prefix(60)) }
    problems.append(
      RuleProblem(
        file: map.file, line: node.mark?.line ?? 0, column: node.mark?.column ?? 0, text: text, message: message,
        suggestion: suggestion))
  }

  private mutating func report(_ error: YamlError) {
    switch error {
    case .scanner(let context, let problem, let mark, _), .parser(let context, let problem, let mark, _),
      .composer(let context, let problem, let mark, _):
      let whole = context.map { " \($0.text) that starts at \($0.mark.line):\($0.mark.column)" } ?? ""
      problems.append(
        RuleProblem(
          file: map.file, line: mark.line, column: mark.column, text: "",
          message:
            "the file is not YAML: \(problem)\(whole) (an expression that starts with a quote or bracket, or holds "
            + "`: ` or ` #`, must be quoted as a whole)"))
    case .duplicatedKeysInMapping(let duplicates, let context):
      problems.append(
        RuleProblem(
          file: map.file, line: context.mark.line, column: context.mark.column,
          text: duplicates.sorted().joined(separator: ", "), message: "a key stands twice in this mapping"))
    default: report(whole: "the file is not YAML: \(error)")
    }
  }

  // MARK: The file

  private mutating func readRoot(_ root: Node) {
    guard let mapping = pairs(root, "the file is a mapping with `version`, `lists`, `define` and `tags`") else {
      return
    }
    let known = ["version", "revision", "lists", "define", "tags"]
    var version: Node?
    var tagsNode: Node?
    for (key, value) in mapping {
      switch key.name {
      case "version": version = value
      case "revision": revision = readRevision(value)
      case "lists": readLists(value)
      case "define": readDefinitions(value)
      case "tags": tagsNode = value
      default: unknown(key.node, known)
      }
    }
    if version?.scalar?.string != "1" {
      report(version ?? root, "`version: 1` is due at the top of the file")
    }
    guard let tagsNode else {
      report(root, "`tags` is missing")
      return
    }
    guard case .sequence(let sequence) = tagsNode else {
      report(tagsNode, "`tags` is a list: each tag starts with `- name:`")
      return
    }
    if sequence.count > RuleLimits.tags { report(tagsNode, "more than \(RuleLimits.tags) tags") }
    var names: Set<String> = []
    for node in sequence.prefix(RuleLimits.tags) { readTag(node, &names) }
  }

  /// The pairs of a mapping with the text of their keys, which is what a key is known by here: to YAML, 5 and "5" are two.
  private mutating func pairs(_ node: Node, _ message: String) -> [(key: (name: String, node: Node), value: Node)]? {
    guard case .mapping(let mapping) = node else {
      report(node, message)
      return nil
    }
    var result: [(key: (name: String, node: Node), value: Node)] = []
    var names: Set<String> = []
    for (key, value) in mapping {
      guard let scalar = key.scalar else {
        report(key, "a key is a plain name")
        continue
      }
      guard names.insert(scalar.string).inserted else {
        report(key, "this key stands twice in its mapping")
        continue
      }
      result.append(((scalar.string, key), value))
    }
    return result
  }

  private mutating func unknown(_ key: Node, _ known: [String]) {
    report(
      key, "unknown key; known keys are \(known.joined(separator: ", "))",
      suggestion: key.scalar.flatMap { nearestName(to: $0.string, among: known) })
  }

  private mutating func readRevision(_ node: Node) -> Int32 {
    guard let text = node.scalar?.string, let value = Int32(text), value >= 1 else {
      report(node, "a revision is a whole number from 1")
      return 1
    }
    return value
  }

  private mutating func readLists(_ node: Node) {
    guard let mapping = pairs(node, "`lists` is a mapping of names to lists, such as `tier1: [beijing, shanghai]`")
    else {
      return
    }
    if mapping.count > RuleLimits.lists { report(node, "more than \(RuleLimits.lists) lists") }
    for (key, value) in mapping.prefix(RuleLimits.lists) {
      guard isName(key) else { continue }
      guard case .sequence(let sequence) = value else {
        report(value, "a list stands in brackets, such as `[beijing, shanghai]`, or one entry a line behind `- `")
        continue
      }
      guard sequence.count <= RuleLimits.listEntries else {
        report(value, "more than \(RuleLimits.listEntries) entries in a list")
        continue
      }
      if sequence.isEmpty { report(value, "the list is empty") }
      lists[key.name] = sequence.compactMap { readEntry($0) }
    }
  }

  /// A number when it is written as one without quotes, a text otherwise.
  private mutating func readEntry(_ node: Node) -> Syntax? {
    guard case .scalar(let scalar) = node else {
      report(node, "a list holds texts or numbers only")
      return nil
    }
    let text = map.expression(scalar)
    let span = Span(text: text, range: 0..<text.scalars.count)
    if scalar.style == .plain, let first = text.scalars.first, isDigit(first) || first == "-",
      let number = try? ExpressionParser.parse(text)
    {
      switch number.kind {
      case .number, .negative: return number
      default: break
      }
    }
    return Syntax(kind: .text(scalar.string), span: span, depth: 1)
  }

  private mutating func readDefinitions(_ node: Node) {
    guard let mapping = pairs(node, "`define` is a mapping of names to expressions") else { return }
    if mapping.count > RuleLimits.definitions { report(node, "more than \(RuleLimits.definitions) definitions") }
    for (key, value) in mapping.prefix(RuleLimits.definitions) {
      guard isName(key), let syntax = expression(value) else { continue }
      definitions.append((key.name, syntax))
    }
  }

  /// Whether a list or definition may have this name; reports when not.
  private mutating func isName(_ key: (name: String, node: Node)) -> Bool {
    let scalars = Array(key.name.unicodeScalars)
    let shaped = scalars.first.map(isLetter) == true && scalars.allSatisfy { isLetter($0) || isDigit($0) }
    guard shaped, scalars.count <= RuleLimits.nameLength else {
      report(key.node, "a name is up to \(RuleLimits.nameLength) letters, digits and _, and starts with a letter")
      return false
    }
    let reserved = Keyword.allCases.map(\.rawValue) + Checker.functions + ["ascending", "descending"]
    if reserved.contains(key.name) {
      report(key.node, "this word belongs to the language; choose another name")
      return false
    }
    if lists[key.name] != nil || definitions.contains(where: { $0.name == key.name }) {
      report(key.node, "a list or definition of this name stands above")
      return false
    }
    return true
  }

  private mutating func expression(_ node: Node) -> Syntax? {
    guard case .scalar(let scalar) = node else {
      report(node, "an expression is due here; put it in quotes if it starts with a bracket")
      return nil
    }
    do throws(RuleProblem) {
      return try ExpressionParser.parse(map.expression(scalar))
    } catch {
      problems.append(error)
      return nil
    }
  }

  // MARK: Tags

  private mutating func readTag(_ node: Node, _ names: inout Set<String>) {
    let message = "a tag is a mapping with `name`, `layer` and one of `when`, `cases`, `value`"
    guard let mapping = pairs(node, message) else { return }
    let known = ["name", "layer", "title", "revision", "shadow", "when", "until", "cases", "value"]
    var tag = TagSyntax()
    var layer: RuleLayer?
    let problemsBefore = problems.count
    for (key, value) in mapping {
      switch key.name {
      case "name": tag.name = readTagName(value, &names) ?? ""
      case "layer": layer = readLayer(value)
      case "title": tag.titles = readTitles(value)
      case "revision": tag.revision = readRevision(value)
      case "shadow": tag.shadow = readTruth(value)
      case "when": tag.when = expression(value)
      case "until": tag.until = expression(value)
      case "cases": tag.cases = readCases(value)
      case "value": tag.value = expression(value)
      default: unknown(key.node, known)
      }
    }
    let keys = mapping.map(\.key.name)
    if !keys.contains("name") { report(node, "the tag has no `name`") }
    if !keys.contains("layer") { report(node, "the tag has no `layer` (basic, behaviour or value)") }
    let isFlag = !keys.contains("cases") && !keys.contains("value")
    if isFlag, !keys.contains("when") { report(node, "the tag needs `when`, `cases` or `value`") }
    if keys.contains("cases"), keys.contains("value") { report(node, "a tag has `cases` or `value`, not both") }
    if !isFlag, keys.contains("until"), !keys.contains("when") {
      report(node, "`until` says how long what `when` has set is kept; the tag has no `when`")
    }
    guard problems.count == problemsBefore, let layer else { return }
    tag.layer = layer
    tags.append(tag)
  }

  private mutating func readTagName(_ node: Node, _ names: inout Set<String>) -> String? {
    let name = node.scalar?.string ?? ""
    let parts = name.split(separator: ".", omittingEmptySubsequences: false)
    let shaped = parts.allSatisfy { part in
      !part.isEmpty && part.unicodeScalars.allSatisfy { ("a"..."z").contains($0) || isDigit($0) || $0 == "_" }
    }
    guard shaped, name.unicodeScalars.count <= RuleLimits.nameLength else {
      report(
        node, "the name of a tag is up to \(RuleLimits.nameLength) lower-case letters, digits, _ and single dots inside"
      )
      return nil
    }
    guard names.insert(name).inserted else {
      report(node, "a tag of this name stands above")
      return nil
    }
    return name
  }

  private mutating func readLayer(_ node: Node) -> RuleLayer? {
    let text = node.scalar?.string ?? ""
    if let layer = RuleLayer(rawValue: text) { return layer }
    let known = RuleLayer.allCases.map(\.rawValue)
    let suggestion = text == "behavior" ? "behaviour" : nearestName(to: text, among: known)
    report(node, "unknown layer; the layers are \(known.joined(separator: ", "))", suggestion: suggestion)
    return nil
  }

  private mutating func readTruth(_ node: Node) -> Bool {
    switch node.scalar?.string {
    case "true": return true
    case "false": return false
    default:
      report(node, "`true` or `false` is due here")
      return false
    }
  }

  private mutating func readTitles(_ node: Node) -> [RuleTitle] {
    let message = "a title is a mapping of languages, such as { en: High value, zh: 高价值 }"
    guard let mapping = pairs(node, message) else { return [] }
    var titles: [RuleTitle] = []
    for (key, value) in mapping {
      guard let text = value.scalar?.string, !text.isEmpty, text.unicodeScalars.count <= RuleLimits.titleLength else {
        report(value, "a title is a text of 1 to \(RuleLimits.titleLength) characters")
        continue
      }
      guard (1...RuleLimits.nameLength).contains(key.name.unicodeScalars.count) else {
        report(key.node, "a language is a code such as en")
        continue
      }
      titles.append(RuleTitle(language: key.name, text: text))
    }
    return titles.sorted { $0.language < $1.language }
  }

  private mutating func readCases(_ node: Node) -> [(name: String, titles: [RuleTitle], when: Syntax)]? {
    guard let mapping = pairs(node, "`cases` is a mapping of names to conditions; the first that holds is taken") else {
      return nil
    }
    if mapping.isEmpty { report(node, "`cases` is empty") }
    guard mapping.count <= RuleLimits.cases else {
      report(node, "more than \(RuleLimits.cases) cases")
      return nil
    }
    var cases: [(name: String, titles: [RuleTitle], when: Syntax)] = []
    for (key, value) in mapping {
      if value.scalar?.string.isEmpty == true {
        report(key.node, "the case has no condition (inside { } a comma ends a case: write one case a line)")
        continue
      }
      guard isCaseName(key) else { continue }
      guard case .mapping = value else {
        if let when = expression(value) { cases.append((key.name, [], when)) }
        continue
      }
      var titles: [RuleTitle] = []
      var when: Syntax?
      var hasWhen = false
      for (innerKey, inner) in pairs(value, "") ?? [] {
        switch innerKey.name {
        case "title": titles = readTitles(inner)
        case "when":
          hasWhen = true
          when = expression(inner)
        default: unknown(innerKey.node, ["when", "title"])
        }
      }
      if !hasWhen { report(key.node, "the case has no `when`") }
      if let when { cases.append((key.name, titles, when)) }
    }
    return cases
  }

  private mutating func isCaseName(_ key: (name: String, node: Node)) -> Bool {
    let scalars = key.name.unicodeScalars
    let shaped = scalars.allSatisfy { $0.properties.isAlphabetic || isDigit($0) || "_-.+".unicodeScalars.contains($0) }
    guard shaped, (1...RuleLimits.nameLength).contains(scalars.count) else {
      report(key.node, "the name of a case is up to \(RuleLimits.nameLength) letters, digits and _ - . +")
      return false
    }
    return true
  }
}
