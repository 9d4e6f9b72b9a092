// The memory of records: blocks never overlap, and what one size gives back serves another.

import Customers
import ReferenceTesting
import Testing

@Suite struct TailArenaTests {
  private struct Block {
    var address: UnsafeMutableRawPointer
    var capacity: Int
    var mark: UInt8
  }

  private func isWhole(_ block: Block) -> Bool {
    UnsafeRawBufferPointer(start: block.address, count: block.capacity).allSatisfy { $0 == block.mark }
  }

  @Test("blocks keep what is written to them", arguments: testSeeds(30)) func blocksDoNotOverlap(seed: UInt64) {
    var random = Seeded(seed)
    var arena = TailArena()
    var blocks: [Block] = []
    // Few sizes fill slabs and empty them again; many share few slabs.
    let sizes = (0...random.index(40)).map { _ in Int(random.logUniform(1, 20_000)) }
    for step in 0..<3_000 {
      let isGrowing = (step / 500).isMultiple(of: 2)
      if blocks.isEmpty || random.chance(isGrowing ? 0.7 : 0.3) {
        let capacity = TailArena.capacity(for: random.pick(sizes))
        let address = arena.allocate(capacity: capacity)
        #expect(Int(bitPattern: address) % TailArena.granule == 0)
        let mark = UInt8(truncatingIfNeeded: step)
        address.initializeMemory(as: UInt8.self, repeating: mark, count: capacity)
        blocks.append(Block(address: address, capacity: capacity, mark: mark))
      } else {
        let block = blocks.remove(at: random.index(blocks.count))
        #expect(isWhole(block), "seed \(seed), step \(step)")
        arena.deallocate(block.address, capacity: block.capacity)
      }
      #expect(arena.bytesInUse == blocks.reduce(0) { $0 + $1.capacity })
    }
    for block in blocks {
      #expect(isWhole(block), "seed \(seed), at the end")
      arena.deallocate(block.address, capacity: block.capacity)
    }
    #expect(arena.bytesInUse == 0)
  }

  @Test("who grows leaves no memory behind that nobody can use") func growingTogetherDoesNotWaste() {
    var random = Seeded(1)
    var arena = TailArena()
    var sizes = [Int](repeating: 40, count: 3_000)
    var blocks = sizes.map { arena.allocate(capacity: TailArena.capacity(for: $0)) }
    for _ in 0..<200 {
      for place in sizes.indices where random.chance(0.5) {
        let larger = sizes[place] + random.index(24)
        let (old, new) = (TailArena.capacity(for: sizes[place]), TailArena.capacity(for: larger))
        sizes[place] = larger
        guard new != old else { continue }
        arena.deallocate(blocks[place], capacity: old)
        blocks[place] = arena.allocate(capacity: new)
      }
    }
    #expect(arena.bytesReserved < arena.bytesInUse * 5 / 4, "\(arena.bytesReserved) for \(arena.bytesInUse) in use")
    for (block, size) in zip(blocks, sizes) { arena.deallocate(block, capacity: TailArena.capacity(for: size)) }
  }
}
