// A cursor over one mapping of the YAML file: typed reads that note mistakes and go on, so that one run shows them all.

import Events
import Yams

/// Collects what is wrong while the file is read. Confined to one `Configuration.load`.
final class Findings {
  let file: String
  let environment: [String: String]
  var issues: [ConfigurationIssue] = []
  var positions: [String: ConfigurationPosition] = [:]

  init(file: String, environment: [String: String]) {
    self.file = file
    self.environment = environment
  }

  func add(_ message: String, at node: Node) { add(message, at: position(of: node)) }
  func add(_ message: String, at position: ConfigurationPosition?) {
    issues.append(ConfigurationIssue(file: file, position: position, message: message))
  }
  func position(of node: Node) -> ConfigurationPosition? {
    node.mark.map { ConfigurationPosition(line: $0.line, column: $0.column) }
  }

  /// The text of a scalar with the environment put in; nil (and an issue) for a mapping or sequence.
  func text(_ node: Node, _ path: String) -> String? {
    guard case .scalar(let scalar) = node else {
      add("'\(path)' must be a single value", at: node)
      return nil
    }
    do {
      return try interpolate(scalar.string, environment: environment)
    } catch {
      switch error {
      case .unset(let name):
        add(
          "'\(path)' needs the environment variable \(name), which is not set; set it, or write ${\(name):-default}",
          at: node)
      case .unterminated: add("'\(path)': '${' without '}' in '\(scalar.string)'", at: node)
      case .badName(let name):
        add("'\(path)': '${\(name)}' is not a variable; write ${NAME} or ${NAME:-default}", at: node)
      }
      return nil
    }
  }
}

final class Section {
  let findings: Findings
  /// Dotted, empty for the top level.
  let path: String
  private let node: Node?
  private var entries: [String: (key: Node, value: Node)] = [:]
  private var known: [String] = []

  init(_ node: Node?, path: String, findings: Findings) {
    self.node = node
    self.path = path
    self.findings = findings
    guard let node, !Self.isNull(node) else { return }
    guard case .mapping(let mapping) = node else {
      findings.add("'\(path)' must be a mapping of keys to values", at: node)
      return
    }
    for (key, value) in mapping {
      guard let name = key.scalar?.string else {
        findings.add("a key must be a plain name", at: key)
        continue
      }
      // To YAML, 5 and "5" are two keys.
      guard entries.updateValue((key, value), forKey: name) == nil else {
        findings.add("'\(Self.join(path, name))' is given twice", at: key)
        continue
      }
      if let position = findings.position(of: value) { findings.positions[Self.join(path, name)] = position }
    }
  }

  static func join(_ path: String, _ key: String) -> String { path.isEmpty ? key : "\(path).\(key)" }
  static func isNull(_ node: Node) -> Bool {
    guard case .scalar(let scalar) = node, scalar.style == .plain || scalar.style == .any else { return false }
    return ["", "~", "null"].contains(scalar.string)
  }

  /// The value under `key`; absent and null are the same.
  func value(_ key: String) -> Node? {
    known.append(key)
    guard let value = entries[key]?.value, !Self.isNull(value) else { return nil }
    return value
  }
  func has(_ key: String) -> Bool { entries[key].map { !Self.isNull($0.value) } ?? false }

  func section(_ key: String) -> Section { Section(value(key), path: Self.join(path, key), findings: findings) }

  /// Every entry, for mappings whose keys are the operator's own, in the order of the file.
  func freeEntries() -> [(key: String, keyNode: Node, value: Node)] {
    known += entries.keys
    return entries.map { ($0.key, $0.value.key, $0.value.value) }
      .sorted { ($0.1.mark?.line ?? 0, $0.1.mark?.column ?? 0) < ($1.1.mark?.line ?? 0, $1.1.mark?.column ?? 0) }
  }

  func missing(_ key: String, _ hint: String) {
    let place = node.flatMap { findings.position(of: $0) }
    findings.add(
      "'\(Self.join(path, key))' is missing: \(hint)", at: place ?? ConfigurationPosition(line: 1, column: 1))
  }

  /// Call last: reports the keys nobody asked for.
  func finish() {
    for (name, entry) in entries where !known.contains(name) {
      let hint = nearest(to: name, among: known).map { "; did you mean '\($0)'?" }
      let place = path.isEmpty ? "" : " in '\(path)'"
      findings.add(
        "unknown key '\(name)'\(place)\(hint ?? "; known here: \(Set(known).sorted().joined(separator: ", "))")",
        at: entry.key)
    }
  }

  // MARK: Typed reads. Each returns the default after noting a mistake, so that reading goes on.

  private func read<Value>(
    _ key: String, _ fallback: Value, expected: String, _ parse: (String) -> Value?
  ) -> Value {
    guard let node = value(key) else { return fallback }
    let full = Self.join(path, key)
    guard let text = findings.text(node, full) else { return fallback }
    guard let value = parse(text) else {
      // The text as it stands in the file: an interpolated secret never reaches a message.
      findings.add("'\(full)' is '\(node.scalar?.string ?? "")'; it must be \(expected)", at: node)
      return fallback
    }
    return value
  }

  func string(
    _ key: String, _ fallback: String, expected: String = "a text", _ isValid: (String) -> Bool = { !$0.isEmpty }
  )
    -> String
  {
    read(key, fallback, expected: expected) { isValid($0) ? $0 : nil }
  }

  func optionalString(_ key: String) -> String? {
    has(key) ? string(key, "", { _ in true }) : value(key).map { _ in "" }
  }

  func bool(_ key: String, _ fallback: Bool) -> Bool {
    read(key, fallback, expected: "true or false") { text in
      ["true": true, "false": false, "yes": true, "no": false, "on": true, "off": false][text.lowercased()]
    }
  }

  func integer(_ key: String, _ fallback: Int, in range: ClosedRange<Int>) -> Int {
    read(key, fallback, expected: "a whole number between \(range.lowerBound) and \(range.upperBound)") { text in
      Int(text.replacing("_", with: "")).flatMap { range.contains($0) ? $0 : nil }
    }
  }

  func number(_ key: String, _ fallback: Double, in range: ClosedRange<Double>) -> Double {
    read(key, fallback, expected: "a number between \(range.lowerBound) and \(range.upperBound)") { text in
      Double(text).flatMap { range.contains($0) ? $0 : nil }
    }
  }

  func span(_ key: String, _ fallback: TimeSpan, in range: ClosedRange<TimeSpan>) -> TimeSpan {
    let bounds = "\(range.lowerBound.text) and \(range.upperBound.text)"
    return read(key, fallback, expected: "a time like 500ms, 15m, 48h or 30d, between \(bounds)") { text in
      TimeSpan(parsing: text).flatMap { range.contains($0) ? $0 : nil }
    }
  }

  func date(_ key: String, _ fallback: LocalDay, years: ClosedRange<Int>) -> LocalDay {
    let bounds = "\(years.lowerBound) and \(years.upperBound)"
    return read(key, fallback, expected: "a date like 1990-01-01, of a year between \(bounds)") { text in
      var text = text
      return text.withUTF8 { LocalDay(isoDate: $0) }.flatMap { years.contains(CivilDate($0).year) ? $0 : nil }
    }
  }

  /// - Parameter zero: what 0 means, where it stands for something and lies outside the range.
  func bytes(_ key: String, _ fallback: Int, in range: ClosedRange<Int>, zero: String? = nil) -> Int {
    let bounds = "\(bytesText(Int64(range.lowerBound))) and \(bytesText(Int64(range.upperBound)))"
    let other = zero.map { ", or 0 for \($0)" } ?? ""
    return read(key, fallback, expected: "a size like 64KiB or 1MiB, between \(bounds)\(other)") { text in
      parseBytes(text).flatMap { range.contains(Int($0)) || zero != nil && $0 == 0 ? Int($0) : nil }
    }
  }

  func choice<Value: RawRepresentable & CaseIterable>(_ key: String, _ fallback: Value) -> Value
  where Value.RawValue == String {
    let names = Value.allCases.map(\.rawValue)
    guard let node = value(key), let text = findings.text(node, Self.join(path, key)) else { return fallback }
    if let value = Value(rawValue: text) { return value }
    let hint = nearest(to: text, among: names).map { "; did you mean '\($0)'?" } ?? ""
    let full = Self.join(path, key)
    findings.add(
      "'\(full)' is '\(node.scalar?.string ?? "")'; it must be one of \(names.joined(separator: ", "))\(hint)", at: node
    )
    return fallback
  }
}
