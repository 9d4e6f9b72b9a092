// The part of JSON Schema 2020-12 that config/schemas uses. Any other keyword is an error: nothing is silently not
// checked.

import Foundation

/// A compiled schema.
public struct JSONSchema: Sendable {
  private let root: Node
  private let definitions: [String: Node]

  /// - Throws: on a keyword this reader does not know or a wrong value of one it knows.
  public init(_ document: JSONValue) throws(JSONError) {
    root = try Node(document, at: "#", isRoot: true)
    var definitions: [String: Node] = [:]
    for member in document["$defs"]?.members ?? [] {
      definitions["#/$defs/\(member.name)"] = try Node(member.value, at: "#/$defs/\(member.name)")
    }
    self.definitions = definitions
    for node in [root] + definitions.values { try node.checkReferences(definitions) }
  }

  /// What is wrong with `value`, one line each with its place; empty when it is valid.
  public func problems(of value: JSONValue) -> [String] {
    var problems: [String] = []
    root.check(value, at: "$", definitions, &problems)
    return problems
  }
}

/// One schema object or boolean.
private final class Node: Sendable {
  enum Kind: String { case null, boolean, object, array, number, integer, string }

  private let allows: Bool
  private let reference: String?
  private let kinds: [Kind]?
  private let choices: [JSONValue]?
  private let minimum, maximum: Double?
  private let minLength, maxLength, minItems, maxItems: Int?
  private let pattern: NSRegularExpression?
  private let required: [String]
  private let properties: [String: Node]
  private let additionalProperties, propertyNames, items: Node?
  private let oneOf, allOf, anyOf: [Node]?
  private let condition, consequence: Node?

  private static let known: Set<String> = [
    "title", "description", "examples", "$ref", "type", "enum", "const", "minimum", "maximum", "minLength", "maxLength",
    "minItems", "maxItems", "pattern", "required", "properties", "additionalProperties", "propertyNames", "items",
    "oneOf", "allOf", "anyOf", "if", "then",
  ]

  init(_ value: JSONValue, at place: String, isRoot: Bool = false) throws(JSONError) {
    func fail(_ what: String) -> JSONError { JSONError(description: "schema \(place): \(what)") }
    if case .bool(let allows) = value { self.allows = allows } else { allows = true }
    let members = value.members ?? []
    switch value {
    case .object, .bool: break
    default: throw fail("a schema is an object or a boolean")
    }
    for member in members
    where !Self.known.contains(member.name) && !(isRoot && ["$schema", "$id", "$defs"].contains(member.name)) {
      throw fail("unknown keyword \(member.name)")
    }
    func count(_ name: String) throws(JSONError) -> Int? {
      guard let value = value[name] else { return nil }
      guard let count = value.integer, count >= 0 else { throw fail("\(name) must be a count") }
      return Int(count)
    }
    func number(_ name: String) throws(JSONError) -> Double? {
      guard let value = value[name] else { return nil }
      guard let number = value.double else { throw fail("\(name) must be a number") }
      return number
    }
    func node(_ name: String) throws(JSONError) -> Node? {
      guard let value = value[name] else { return nil }
      return try Node(value, at: "\(place)/\(name)")
    }
    func nodes(_ name: String) throws(JSONError) -> [Node]? {
      guard let value = value[name] else { return nil }
      guard let elements = value.elements, !elements.isEmpty else { throw fail("\(name) must list schemas") }
      var nodes: [Node] = []
      for (index, element) in elements.enumerated() { nodes.append(try Node(element, at: "\(place)/\(name)/\(index)")) }
      return nodes
    }

    reference = value["$ref"]?.string
    if value["$ref"] != nil, reference == nil { throw fail("$ref must be a string") }
    if let types = value["type"] {
      var kinds: [Kind] = []
      for type in types.elements ?? [types] {
        guard let kind = type.string.flatMap(Kind.init) else { throw fail("unknown type") }
        kinds.append(kind)
      }
      self.kinds = kinds
    } else {
      kinds = nil
    }
    if let const = value["const"] {
      choices = [const]
    } else if let list = value["enum"] {
      guard let elements = list.elements, !elements.isEmpty else { throw fail("enum must list values") }
      choices = elements
    } else {
      choices = nil
    }
    minimum = try number("minimum")
    maximum = try number("maximum")
    minLength = try count("minLength")
    maxLength = try count("maxLength")
    minItems = try count("minItems")
    maxItems = try count("maxItems")
    if let text = value["pattern"] {
      guard let text = text.string, let pattern = try? NSRegularExpression(pattern: text) else {
        throw fail("pattern is no regular expression")
      }
      self.pattern = pattern
    } else {
      pattern = nil
    }
    required = (value["required"]?.elements ?? []).compactMap(\.string)
    var properties: [String: Node] = [:]
    for member in value["properties"]?.members ?? [] {
      properties[member.name] = try Node(member.value, at: "\(place)/properties/\(member.name)")
    }
    self.properties = properties
    additionalProperties = try node("additionalProperties")
    propertyNames = try node("propertyNames")
    items = try node("items")
    oneOf = try nodes("oneOf")
    allOf = try nodes("allOf")
    anyOf = try nodes("anyOf")
    condition = try node("if")
    consequence = try node("then")
  }

  private var children: [Node] {
    Array(properties.values) + (oneOf ?? []) + (allOf ?? []) + (anyOf ?? [])
      + [additionalProperties, propertyNames, items, condition, consequence].compactMap { $0 }
  }

  func checkReferences(_ definitions: [String: Node]) throws(JSONError) {
    if let reference, definitions[reference] == nil {
      throw JSONError(description: "schema: \(reference) is not defined")
    }
    for child in children { try child.checkReferences(definitions) }
  }

  func check(_ value: JSONValue, at place: String, _ definitions: [String: Node], _ problems: inout [String]) {
    func complain(_ what: String) { problems.append("\(place): \(what)") }
    if !allows { return complain("must not be there") }
    if let reference { definitions[reference]?.check(value, at: place, definitions, &problems) }
    if let kinds, !kinds.contains(where: { value.is($0) }) {
      return complain("is \(value), not \(kinds.map(\.rawValue).joined(separator: " or "))")
    }
    if let choices, !choices.contains(where: { $0.equals(value) }) { complain("\(value) is not among \(choices)") }

    switch value {
    case .number(let text):
      guard let number = Double(text) else { return complain("unreadable number \(text)") }
      if let minimum, number < minimum { complain("\(text) is below \(minimum)") }
      if let maximum, number > maximum { complain("\(text) is above \(maximum)") }
    case .string(let text):
      let count = text.unicodeScalars.count
      if let minLength, count < minLength { complain("\"\(text)\" is shorter than \(minLength)") }
      if let maxLength, count > maxLength { complain("\"\(text)\" is longer than \(maxLength)") }
      if let pattern, pattern.firstMatch(in: text, range: NSRange(text.startIndex..., in: text)) == nil {
        complain("\"\(text)\" does not match \(pattern.pattern)")
      }
    case .array(let elements):
      if let minItems, elements.count < minItems { complain("has fewer than \(minItems) items") }
      if let maxItems, elements.count > maxItems { complain("has more than \(maxItems) items") }
      for (index, element) in elements.enumerated() {
        items?.check(element, at: "\(place)[\(index)]", definitions, &problems)
      }
    case .object(let members):
      for name in required where value[name] == nil { complain("lacks \(name)") }
      for member in members {
        let inner = "\(place).\(member.name)"
        propertyNames?.check(.string(member.name), at: "\(inner) (name)", definitions, &problems)
        (properties[member.name] ?? additionalProperties)?.check(member.value, at: inner, definitions, &problems)
      }
    case .null, .bool: break
    }

    func findings(_ node: Node) -> [String] {
      var inner: [String] = []
      node.check(value, at: place, definitions, &inner)
      return inner
    }
    for node in allOf ?? [] { node.check(value, at: place, definitions, &problems) }
    if let condition, findings(condition).isEmpty {
      consequence?.check(value, at: place, definitions, &problems)
    }
    if let anyOf {
      let findings = anyOf.map(findings)
      if !findings.contains([]) { complain("matches none of \(anyOf.count) alternatives: \(findings)") }
    }
    if let oneOf {
      let findings = oneOf.map(findings)
      let matches = findings.count { $0.isEmpty }
      if matches != 1 {
        complain("matches \(matches) of \(oneOf.count) alternatives, not one: \(findings)")
      }
    }
  }
}

extension JSONValue {
  fileprivate func `is`(_ kind: Node.Kind) -> Bool {
    switch (self, kind) {
    case (.null, .null), (.bool, .boolean), (.object, .object), (.array, .array), (.string, .string),
      (.number, .number):
      true
    case (.number(let text), .integer): Double(text).map { $0 == $0.rounded() } ?? false
    default: false
    }
  }

  fileprivate func equals(_ other: JSONValue) -> Bool {
    if case .number(let a) = self, case .number(let b) = other { return Double(a) == Double(b) }
    return self == other
  }
}
