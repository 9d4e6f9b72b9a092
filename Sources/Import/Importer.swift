// Runs an import: rows in, native events out, every row accounted for.

import Events
import Glibc
import InputFiles

/// What became of the rows: `rows == applied + filtered + rejected`.
public struct ImportReport: Sendable, Equatable {
  /// A row that could not be used.
  public struct Rejection: Sendable, Equatable {
    public var file: String
    public var line: Int
    public var reason: String
  }
  public var rows = 0
  /// Rows that became, or became part of, an event.
  public var applied = 0
  public var events = 0
  /// In the order of the map.
  public var filtered: [(name: String, rows: Int)] = []
  public var rejected = 0
  /// The first `Importer.listedRejections`.
  public var rejections: [Rejection] = []
  public init() {}

  public var filteredRows: Int { filtered.reduce(0) { $0 + $1.rows } }

  public static func == (a: ImportReport, b: ImportReport) -> Bool {
    a.rows == b.rows && a.applied == b.applied && a.events == b.events && a.rejected == b.rejected
      && a.rejections == b.rejections && a.filtered.map(\.name) == b.filtered.map(\.name)
      && a.filtered.map(\.rows) == b.filtered.map(\.rows)
  }
}

/// How far an import is.
public struct ImportProgress: Sendable {
  public var rows: Int
  /// Of the files as they lie on disk; `totalBytes` is 0 when unknown.
  public var bytes: Int
  public var totalBytes: Int
}

public struct Importer {
  /// Rejected rows listed one by one in the report; all are counted.
  public static let listedRejections = 100
  /// Events held in memory when they must be sorted or grouped.
  public static let maxEventsInMemory = 50_000_000

  private let map: ImportMap
  private var report = ImportReport()
  private var pending: [PendingEvent] = []
  /// Index into `pending` by event rule and group key.
  private var groups: [GroupKey: Int] = [:]

  private struct GroupKey: Hashable {
    var rule: Int
    var key: [UInt8]
  }

  private struct PendingEvent {
    var time: Instant
    /// Order of arrival, for a stable sort.
    var number: Int
    var rule: Int
    var amount: Decimal?
    var fields: [(ImportMap.Field, [UInt8])]
  }

  public init(map: ImportMap) {
    self.map = map
    report.filtered = map.filters.map { ($0.name, 0) }
  }

  /// - Parameters:
  ///   - write: takes one NDJSON line, with its line end.
  ///   - progress: called about every 16 Ki rows.
  /// - Throws: `InputFileError`, `ImportMapError` (a column that the file does not have), and what `write` throws.
  public static func run(
    map: ImportMap, inputs: [String], progress: (ImportProgress) -> Void = { _ in },
    write: ([UInt8]) throws -> Void
  ) throws -> ImportReport {
    var importer = Importer(map: map)
    var totalBytes = 0
    for path in inputs {
      var status = stat()
      if stat(path, &status) == 0 { totalBytes += Int(status.st_size) }
    }
    var bytesBefore = 0
    for path in inputs {
      var reader = try RowReader(path: path, layout: map.layout)
      let columns = try importer.columns(of: &reader, path: path)
      while let row = try reader.next() {
        importer.report.rows += 1
        try importer.take(row, columns: columns, path: path, write: write)
        if importer.report.rows & 0x3fff == 0 {
          progress(
            ImportProgress(rows: importer.report.rows, bytes: bytesBefore + reader.bytesRead, totalBytes: totalBytes))
        }
      }
      bytesBefore += reader.bytesRead
    }
    try importer.finish(write: write)
    progress(ImportProgress(rows: importer.report.rows, bytes: totalBytes, totalBytes: totalBytes))
    return importer.report
  }

  /// Column numbers by name, once the lines to skip and the header are read.
  private func columns(of reader: inout RowReader, path: String) throws -> Columns {
    for _ in 0..<map.layout.skipLines { _ = try reader.next() }
    var names: [String] = []
    switch map.layout.columns {
    case .header:
      guard let header = try reader.next() else {
        throw InputFileError(description: "\(path) is empty: there is no line with the names of the columns")
      }
      names = header.fields.map { trimmed(String(decoding: $0, as: UTF8.self)) }
    case .named(let given): names = given
    case .fixed(let given): names = given.map(\.name)
    }
    let columns = Dictionary(names.enumerated().map { ($1, $0) }, uniquingKeysWith: { first, _ in first })
    for wanted in map.columnsUsed.sorted() where columns[wanted] == nil {
      throw ImportMapError(
        messages: [
          "\(map.file): \(path) has no column '\(wanted)'; it has \(names.map { "'\($0)'" }.joined(separator: ", "))"
        ])
    }
    return Columns(byName: columns, count: names.count)
  }

  private struct Columns {
    var byName: [String: Int]
    /// How many fields a row has.
    var count: Int
  }

  private mutating func reject(_ row: Row, _ path: String, _ reason: String) {
    report.rejected += 1
    if report.rejections.count < Self.listedRejections {
      report.rejections.append(.init(file: path, line: row.line, reason: reason))
    }
  }

  private mutating func take(
    _ row: Row, columns: Columns, path: String, write: ([UInt8]) throws -> Void
  ) throws {
    if let problem = row.problem { return reject(row, path, problem) }
    if row.fields.count != columns.count {
      return reject(
        row, path,
        "the row has \(row.fields.count) fields and the file \(columns.count) columns: is a separator inside a field without "
          + "quotes, or the row cut?")
    }
    let values = RowValues(row: row, columns: columns.byName)
    let found: Int?
    do throws(NotANumber) {
      for (number, filter) in map.filters.enumerated() where try values.holds(filter.condition) {
        report.filtered[number].rows += 1
        return
      }
      found = try values.firstEvent(of: map)
    } catch {
      return reject(
        row, path, "'\(error.text)' in column '\(error.column)' is no number, and the map compares it with one")
    }
    guard let ruleNumber = found else {
      return reject(row, path, "no event of the map takes this row; add an event or a filter for it")
    }
    let rule = map.events[ruleNumber]
    let timeText = values[map.timeColumn]
    guard let time = map.timeFormat.instant(timeText, zone: map.timeZone) else {
      return reject(
        row, path,
        "'\(String(decoding: timeText, as: UTF8.self))' in column '\(map.timeColumn)' is no time of the map's format")
    }
    var amount: Decimal?
    if !rule.amount.isEmpty {
      var product = Decimal(digits: 1, scale: 0)
      for column in rule.amount {
        guard let factor = Decimal(values[column]), let next = product * factor else {
          return reject(
            row, path, "'\(String(decoding: values[column], as: UTF8.self))' in column '\(column)' is no amount")
        }
        product = next
      }
      amount = rule.absolute ? product.magnitude : product
    }
    var fields: [(ImportMap.Field, [UInt8])] = []
    for field in ImportMap.Field.allCases {
      guard let parts = rule.fields[field] else { continue }
      let value = values.fill(parts)
      if value.isEmpty, field == .customer || field == .id {
        return reject(
          row, path, "the event's \(field.rawValue) would be empty; filter such rows, or map another column")
      }
      if !value.isEmpty { fields.append((field, value)) }
    }
    let event = PendingEvent(time: time, number: pending.count, rule: ruleNumber, amount: amount, fields: fields)
    if let groupBy = rule.groupBy {
      return join(event, key: GroupKey(rule: ruleNumber, key: Array(values[groupBy])), row, path)
    }
    if map.sortByTime {
      guard pending.count < Self.maxEventsInMemory else {
        return reject(
          row, path, "more than \(Self.maxEventsInMemory) events cannot be sorted; split the file or set sort: none")
      }
      pending.append(event)
      report.applied += 1
      return
    }
    if let amount, amount.isNegative {
      return reject(row, path, "the amount \(amount.text) is negative; filter such rows or set `absolute: true`")
    }
    try write(line(event))
    report.events += 1
    report.applied += 1
  }

  private mutating func join(_ event: PendingEvent, key: GroupKey, _ row: Row, _ path: String) {
    guard let position = groups[key] else {
      groups[key] = pending.count
      pending.append(event)
      report.applied += 1
      return
    }
    let customer = event.fields.first { $0.0 == .customer }?.1
    guard pending[position].fields.first(where: { $0.0 == .customer })?.1 == customer else {
      return reject(row, path, "the group '\(String(decoding: key.key, as: UTF8.self))' belongs to another customer")
    }
    if let more = event.amount {
      guard let sum = pending[position].amount.map({ $0 + more }) ?? more else {
        return reject(row, path, "the sum of the group '\(String(decoding: key.key, as: UTF8.self))' is too large")
      }
      pending[position].amount = sum
    }
    pending[position].time = min(pending[position].time, event.time)
    report.applied += 1
  }

  private mutating func finish(write: ([UInt8]) throws -> Void) throws {
    pending.sort { ($0.time, $0.number) < ($1.time, $1.number) }
    for event in pending {
      try write(line(event))
      report.events += 1
    }
    pending = []
  }

  private func line(_ event: PendingEvent) -> [UInt8] {
    let rule = map.events[event.rule]
    var line = NativeEventLine(type: rule.type, time: event.time)
    for (field, value) in event.fields { line.add(field, value) }
    if let amount = event.amount { line.add(amount: amount) }
    return line.finished
  }
}

/// A value that is compared with a number.
private struct NotANumber: Error {
  let column: String
  let text: String
}

/// One row's values by column name.
private struct RowValues {
  let row: Row
  let columns: [String: Int]

  /// Without surrounding spaces.
  subscript(column: String) -> ArraySlice<UInt8> {
    guard let index = columns[column], index < row.fields.count else { return [] }
    var value = row.fields[index][...]
    while value.first == 32 || value.first == 9 { value.removeFirst() }
    while value.last == 32 || value.last == 9 { value.removeLast() }
    return value
  }

  func holds(_ condition: ImportMap.Condition) throws(NotANumber) -> Bool {
    switch condition {
    case .isEmpty(let column): return self[column].isEmpty
    case .equals(let column, let text): return self[column].elementsEqual(text.utf8)
    case .startsWith(let column, let text): return self[column].starts(with: text.utf8)
    case .below(let column, let limit): return try compare(column, limit) { $0 < $1 }
    case .above(let column, let limit): return try compare(column, limit) { $1 < $0 }
    case .all(let list):
      for inner in list where try !holds(inner) { return false }
      return true
    case .not(let inner): return try !holds(inner)
    }
  }

  /// The number of the first event of the map that takes the row.
  func firstEvent(of map: ImportMap) throws(NotANumber) -> Int? {
    for (number, event) in map.events.enumerated() {
      guard let condition = event.when else { return number }
      if try holds(condition) { return number }
    }
    return nil
  }

  /// False where the column is empty.
  private func compare(
    _ column: String, _ limit: String, _ order: (Decimal, Decimal) -> Bool
  ) throws(NotANumber) -> Bool {
    let text = self[column]
    guard !text.isEmpty, let limit = Decimal(limit.utf8) else { return false }
    guard let value = Decimal(text) else {
      throw NotANumber(column: column, text: String(decoding: text, as: UTF8.self))
    }
    return order(value, limit)
  }

  func fill(_ parts: [ImportMap.TemplatePart]) -> [UInt8] {
    var text: [UInt8] = []
    for part in parts {
      switch part {
      case .text(let fixed): text += Array(fixed.utf8)
      case .column(let name): text += self[name]
      case .row: text += Array("\(row.line)".utf8)
      }
    }
    return text
  }
}

extension ImportMap {
  /// Every column the map refers to.
  var columnsUsed: Set<String> {
    var used: Set<String> = [timeColumn]
    func note(_ condition: Condition) {
      switch condition {
      case .isEmpty(let column), .equals(let column, _), .startsWith(let column, _), .below(let column, _),
        .above(let column, _):
        used.insert(column)
      case .all(let list): list.forEach(note)
      case .not(let inner): note(inner)
      }
    }
    for filter in filters { note(filter.condition) }
    for event in events {
      event.when.map(note)
      if let groupBy = event.groupBy { used.insert(groupBy) }
      used.formUnion(event.amount)
      for case .column(let name) in event.fields.values.joined() { used.insert(name) }
    }
    return used
  }
}

private func trimmed(_ text: String) -> String {
  String(text.drop { $0 == " " }.reversed().drop { $0 == " " }.reversed())
}
