// The form of time that most senders write has a way of its own: it must say what the general one says.

import Events
import Testing

@Suite struct TimestampTests {
  private func instant(_ text: [UInt8]) -> Instant? { text.withUnsafeBufferPointer { Instant(rfc3339: $0) } }

  /// With an offset instead of the Z it is read the general way.
  private func check(_ text: [UInt8]) {
    let other = text.dropLast() + (text.last == UInt8(ascii: "Z") ? Array("+00:00".utf8) : text.suffix(1))
    #expect(instant(text) == instant(Array(other)), "\(String(decoding: text, as: UTF8.self))")
  }

  @Test func allDates() {
    for year in [0, 1, 4, 99, 100, 399, 400, 1600, 1899, 1900, 1969, 1970, 1972, 2000, 2023, 2024, 2100, 9999] {
      for month in 0...13 {
        for day in 0...32 {
          func digits(_ number: Int, _ width: Int) -> String {
            let text = String(number)
            return String(repeating: "0", count: width - text.count) + text
          }
          check(Array("\(digits(year, 4))-\(digits(month, 2))-\(digits(day, 2))T23:59:58.917Z".utf8))
        }
      }
    }
  }

  @Test func everyByteAtEveryPlace() {
    let text = Array("2026-03-01T19:23:48.082Z".utf8)
    #expect(instant(text) == Instant(microseconds: 1_772_393_028_082_000))
    for place in 0..<23 {
      for byte in UInt8.min...UInt8.max {
        var text = text
        text[place] = byte
        check(text)
      }
    }
    for byte in UInt8.min...UInt8.max where byte | 0x20 != UInt8(ascii: "z") {
      #expect(instant(text.dropLast() + [byte]) == nil)
    }
    #expect(instant(text.dropLast() + [UInt8(ascii: "z")]) == instant(text))
  }

  @Test func randomTimes() {
    var random = SplitMix64(seed: 7)
    for _ in 0..<20_000 {
      var text = Array("0000-00-00T00:00:00.000Z".utf8)
      for place in text.indices where text[place] == UInt8(ascii: "0") {
        text[place] = UInt8.random(in: 48...57, using: &random)
      }
      // Months, hours and so on are mostly possible ones.
      for place in [5, 8, 11, 14, 17] {
        text[place] = UInt8.random(in: 48...(place == 5 ? 49 : place < 12 ? 50 : 54), using: &random)
      }
      check(text)
    }
  }
}
