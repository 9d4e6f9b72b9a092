// Bytes that are not what was written: every single bit, every cut, every missing or foreign file.
import Checkpoint
import CheckpointTesting
import Testing

/// A small directory with two generations and three blocks behind the newest base, and all its states.
private struct Sample {
  let disk = ModelDisk(seed: 1)
  let states: [State]
  let outboxes: [Bytes?]
  let newest: UInt64 = 6

  init(valueBytes: Int = 5, isNoise: Bool = false) throws {
    let store = try openNewest(disk)
    var state: State = [:]
    var states: [State] = []
    var outboxes: [Bytes?] = []
    for epoch in UInt64(0)...6 {
      var changes = Epoch()
      changes.changes.append(
        (
          [UInt8(epoch % 3)],
          isNoise ? noise(valueBytes, seed: epoch) : Bytes(repeating: UInt8(epoch), count: valueBytes)
        ))
      if epoch == 5 { changes.changes.append(([0], nil)) }
      if epoch % 2 == 0 { changes.outbox = [UInt8(epoch), 0xEE] }
      changes.apply(to: &state)
      try store.commit(changes, header(epoch))
      states.append(state)
      outboxes.append(changes.outbox)
      if epoch == 1 || epoch == 3 { #expect(try store.rewriteNow()) }
    }
    self.states = states
    self.outboxes = outboxes
  }

  /// Opens and restores; returns the newest epoch, having checked that the state is what it was at that epoch.
  func check(_ disk: ModelDisk) throws -> (epoch: UInt64?, tornTail: TornTail?) {
    let store = try PartitionStore(opening: directory, on: disk)
    if let epoch = store.newestEpoch {
      let state = try store.state()
      #expect(state == states[Int(epoch)])
      if store.epochs != epoch...epoch { #expect(try store.outbox(of: epoch) == outboxes[Int(epoch)]) }
      #expect(try store.block(of: epoch).header == header(epoch))
    }
    return (store.newestEpoch, store.tornTail)
  }
}

private let lastLog = directory + "/log-000000000004.tw"
private let lastBase = directory + "/base-000000000003.tw"

/// Every bit; in slow builds every fifth, which still comes by all positions in a byte.
#if DEBUG
  private let bitStep = 5
#else
  private let bitStep = 1
#endif

@Suite struct DamageTests {
  /// Entries as they are, and compressed ones.
  @Test(arguments: [5, 60]) func everyFlippedBitIsFound(valueBytes: Int) throws {
    let sample = try Sample(valueBytes: valueBytes)
    let start = try PartitionReport.inspect(directory, on: sample.disk)
    #expect(start.files.map(\.name).filter { $0 != "lock" }.count == 4)
    let lastBlock = try #require(start.blocks.last)
    var damaged = 0
    var torn = 0
    for path in sample.disk.paths where path.hasSuffix(".tw") {
      let isCurrent = path == lastLog || path == lastBase
      for bit in stride(from: 0, to: (sample.disk.contents(of: path)?.count ?? 0) * 8, by: bitStep) {
        sample.disk.flipBit(bit, of: path)
        defer { sample.disk.flipBit(bit, of: path) }
        do {
          let (epoch, tail) = try sample.check(sample.disk)
          let isInLastBlock = path == lastLog && UInt64(bit / 8) >= lastBlock.offset
          #expect((tail != nil) == isInLastBlock, "bit \(bit) of \(path)")
          #expect(epoch == (isInLastBlock ? sample.newest - 1 : sample.newest), "bit \(bit) of \(path)")
          #expect(!isCurrent || isInLastBlock, "bit \(bit) of \(path) went unnoticed")
          if isInLastBlock { torn += 1 }
        } catch {
          let found = try #require(damage(of: error), "\(error)")
          #expect(isCurrent && found.path == path && found.offset <= UInt64(bit / 8))
          damaged += 1
        }
        // Verifying finds it in the older generation too.
        let report = try PartitionReport.verify(directory, on: sample.disk)
        #expect(!report.isSound || report.tornTail != nil, "bit \(bit) of \(path) went unnoticed")
        if let found = report.firstDamage { #expect(found.path == path) }
      }
    }
    #expect(torn >= lastBlock.bytes)
    #expect(damaged > torn)
  }

  @Test func aCutLogIsATornTailAndACutBaseIsDamage() throws {
    let sample = try Sample()
    for path in [lastLog, lastBase] {
      let whole = try #require(sample.disk.contents(of: path))
      for count in 0..<whole.count {
        sample.disk.setContents(Array(whole[..<count]), of: path)
        do {
          let (epoch, tail) = try sample.check(sample.disk)
          #expect(path == lastLog && count >= 64)
          let blocks = try PartitionReport.inspect(directory, on: sample.disk).blocks
          let end = blocks.last.map { $0.isBase ? 64 : $0.offset + UInt64($0.bytes) }
          #expect((tail == nil) == (end == UInt64(count)))
          #expect(tail?.offset == (tail == nil ? nil : end))
          #expect(epoch ?? 0 < sample.newest)
        } catch { #expect(damage(of: error)?.path == path, "\(error)") }
      }
      sample.disk.setContents(whole, of: path)
    }
  }

  @Test func aTornTailIsCutAndOverwritten() throws {
    let sample = try Sample()
    let whole = try #require(sample.disk.contents(of: lastLog))
    for fill in [0, 1, 100, 5000] {
      let disk = sample.disk.copy(seed: 1)
      disk.setContents(whole.dropLast(3) + Bytes(repeating: 0, count: fill), of: lastLog)
      do {
        let store = try PartitionStore(opening: directory, on: disk)
        #expect(store.tornTail?.path == lastLog)
        #expect(disk.contents(of: lastLog)?.count == whole.count - 3 + fill, "opening changes nothing")
        try store.truncate(after: store.newestEpoch)
        #expect(store.tornTail == nil)
        try store.commit(Epoch(changes: [([9], [9])]), header(6))
      }
      disk.crash()
      let store = try PartitionStore(opening: directory, on: disk)
      #expect(store.tornTail == nil)
      var expected = sample.states[5]
      expected[[9]] = [9]
      #expect(try store.state() == expected)
    }
  }

  @Test func aValueThatLooksLikeABlockFeignsNothing() throws {
    let sample = try Sample()
    let other = ModelDisk(seed: 1)
    try openNewest(other).commit(
      Epoch(changes: [([1], [1])]), header(5, lineage: Lineage(high: 1, low: 2)))
    let feigned = try #require(other.contents(of: directory + "/log-000000000005.tw"))
    try openNewest(sample.disk).commit(Epoch(changes: [([1], feigned)]), header(7))
    let whole = try #require(sample.disk.contents(of: lastLog))
    sample.disk.setContents(whole.dropLast(2), of: lastLog)
    let (epoch, tail) = try sample.check(sample.disk)
    #expect(epoch == 6)
    #expect(tail != nil)
  }

  @Test func damageBelowAWholeBlockIsNeverATornTail() throws {
    // Large blocks, so that the search for a whole one crosses its window.
    let sample = try Sample(valueBytes: 700_000, isNoise: true)
    let blocks = try PartitionReport.inspect(directory, on: sample.disk).blocks
    let middle = blocks[blocks.count - 2]
    var bytes = try #require(sample.disk.contents(of: lastLog))
    for index in 0..<400_000 { bytes[Int(middle.offset) + index] = 0 }
    sample.disk.setContents(bytes, of: lastLog)
    #expect {
      try sample.check(sample.disk)
    } throws: { error in
      damage(of: error)?.offset == middle.offset
        && "\(error)".contains("yet a whole block follows at byte \(blocks[blocks.count - 1].offset)")
    }
  }

  @Test func missingFilesAreDamage() throws {
    let sample = try Sample()
    func without(_ names: String...) throws -> Damage? {
      let disk = sample.disk.copy(seed: 1)
      for name in names { disk.setContents(nil, of: directory + "/" + name) }
      do {
        let (epoch, _) = try sample.check(disk)
        #expect(epoch == sample.newest)
        return nil
      } catch { return try #require(damage(of: error) as Damage?) }
    }
    #expect(try without("base-000000000001.tw") == nil)
    #expect(try without("base-000000000001.tw", "log-000000000002.tw") == nil)
    #expect(try without("base-000000000003.tw") == nil, "the older generation takes over")
    #expect(try without("log-000000000004.tw")?.path == lastLog)
    #expect(
      try without("base-000000000001.tw", "base-000000000003.tw")?.reason.contains("epoch 1, is missing") == true)
    #expect(
      try without("base-000000000003.tw", "log-000000000002.tw")?.path == directory + "/log-000000000002.tw")
  }

  @Test func filesOfAnotherStateAreRefused() throws {
    let sample = try Sample()
    // The same epochs with other content, and the same content with another lineage.
    for (value, lineage) in [(UInt8(99), someLineage), (1, Lineage(high: 9, low: 9))] {
      let other = ModelDisk(seed: 1)
      let store = try openNewest(other)
      for epoch in UInt64(0)...6 {
        try store.commit(Epoch(changes: [([1], [value])]), header(epoch, lineage: lineage))
        if epoch == 1 || epoch == 3 { #expect(try store.rewriteNow()) }
      }
      for path in [lastLog, lastBase] {
        let disk = sample.disk.copy(seed: 1)
        disk.setContents(other.contents(of: path), of: path)
        #expect {
          try sample.check(disk)
        } throws: { damage(of: $0)?.path == lastLog }
        #expect(try !PartitionReport.verify(directory, on: disk).isSound)
      }
    }
  }

  @Test func wholeBlocksOutOfPlaceAreDamage() throws {
    func log(_ value: UInt8) throws -> Bytes {
      let disk = ModelDisk(seed: 1)
      let store = try openNewest(disk)
      for epoch in UInt64(0)...2 { try store.commit(Epoch(changes: [([1], [value])]), header(epoch)) }
      return try #require(disk.contents(of: directory + "/log-000000000000.tw"))
    }
    let (one, two) = (try log(1), try log(2))
    let size = (one.count - 64) / 3
    func block(_ log: Bytes, _ index: Int) -> Bytes { Array(log[(64 + index * size)..<(64 + (index + 1) * size)]) }
    func open(_ blocks: [Bytes]) throws -> ClosedRange<UInt64>? {
      let disk = ModelDisk(seed: 1)
      try disk.createDirectories(directory)
      disk.setContents(one[..<64] + blocks.flatMap { $0 }, of: directory + "/log-000000000000.tw")
      return try PartitionStore(opening: directory, on: disk).epochs
    }
    #expect(try open([block(one, 0), block(one, 1), block(one, 2)]) == 0...2)
    #expect(try open([block(two, 0), block(two, 1)]) == 0...1)
    for (blocks, reason) in [
      ([block(one, 0), block(two, 1)], "does not continue"), ([block(one, 0), block(one, 0)], "is of epoch 0"),
      ([block(one, 1)], "is of epoch 1"), ([block(one, 0), block(one, 2)], "is of epoch 2"),
    ] {
      #expect {
        try open(blocks)
      } throws: { error in
        damage(of: error).map { $0.reason.contains(reason) && $0.offset == UInt64(64 + (blocks.count - 1) * size) }
          ?? false
      }
    }
  }

  @Test func theErrorNamesTheWayBack() throws {
    let sample = try Sample()
    sample.disk.flipBit(64 * 8 + 300, of: lastBase)
    #expect {
      try sample.check(sample.disk)
    } throws: { error in
      "\(error)".contains("the generation before it are kept")
        && "\(error)".contains("tidewatch checkpoint repair \(directory)`")
    }
  }
}
