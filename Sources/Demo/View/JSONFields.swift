// A look into one of our own JSON records without taking it apart: field by field, in place.

/// The fields of one JSON object, found by name in its bytes. For records that this project wrote: it steps over values
/// without checking them, and finds nothing in what is not an object.
struct JSONFields {
  private let bytes: UnsafeRawBufferPointer

  init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

  /// The raw text of a field's value (a string with its quotes); nil when there is none.
  func raw(_ name: StaticString) -> UnsafeRawBufferPointer? {
    var position = skipSpace(0)
    guard position < bytes.count, bytes[position] == UInt8(ascii: "{") else { return nil }
    position = skipSpace(position + 1)
    while position < bytes.count, bytes[position] == UInt8(ascii: "\"") {
      let nameEnd = endOfString(position)
      let isMatch = matches(position + 1, nameEnd - 1, name)
      var value = skipSpace(nameEnd)
      guard value < bytes.count, bytes[value] == UInt8(ascii: ":") else { return nil }
      value = skipSpace(value + 1)
      let end = endOfValue(value)
      if isMatch { return UnsafeRawBufferPointer(rebasing: bytes[value..<end]) }
      position = skipSpace(end)
      guard position < bytes.count, bytes[position] == UInt8(ascii: ",") else { return nil }
      position = skipSpace(position + 1)
    }
    return nil
  }

  /// What stands between the quotes of a string field, escapes as they are.
  func string(_ name: StaticString) -> UnsafeRawBufferPointer? {
    guard let raw = raw(name), raw.count >= 2, raw[0] == UInt8(ascii: "\"") else { return nil }
    return UnsafeRawBufferPointer(rebasing: raw[1..<raw.count - 1])
  }

  func text(_ name: StaticString) -> String? { string(name).map { String(decoding: $0, as: UTF8.self) } }

  func object(_ name: StaticString) -> JSONFields? { raw(name).map { JSONFields($0) } }

  func number(_ name: StaticString) -> Double? { raw(name).flatMap { Double(String(decoding: $0, as: UTF8.self)) } }

  func isTrue(_ name: StaticString) -> Bool { raw(name)?.first == UInt8(ascii: "t") }

  /// A field's value as a person would write it: strings without quotes; nil for null and where there is none.
  func shown(_ name: StaticString) -> String? {
    if let text = text(name) { return text }
    guard let raw = raw(name), raw.first != UInt8(ascii: "n") else { return nil }
    return String(decoding: raw, as: UTF8.self)
  }

  private func matches(_ start: Int, _ end: Int, _ name: StaticString) -> Bool {
    guard end - start == name.utf8CodeUnitCount else { return false }
    for index in 0..<(end - start) where bytes[start + index] != name.utf8Start[index] { return false }
    return true
  }

  private func skipSpace(_ start: Int) -> Int {
    var position = start
    while position < bytes.count, bytes[position] <= 0x20 { position += 1 }
    return position
  }

  /// One past the closing quote of the string that begins at `start`.
  private func endOfString(_ start: Int) -> Int {
    var position = start + 1
    while position < bytes.count, bytes[position] != UInt8(ascii: "\"") {
      position += bytes[position] == UInt8(ascii: "\\") ? 2 : 1
    }
    return min(bytes.count, position + 1)
  }

  private func endOfValue(_ start: Int) -> Int {
    guard start < bytes.count else { return bytes.count }
    if bytes[start] == UInt8(ascii: "\"") { return endOfString(start) }
    var depth = 0
    var position = start
    while position < bytes.count {
      switch bytes[position] {
      case UInt8(ascii: "\""):
        position = endOfString(position)
        continue
      case UInt8(ascii: "{"), UInt8(ascii: "["): depth += 1
      case UInt8(ascii: "}"), UInt8(ascii: "]"):
        if depth == 0 { return position }
        depth -= 1
        if depth == 0 { return position + 1 }
      case UInt8(ascii: ",") where depth == 0: return position
      default: break
      }
      position += 1
    }
    return position
  }
}
