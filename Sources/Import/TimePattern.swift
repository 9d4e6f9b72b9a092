// Dates as CSV exports write them.

import Events

/// A date format: `yyyy MM dd HH mm ss` and literal characters, `iso` (RFC 3339 with a zone), `epoch_s` or `epoch_ms`.
public struct TimePattern: Sendable, Equatable {
  enum Kind: Equatable {
    case pattern([UInt8])
    case epochSeconds
    case epochMilliseconds
  }
  let kind: Kind

  /// nil when the format has letters other than those above or no date in it.
  public init?(_ text: String) {
    switch text {
    case "epoch_s": kind = .epochSeconds
    case "epoch_ms": kind = .epochMilliseconds
    default:
      let letters = Set(text.utf8.filter { $0 >= 65 && $0 <= 90 || $0 >= 97 && $0 <= 122 })
      guard letters.isSubset(of: Set("yMdHmsT".utf8)), letters.isSuperset(of: Set("yMd".utf8)) else { return nil }
      kind = .pattern(Array(text.utf8))
    }
  }

  /// The instant; local times are read in `zone` (in a gap: the instant after it, in an overlap: the earlier one).
  func instant(_ text: some Collection<UInt8>, zone: ZonedCalendar) -> Instant? {
    let bytes = Array(text)
    switch kind {
    case .epochSeconds, .epochMilliseconds:
      guard let value = Int64(String(decoding: bytes, as: UTF8.self)), abs(value) < 1 << 52 else { return nil }
      return Instant(microseconds: value * (kind == .epochSeconds ? 1_000_000 : 1000))
    case .pattern(let pattern):
      guard bytes.count == pattern.count else { return nil }
      var year = 0
      var month = 0
      var day = 0
      var hour = 0
      var minute = 0
      var second = 0
      for (letter, byte) in zip(pattern, bytes) {
        let digit = Int(byte) - 48
        let isDigit = (0...9).contains(digit)
        switch letter {
        case UInt8(ascii: "y") where isDigit: year = year * 10 + digit
        case UInt8(ascii: "M") where isDigit: month = month * 10 + digit
        case UInt8(ascii: "d") where isDigit: day = day * 10 + digit
        case UInt8(ascii: "H") where isDigit: hour = hour * 10 + digit
        case UInt8(ascii: "m") where isDigit: minute = minute * 10 + digit
        case UInt8(ascii: "s") where isDigit: second = second * 10 + digit
        case UInt8(ascii: "y"), UInt8(ascii: "M"), UInt8(ascii: "d"), UInt8(ascii: "H"), UInt8(ascii: "m"),
          UInt8(ascii: "s"):
          return nil
        default: if letter != byte { return nil }
        }
      }
      let date = CivilDate(year: year, month: month, day: day)
      guard date.isValid, hour < 24, minute < 60, second < 60 else { return nil }
      return zone.instant(of: date.localDay, secondOfDay: hour * 3600 + minute * 60 + second)
    }
  }
}
