// The units people write: 15m, 64MiB, 7.10. Each parser returns nil for what is not of its grammar.

import Events

/// A positive decimal number kept exactly: `digits` / 10^`scale`.
public struct ExactDecimal: Hashable, Sendable {
  public var digits: Int64
  public var scale: Int
  public init(digits: Int64, scale: Int) {
    self.digits = digits
    self.scale = scale
  }

  /// Digits with an optional point, at most 12 digits in all; no sign, no exponent.
  public init?(parsing text: String) {
    var digits: Int64 = 0
    var scale = 0
    var count = 0
    var seenPoint = false
    for byte in text.utf8 {
      switch byte {
      case UInt8(ascii: "."):
        guard !seenPoint, count > 0 else { return nil }
        seenPoint = true
      case UInt8(ascii: "0")...UInt8(ascii: "9"):
        guard count < 12 else { return nil }
        digits = digits * 10 + Int64(byte - UInt8(ascii: "0"))
        count += 1
        if seenPoint { scale += 1 }
      default: return nil
      }
    }
    guard count > 0, !(seenPoint && scale == 0) else { return nil }
    self.init(digits: digits, scale: scale)
  }

  public var description: String {
    guard scale > 0 else { return String(digits) }
    let text = String(digits)
    let padded = text.count > scale ? text : String(repeating: "0", count: scale + 1 - text.count) + text
    return "\(padded.dropLast(scale)).\(padded.suffix(scale))"
  }
}

extension TimeSpan {
  static let unitMicroseconds: [(suffix: String, microseconds: Int64)] = [
    ("us", 1), ("ms", 1_000), ("s", 1_000_000), ("m", 60_000_000), ("h", 3_600_000_000), ("d", 86_400_000_000),
    ("w", 604_800_000_000),
  ]

  /// `500ms`, `1s`, `15m`, `48h`, `30d`, `2w`: a whole number and a unit, no spaces.
  public init?(parsing text: String) {
    let number = text.prefix { $0.isASCII && $0.isNumber }
    let suffix = text.dropFirst(number.count)
    guard let count = Int64(number), let unit = Self.unitMicroseconds.first(where: { $0.suffix == suffix }) else {
      return nil
    }
    let (value, overflow) = count.multipliedReportingOverflow(by: unit.microseconds)
    guard !overflow else { return nil }
    self.init(microseconds: value)
  }

  /// In the largest unit that divides it: what `init(parsing:)` reads.
  public var text: String {
    for unit in Self.unitMicroseconds.reversed() where microseconds % unit.microseconds == 0 && unit.suffix != "w" {
      return "\(microseconds / unit.microseconds)\(unit.suffix)"
    }
    return "\(microseconds)us"
  }
}

/// `64MiB`, `1MB`, `512`: bytes, KB/MB/GB in powers of 1000, KiB/MiB/GiB in powers of 1024.
func parseBytes(_ text: String) -> Int64? {
  let units: [(String, Int64)] = [
    ("", 1), ("B", 1), ("KB", 1_000), ("MB", 1_000_000), ("GB", 1_000_000_000), ("KiB", 1 << 10), ("MiB", 1 << 20),
    ("GiB", 1 << 30),
  ]
  let number = text.prefix { $0.isASCII && $0.isNumber }
  let suffix = text.dropFirst(number.count).drop { $0 == " " }
  guard let count = Int64(number), let unit = units.first(where: { $0.0 == suffix }) else { return nil }
  let (value, overflow) = count.multipliedReportingOverflow(by: unit.1)
  return overflow ? nil : value
}

func bytesText(_ bytes: Int64) -> String {
  for (suffix, size) in [("GiB", Int64(1) << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)]
  where bytes % size == 0 && bytes > 0 {
    return "\(bytes / size)\(suffix)"
  }
  return "\(bytes)B"
}
