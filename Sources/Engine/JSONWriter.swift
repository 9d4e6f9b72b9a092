// Writes JSON into raw memory: no String, no intermediate values, the same bytes for the same values everywhere.

import CSimdJSON
import Events

/// Builds one record after the other in memory of its own, which grows to the largest and stays. The caller takes care of
/// the structure: `key` and the values put commas, `literal` puts just what it is given.
package struct JSONWriter: ~Copyable {
  private var base: UnsafeMutablePointer<UInt8>
  /// Bytes that may be written, but for `padding` more behind them, where whole blocks may run over.
  private var capacity: Int
  /// Bytes written since `removeAll`.
  package private(set) var count = 0
  /// The next key or element needs a comma first.
  private var needsComma = false
  /// Texts of the instants written last: a record names the same one several times.
  private var lastInstant = InstantText()

  package init() {
    capacity = 4096
    base = .allocate(capacity: capacity + Self.padding)
  }

  deinit { base.deallocate() }

  package mutating func removeAll() {
    count = 0
    needsComma = false
  }

  /// A value begins: what was written before has no comma after it.
  package mutating func beginRecord() { needsComma = false }

  /// What was written; valid until the next change.
  package var bytes: UnsafeBufferPointer<UInt8> { UnsafeBufferPointer(start: base, count: count) }

  /// Where the next `wanted` bytes go; `count` is the caller's to raise.
  @inline(__always)
  private mutating func room(_ wanted: Int) -> UnsafeMutablePointer<UInt8> {
    if count + wanted > capacity { grow(wanted) }
    return base + count
  }

  @inline(never)
  private mutating func grow(_ wanted: Int) {
    let larger = max(capacity * 2, count + wanted)
    let memory = UnsafeMutablePointer<UInt8>.allocate(capacity: larger + Self.padding)
    memory.update(from: base, count: count)
    base.deallocate()
    base = memory
    capacity = larger
  }

  // MARK: Plain bytes

  @inline(__always)
  package mutating func byte(_ value: UInt8) {
    room(1).pointee = value
    count += 1
  }

  /// As it is: nothing is escaped, no comma is put, and none will come before what follows.
  @inline(__always)
  package mutating func literal(_ text: StaticString) {
    let size = text.utf8CodeUnitCount
    room(size).update(from: text.utf8Start, count: size)
    count += size
    needsComma = false
  }

  /// Likewise.
  @inline(__always)
  package mutating func literal(_ text: UnsafeBufferPointer<UInt8>) {
    guard let source = text.baseAddress else { return }
    room(text.count).update(from: source, count: text.count)
    count += text.count
    needsComma = false
  }

  /// How many bytes must be readable behind a text that `literal(padded:count:)` is given.
  package static let padding = 32

  /// Likewise, of a text that is short and has `padding` behind it: by whole blocks, without a call.
  @inline(__always)
  package mutating func literal(padded source: UnsafePointer<UInt8>, count size: Int) {
    let target = UnsafeMutableRawPointer(room(size))
    var done = 0
    while done < size {
      let block = UnsafeRawPointer(source + done).loadUnaligned(as: SIMD32<UInt8>.self)
      (target + done).storeBytes(of: block, as: SIMD32<UInt8>.self)
      done += Self.padding
    }
    count += size
    needsComma = false
  }

  // MARK: Structure

  package mutating func beginObject() {
    separate()
    byte(UInt8(ascii: "{"))
  }
  package mutating func endObject() {
    byte(UInt8(ascii: "}"))
    needsComma = true
  }
  package mutating func beginArray() {
    separate()
    byte(UInt8(ascii: "["))
  }
  package mutating func endArray() {
    byte(UInt8(ascii: "]"))
    needsComma = true
  }

  /// `name` must need no escapes.
  @inline(__always)
  package mutating func key(_ name: StaticString) {
    separate()
    byte(UInt8(ascii: "\""))
    literal(name)
    literal("\":")
  }

  // MARK: Values

  package mutating func null() { word("null") }
  package mutating func bool(_ value: Bool) { if value { word("true") } else { word("false") } }

  @inline(__always)
  private mutating func word(_ text: StaticString) {
    separate()
    literal(text)
    needsComma = true
  }

  package mutating func string(_ text: StaticString) {
    string(UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
  }
  package mutating func string(_ text: UnsafeRawBufferPointer) {
    text.withMemoryRebound(to: UInt8.self) { string($0) }
  }
  package mutating func string(_ text: [UInt8]) { text.withUnsafeBufferPointer { string($0) } }
  package mutating func string(_ text: String) {
    var text = text
    text.withUTF8 { string($0) }
  }
  /// UTF-8 is passed on as it is; control characters, quotes and backslashes are escaped.
  package mutating func string(_ text: UnsafeBufferPointer<UInt8>) {
    separate()
    byte(UInt8(ascii: "\""))
    escaped(text)
    byte(UInt8(ascii: "\""))
    needsComma = true
  }

  /// The inside of a string.
  package mutating func escaped(_ text: UnsafeBufferPointer<UInt8>) {
    guard let source = text.baseAddress else { return }
    let target = room(text.count)
    let plain = JSONText.copyPlain(from: source, to: target, count: text.count)
    count += plain
    if plain < text.count { escapeSlowly(UnsafeBufferPointer(rebasing: text[plain...])) }
  }

  @inline(never)
  private mutating func escapeSlowly(_ text: UnsafeBufferPointer<UInt8>) {
    for value in text {
      switch value {
      case UInt8(ascii: "\""), UInt8(ascii: "\\"):
        byte(UInt8(ascii: "\\"))
        byte(value)
      case 0x0a: literal("\\n")
      case 0..<0x20, 0x7f:
        literal("\\u00")
        byte(JSONText.hexDigit(value >> 4))
        byte(JSONText.hexDigit(value & 15))
      default: byte(value)
      }
    }
  }

  package mutating func integer(_ value: Int64) {
    separate()
    decimal(value)
    needsComma = true
  }
  package mutating func integer(_ value: Int) { integer(Int64(value)) }

  /// Digits, without a comma.
  package mutating func decimal(_ value: Int64) {
    if value < 0 { byte(UInt8(ascii: "-")) }
    let magnitude = value.magnitude
    let target = room(20)
    if magnitude < 10 {
      target[0] = 48 &+ UInt8(truncatingIfNeeded: magnitude)
      count += 1
    } else {
      let digits = DigitText.count(of: magnitude)
      DigitText.write(magnitude, width: digits, to: target)
      count += digits
    }
  }

  /// The shortest digits that read back as the same Double; NaN and infinities become null.
  package mutating func double(_ value: Double) {
    // Written so that what is no number fails it.
    if value > -1e15, value < 1e15 {
      let whole = Int64(value)
      if Double(whole) == value { return integer(whole) }
    } else if !value.isFinite {
      return null()
    }
    separate()
    let target = room(Int(TW_DOUBLE_MAX_CHARS))
    count += target.withMemoryRebound(to: CChar.self, capacity: Int(TW_DOUBLE_MAX_CHARS)) {
      Int(tw_double_shortest(value, $0))
    }
    needsComma = true
  }

  /// With six decimals at most, as `double` writes a number that has no more. For what comes from the C library's functions,
  /// which may differ in the last bits from machine to machine.
  package mutating func rounded(_ value: Double) {
    let millionths = (value * 1e6).rounded()
    // Very small ones are shorter with an exponent; of very large ones a Double has no six decimals.
    guard millionths.magnitude >= 1_000, millionths.magnitude < 1e15 else { return double(millionths / 1e6) }
    let (whole, rest) = UInt64(millionths.magnitude).quotientAndRemainder(dividingBy: 1_000_000)
    separate()
    if millionths < 0 { byte(UInt8(ascii: "-")) }
    decimal(Int64(whole))
    if rest > 0 {
      byte(UInt8(ascii: "."))
      DigitText.writeSix(rest, to: room(6))
      count += 6
      while base[count - 1] == UInt8(ascii: "0") { count -= 1 }
    }
    needsComma = true
  }

  /// Minor units as a decimal number in major units, exactly.
  package mutating func money(minor: Int64, exponent: Int) {
    guard exponent > 0 else { return integer(minor) }
    separate()
    if minor < 0 { byte(UInt8(ascii: "-")) }
    if exponent == 2 {
      // Most currencies: a constant divides faster.
      let (whole, rest) = minor.magnitude.quotientAndRemainder(dividingBy: 100)
      decimal(Int64(whole))
      byte(UInt8(ascii: "."))
      DigitText.writeTwo(rest, to: room(2))
    } else {
      var scale: UInt64 = 1
      for _ in 0..<exponent { scale *= 10 }
      decimal(Int64(clamping: minor.magnitude / scale))
      byte(UInt8(ascii: "."))
      DigitText.write(minor.magnitude % scale, width: exponent, to: room(exponent))
    }
    count += exponent
    needsComma = true
  }

  /// As `appendRFC3339` writes it, in quotes.
  package mutating func instant(_ value: Instant) {
    separate()
    if !lastInstant.isText(of: value) { lastInstant.set(value) }
    let target = room(InstantText.capacity)
    count += lastInstant.write(to: target)
    needsComma = true
  }

  /// 16 hex digits, without quotes or a comma.
  package mutating func hex(_ value: UInt64) {
    DigitText.writeHex(value, to: room(16))
    count += 16
  }

  @inline(__always)
  package mutating func separate() {
    if needsComma { byte(UInt8(ascii: ",")) }
    needsComma = false
  }
}

/// The JSON text of an instant, quotes included, kept for the next time it is asked for.
private struct InstantText {
  static let capacity = 40
  private var instant = Instant.distantPast
  private var day = Int64.min
  private var count = 0
  private var text: (UInt64, UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0, 0)

  @inline(__always) func isText(of other: Instant) -> Bool { count > 0 && other == instant }

  @inline(__always)
  func write(to target: UnsafeMutablePointer<UInt8>) -> Int {
    UnsafeMutableRawPointer(target).storeBytes(of: text, as: (UInt64, UInt64, UInt64, UInt64, UInt64).self)
    return count
  }

  mutating func set(_ value: Instant) {
    let dayLength: Int64 = 86_400_000_000
    let (quotient, remainder) = value.microseconds.quotientAndRemainder(dividingBy: dayLength)
    let newDay = remainder < 0 ? quotient - 1 : quotient
    let rest = remainder < 0 ? remainder + dayLength : remainder
    instant = value
    let isSameDay = newDay == day
    day = newDay
    // Days of the years 0 to 9999; others are not dates anybody writes.
    guard (-719_528...2_932_896).contains(newDay) else {
      var bytes: [UInt8] = [UInt8(ascii: "\"")]
      bytes.appendRFC3339(value)
      bytes.append(UInt8(ascii: "\""))
      count = min(bytes.count, Self.capacity)
      withUnsafeMutableBytes(of: &text) { $0.copyBytes(from: bytes.prefix(Self.capacity)) }
      day = .min
      return
    }
    withUnsafeMutableBytes(of: &text) { raw in
      guard let base = raw.baseAddress?.assumingMemoryBound(to: UInt8.self) else { return }
      if !isSameDay {
        let date = CivilDate(LocalDay(number: Int32(newDay)))
        base[0] = UInt8(ascii: "\"")
        let (century, inCentury) = UInt64(date.year).quotientAndRemainder(dividingBy: 100)
        DigitText.writeTwo(century, to: base + 1)
        DigitText.writeTwo(inCentury, to: base + 3)
        base[5] = UInt8(ascii: "-")
        DigitText.writeTwo(UInt64(date.month), to: base + 6)
        base[8] = UInt8(ascii: "-")
        DigitText.writeTwo(UInt64(date.day), to: base + 9)
        base[11] = UInt8(ascii: "T")
      }
      let (seconds, micros) = UInt64(rest).quotientAndRemainder(dividingBy: 1_000_000)
      let (minutes, second) = seconds.quotientAndRemainder(dividingBy: 60)
      let (hour, minute) = minutes.quotientAndRemainder(dividingBy: 60)
      DigitText.writeTwo(hour, to: base + 12)
      base[14] = UInt8(ascii: ":")
      DigitText.writeTwo(minute, to: base + 15)
      base[17] = UInt8(ascii: ":")
      DigitText.writeTwo(second, to: base + 18)
      base[20] = UInt8(ascii: ".")
      let (millis, odd) = micros.quotientAndRemainder(dividingBy: 1000)
      DigitText.writeThree(millis, to: base + 21)
      var end = 24
      if odd > 0 {
        DigitText.writeThree(odd, to: base + 24)
        end = 27
      }
      base[end] = UInt8(ascii: "Z")
      base[end + 1] = UInt8(ascii: "\"")
      count = end + 2
    }
  }
}

/// Text in raw memory.
enum JSONText {
  @inline(__always)
  static func hexDigit(_ nibble: UInt8) -> UInt8 { nibble < 10 ? 48 + nibble : 87 + nibble }

  /// Copies up to the first byte that JSON wants escaped; returns how many.
  @inline(__always)
  static func copyPlain(
    from source: UnsafePointer<UInt8>, to target: UnsafeMutablePointer<UInt8>, count: Int
  ) -> Int {
    var done = 0
    let from = UnsafeRawPointer(source)
    let to = UnsafeMutableRawPointer(target)
    while done + 8 <= count {
      let word = (from + done).loadUnaligned(as: UInt64.self)
      if needsEscape(word) { break }
      (to + done).storeBytes(of: word, as: UInt64.self)
      done += 8
    }
    // What is left, together with bytes before it that were found plain.
    if done >= 8, count - done < 8 {
      if done == count { return count }
      let word = (from + count - 8).loadUnaligned(as: UInt64.self)
      if !needsEscape(word) {
        (to + count - 8).storeBytes(of: word, as: UInt64.self)
        return count
      }
    }
    while done < count {
      let value = source[done]
      if value < 0x20 || value == 0x22 || value == 0x5c || value == 0x7f { return done }
      target[done] = value
      done += 1
    }
    return done
  }

  /// Whether one of eight bytes may need an escape; never misses one, and is wrong only about bytes after such a one.
  @inline(__always)
  private static func needsEscape(_ word: UInt64) -> Bool {
    let ones: UInt64 = 0x0101_0101_0101_0101
    let high: UInt64 = 0x8080_8080_8080_8080
    func hasZero(_ x: UInt64) -> UInt64 { (x &- ones) & ~x & high }
    let control = (word &- ones &* 0x20) & ~word & high
    return control | hasZero(word ^ (ones &* 0x22)) | hasZero(word ^ (ones &* 0x5c)) | hasZero(word ^ (ones &* 0x7f))
      != 0
  }
}

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
