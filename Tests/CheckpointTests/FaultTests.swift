// A disk that refuses, fails, or goes away in the middle of anything.
import Checkpoint
import CheckpointTesting
import Glibc
import Testing

private func diskError(_ body: () throws -> Void) throws -> DiskError {
  do {
    try body()
    throw CheckpointError.misuse("no error")
  } catch CheckpointError.disk(let error) { return error }
}

@Suite struct FaultTests {
  @Test(arguments: [ENOSPC, EIO]) func aFailedWritePoisons(code: Int32) throws {
    let disk = ModelDisk(seed: UInt64(code))
    var store = try openNewest(disk)
    try store.commit(Epoch(changes: [([1], [1])]), header(0))
    let end = try #require(disk.contents(of: directory + "/log-000000000000.tw")).count
    disk.setFaults { $0.nextWrite = code }
    let error = try diskError { try store.write(Epoch(changes: [([2], [2])]), header(1)) }
    #expect(error == DiskError(.write, path: directory + "/log-000000000000.tw", offset: UInt64(end), code: code))
    #expect(error.kind == (code == ENOSPC ? .noSpace : .inputOutput))
    for call in [
      { _ = try store.write(Epoch(), header(1)) }, { try store.sync() }, { try store.truncate(after: 0) },
      { _ = try store.state() },
    ] {
      #expect {
        try call()
      } throws: { error in
        if case CheckpointError.poisoned(directory, _) = error { true } else { false }
      }
    }
    disk.killProcess()
    store = try openNewest(disk)
    #expect(try store.state() == [[1]: [1]])
    try store.commit(Epoch(changes: [([2], [2])]), header(1))
  }

  @Test func aFullDiskLosesNothing() throws {
    let disk = ModelDisk(seed: 1)
    let store = try openNewest(disk)
    var epoch: UInt64 = 0
    let value = noise(1000)
    disk.setFaults { $0.capacity = 20_000 }
    let error = try diskError {
      while true {
        try store.commit(Epoch(changes: [([UInt8(epoch)], value)]), header(epoch))
        epoch += 1
      }
    }
    #expect(error.kind == .noSpace)
    #expect(epoch > 10)
    disk.crash()
    let again = try openNewest(disk)
    #expect(again.newestEpoch == epoch - 1)
    #expect(try again.state().count == Int(epoch))
  }

  @Test func aFailedRewriteLeavesTheStoreAsItWas() throws {
    let disk = ModelDisk(seed: 1)
    let store = try openNewest(disk)
    var states = try fill(store, count: 5)
    let rewriter = try #require(try store.startRewriteIfDue(evenIfShort: true))
    disk.setFaults { $0.nextWrite = ENOSPC }
    let error = #expect(throws: CheckpointError.self) { try rewriter.run() }
    store.finishRewrite(.failure(try #require(error)))
    #expect(!disk.paths.contains { $0.contains("base") || $0.contains("tmp") })
    states.append(states[4])
    try store.commit(Epoch(), header(5))
    // The next one reads both closed logs.
    #expect(try store.rewriteNow())
    #expect(try openNewest(disk.copy(seed: 1)).state() == states[5])
  }

  @Test(arguments: UInt64(0)..<40) func aFailedSyncProvesNothingLater(seed: UInt64) throws {
    let disk = ModelDisk(seed: seed)
    var store = try openNewest(disk)
    let states = try fill(store, count: 3, seed: seed)
    disk.setFaults { $0.nextSync = EIO }
    try store.write(Epoch(changes: [([1], noise(1500))]), header(3))
    #expect(try diskError { try store.sync() }.operation == .sync)
    #expect { try store.sync() } throws: { error in
      if case CheckpointError.poisoned = error { true } else { false }
    }
    // The machine stays up: whatever the next process finds as the newest must outlive a crash.
    disk.killProcess()
    store = try openNewest(disk)
    let epoch = try #require(store.newestEpoch)
    #expect(epoch == 2 || epoch == 3)
    let state = try store.state()
    if epoch == 2 { #expect(state == states[2]) }
    try store.commit(Epoch(), header(epoch + 1))
    disk.crash()
    store = try openNewest(disk)
    #expect(store.newestEpoch == epoch + 1)
    #expect(try store.state() == state)
  }

  @Test(arguments: UInt64(0)..<40) func aBlockLeftUnsyncedByADeadProcessIsMadeDurable(seed: UInt64) throws {
    let disk = ModelDisk(seed: seed)
    var store = try openNewest(disk)
    _ = try fill(store, count: 2, seed: seed)
    try store.write(Epoch(changes: [([1], noise(1500))]), header(2))
    disk.killProcess()
    store = try openNewest(disk)
    #expect(store.newestEpoch == 2, "it can be read")
    disk.crash()
    #expect(try openNewest(disk).newestEpoch == 2)
  }

  @Test func aReadOnlyDiskIsATypedError() throws {
    let disk = ModelDisk(seed: 1)
    try openNewest(disk).commit(Epoch(), header(0))
    disk.setFaults { $0.isReadOnly = true }
    let error = try diskError { _ = try PartitionStore(opening: directory, on: disk) }
    #expect(error.kind == .readOnly)
    #expect(error.description.contains("writable"))
    #expect(try PartitionReport.verify(directory, on: disk).isSound, "looking needs no writing")
  }

  @Test func unreadableDisksAreNotDamage() throws {
    let disk = ModelDisk(seed: 1)
    try openNewest(disk).commit(Epoch(), header(0))
    disk.setFaults { $0.reads = EIO }
    #expect(try diskError { _ = try PartitionStore(opening: directory, on: disk) }.kind == .inputOutput)
  }

  @Test func aFailedBeginningOfALogIsNotTheEnd() throws {
    let disk = ModelDisk(seed: 1)
    let store = try openNewest(disk)
    var state = try fill(store, count: 2)[1]
    disk.setFaults { $0.nextWrite = ENOSPC }
    #expect(try diskError { _ = try store.startRewriteIfDue(evenIfShort: true) }.kind == .noSpace)
    try store.commit(Epoch(changes: [([1], [1])]), header(2))
    state[[1]] = [1]
    #expect(try store.rewriteNow())
    #expect(try store.state() == state)
    // Once its name may be there, nobody knows.
    try store.commit(Epoch(), header(3))
    disk.setFaults { $0.nextDirectorySync = EIO }
    #expect(try diskError { _ = try store.startRewriteIfDue(evenIfShort: true) }.kind == .inputOutput)
    #expect { try store.write(Epoch(), header(4)) } throws: { error in
      if case CheckpointError.poisoned = error { true } else { false }
    }
    disk.crash()
    #expect(try openNewest(disk).state() == state)
  }

  @Test func aLogThatIsClosedAlreadyLeavesNothingToWrite() throws {
    let disk = ModelDisk(seed: 1)
    let store = try openNewest(disk, policy: PartitionStore.Policy(logRatio: 1, logBytesMin: 2_000))
    try store.commit(Epoch(changes: [([1], noise(900))]), header(0))
    #expect(!store.isRewriteDue && !store.isLogClosed)
    // Not yet confirmed, as the committer has it.
    try store.write(Epoch(changes: [([2], noise(1_500))]), header(1))
    #expect(throws: CheckpointError.self) { try store.closeLog() }
    try store.sync()
    #expect(store.isRewriteDue)
    try store.closeLog()
    #expect(store.isLogClosed)
    try store.confirm(1)
    disk.setFaults { $0.nextWrite = ENOSPC }
    try store.closeLog()
    let rewriter = try #require(try store.startRewriteIfDue())
    #expect(rewriter.epoch == 1 && !store.isRewriteDue)
    disk.setFaults { $0.nextWrite = nil }
    store.finishRewrite(.success(try rewriter.run()))
    #expect(store.baseEpoch == 1 && !store.isRewriteDue)
    #expect(try openNewest(disk.copy(seed: 2)).state() == [[1]: noise(900), [2]: noise(1_500)])
  }

  /// Stops the disk at every change of a whole life: birth, epochs, two rewrites beside appends, a truncation.
  @Test func aCrashAtEveryStepLosesNoSyncedEpoch() throws {
    var steps = 0
    while true {
      var isComplete = false
      for seed in UInt64(0)..<6 {
        let disk = ModelDisk(seed: seed &* 1000 &+ UInt64(steps))
        disk.setFaults { $0.stopAfterChanges = steps }
        var life = Life()
        do {
          try life.run(on: disk)
          isComplete = true
        } catch CheckpointError.disk(_) {}
        disk.crash()
        try life.check(disk)
      }
      if isComplete { break }
      steps += 1
    }
    #expect(steps > 60)
  }
}

/// A fixed history with all that a store can do, and what must be there whenever it is cut short.
private struct Life {
  var states: [State] = []
  /// The newest epoch must be within these; nil: no epoch at all.
  var least: UInt64?
  var most: UInt64?

  mutating func append(_ store: PartitionStore, _ epoch: UInt64, confirm: Bool = true) throws {
    var state = epoch == 0 ? [:] : states[Int(epoch) - 1]
    let changes = Epoch(
      changes: [([UInt8(epoch % 4)], noise(700, seed: UInt64(states.count))), ([UInt8(epoch % 3)], nil)])
    changes.apply(to: &state)
    states.removeLast(states.count - Int(epoch))
    states.append(state)
    most = epoch
    try store.write(changes, header(epoch))
    try store.sync()
    least = epoch
    if confirm { try store.confirm(epoch) }
  }

  mutating func run(on disk: ModelDisk) throws {
    let store = try PartitionStore(opening: directory, on: disk)
    try store.truncate(after: nil)
    for epoch in UInt64(0)...2 { try append(store, epoch) }
    for (start, end) in [(UInt64(3), UInt64(5)), (6, 9), (10, 11)] {
      if start == 6 { try store.closeLog() }
      let rewriter = try #require(try store.startRewriteIfDue(evenIfShort: true))
      try append(store, start, confirm: false)
      let result: Result<NewBase, CheckpointError>
      do throws(CheckpointError) { result = .success(try rewriter.run()) } catch { result = .failure(error) }
      store.finishRewrite(result)
      for epoch in (start + 1)...end { try append(store, epoch) }
      // The last of them is aborted and done over.
      let old = states
      try append(store, end + 1, confirm: false)
      least = end
      try store.truncate(after: end)
      most = end
      states = old
    }
  }

  func check(_ disk: ModelDisk) throws {
    var disk = disk
    for round in UInt64(0)..<2 {
      let store = try PartitionStore(opening: directory, on: disk)
      let newest = store.newestEpoch
      #expect(newest.map { Int($0) } ?? -1 >= least.map { Int($0) } ?? -1)
      #expect(newest.map { Int($0) } ?? -1 <= most.map { Int($0) } ?? -1)
      if let newest {
        #expect(try store.state() == states[Int(newest)])
        if let oldest = store.epochs?.lowerBound { #expect(try store.state(upTo: oldest) == states[Int(oldest)]) }
      }
      // A crash while recovering, and then for good.
      if round == 0 { disk.setFaults { $0.stopAfterChanges = Int(newest ?? 0) % 4 } }
      do { try store.truncate(after: newest) } catch {
        guard case .disk = error else { throw error }
      }
      disk.crash()
      disk = disk.copy(seed: round)
    }
    let store = try openNewest(disk)
    let newest = store.newestEpoch
    try store.commit(Epoch(changes: [([200], [1])]), header(newest.map { $0 + 1 } ?? 0))
    #expect(try store.rewriteNow())
    var expected = newest.map { states[Int($0)] } ?? [:]
    expected[[200]] = [1]
    #expect(try openNewest(disk.copy(seed: 9)).state() == expected)
    #expect(try PartitionReport.verify(directory, on: disk).isSound)
  }
}
