// Tables from which customers and stubs are taken out, against plain dictionaries.

import Customers
import ReferenceTesting
import Testing

struct TableRemovalTests {
  /// What a table should hold: each customer with the number it was given.
  private final class Model {
    var customers: [[UInt8]: UInt32] = [:]
    var saved: [[UInt8]: [UInt8]] = [:]
    /// What was copied since the last save.
    let changes = ChangeList()
  }

  private func save(_ table: inout CustomerTable, into model: Model) {
    let list = model.changes
    table.drainRemoved { list.append(kind: 6, key: $0, value: nil) }
    table.takeDirty(into: list, kind: 6)
    var count = 0
    var removed: Set<[UInt8]> = []
    list.readEntries { key, encoded in
      let id = Array(key.dropFirst())
      if encoded == nil { removed.insert(id) } else { #expect(!removed.contains(id), "one entry a key") }
      model.saved[id] = encoded.map { Array($0) }
      count += 1
    }
    #expect(count == list.count)
    list.removeAll()
  }

  private func check(_ table: borrowing CustomerTable, _ model: Model, _ label: String) throws {
    try #require(table.count == model.customers.count, "\(label)")
    var seen: Set<[UInt8]> = []
    for number in 0..<UInt32(table.slotCount) {
      let index = CustomerIndex(number: number)
      if table.isFree(index) { continue }
      let id = Array(table.record(index).id)
      seen.insert(id)
      try #require(model.customers[id] == table.record(index).header.sequence, "\(label)")
    }
    try #require(seen.count == model.customers.count, "\(label)")
  }

  @Test func anyOrderOfInsertionsAndRemovalsLeavesWhatADictionaryHolds() throws {
    for seed in testSeeds(40) {
      var random = Seeded(seed)
      // Many ids: the index grows. Few: places are taken again and again.
      let population = random.pick([40, 400, 6_000])
      let model = Model()
      // Small buckets split all the time; where the directory may not grow, all of them double.
      let bits = random.pick([2, 3, 6, 11])
      let depth = random.pick([1, 2, 6, 21])
      var table = CustomerTable(seed: seed, bucketBits: bits, maxDepth: depth)
      var restored = CustomerTable(seed: seed ^ 1, bucketBits: bits, maxDepth: depth)
      var number: UInt32 = 0
      var most = 0
      for step in 0..<population * 4 {
        let name = "customer-\(random.index(population))"
        let id = Array(name.utf8)
        let found = id.withUnsafeBytes { table.find($0) }
        try #require((found != nil) == (model.customers[id] != nil), "seed \(seed), step \(step)")
        // Now filling, now emptying.
        let removes = random.index(100) < (step / population % 2 == 0 ? 15 : 70)
        if let found, removes {
          table.remove(found)
          model.customers[id] = nil
          try #require(id.withUnsafeBytes { table.find($0) } == nil)
        } else {
          let (index, isNew) = id.withUnsafeBytes { table.findOrInsert($0, tagCount: 2) }
          try #require(isNew == (found == nil))
          number += 1
          if isNew {
            #expect(table.record(index).header.sequence == 0 && table.record(index)[tag: 1] == 0, "nothing is left")
          }
          table.record(index).header.sequence = number
          table.record(index)[tag: 1] = number & 0xff
          table.markDirty(index)
          model.customers[id] = number
        }
        most = max(most, table.count)
        // In between some are copied ahead, and change again, or go.
        if random.index(8) == 0 { table.takeDirtyAhead(into: model.changes, kind: 6, leaving: random.index(30)) }
        if random.index(population) == 0 {
          save(&table, into: model)
          #expect(model.saved.count == model.customers.count, "seed \(seed), step \(step)")
        }
      }
      try check(table, model, "seed \(seed)")
      try #require(table.slotCount == most, "places are taken again")
      for (id, number) in model.customers {
        let index = try #require(id.withUnsafeBytes { table.find($0) })
        try #require(table.record(index).header.sequence == number)
      }

      save(&table, into: model)
      try #require(Set(model.saved.keys) == Set(model.customers.keys))
      // Read as a log: customers come, go, and come again; some are gone in the end.
      var kept: [[UInt8]] = []
      for (id, encoded) in model.saved.sorted(by: { $0.key.lexicographicallyPrecedes($1.key) }) {
        let isKept = random.index(4) > 0
        for round in 0..<1 + random.index(3) {
          if round > 0 { id.withUnsafeBytes { restored.restoreRemoval(id: $0) } }
          try id.withUnsafeBytes { id in try encoded.withUnsafeBytes { try restored.restore(id: id, encoded: $0) } }
        }
        if isKept {
          kept.append(id)
        } else {
          for _ in 0...random.index(2) { id.withUnsafeBytes { restored.restoreRemoval(id: $0) } }
          model.customers[id] = nil
        }
      }
      try #require(restored.count == model.customers.count, "seed \(seed)")
      restored.endRestore()
      try #require(restored.slotCount == model.customers.count, "seed \(seed)")
      try check(restored, model, "seed \(seed), restored")
      for (id, _) in model.saved {
        let found = id.withUnsafeBytes { restored.find($0) }
        #expect((found != nil) == (model.customers[id] != nil), "seed \(seed)")
      }
      let order = (0..<UInt32(restored.slotCount)).map { Array(restored.record(CustomerIndex(number: $0)).id) }
      #expect(order == kept, "seed \(seed): not in the order of the entries")
      var changes = 0
      restored.drainRemoved { _ in changes += 1 }
      let list = ChangeList()
      restored.takeDirty(into: list, kind: 6)
      #expect(changes == 0 && list.isEmpty, "a restored table has nothing to write")
    }
  }

  @Test func memoryOfTheRemovedIsUsedAgain() {
    var table = CustomerTable(seed: 3)
    var reserved = 0
    for round in 0..<20 {
      for customer in 0..<5_000 {
        let id = Array("\(round)-\(customer)".utf8)
        _ = id.withUnsafeBytes { table.findOrInsert($0, tagCount: 8) }
      }
      for number in 0..<UInt32(table.slotCount) { table.remove(CustomerIndex(number: number)) }
      table.drainRemoved { _ in }
      if round == 0 { reserved = table.bytesInUse }
      #expect(table.count == 0)
    }
    #expect(table.bytesInUse <= reserved + 1 << 20, "\(table.bytesInUse) bytes, after the first round \(reserved)")
    #expect(table.bytesNeeded < table.bytesInUse)
  }

  @Test func stubsAreWhatADictionaryHolds() throws {
    for seed in testSeeds(60) {
      var random = Seeded(seed ^ 0x57b)
      var stubs = StubTable()
      var model: [UInt64: CustomerStub] = [:]
      var saved: [UInt64: CustomerStub] = [:]
      // Few hashes, next to each other and at both ends: long runs that go around the end of the table.
      let hashes = (0..<random.pick([6, 60, 900])).map { _ -> UInt64 in
        let low = UInt64(random.index(40))
        return random.pick([low, .max - low, UInt64.random(in: 1...UInt64.max, using: &random)])
      }.filter { $0 != 1 }  // shares its place with 0
      guard !hashes.isEmpty else { continue }
      for step in 0..<3_000 {
        let hash = random.pick(hashes)
        try #require(stubs.find(hash) == model[hash], "seed \(seed), step \(step)")
        if random.index(100) < (step / 500 % 2 == 0 ? 25 : 75) {
          try #require(stubs.take(hash) == model.removeValue(forKey: hash), "seed \(seed), step \(step)")
        } else {
          let stub = CustomerStub(sequence: UInt32(random.index(100)), alertNumber: UInt32(random.index(5)))
          stubs.insert(hash, stub)
          let known = model[hash] ?? stub
          model[hash] = CustomerStub(
            sequence: max(stub.sequence, known.sequence), alertNumber: max(stub.alertNumber, known.alertNumber))
        }
        try #require(stubs.count == model.count, "seed \(seed), step \(step)")
        if random.index(200) == 0 { stubs.drainChanges { saved[$0] = $1 } }
      }
      stubs.drainChanges { saved[$0] = $1 }
      #expect(stubs.hasChanges == false)
      var restored = StubTable()
      for (hash, stub) in saved {
        restored.restore(hash, CustomerStub(sequence: 9, alertNumber: 9))
        if random.index(2) == 0 { restored.restore(hash, nil) }
        restored.restore(hash, stub)
      }
      for hash in hashes { try #require(restored.find(hash) == model[hash], "seed \(seed)") }
      #expect(restored.count == model.count && !restored.hasChanges)
    }
  }
}
