// Compressed entries: what goes in comes out, and frames that are right by their checksums and wrong inside are damage.
import Checkpoint
import CheckpointTesting
import Testing

@Suite struct CompressionTests {
  /// A small state whose entries compress.
  private func sample() throws -> (disk: ModelDisk, state: State) {
    var changes = Epoch()
    for number in 0..<6 {
      changes.changes.append(
        (Bytes("customer-\(number)".utf8), Bytes(repeating: UInt8(number), count: 40) + [7, 8, 9]))
    }
    return try forgeable(changes)
  }

  @Test(arguments: [log, base]) func everyChangedByteIsDamageOrOtherValues(path: String) throws {
    let (disk, state) = try sample()
    let forgery = try Forgery(disk, path)
    let good = try forgery.outcome(disk, forgery.bytes(forgery.content))
    #expect(good == state, "the forger changes nothing by himself")
    var refused = 0
    for at in forgery.content.indices {
      for mask in [0x01, 0x10, 0x80, 0xFF] as [UInt8] {
        var content = forgery.content
        content[at] ^= mask
        guard let other = try forgery.outcome(disk, forgery.bytes(content)) else {
          refused += 1
          continue
        }
        #expect(other.count <= state.count, "byte \(at)")
      }
    }
    #expect(refused > forgery.content.count)
  }

  @Test(arguments: [log, base]) func onlyOneWholeFrameIsTaken(path: String) throws {
    let (disk, _) = try sample()
    let forgery = try Forgery(disk, path)
    let content = forgery.content
    for count in 0..<content.count {
      #expect(try forgery.outcome(disk, forgery.bytes(Array(content.prefix(count)))) == nil, "cut to \(count)")
    }
    // An empty frame behind or before it, and one to be skipped: the library takes them.
    let empty: Bytes = [0x28, 0xB5, 0x2F, 0xFD, 0x20, 0x00, 0x01, 0x00, 0x00]
    let skipped: Bytes = [0x50, 0x2A, 0x4D, 0x18, 0x01, 0x00, 0x00, 0x00, 0x00]
    for other in [content + empty, empty + content, content + skipped, skipped + content, content + [0]] {
      #expect(try forgery.outcome(disk, forgery.bytes(other)) == nil)
    }
  }

  @Test(arguments: [log, base]) func aFalseLengthIsDamage(path: String) throws {
    let (disk, state) = try sample()
    let forgery = try Forgery(disk, path)
    let plain = state.reduce(0) { $0 + 6 + $1.key.count + $1.value.count }
    #expect(try forgery.outcome(disk, forgery.bytes(forgery.content, plainBytes: UInt64(plain))) == state)
    let lengths = [
      0, 1, forgery.content.count - 1, forgery.content.count, plain - 1, plain + 1, 1 << 20, 1 << 24, 1 << 30,
      Int(UInt32.max),
    ]
    for length in lengths {
      #expect(
        try forgery.outcome(disk, forgery.bytes(forgery.content, plainBytes: UInt64(length))) == nil, "\(length)")
    }
    if path == base {
      #expect(try forgery.outcome(disk, forgery.bytes(forgery.content, plainBytes: .max)) == nil)
    }
  }

  /// Entries in the order written, through log and base; one store for all, whose memory is used again.
  @Test(arguments: 0..<12 as Range<UInt64>) func everyEpochComesBack(seed: UInt64) throws {
    var random = SeededGenerator(seed: seed)
    let disk = ModelDisk(seed: seed)
    let store = try openNewest(disk)
    var state: State = [:]
    var written: [(key: Bytes, value: Bytes?)] = []
    for epoch in 0..<8 as Range<UInt64> {
      var changes = Epoch()
      for _ in 0..<[0, 1, 30, 300].randomElement(using: &random)! {
        let key = noise(Int.random(in: 0...20, using: &random), seed: random.next() % 40)
        let count = [0, 3, 60, 2000].randomElement(using: &random)!
        switch Int.random(in: 0..<4, using: &random) {
        case 0: changes.changes.append((key, nil))
        case 1: changes.changes.append((key, noise(count, seed: random.next())))
        default:
          changes.changes.append((key, Bytes(repeating: UInt8.random(in: 0...255, using: &random), count: count)))
        }
      }
      if epoch == 4 {
        let huge = 3_000_000
        changes.changes.append(([9], seed % 2 == 0 ? noise(huge) : Bytes(repeating: 9, count: huge)))
      }
      if epoch % 3 == 2 { changes.outbox = noise(Int.random(in: 0...50, using: &random)) }
      try store.commit(changes, header(epoch))
      changes.apply(to: &state)
      written += changes.changes

      var read: [(key: Bytes, value: Bytes?)] = []
      try store.restore { read.append((Bytes($0), $1.map { Bytes($0) })) }
      #expect(read.elementsEqual(written) { $0.key == $1.key && $0.value == $1.value }, "epoch \(epoch)")
      #expect(try store.outbox(of: epoch) == changes.outbox)

      let block = try store.block(of: epoch)
      let bytes = try #require(disk.contents(of: "\(directory)/\(block.file)"))
      let parts = Parts(bytes[Int(block.offset)...])
      #expect(parts.plainBytes == changes.changes.reduce(0) { $0 + 6 + $1.key.count + ($1.value?.count ?? 0) })
      #expect(parts.storedBytes <= parts.plainBytes)
      #expect(block.bytes == parts.headBytes + parts.storedBytes + (changes.outbox?.count ?? 0))
    }
    #expect(try store.rewriteNow())
    #expect(try store.state() == state)
    #expect(try PartitionReport.verify(directory, on: disk).liveKeyCount == UInt64(state.count))
  }

  @Test func whatRepeatsIsSmallAndWhatDoesNotIsStoredAsItIs() throws {
    func sizes(_ value: Bytes) throws -> (block: Parts, base: Int) {
      let disk = ModelDisk(seed: 1)
      let store = try openNewest(disk)
      try store.commit(Epoch(changes: [([1], value)]), header(0))
      let parts = Parts(try #require(disk.contents(of: log))[64...])
      #expect(try store.rewriteNow())
      return (parts, try #require(disk.contents(of: base)).count)
    }
    let same = try sizes(Bytes(repeating: 1, count: 100_000))
    #expect(same.block.storedBytes < 100 && same.base < 700)
    let noise = try sizes(noise(100_000))
    #expect(noise.block.storedBytes == 100_007 && noise.block.plainBytes == 100_007)
    #expect(noise.base > 100_000)
  }

  /// The chain covers the compressed bytes: what is written again after an abort has to be the same.
  @Test func theSameEntriesGiveTheSameTag() throws {
    var random = SeededGenerator(seed: 3)
    let one = try openNewest(ModelDisk(seed: 1))
    let other = try openNewest(ModelDisk(seed: 2))
    // The other one's memory has seen something else before.
    _ = try other.write(Epoch(changes: [([1], noise(200_000)), ([2], Bytes(repeating: 3, count: 90_000))]), header(0))
    try other.truncate(after: nil)
    for epoch in 0..<20 as Range<UInt64> {
      let changes = Epoch.random(using: &random)
      #expect(try one.commit(changes, header(epoch)) == other.commit(changes, header(epoch)))
    }
  }
}
