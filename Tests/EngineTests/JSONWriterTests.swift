// The JSON writer against Foundation's reader and the plain formatting it replaces.

import Engine
import Events
import Foundation
import ReferenceTesting
import Testing

@Suite struct JSONWriterTests {
  private func parsed(_ json: borrowing JSONWriter) throws -> Any {
    try JSONSerialization.jsonObject(with: Data(json.bytes), options: .fragmentsAllowed)
  }

  @Test("any string comes back", arguments: testSeeds(300)) func strings(seed: UInt64) throws {
    var random = Seeded(seed)
    let alphabet: [Character] = [
      "a", "Z", "7", " ", "\"", "\\", "\n", "\t", "\u{1}", "\u{1f}", "\u{7f}", "é", "中", "🙂",
    ]
    let plain = random.chance(0.75)
    let text = String(
      (0..<random.index(41)).map { _ in plain && random.chance(0.9) ? "x" : random.pick(alphabet) })
    var json = JSONWriter()
    json.string(text)
    #expect(try parsed(json) as? String == text)
  }

  @Test("integers, money and hex are exact", arguments: testSeeds(300)) func numbers(seed: UInt64) throws {
    var random = Seeded(seed)
    let value = Int64(bitPattern: random.next()) >> random.int(0...63)
    var json = JSONWriter()
    json.integer(value)
    #expect(String(decoding: json.bytes, as: UTF8.self) == "\(value)")

    json.removeAll()
    json.hex(UInt64(bitPattern: value))
    let hex = String(UInt64(bitPattern: value), radix: 16)
    #expect(String(decoding: json.bytes, as: UTF8.self) == String(repeating: "0", count: 16 - hex.count) + hex)

    json.removeAll()
    json.money(minor: value, exponent: 2)
    let magnitude = value.magnitude
    let cents = magnitude % 100
    #expect(
      String(decoding: json.bytes, as: UTF8.self)
        == "\(value < 0 ? "-" : "")\(Int64(clamping: magnitude / 100)).\(cents < 10 ? "0" : "")\(cents)")
  }

  @Test("doubles read back as themselves", arguments: testSeeds(300)) func doubles(seed: UInt64) throws {
    var random = Seeded(seed)
    let value =
      seed % 2 == 0
      ? Double(bitPattern: random.next()) : Double(random.int(0...1_000_000)) / Double(random.int(1...997))
    var json = JSONWriter()
    json.double(value)
    let text = String(decoding: json.bytes, as: UTF8.self)
    if value.isFinite {
      #expect(Double(text) == value, "\(text)")
      #expect(try parsed(json) is NSNumber, "\(text)")
    } else {
      #expect(text == "null")
    }
  }

  @Test("six decimals are what the plain way makes of them", arguments: testSeeds(300)) func sixDecimals(seed: UInt64) {
    var random = Seeded(seed)
    for _ in 0..<50 {
      let size = random.pick([1e-9, 1e-6, 1e-4, 1e-3, 0.01, 1, 1, 10, 1e6, 1e9, 1e15, 1e300] as [Double])
      var value = Double(random.int(-1_000_000...1_000_000)) / 1e6 * size
      if random.chance(0.05) { value = random.pick([.nan, .infinity, -.infinity, 0, -0.0, 0.001, 0.0009995, 1, -0.5]) }
      var fast = JSONWriter()
      var plain = JSONWriter()
      fast.rounded(value)
      plain.double((value * 1e6).rounded() / 1e6)
      #expect(fast.bytes.elementsEqual(plain.bytes), "\(value)")
      fast.integer(1)
      plain.integer(1)
      #expect(fast.bytes.elementsEqual(plain.bytes), "\(value) and then another")
    }
  }

  @Test("instants as the plain formatter writes them, whatever came before", arguments: testSeeds(100))
  func instants(seed: UInt64) {
    var random = Seeded(seed)
    var json = JSONWriter()
    for _ in 0..<20 {
      // Near each other, so that days and whole instants repeat; at times far away, also beyond the year 9999.
      let base: Int64 = random.chance(0.1) ? Int64(bitPattern: random.next()) : 1_772_368_496_000_000
      let span = random.pick([1, 1_000, 86_400_000_000, 4_000_000_000_000] as [Int64])
      let instant = Instant(microseconds: base &+ random.int(-span...span))
      var expected: [UInt8] = [UInt8(ascii: "\"")]
      expected.appendRFC3339(instant)
      expected.append(UInt8(ascii: "\""))
      json.removeAll()
      json.instant(instant)
      #expect(Array(json.bytes) == expected, "\(instant.microseconds)")
    }
  }
}
