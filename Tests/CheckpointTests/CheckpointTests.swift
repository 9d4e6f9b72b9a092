// What a store promises while nothing goes wrong, and which calls it refuses.
import Checkpoint
import CheckpointTesting
import Testing

@Suite struct StoreTests {
  @Test func anEmptyDirectoryHoldsNothing() throws {
    let store = try PartitionStore(opening: directory, on: ModelDisk(seed: 1))
    #expect(store.epochs == nil)
    #expect(store.tags.isEmpty)
    #expect(store.tornTail == nil)
    #expect(throws: CheckpointError.noSuchEpoch(0, available: nil)) { try store.state() }
  }

  @Test func epochsComeBackAsWritten() throws {
    let disk = ModelDisk(seed: 1)
    var tags: [EpochTag] = []
    do {
      let store = try openNewest(disk)
      var clean = header(2)
      clean.cleanShutdown = true
      tags.append(
        try store.commit(Epoch(changes: [([1], [10, 11]), ([2], []), ([], [9])], outbox: [7, 7]), header(0)))
      tags.append(try store.commit(Epoch(changes: [([1], nil), ([3], [30]), ([3], [31])], outbox: []), header(1)))
      tags.append(try store.commit(Epoch(), clean))
    }
    let store = try PartitionStore(opening: directory, on: disk)
    #expect(store.epochs == 0...2)
    #expect(store.tags == tags)
    #expect(try store.state(upTo: 0) == [[1]: [10, 11], [2]: [], []: [9]])
    #expect(try store.state() == [[2]: [], [3]: [31], []: [9]])
    #expect(try store.outbox(of: 0) == [7, 7])
    #expect(try store.outbox(of: 1) == [])
    #expect(try store.outbox(of: 2) == nil)
    #expect(try store.block(of: 1).header == header(1))
    #expect(try store.block(of: 1).entryCount == 3)
    #expect(try store.block(of: 1).tombstoneCount == 1)
    #expect(try store.block(of: 1).outboxBytes == 0)
    #expect(try store.block(of: 2).header.cleanShutdown)
    #expect(throws: CheckpointError.noSuchEpoch(3, available: 0...2)) { try store.block(of: 3) }
  }

  /// A base has what its log had last before what it had first.
  @Test func entriesComeInTheOrderWritten() throws {
    let store = try openNewest(ModelDisk(seed: 1))
    try store.commit(Epoch(changes: [([1], [1]), ([2], [2])]), header(0))
    #expect(try store.rewriteNow())
    try store.commit(Epoch(changes: [([2], nil), ([1], [3])]), header(1))
    var seen: [String] = []
    try store.restore { key, value in seen.append("\(Bytes(key)) \(value.map { Bytes($0) } ?? [])") }
    #expect(seen == ["[2] [2]", "[1] [1]", "[2] []", "[1] [3]"])
  }

  @Test func chainsDependOnAllThatWentBefore() throws {
    func tag(_ first: UInt8) throws -> EpochTag {
      let store = try openNewest(ModelDisk(seed: 1))
      try store.commit(Epoch(changes: [([1], [first])]), header(0))
      return try store.commit(Epoch(changes: [([2], [2])]), header(1))
    }
    #expect(try tag(1) == tag(1))
    #expect(try tag(1).chain != tag(2).chain)
  }

  @Test func tagsCanBeWrittenAndRead() {
    let tag = EpochTag(lineage: someLineage, epoch: 42, chain: 0xAB)
    #expect(tag.description == "tw1;112233445566778899aabbccddeeff00;42;00000000000000ab")
    #expect(EpochTag(tag.description) == tag)
    for wrong in [
      "", "tw1;;42;00000000000000ab", tag.description + ";", "tw2" + tag.description.dropFirst(3),
      "tw1;112233445566778899aabbccddeeff00;042;00000000000000ab",
      "tw1;112233445566778899aabbccddeeff00;42;00000000000000AB",
      "tw1;112233445566778899aabbccddeeff0é;42;00000000000000ab",
    ] { #expect(EpochTag(wrong) == nil, "\(wrong)") }
  }

  @Test func truncationCutsAndTheChainGoesOnFromThere() throws {
    let disk = ModelDisk(seed: 1)
    let store = try openNewest(disk)
    try store.commit(Epoch(changes: [([1], [1])]), header(0))
    let aborted = try store.write(Epoch(changes: [([1], [2])]), header(1))
    try store.sync()
    try store.truncate(after: 0)
    #expect(store.epochs == 0...0)
    #expect(try store.state() == [[1]: [1]])
    let other = try store.commit(Epoch(changes: [([1], [3])]), header(1))
    #expect(other.chain != aborted.chain)
    #expect(try openNewest(disk.copy(seed: 2)).state() == [[1]: [3]])
  }

  @Test func truncationCrossesLogs() throws {
    let disk = ModelDisk(seed: 1)
    do {
      let store = try openNewest(disk)
      _ = try fill(store, count: 3)
      // Begun but never run: the log is closed and a new one goes on.
      #expect(try store.startRewriteIfDue(evenIfShort: true) != nil)
      try store.commit(Epoch(changes: [([1], [1])]), header(3))
    }
    #expect(disk.paths.filter { $0.contains("/log-") }.count == 2)
    for epoch in UInt64(0)...3 {
      let copy = disk.copy(seed: 2)
      let store = try PartitionStore(opening: directory, on: copy)
      let state = try store.state(upTo: epoch)
      try store.truncate(after: epoch)
      #expect(store.epochs == 0...epoch)
      let again = try openNewest(copy.copy(seed: 3))
      #expect(try again.state() == state)
      try again.commit(Epoch(), header(epoch + 1))
    }
    let store = try PartitionStore(opening: directory, on: disk)
    try store.truncate(after: nil)
    #expect(store.epochs == nil)
    let other = Lineage(high: 5, low: 6)
    try store.commit(Epoch(changes: [([8], [8])]), header(0, lineage: other))
    #expect(try openNewest(disk.copy(seed: 2)).state() == [[8]: [8]])
  }

  @Test func theBaseHoldsTheStateAndTwoGenerationsStay() throws {
    let disk = ModelDisk(seed: 1)
    let store = try openNewest(disk)
    var random = SeededGenerator(seed: 5)
    var state: State = [:]
    for epoch in UInt64(0)..<12 {
      let changes = Epoch.random(using: &random)
      changes.apply(to: &state)
      try store.commit(changes, header(epoch))
      if epoch % 3 == 2 {
        let tag = store.tag(of: epoch)
        #expect(try store.rewriteNow())
        #expect(try !store.rewriteNow(), "the base is the newest epoch already")
        #expect(store.epochs == epoch...epoch)
        #expect(store.tag(of: epoch) == tag)
        #expect(try store.state() == state)
        #expect(try store.block(of: epoch).header == header(epoch))
        #expect(try store.block(of: epoch).entryCount == UInt64(state.count))
      }
    }
    #expect(
      disk.paths.map { String($0.dropFirst(directory.count + 1)) } == [
        "base-000000000008.tw", "base-000000000011.tw", "lock", "log-000000000009.tw", "log-000000000012.tw",
      ])
    // Without its newest base the directory is the generation before, with the same newest state.
    let older = disk.copy(seed: 2)
    older.setContents(nil, of: directory + "/base-000000000011.tw")
    let fallback = try openNewest(older)
    #expect(fallback.epochs == 8...11)
    #expect(try fallback.state() == state)
  }

  @Test func theOwnerAppendsWhileTheBaseIsRewritten() throws {
    let disk = ModelDisk(seed: 1)
    let store = try openNewest(disk)
    var state = try fill(store, count: 4).last ?? [:]
    let rewriter = try #require(try store.startRewriteIfDue(evenIfShort: true))
    #expect(rewriter.epoch == 3)
    #expect(try store.startRewriteIfDue(evenIfShort: true) == nil)
    let changes = Epoch(changes: [([1], [1]), (Bytes("customer-1".utf8), nil)])
    changes.apply(to: &state)
    try store.commit(changes, header(4))
    let base = try rewriter.run()
    #expect(base.epoch == 3)
    #expect(try store.state() == state)
    try store.commit(Epoch(changes: [([2], [2])]), header(5))
    state[[2]] = [2]
    store.finishRewrite(.success(base))
    #expect(store.epochs == 3...5)
    #expect(try store.state() == state)
    #expect(try openNewest(disk.copy(seed: 2)).state() == state)
  }

  @Test func aBaseIsMadeOfConfirmedEpochsOnly() throws {
    let store = try openNewest(ModelDisk(seed: 1))
    try store.commit(Epoch(changes: [([1], [1])]), header(0))
    try store.write(Epoch(), header(1))
    #expect(try store.startRewriteIfDue(evenIfShort: true) == nil)
    try store.sync()
    #expect(try store.startRewriteIfDue(evenIfShort: true) == nil)
    try store.confirm(1)
    #expect(try store.startRewriteIfDue(evenIfShort: true) != nil)
  }

  @Test func diskUseStaysWithinTheStatedMultiple() throws {
    let disk = ModelDisk(seed: 1)
    let policy = PartitionStore.Policy(logRatio: 1, logBytesMin: 10_000)
    let store = try openNewest(disk, policy: policy)
    var random = SeededGenerator(seed: 5)
    let live = 100 * 500
    var largest = 0
    for epoch in UInt64(0)..<200 {
      var changes = Epoch()
      for index in 0..<20 {
        let number = epoch < 5 ? Int(epoch) * 20 + index : Int.random(in: 0..<100, using: &random)
        changes.changes.append((Bytes("k\(number)".utf8), noise(490, seed: epoch * 20 + UInt64(index))))
      }
      try store.commit(changes, header(epoch))
      if let rewriter = try store.startRewriteIfDue() { store.finishRewrite(.success(try rewriter.run())) }
      largest = max(largest, disk.totalBytes)
    }
    #expect(largest > 3 * live)
    #expect(largest < 5 * live + live / 2)
    #expect(try store.state().count == 100)
  }

  @Test func aFailedRewriteWaitsForTheLogToGrow() throws {
    let policy = PartitionStore.Policy(logRatio: 1, logBytesMin: 2000)
    let store = try openNewest(ModelDisk(seed: 1), policy: policy)
    func grow() throws {
      let epoch = (store.newestEpoch.map { $0 + 1 }) ?? 0
      try store.commit(Epoch(changes: [([1], noise(900))]), header(epoch))
    }
    try grow()
    #expect(try store.startRewriteIfDue() == nil)
    try grow()
    #expect(try store.startRewriteIfDue() != nil)
    store.finishRewrite(.failure(.cancelled))
    try grow()
    #expect(try store.startRewriteIfDue() == nil)
    try grow()
    #expect(try store.rewriteNow())
    #expect(store.epochs == 3...3)
  }

  @Test func aRewriteCanBeStopped() throws {
    let disk = ModelDisk(seed: 1)
    let store = try openNewest(disk)
    var many = Epoch()
    for number in 0..<9000 { many.changes.append((Bytes("k\(number)".utf8), [1])) }
    try store.commit(many, header(0))
    let rewriter = try #require(try store.startRewriteIfDue(evenIfShort: true))
    #expect(throws: CheckpointError.cancelled) { try rewriter.run(isCancelled: { true }) }
    #expect(!disk.paths.contains { $0.contains("base") })
  }

  @Test func namesOfGroupsBecomeOneDirectoryEach() {
    #expect(CheckpointLayout.directory(state: "/s", name: "shop-1_a.b", partition: 12) == "/s/shop-1_a.b/p12")
    #expect(CheckpointLayout.directory(state: "/s/", name: "../x/ü", partition: 0) == "/s/%2E.%2Fx%2F%C3%BC/p0")
    #expect(CheckpointLayout.directory(state: "/s", name: "", partition: 0) == "/s/%/p0")
  }
}

@Suite struct RefusalTests {
  @Test func callsOutOfOrderAreRefusedAndChangeNothing() throws {
    let disk = ModelDisk(seed: 1)
    let store = try PartitionStore(opening: directory, on: disk)
    func expectMisuse(_ body: () throws -> Void) {
      #expect {
        try body()
      } throws: { error in
        if case CheckpointError.misuse = error { true } else { false }
      }
    }
    expectMisuse { try store.write(Epoch(), header(0)) }
    expectMisuse { try store.sync() }
    try store.truncate(after: nil)
    try store.sync()
    try store.commit(Epoch(changes: [([1], [1])]), header(0))
    expectMisuse { try store.write(Epoch(), header(0)) }
    expectMisuse { try store.write(Epoch(), header(2)) }
    expectMisuse { try store.write(Epoch(), header(1, lineage: Lineage(high: 1, low: 1))) }
    var elsewhere = header(1)
    elsewhere.partition = 4
    expectMisuse { try store.write(Epoch(), elsewhere) }
    try store.write(Epoch(), header(1))
    expectMisuse { try store.write(Epoch(), header(2)) }
    expectMisuse { try store.confirm(1) }
    #expect(store.epochs == 0...0, "not synced yet")
    try store.sync()
    try store.confirm(1)
    expectMisuse { try store.truncate(after: 0) }
    expectMisuse { try store.truncate(after: nil) }
    #expect(throws: CheckpointError.noSuchEpoch(5, available: 0...1)) { try store.truncate(after: 5) }
    #expect(throws: CheckpointError.noSuchEpoch(2, available: 0...1)) { try store.confirm(2) }
    #expect(store.epochs == 0...1)
    #expect(try store.rewriteNow())
    #expect(throws: CheckpointError.noSuchEpoch(0, available: 1...1)) { try store.state(upTo: 0) }
  }

  @Test func limitsAreRefusedWithNothingWritten() throws {
    let disk = ModelDisk(seed: 1)
    let store = try openNewest(disk)
    try store.commit(Epoch(changes: [([1], [1])]), header(0))
    func expectTooLarge(_ epoch: Epoch, _ header: EpochHeader) {
      #expect {
        try store.write(epoch, header)
      } throws: { error in
        if case CheckpointError.tooLarge = error { true } else { false }
      }
    }
    let key = Bytes(repeating: 1, count: CheckpointLimits.keyBytesMax)
    expectTooLarge(Epoch(changes: [(key + [1], [])]), header(1))
    expectTooLarge(Epoch(changes: [(key + [1], nil), ([1], [1])]), header(1))
    let value = Bytes(repeating: 1, count: CheckpointLimits.valueBytesMax)
    expectTooLarge(Epoch(changes: [([1], value + [1])]), header(1))
    var long = header(1)
    long.engineVersion = String(repeating: "é", count: 128)
    expectTooLarge(Epoch(), long)
    var wide = header(1)
    wide.offsets = Array(repeating: TopicOffset(topic: "t", next: 0), count: CheckpointLimits.topicsMax + 1)
    expectTooLarge(Epoch(), wide)

    wide.offsets.removeLast()
    wide.modelVersion = String(repeating: "m", count: CheckpointLimits.nameBytesMax)
    try store.commit(Epoch(changes: [(key, value)]), wide)
    #expect(try store.rewriteNow())
    let again = try openNewest(disk.copy(seed: 2))
    #expect(try again.state() == [[1]: [1], key: value])
    #expect(try again.block(of: 1).header == wide)
  }

  @Test func aDirectoryHasOneOwner() throws {
    let disk = ModelDisk(seed: 1)
    do {
      let store = try openNewest(disk)
      #expect(throws: CheckpointError.locked(directory: directory)) {
        try PartitionStore(opening: directory, on: disk)
      }
      try store.commit(Epoch(), header(0))
    }
    #expect(try PartitionStore(opening: directory, on: disk).epochs == 0...0)
  }

  @Test func errorsSayWhatAndWhereAndWhatToDo() {
    let noSpace = CheckpointError.disk(DiskError(.write, path: "/s/p0/log-1.tw", offset: 77, code: 28))
    #expect(
      noSpace.description
        == "cannot write /s/p0/log-1.tw at byte 77: No space left on device. "
        + "Free space or enlarge the volume of state.dir (or the quota, or the limit on the size of files), then start again"
    )
    let bad = CheckpointError.damaged(Damage(path: "/s/p0/log-1.tw", offset: 64, reason: "the checksum is wrong"))
    #expect(
      bad.description
        == "damaged checkpoint: /s/p0/log-1.tw at byte 64: the checksum is wrong. Nothing was changed. "
        + "Stop the daemon and run `tidewatch checkpoint repair /s/p0`, which shows what can be saved and changes "
        + "nothing before it is told to")
  }
}
