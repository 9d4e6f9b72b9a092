// Rewrites of logs that are larger than what is read at a time, against a dictionary.
import Checkpoint
import CheckpointTesting
import Testing

@Suite struct RewriteTests {
  /// Blocks of 200 bytes and blocks of several MiB, keys that come again within a block, in the next one and many blocks
  /// later, removals, and removed keys that come back. The second rewrite has a base below its log.
  @Test(arguments: 1...3) func theLatestOfEachKeyIsKeptOutOfALongLog(seed: UInt64) throws {
    let disk = ModelDisk(seed: seed)
    let store = try openNewest(disk)
    var random = SeededGenerator(seed: seed)
    var state: State = [:]
    var epoch: UInt64 = 0
    for _ in 0..<2 {
      for number in 0..<40 {
        var changes = Epoch()
        let isLarge = number % 8 == 4
        for _ in 0..<(isLarge ? 2_500 : Int.random(in: 0...3, using: &random)) {
          let key = Bytes("customer-\(Int.random(in: 0..<20_000, using: &random))".utf8)
          let isRemoved = Int.random(in: 0..<5, using: &random) == 0
          let count = Int.random(in: 0...1_500, using: &random)
          changes.changes.append((key, isRemoved ? nil : noise(count, seed: random.next())))
          if Int.random(in: 0..<10, using: &random) == 0 { changes.changes.append((key, isRemoved ? [1] : nil)) }
        }
        changes.apply(to: &state)
        try store.commit(changes, header(epoch))
        epoch += 1
      }
      #expect(store.logBytes > 4 << 20)
      #expect(try store.rewriteNow())
      #expect(try store.state() == state)
      #expect(try store.block(of: epoch - 1).entryCount == UInt64(state.count))
      #expect(try openNewest(disk.copy(seed: 9)).state() == state)
    }
    #expect(try PartitionReport.verify(directory, on: disk).isSound)
  }
}
