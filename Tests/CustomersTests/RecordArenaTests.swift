// The memory of records: blocks keep what is written to them wherever they move, and holes are bounded.

import Customers
import ReferenceTesting
import Testing

@Suite struct RecordArenaTests {
  /// Blocks with their owners in memory that does not move.
  private final class Holders {
    let owners: RecordArena.Owner
    private(set) var capacities: [Int]
    private var marks: [UInt8]
    var arena = RecordArena()
    // `#expect` takes no part of what cannot be copied.
    var isCleaningDue: Bool { arena.isCleaningDue }
    var bytesInUse: Int { arena.bytesInUse }
    var bytesReserved: Int { arena.bytesReserved }

    init(count: Int) {
      owners = .allocate(capacity: count)
      owners.initialize(repeating: nil, count: count)
      capacities = [Int](repeating: 0, count: count)
      marks = [UInt8](repeating: 0, count: count)
    }

    deinit {
      for place in capacities.indices { drop(place) }
      owners.deallocate()
    }

    func take(_ place: Int, bytes: Int, mark: UInt8) {
      let capacity = RecordArena.capacity(for: bytes)
      let block = arena.allocate(capacity: capacity, owner: owners + place)
      block.initializeMemory(as: UInt8.self, repeating: mark, count: capacity)
      drop(place)
      owners[place] = block
      capacities[place] = capacity
      marks[place] = mark
    }

    func drop(_ place: Int) {
      guard let block = owners[place] else { return }
      arena.deallocate(block, capacity: capacities[place])
      owners[place] = nil
      capacities[place] = 0
    }

    /// Cleans, and cuts some of the blocks that move.
    func clean(_ random: inout Seeded) {
      let (owners, before) = (owners, capacities)
      var after = before
      arena.clean { owner, capacity in
        let place = owner - owners
        guard capacity == before[place] else { return 0 }
        if random.chance(0.3) {
          after[place] = RecordArena.granule * (1 + random.index(capacity / RecordArena.granule))
        }
        return after[place]
      }
      capacities = after
    }

    func isWhole(_ place: Int) -> Bool {
      guard let block = owners[place] else { return true }
      return Int(bitPattern: block) % RecordArena.granule == 0
        && UnsafeRawBufferPointer(start: block, count: capacities[place]).allSatisfy { $0 == marks[place] }
    }
  }

  @Test("blocks keep what is written to them", arguments: testSeeds(20)) func blocksKeepTheirBytes(seed: UInt64) {
    var random = Seeded(seed)
    let holders = Holders(count: 2_000)
    var cleanings = 0
    for step in 0..<60_000 {
      let place = random.index(2_000)
      // Waves of growth and of leaving.
      if random.chance((step / 10_000).isMultiple(of: 2) ? 0.9 : 0.4) {
        holders.take(
          place, bytes: Int(random.logUniform(1, seed.isMultiple(of: 4) ? 9_000 : 2_500)),
          mark: UInt8(truncatingIfNeeded: step))
      } else {
        holders.drop(place)
      }
      if holders.isCleaningDue || random.chance(0.001) {
        holders.clean(&random)
        cleanings += 1
      }
      if step.isMultiple(of: 5_000) {
        for place in 0..<2_000 { #expect(holders.isWhole(place), "seed \(seed), step \(step), block \(place)") }
        #expect(holders.bytesInUse == holders.capacities.reduce(0, +))
      }
    }
    #expect(cleanings > 10)
    for place in 0..<2_000 {
      #expect(holders.isWhole(place), "seed \(seed), block \(place), at the end")
      holders.drop(place)
    }
    #expect(holders.bytesInUse == 0)
  }

  @Test("who grows leaves little behind") func holesAreBounded() {
    var random = Seeded(1)
    let holders = Holders(count: 8_000)
    var sizes = [Int](repeating: 40, count: 8_000)
    for place in sizes.indices { holders.take(place, bytes: sizes[place], mark: 1) }
    for _ in 0..<100 {
      for place in sizes.indices where random.chance(0.5) {
        sizes[place] += random.index(40)
        if holders.isCleaningDue { holders.arena.clean() }
        if sizes[place] > holders.capacities[place] { holders.take(place, bytes: sizes[place], mark: 1) }
      }
    }
    #expect(!holders.isCleaningDue)
    // A sixth of holes, heads, the ends of segments, and what a chunk has ahead.
    let bound = holders.bytesInUse * 5 / 4 + 1 << 20
    #expect(
      holders.bytesReserved < bound, "\(holders.bytesReserved) for \(holders.bytesInUse) in use")
  }
}
