// Tables that become large: everybody is found at every size, and no insertion pays for those who came before.

import Customers
import ReferenceTesting
import Testing

struct TableGrowthTests {
  private func find(_ number: Int, in table: borrowing CustomerTable) -> CustomerIndex? {
    Array("customer-\(number)".utf8).withUnsafeBytes { table.find($0) }
  }

  private func insert(_ number: Int, in table: inout CustomerTable) -> CustomerIndex {
    Array("customer-\(number)".utf8).withUnsafeBytes { table.findOrInsert($0, tagCount: 4).index }
  }

  @Test func memoryGrowsInSmallSteps() throws {
    var table = CustomerTable(seed: 7)
    var before = table.bytesNeeded
    var largest = 0
    for number in 0..<300_000 {
      _ = insert(number, in: &table)
      largest = max(largest, table.bytesNeeded - before)
      before = table.bytesNeeded
    }
    // A bucket of 16 kB, and now and then the directory's doubling.
    #expect(largest <= 32 << 10, "one insertion took \(largest) bytes")
    #expect(before / 300_000 < 200, "\(before / 300_000) bytes a customer")
  }

  @Test func everybodyIsFoundWhileManyComeAndGo() throws {
    for seed in testSeeds(4) {
      var random = Seeded(seed ^ 0x6770)
      var table = CustomerTable(seed: seed)
      var model: [Int: CustomerIndex] = [:]
      var gone: [Int] = []
      for number in 0..<60_000 {
        model[number] = insert(number, in: &table)
        // One of those before goes, or one who went comes back.
        if random.index(4) == 0 {
          let other = random.index(number + 1)
          if let index = model.removeValue(forKey: other) {
            try #require(find(other, in: table) == index, "seed \(seed), \(other) of \(number)")
            table.remove(index)
            gone.append(other)
          }
        } else if random.index(4) == 0, let other = gone.popLast(), model[other] == nil {
          model[other] = insert(other, in: &table)
        }
      }
      try #require(table.count == model.count)
      for number in 0..<60_000 { try #require(find(number, in: table) == model[number], "seed \(seed), \(number)") }
    }
  }
}
