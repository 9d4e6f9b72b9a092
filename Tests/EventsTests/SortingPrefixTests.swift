// Numbers in place of an id's first bytes: they must never contradict the order of the ids.

import Events
import Testing

@Suite struct SortingPrefixTests {
  private func prefix(_ id: [UInt8]) -> SortingPrefix { id.withUnsafeBytes { SortingPrefix(of: $0) } }

  @Test("a smaller prefix belongs to a smaller id, an equal one decides nothing") func order() {
    var generator = SystemRandomNumberGenerator()
    // Few, so that ids begin alike and are prefixes of each other.
    let bytes: [UInt8] = [0, 1, 0x61, 0x7f, 0x80, 0xff]
    func id(like other: [UInt8]) -> [UInt8] {
      other.prefix(Int.random(in: 0...20, using: &generator))
        + (0..<Int.random(in: 0...12, using: &generator)).map { _ in bytes[Int.random(in: 0..<6, using: &generator)] }
    }
    var decided = 0
    for _ in 0..<20_000 {
      let a = id(like: [])
      let b = id(like: a)
      if prefix(a) < prefix(b) {
        #expect(a.lexicographicallyPrecedes(b), "\(a) \(b)")
        decided += 1
      }
      if a == b { #expect(prefix(a) == prefix(b)) }
      let isBefore = a.withUnsafeBytes { a in b.withUnsafeBytes { a.precedes($0) } }
      #expect(isBefore == a.lexicographicallyPrecedes(b), "\(a) \(b)")
    }
    #expect(decided > 1_000)
  }

  @Test func sixteenBytesDecide() {
    #expect(prefix(Array("0123456789abcdef".utf8)) < prefix(Array("0123456789abcdeg".utf8)))
    #expect(prefix(Array("0123456789abcdefa".utf8)) == prefix(Array("0123456789abcdefb".utf8)))
    #expect(prefix(Array("customer".utf8)) < prefix(Array("customer1".utf8)))
    #expect(prefix([]) == SortingPrefix())
  }
}
