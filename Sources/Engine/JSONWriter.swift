// Writes JSON into a byte buffer: no String, no intermediate values, the same bytes for the same values everywhere.

import Events

/// Appends to `bytes`; the caller takes care of the structure (`key` puts the commas).
struct JSONWriter {
  var bytes: [UInt8] = []
  /// The next key or element needs a comma first.
  private var needsComma = false

  init() {}
  init(reusing buffer: consuming [UInt8]) { bytes = buffer }

  mutating func beginObject() {
    separate()
    bytes.append(UInt8(ascii: "{"))
    needsComma = false
  }
  mutating func endObject() {
    bytes.append(UInt8(ascii: "}"))
    needsComma = true
  }
  mutating func beginArray() {
    separate()
    bytes.append(UInt8(ascii: "["))
    needsComma = false
  }
  mutating func endArray() {
    bytes.append(UInt8(ascii: "]"))
    needsComma = true
  }

  /// `name` must need no escapes.
  mutating func key(_ name: StaticString) {
    separate()
    bytes.append(UInt8(ascii: "\""))
    bytes.append(contentsOf: UnsafeBufferPointer(start: name.utf8Start, count: name.utf8CodeUnitCount))
    bytes.append(UInt8(ascii: "\""))
    bytes.append(UInt8(ascii: ":"))
    needsComma = false
  }
  mutating func key(_ name: some Collection<UInt8>) {
    string(name)
    bytes.append(UInt8(ascii: ":"))
    needsComma = false
  }

  mutating func raw(_ text: StaticString) {
    separate()
    bytes.append(contentsOf: UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
    needsComma = true
  }
  mutating func null() { raw("null") }
  mutating func bool(_ value: Bool) { raw(value ? "true" : "false") }

  mutating func string(_ text: StaticString) {
    string(UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
  }
  mutating func string(_ text: String) { string(text.utf8) }
  /// UTF-8 is passed on as it is; control characters, quotes and backslashes are escaped.
  mutating func string(_ text: some Collection<UInt8>) {
    separate()
    bytes.append(UInt8(ascii: "\""))
    for byte in text {
      switch byte {
      case UInt8(ascii: "\""), UInt8(ascii: "\\"):
        bytes.append(UInt8(ascii: "\\"))
        bytes.append(byte)
      case 0x0a: bytes.append(contentsOf: [UInt8(ascii: "\\"), UInt8(ascii: "n")])
      case 0..<0x20, 0x7f:
        bytes.append(contentsOf: [UInt8(ascii: "\\"), UInt8(ascii: "u"), UInt8(ascii: "0"), UInt8(ascii: "0")])
        bytes.append(hexDigit(byte >> 4))
        bytes.append(hexDigit(byte & 15))
      default: bytes.append(byte)
      }
    }
    bytes.append(UInt8(ascii: "\""))
    needsComma = true
  }

  mutating func integer(_ value: Int64) {
    separate()
    bytes.appendDecimal(value)
    needsComma = true
  }
  mutating func integer(_ value: Int) { integer(Int64(value)) }

  /// The shortest digits that read back as the same Double; NaN and infinities become null.
  mutating func double(_ value: Double) {
    guard value.isFinite else { return null() }
    if value.magnitude < 1e15, value == value.rounded() { return integer(Int64(value)) }
    separate()
    bytes.append(contentsOf: value.description.utf8)
    needsComma = true
  }

  /// Minor units as a decimal number in major units, exactly.
  mutating func money(minor: Int64, exponent: Int) {
    separate()
    bytes.appendMoney(minor: minor, exponent: exponent)
    needsComma = true
  }

  mutating func instant(_ value: Instant) {
    separate()
    bytes.append(UInt8(ascii: "\""))
    bytes.appendRFC3339(value)
    bytes.append(UInt8(ascii: "\""))
    needsComma = true
  }

  private mutating func separate() {
    if needsComma { bytes.append(UInt8(ascii: ",")) }
    needsComma = false
  }
}

@inline(__always)
func hexDigit(_ nibble: UInt8) -> UInt8 { nibble < 10 ? 48 + nibble : 87 + nibble }

extension [UInt8] {
  package mutating func appendDecimal(_ value: Int64) {
    if value < 0 { append(UInt8(ascii: "-")) }
    var magnitude = value.magnitude
    let start = count
    repeat {
      append(48 + UInt8(magnitude % 10))
      magnitude /= 10
    } while magnitude > 0
    self[start...].reverse()
  }

  mutating func appendMoney(minor: Int64, exponent: Int) {
    guard exponent > 0 else { return appendDecimal(minor) }
    var scale: UInt64 = 1
    for _ in 0..<exponent { scale *= 10 }
    if minor < 0 { append(UInt8(ascii: "-")) }
    appendDecimal(Int64(clamping: minor.magnitude / scale))
    append(UInt8(ascii: "."))
    appendPadded(Int64(minor.magnitude % scale), width: exponent)
  }

  package mutating func appendHex(_ value: UInt64) {
    var shift: UInt64 = 64
    while shift > 0 {
      shift -= 4
      append(hexDigit(UInt8(value >> shift & 15)))
    }
  }

  private mutating func appendPadded(_ value: Int64, width: Int) {
    var divisor: Int64 = 1
    for _ in 1..<Swift.max(width, 1) { divisor *= 10 }
    while divisor > 0 {
      append(48 + UInt8(value / divisor % 10))
      divisor /= 10
    }
  }

  /// `2026-03-01T12:34:56.123Z`: milliseconds always, microseconds where there are any.
  package mutating func appendRFC3339(_ instant: Instant) {
    let day: Int64 = 86_400_000_000
    var days = instant.microseconds / day
    var rest = instant.microseconds % day
    if rest < 0 {
      rest += day
      days -= 1
    }
    // Civil from days (Hinnant, chrono-compatible low-level date algorithms), in 64 bits.
    let z = days + 719_468
    let era = (z >= 0 ? z : z - 146_096) / 146_097
    let dayOfEra = z - era * 146_097
    let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
    let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
    let monthIndex = (5 * dayOfYear + 2) / 153
    let dayOfMonth = dayOfYear - (153 * monthIndex + 2) / 5 + 1
    let month = monthIndex < 10 ? monthIndex + 3 : monthIndex - 9
    let year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
    if year < 0 || year > 9999 { appendDecimal(year) } else { appendPadded(year, width: 4) }
    append(UInt8(ascii: "-"))
    appendPadded(month, width: 2)
    append(UInt8(ascii: "-"))
    appendPadded(dayOfMonth, width: 2)
    append(UInt8(ascii: "T"))
    let seconds = rest / 1_000_000
    appendPadded(seconds / 3600, width: 2)
    append(UInt8(ascii: ":"))
    appendPadded(seconds / 60 % 60, width: 2)
    append(UInt8(ascii: ":"))
    appendPadded(seconds % 60, width: 2)
    append(UInt8(ascii: "."))
    let micros = rest % 1_000_000
    if micros % 1000 == 0 { appendPadded(micros / 1000, width: 3) } else { appendPadded(micros, width: 6) }
    append(UInt8(ascii: "Z"))
  }
}
