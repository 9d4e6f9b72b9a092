// Changes on their way to a checkpoint: what goes in comes out, in order, also when the list is used again.

import Customers
import ReferenceTesting
import Testing

@Suite struct ChangeListTests {
  private struct Change: Equatable {
    var key: [UInt8]
    var value: [UInt8]?
  }

  @Test("entries and removals come back in order", arguments: testSeeds(50)) func roundTrip(seed: UInt64) {
    var random = Seeded(seed)
    let list = ChangeList()
    for _ in 0..<3 {
      var expected: [Change] = []
      for _ in 0..<random.index(200) {
        // Long ones too, so that memory grows in the middle.
        let bytes = (0..<random.index(random.chance(0.05) ? 20_000 : 40)).map { _ in UInt8(random.index(256)) }
        let value = random.chance(0.2) ? nil : (0..<random.index(60)).map { _ in UInt8(random.index(256)) }
        func add(_ value: UnsafeRawBufferPointer?) {
          bytes.withUnsafeBytes { random.chance(0.5) ? list.append(key: $0, value: value) : add(kind: 7, $0, value) }
        }
        func add(kind: UInt8, _ key: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer?) {
          list.append(kind: kind, key: key, value: value)
          expected.append(Change(key: [kind] + key, value: value.map { Array($0) }))
        }
        let before = expected.count
        if let value { value.withUnsafeBytes { add($0) } } else { add(nil) }
        if expected.count == before { expected.append(Change(key: bytes, value: value)) }
      }
      #expect(list.count == expected.count && list.isEmpty == expected.isEmpty)
      var found: [Change] = []
      list.readEntries { key, value in found.append(Change(key: Array(key), value: value.map { Array($0) })) }
      #expect(found == expected)
      list.removeAll()
      list.readEntries { _, _ in Issue.record("an emptied list has an entry") }
    }
  }
}
