// Numbers as digits in raw memory: what writes records, lines and timestamps shares. No String, no bounds: the caller has
// made room.

/// Digits in raw memory.
package enum DigitText {
  /// How many decimal digits, at least one.
  @inlinable
  package static func count(of value: UInt64) -> Int {
    var digits = 1
    var bound: UInt64 = 10
    while value >= bound {
      digits += 1
      let (next, overflow) = bound.multipliedReportingOverflow(by: 10)
      if overflow { break }
      bound = next
    }
    return digits
  }

  /// The last `width` decimal digits.
  @inlinable
  package static func write(_ value: UInt64, width: Int, to target: UnsafeMutablePointer<UInt8>) {
    var rest = value
    var place = width
    while place >= 2 {
      place &-= 2
      let next = rest / 100
      let pair = UInt32(truncatingIfNeeded: rest &- next &* 100)
      let ten = (pair &* 103) &>> 10
      target[place] = 48 &+ UInt8(truncatingIfNeeded: ten)
      target[place &+ 1] = 48 &+ UInt8(truncatingIfNeeded: pair &- ten &* 10)
      rest = next
    }
    if place == 1 { target[0] = 48 &+ UInt8(truncatingIfNeeded: rest % 10) }
  }

  /// The two digits of a value below 100.
  @inlinable @inline(__always)
  package static func writeTwo(_ value: UInt64, to target: UnsafeMutablePointer<UInt8>) {
    let pair = UInt32(truncatingIfNeeded: value)
    let ten = (pair &* 103) &>> 10
    target[0] = 48 &+ UInt8(truncatingIfNeeded: ten)
    target[1] = 48 &+ UInt8(truncatingIfNeeded: pair &- ten &* 10)
  }

  /// The three digits of a value below 1000.
  @inlinable @inline(__always)
  package static func writeThree(_ value: UInt64, to target: UnsafeMutablePointer<UInt8>) {
    let hundreds = value / 100
    target[0] = 48 &+ UInt8(truncatingIfNeeded: hundreds)
    writeTwo(value &- hundreds &* 100, to: target + 1)
  }

  /// The six digits of a value below 1,000,000.
  @inlinable @inline(__always)
  package static func writeSix(_ value: UInt64, to target: UnsafeMutablePointer<UInt8>) {
    let thousands = value / 1000
    writeThree(thousands, to: target)
    writeThree(value &- thousands &* 1000, to: target + 3)
  }

  /// 16 hex digits.
  @inlinable
  package static func writeHex(_ value: UInt64, to target: UnsafeMutablePointer<UInt8>) {
    let to = UnsafeMutableRawPointer(target)
    to.storeBytes(of: hexWord(UInt32(truncatingIfNeeded: value >> 32)), as: UInt64.self)
    (to + 8).storeBytes(of: hexWord(UInt32(truncatingIfNeeded: value)), as: UInt64.self)
  }

  /// Eight hex digits at once: one nibble a byte, the first digit in the lowest byte, then 48 or 87 added to each.
  @inlinable
  package static func hexWord(_ value: UInt32) -> UInt64 {
    var x = UInt64(value.byteSwapped)
    x = (x | x << 16) & 0x0000_ffff_0000_ffff
    x = (x | x << 8) & 0x00ff_00ff_00ff_00ff
    // Within each byte the high nibble comes first.
    x = (x >> 4 & 0x000f_000f_000f_000f) | (x & 0x000f_000f_000f_000f) << 8
    let isLetter = (x &+ 0x0606_0606_0606_0606) >> 4 & 0x0101_0101_0101_0101
    return x &+ 0x3030_3030_3030_3030 &+ isLetter &* 39
  }
}
