// A number in place of an id's first bytes: it must never contradict the order of the ids.

import Events
import Testing

@Suite struct SortingPrefixTests {
  @Test("a smaller number belongs to a smaller id, an equal one decides nothing") func order() {
    var generator = SystemRandomNumberGenerator()
    // Few, so that ids begin alike and are prefixes of each other.
    let bytes: [UInt8] = [0, 1, 0x61, 0x7f, 0x80, 0xff]
    func id() -> [UInt8] {
      (0..<Int.random(in: 0...12, using: &generator)).map { _ in bytes[Int.random(in: 0..<6, using: &generator)] }
    }
    for _ in 0..<20_000 {
      let (a, b) = (id(), id())
      let (first, second) = (a.withUnsafeBytes { sortingPrefix(of: $0) }, b.withUnsafeBytes { sortingPrefix(of: $0) })
      if first < second { #expect(a.lexicographicallyPrecedes(b), "\(a) \(b)") }
      if a == b { #expect(first == second) }
    }
  }

  @Test func bytesAreTheNumbersDigits() {
    #expect(Array("abcdefghij".utf8).withUnsafeBytes { sortingPrefix(of: $0) } == 0x6162_6364_6566_6768)
    #expect(Array("ab".utf8).withUnsafeBytes { sortingPrefix(of: $0) } == 0x6162_0000_0000_0000)
    #expect([UInt8]().withUnsafeBytes { sortingPrefix(of: $0) } == 0)
  }
}
