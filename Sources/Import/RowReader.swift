// Rows of a CSV (RFC 4180) or fixed-width file, plain or gzip.

import InputFiles

/// One row: its fields, the number of the line it begins on (from 1), or why it is no row.
struct Row {
  var line: Int
  var fields: [[UInt8]]
  var problem: String?
}

/// Reads rows. Quoted fields may hold separators, line ends and doubled quotes; CRLF is accepted.
struct RowReader: ~Copyable {
  /// Longer rows are rejected, not read into memory.
  static let maxRowBytes = 1 << 20

  private var file: InputFile
  private let layout: ImportMap.Layout
  private var buffer = [UInt8](repeating: 0, count: 1 << 20)
  private var position = 0
  private var filled = 0
  private var line = 0
  private var atEnd = false
  var bytesRead: Int { file.position }

  init(path: String, layout: ImportMap.Layout) throws(InputFileError) {
    file = try InputFile(path: path)
    self.layout = layout
  }

  private mutating func readOn() throws(InputFileError) -> Int {
    // A copy of the reference, so that the buffer is not in use twice.
    var buffer: [UInt8] = []
    swap(&buffer, &self.buffer)
    defer { swap(&buffer, &self.buffer) }
    var count = 0
    var failure: InputFileError?
    buffer.withUnsafeMutableBytes { bytes in
      do throws(InputFileError) { count = try file.read(into: bytes) } catch { failure = error }
    }
    if let failure { throw failure }
    return count
  }

  private mutating func nextByte() throws(InputFileError) -> UInt8? {
    if position == filled {
      if atEnd { return nil }
      filled = try readOn()
      position = 0
      if filled == 0 {
        atEnd = true
        return nil
      }
    }
    defer { position += 1 }
    return buffer[position]
  }

  private mutating func peek() throws(InputFileError) -> UInt8? {
    guard let byte = try nextByte() else { return nil }
    position -= 1
    return byte
  }

  /// The next row; nil at the end. Empty lines are passed over.
  mutating func next() throws(InputFileError) -> Row? {
    while true {
      guard var row = try nextRaw() else { return nil }
      if row.problem == nil, row.fields.count == 1, row.fields[0].isEmpty { continue }
      if layout.encoding == .latin1 {
        row.fields = row.fields.map { field in field.flatMap { $0 < 0x80 ? [$0] : [0xc0 | $0 >> 6, 0x80 | $0 & 0x3f] } }
      } else if row.problem == nil, row.fields.contains(where: { String(validating: $0, as: UTF8.self) == nil }) {
        row.problem = "the row is not UTF-8; set `encoding: latin-1` in the map if the file is Latin-1"
      }
      return row
    }
  }

  private mutating func nextRaw() throws(InputFileError) -> Row? {
    guard try peek() != nil else { return nil }
    line += 1
    var row = Row(line: line, fields: [], problem: nil)
    var field: [UInt8] = []
    var size = 0
    var quoted = false
    var wasQuoted = false
    /// Bytes of the field that stood in quotes: a CR among them is not a line end's.
    var protected = 0
    while true {
      guard let byte = try nextByte() else {
        if quoted { row.problem = "a quoted field is not closed before the end of the file" }
        break
      }
      size += 1
      if size > Self.maxRowBytes {
        row.problem = "the row is longer than \(Self.maxRowBytes) bytes (an unclosed quote?)"
        // The rest of the line is passed over; inside quotes we cannot know better than the next line end.
        while let rest = try nextByte(), rest != 10 {}
        row.fields = []
        return row
      }
      if quoted {
        if byte == UInt8(ascii: "\"") {
          if try peek() == UInt8(ascii: "\"") {
            field.append(byte)
            _ = try nextByte()
          } else {
            quoted = false
            protected = field.count
          }
        } else {
          if byte == 10 { line += 1 }
          field.append(byte)
        }
        continue
      }
      if byte == 10 { break }
      if case .fixed = layout.columns {
        field.append(byte)
      } else if byte == UInt8(ascii: "\""), field.isEmpty, !wasQuoted {
        quoted = true
        wasQuoted = true
      } else if byte == layout.delimiter {
        row.fields.append(field)
        field = []
        wasQuoted = false
        protected = 0
      } else {
        field.append(byte)
      }
    }
    if field.count > protected, field.last == 13 { field.removeLast() }
    row.fields.append(field)
    if case .fixed(let columns) = layout.columns, row.problem == nil, row.fields != [[]] {
      let text = row.fields[0]
      row.fields = columns.map { column in
        let from = min(column.start - 1, text.count)
        let to = min(column.end, text.count)
        return Array(text[from..<max(from, to)])
      }
    }
    return row
  }
}
