// Reads an import map from YAML. Every mistake is told with its place and, where a name is wrong, the nearest right one.

import Events
import Foundation
import InputFiles
import Yams

/// Mistakes in an import map, each `file:line:column: what and what to do`.
public struct ImportMapError: Error, CustomStringConvertible {
  public let messages: [String]
  public var description: String { messages.joined(separator: "\n") }
}

extension ImportMap {
  public static func load(path: String) throws(ImportMapError) -> ImportMap {
    let text: String
    do throws(TextFileError) { text = try readTextFile(path) } catch {
      throw ImportMapError(messages: ["\(path): \(error); check --map"])
    }
    return try ImportMap(yaml: text, file: path)
  }

  public init(yaml: String, file: String) throws(ImportMapError) {
    var reader = MapReader(file: file)
    let root: Node?
    do {
      root = try Yams.compose(yaml: yaml)
    } catch {
      throw ImportMapError(messages: ["\(file): not YAML: \(error)"])
    }
    guard let root, case .mapping = root else {
      throw ImportMapError(messages: ["\(file):1:1: an import map is a YAML mapping with `layout`, `time` and `events`"]
      )
    }
    let map = reader.map(root)
    if !reader.messages.isEmpty { throw ImportMapError(messages: reader.messages) }
    guard let map else { throw ImportMapError(messages: ["\(file):1:1: the import map is incomplete"]) }
    self = map
  }
}

private struct MapReader {
  let file: String
  var messages: [String] = []

  mutating func complain(_ node: Node, _ text: String) {
    let mark = node.mark
    messages.append("\(file):\(mark?.line ?? 1):\(mark?.column ?? 1): \(text)")
  }

  /// The values of a mapping by key; unknown and repeated keys are complained about.
  mutating func entries(_ node: Node, _ what: String, keys: [String]) -> [String: Node] {
    guard case .mapping(let mapping) = node else {
      complain(node, "\(what) must be a mapping with the keys \(keys.joined(separator: ", "))")
      return [:]
    }
    var found: [String: Node] = [:]
    for (key, value) in mapping {
      let name = key.string ?? ""
      if !keys.contains(name) {
        complain(key, "unknown key '\(name)' in \(what); did you mean '\(nearest(name, keys))'?")
      } else {
        found[name] = value
      }
    }
    return found
  }

  mutating func text(_ node: Node?, _ what: String) -> String? {
    guard let node else { return nil }
    if case .scalar(let scalar) = node { return scalar.string }
    complain(node, "\(what) must be a text")
    return nil
  }

  mutating func map(_ root: Node) -> ImportMap? {
    let keys = entries(root, "the map", keys: ["version", "layout", "time", "filters", "events", "sort"])
    if let version = text(keys["version"], "version"), version != "1", let node = keys["version"] {
      complain(node, "version is '\(version)'; this build reads version 1")
    }
    var layout = ImportMap.Layout()
    if let node = keys["layout"] { layout = readLayout(node) }
    guard let timeNode = keys["time"], let eventsNode = keys["events"] else {
      complain(root, "the map needs `time` and `events`")
      return nil
    }
    let time = entries(timeNode, "time", keys: ["column", "format", "zone"])
    guard let column = text(time["column"], "time.column"), let formatNode = time["format"],
      let format = text(formatNode, "time.format")
    else {
      complain(timeNode, "time needs `column` and `format`")
      return nil
    }
    let pattern = TimePattern(format)
    if pattern == nil {
      complain(
        formatNode, "time.format '\(format)' is not known; write it with yyyy MM dd HH mm ss, or epoch_s, epoch_ms")
    }
    var zone: ZonedCalendar?
    let zoneName = text(time["zone"], "time.zone") ?? "UTC"
    do {
      zone = try ZonedCalendar(identifier: zoneName)
    } catch {
      complain(time["zone"] ?? timeNode, "time.zone '\(zoneName)': \(error)")
    }
    let filters = (keys["filters"]?.sequence.map(Array.init) ?? []).compactMap { filter($0) }
    guard case .sequence(let list) = eventsNode, !list.isEmpty else {
      complain(eventsNode, "events must be a list with at least one event")
      return nil
    }
    let events = list.compactMap { event($0) }
    var sorted = events.contains { $0.groupBy != nil }
    if let sort = text(keys["sort"], "sort"), let node = keys["sort"] {
      switch sort {
      case "time": sorted = true
      case "none":
        if sorted { complain(node, "`group_by` needs all rows before it can write: sort must be `time`") }
      default: complain(node, "sort is '\(sort)'; it can be `time` or `none`")
      }
    }
    guard let pattern, let zone else { return nil }
    return ImportMap(
      file: file, layout: layout, timeColumn: column, timeFormat: pattern, timeZone: zone, filters: filters,
      events: events, sortByTime: sorted)
  }

  mutating func readLayout(_ node: Node) -> ImportMap.Layout {
    var layout = ImportMap.Layout()
    let keys = entries(node, "layout", keys: ["columns", "fixed", "delimiter", "skip_lines", "encoding"])
    if let columns = keys["columns"] {
      if case .sequence(let names) = columns {
        layout.columns = .named(names.compactMap { text($0, "a column name") })
      } else if text(columns, "layout.columns") != "header" {
        complain(columns, "layout.columns is `header` or a list of names")
      }
    }
    if let fixed = keys["fixed"] {
      var columns: [ImportMap.Layout.FixedColumn] = []
      for (key, value) in fixed.mapping.map(Array.init) ?? [] {
        let parts = (text(value, "a range of characters") ?? "").split(separator: "-").compactMap { Int($0) }
        if parts.count == 2, parts[0] >= 1, parts[0] <= parts[1], let name = key.string {
          columns.append(.init(name: name, start: parts[0], end: parts[1]))
        } else {
          complain(value, "a fixed column is FIRST-LAST, counted from 1, such as 2-6")
        }
      }
      layout.columns = .fixed(columns)
    }
    if let node = keys["delimiter"], let delimiter = text(node, "layout.delimiter") {
      let byte = delimiter == "tab" ? 9 : delimiter.utf8.first ?? 0
      if delimiter != "tab", delimiter.utf8.count != 1 {
        complain(node, "layout.delimiter is one ASCII character or `tab`")
      }
      layout.delimiter = byte
    }
    if let node = keys["skip_lines"] {
      if let count = text(node, "layout.skip_lines").flatMap({ Int($0) }), (0...1000).contains(count) {
        layout.skipLines = count
      } else {
        complain(node, "layout.skip_lines is a number from 0 to 1000")
      }
    }
    if let node = keys["encoding"] {
      if let encoding = text(node, "layout.encoding").flatMap({ ImportMap.Layout.Encoding(rawValue: $0) }) {
        layout.encoding = encoding
      } else {
        complain(node, "layout.encoding is utf-8 or latin-1")
      }
    }
    return layout
  }

  mutating func filter(_ node: Node) -> ImportMap.Filter? {
    let keys = entries(node, "a filter", keys: ["name", "when"])
    guard let name = text(keys["name"], "a filter's name"), let when = keys["when"], let condition = condition(when)
    else {
      complain(node, "a filter needs `name` and `when`")
      return nil
    }
    return ImportMap.Filter(name: name, condition: condition)
  }

  mutating func condition(_ node: Node) -> ImportMap.Condition? {
    let names = ["empty", "equals", "starts_with", "below", "above", "all", "not"]
    let keys = entries(node, "a condition", keys: names)
    guard keys.count == 1, let (name, value) = keys.first else {
      if !keys.isEmpty {
        complain(node, "a condition has one of \(names.joined(separator: ", ")); use `all` for several")
      }
      return nil
    }
    switch name {
    case "empty": return text(value, "empty").map { .isEmpty(column: $0) }
    case "not": return condition(value).map { .not($0) }
    case "all":
      guard case .sequence(let list) = value else {
        complain(value, "all is a list of conditions")
        return nil
      }
      return .all(list.compactMap { condition($0) })
    default:
      guard let pair = value.mapping?.first, let column = pair.key.string, value.mapping?.count == 1,
        let operand = text(pair.value, "the value of \(name)")
      else {
        complain(value, "\(name) is written { \(name): { COLUMN: VALUE } }")
        return nil
      }
      if name == "below" || name == "above", Decimal(operand.utf8) == nil {
        complain(pair.value, "'\(operand)' is not a number")
      }
      switch name {
      case "equals": return .equals(column: column, operand)
      case "starts_with": return .startsWith(column: column, operand)
      case "below": return .below(column: column, limit: operand)
      default: return .above(column: column, limit: operand)
      }
    }
  }

  mutating func event(_ node: Node) -> ImportMap.EventRule? {
    let keys = entries(node, "an event", keys: ["type", "when", "group_by", "amount", "absolute", "set"])
    guard let typeNode = keys["type"], let typeName = text(typeNode, "type") else {
      complain(node, "an event needs a `type`")
      return nil
    }
    guard let type = EventType.allCases.first(where: { $0.name == typeName }) else {
      complain(
        typeNode,
        "unknown event type '\(typeName)'; did you mean '\(nearest(typeName, EventType.allCases.map(\.name)))'?")
      return nil
    }
    var fields: [ImportMap.Field: [ImportMap.TemplatePart]] = [:]
    if let set = keys["set"] {
      let names = ImportMap.Field.allCases.map(\.rawValue)
      for (name, value) in entries(set, "set", keys: names) {
        if let field = ImportMap.Field(rawValue: name), let text = text(value, name) { fields[field] = template(text) }
      }
    }
    if fields[.customer] == nil { complain(node, "an event must `set` its customer") }
    if fields[.id] == nil {
      complain(node, "an event must `set` its id, such as \"order-{Invoice}\"; {row} is the row's number")
    }
    var amount: [String] = []
    if let node = keys["amount"] {
      if case .sequence(let list) = node {
        amount = list.compactMap { text($0, "a column of amount") }
      } else if let column = text(node, "amount") {
        amount = [column]
      }
    }
    let absolute = text(keys["absolute"], "absolute") == "true"
    return ImportMap.EventRule(
      type: type, when: keys["when"].flatMap { condition($0) }, fields: fields,
      groupBy: text(keys["group_by"], "group_by"),
      amount: amount, absolute: absolute)
  }

  private func template(_ text: String) -> [ImportMap.TemplatePart] {
    var parts: [ImportMap.TemplatePart] = []
    var rest = text[...]
    while let open = rest.firstIndex(of: "{"), let close = rest[open...].firstIndex(of: "}") {
      if open > rest.startIndex { parts.append(.text(String(rest[..<open]))) }
      let name = String(rest[rest.index(after: open)..<close])
      parts.append(name == "row" ? .row : .column(name))
      rest = rest[rest.index(after: close)...]
    }
    if !rest.isEmpty { parts.append(.text(String(rest))) }
    return parts
  }

  private func nearest(_ name: String, _ candidates: [String]) -> String {
    candidates.min { distance(name, $0) < distance(name, $1) } ?? ""
  }

  /// Levenshtein distance.
  private func distance(_ a: String, _ b: String) -> Int {
    let (a, b) = (Array(a), Array(b))
    var row = Array(0...b.count)
    for i in a.indices {
      var previous = row[0]
      row[0] = i + 1
      for j in b.indices {
        let cost = a[i] == b[j] ? previous : 1 + min(previous, row[j], row[j + 1])
        previous = row[j + 1]
        row[j + 1] = cost
      }
    }
    return row[b.count]
  }
}
