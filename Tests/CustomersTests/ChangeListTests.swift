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
        // Long ones too, so that memory grows in the middle, and some that fit into nothing that is there.
        let most = random.chance(0.01) ? 600_000 : random.chance(0.05) ? 20_000 : 40
        let bytes = [UInt8](repeating: UInt8(random.index(256)), count: random.index(most))
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

  @Test("who is copied ahead and changes again has one entry, the last one") func copiedAhead() throws {
    for seed in testSeeds(40) {
      var random = Seeded(seed)
      var table = CustomerTable(seed: seed)
      let list = ChangeList()
      // What a checkpoint should hold of the open epoch: who changed in it.
      var expected: [[UInt8]: UInt32] = [:]
      var number: UInt32 = 0
      for _ in 0..<random.index(3_000) {
        let id = Array("customer-\(random.index(random.chance(0.5) ? 5 : 500))".utf8)
        let (index, _) = id.withUnsafeBytes { table.findOrInsert($0, tagCount: 1) }
        number += 1
        table.markDirty(index)
        table.record(index).header.sequence = number
        expected[id] = number
        if random.chance(0.05) {
          let leaving = random.index(20)
          let before = table.dirtyCount
          table.takeDirtyAhead(into: list, kind: 6, leaving: leaving)
          #expect(table.dirtyCount == min(leaving, before))
          #expect(list.count + table.dirtyCount >= expected.count)
        }
        guard random.chance(0.002) else { continue }
        table.takeDirty(into: list, kind: 6)
        #expect(table.dirtyCount == 0)
        var saved = CustomerTable(seed: 1)
        var found: [[UInt8]: UInt32] = [:]
        try list.readEntries { key, encoded in
          let id = Array(key.dropFirst())
          let index = try id.withUnsafeBytes { id in
            if let encoded { try saved.restore(id: id, encoded: encoded) }
            return saved.find(id)
          }
          let sequence = saved.record(try #require(index)).header.sequence
          #expect(found.updateValue(sequence, forKey: id) == nil, "seed \(seed): two entries of one customer")
        }
        try #require(found == expected, "seed \(seed)")
        #expect(list.count == found.count)
        list.removeAll()
        expected = [:]
      }
    }
  }
}
