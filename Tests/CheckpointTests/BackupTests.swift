// Backups, and looking at a directory, while its owner appends, aborts, rewrites the base, removes files and restarts.
import Checkpoint
import CheckpointTesting
import Synchronization
import Testing

/// An owner as the daemon is one: at most its newest epoch is not committed.
private struct Owner {
  private static let policy = PartitionStore.Policy(logRatio: 1, logBytesMin: 2000)

  var random: SeededGenerator
  let disk: ModelDisk
  var store: PartitionStore?
  var state: State = [:]
  /// The oracle: what was committed, by epoch.
  var committed: [UInt64: (state: State, tag: EpochTag)] = [:]
  var pending: (epoch: Epoch, tag: EpochTag)?
  var rewriter: BaseRewriter?
  var rewrites = 0
  var failure: (any Error)?

  init(seed: UInt64) throws {
    random = SeededGenerator(seed: seed)
    disk = ModelDisk(seed: seed)
    store = try openNewest(disk, policy: Self.policy)
  }

  mutating func turn() {
    if failure != nil { return }
    do {
      if pending == nil ? Int.random(in: 0..<20, using: &random) == 0 : Int.random(in: 0..<8, using: &random) == 0 {
        try restart()
      } else if let store {
        try step(store)
      }
    } catch { failure = error }
  }

  private mutating func step(_ store: PartitionStore) throws {
    if let (epoch, tag) = pending {
      pending = nil
      if Int.random(in: 0..<6, using: &random) == 0, tag.epoch > 0 {
        return try store.truncate(after: tag.epoch - 1)
      }
      try store.confirm(tag.epoch)
      epoch.apply(to: &state)
      committed[tag.epoch] = (state, tag)
    } else if let rewriter, Bool.random(using: &random) {
      self.rewriter = nil
      store.finishRewrite(.success(try rewriter.run()))
      rewrites += 1
    } else if rewriter == nil, let started = try store.startRewriteIfDue() {
      rewriter = started
    } else {
      let epoch = Epoch.random(using: &random)
      let tag = try store.write(epoch, header(store.newestEpoch.map { $0 + 1 } ?? 0))
      try store.sync()
      pending = (epoch, tag)
    }
  }

  /// Dies and starts again; an epoch that was not committed is cut.
  private mutating func restart() throws {
    rewriter = nil
    store = nil
    let store = try PartitionStore(opening: directory, on: disk, policy: Self.policy)
    self.store = store
    try store.truncate(after: pending.map { $0.tag.epoch == 0 ? nil : $0.tag.epoch - 1 } ?? store.newestEpoch)
    pending = nil
    if let newest = store.newestEpoch { try store.confirm(newest) }
  }
}

private final class SharedOwner: Sendable {
  let owner: Mutex<Owner>
  let disk: ModelDisk

  init(seed: UInt64, turns: Int) throws {
    owner = Mutex(try Owner(seed: seed))
    disk = owner.withLock { $0.disk }
    for _ in 0..<turns { owner.withLock { $0.turn() } }
  }

  /// A disk on which the owner takes turns in between, about `turns` in ten operations.
  func interleaved(_ turns: Int, seed: UInt64) -> InterleavedDisk {
    let random = SharedRandom(seed: seed)
    return InterleavedDisk(disk) { [self] _, _ in
      if random.next(10) < turns { owner.withLock { $0.turn() } }
    }
  }

  var newestCommitted: UInt64? { owner.withLock { $0.committed.keys.max() } }
  var rewrites: Int { owner.withLock { $0.rewrites } }
  func check() throws { if let failure = owner.withLock({ $0.failure.map { "\($0)" } }) { Issue.record("\(failure)") } }
}

private final class SharedRandom: Sendable {
  private let generator: Mutex<SeededGenerator>
  init(seed: UInt64) { generator = Mutex(SeededGenerator(seed: seed)) }
  func next(_ bound: Int) -> Int { generator.withLock { Int.random(in: 0..<bound, using: &$0) } }
}

@Suite struct BackupTests {
  private static let target = "/backup/group/p3"

  @Test(arguments: [0, 1, 3, 9]) func aBackupIsOneCommittedEpoch(turns: Int) throws {
    var made = 0
    var rewrites = 0
    for seed in 0..<150 as Range<UInt64> {
      let shared = try SharedOwner(seed: seed, turns: Int(seed) * 2)
      let least = shared.newestCommitted
      let before = shared.rewrites
      let backup: PartitionBackup?
      do {
        backup = try PartitionBackup.copy(
          directory, to: Self.target, on: shared.interleaved(turns, seed: seed))
      } catch {
        // Files that go faster than they can be read: no backup, and that is said.
        #expect(turns == 9, "seed \(seed): \(error)")
        continue
      }
      try shared.check()
      rewrites += shared.rewrites - before
      guard let backup else {
        #expect(least == nil, "seed \(seed)")
        continue
      }
      made += 1
      let epoch = backup.block.tag.epoch
      #expect(epoch + 1 >= least ?? 0, "seed \(seed)")
      let copy = try PartitionStore(opening: Self.target, on: shared.disk)
      #expect(copy.newestEpoch == epoch)
      let known = shared.owner.withLock { $0.committed[epoch].map { Known(state: $0.state, tag: $0.tag) } }
      // Epoch 0 may be there before it is committed.
      if epoch > 0 || known != nil {
        #expect(known?.tag == copy.tag(of: epoch), "seed \(seed)")
        #expect(try copy.state() == known?.state, "seed \(seed)")
        #expect(UInt64(known?.state.count ?? -1) == backup.liveKeyCount)
      }
      // And it goes on from there.
      try copy.truncate(after: epoch)
      try copy.commit(Epoch(changes: [([1], [1])]), header(epoch + 1))
      #expect(try PartitionReport.verify(Self.target, on: shared.disk).isSound)
    }
    #expect(made > (turns == 9 ? 50 : 140))
    #expect(turns == 0 || rewrites > 20, "\(rewrites) rewrites came in between")
  }

  private struct Known {
    var state: State
    var tag: EpochTag
  }

  @Test func lookingAtADirectoryInUseFindsItSound() throws {
    for seed in 0..<200 as Range<UInt64> {
      let shared = try SharedOwner(seed: seed, turns: 20 + Int(seed) * 2)
      let disk = shared.interleaved(Int(seed % 3), seed: seed)
      let report = try PartitionReport.verify(directory, on: disk)
      try shared.check()
      #expect(report.isSound, "seed \(seed): \(report.error?.description ?? "\(report.firstDamage as Any)")")
      let inspected = try PartitionReport.inspect(directory, on: disk)
      #expect(inspected.isSound, "seed \(seed)")
    }
  }

  @Test func aSnapshotIsReadWholeOrAgain() throws {
    for seed in 0..<100 as Range<UInt64> {
      let shared = try SharedOwner(seed: seed, turns: 40 + Int(seed))
      let disk = shared.interleaved(Int(seed % 3), seed: seed)
      let (epoch, state) = try PartitionSnapshot.read(directory, on: disk) {
        snapshot throws(CheckpointError) -> (UInt64, State) in
        guard let epoch = try snapshot.settledEpoch() else { return (0, [:]) }
        var state: State = [:]
        try snapshot.restore(upTo: epoch) { key, value throws(CheckpointError) in
          state[Bytes(key)] = value.map { Bytes($0) }
        }
        return (epoch, state)
      }
      try shared.check()
      let known = shared.owner.withLock { $0.committed[epoch]?.state }
      if epoch > 0 { #expect(state == known, "seed \(seed)") }
    }
  }

  @Test func aDamagedSourceIsNotCopied() throws {
    let disk = ModelDisk(seed: 1)
    let store = try openNewest(disk)
    _ = try fill(store, count: 5)
    let log = directory + "/log-000000000000.tw"
    disk.flipBit(8 * 200, of: log)
    let error = #expect(throws: CheckpointError.self) {
      try PartitionBackup.copy(directory, to: Self.target, on: disk)
    }
    #expect(damage(of: error)?.path == log)
  }

  @Test func damageInTheBaseIsFoundInTheCopy() throws {
    let disk = ModelDisk(seed: 1)
    let store = try openNewest(disk)
    _ = try fill(store, count: 5)
    #expect(try store.rewriteNow())
    let base = directory + "/base-000000000004.tw"
    let bits = try #require(disk.contents(of: base)).count * 8
    disk.flipBit(bits / 2, of: base)
    let error = #expect(throws: CheckpointError.self) {
      try PartitionBackup.copy(directory, to: Self.target, on: disk)
    }
    #expect(damage(of: error)?.path == Self.target + "/base-000000000004.tw")
  }

  @Test func anEmptyDirectoryHasNothingToCopy() throws {
    let disk = ModelDisk(seed: 1)
    _ = try openNewest(disk)
    #expect(try PartitionBackup.copy(directory, to: Self.target, on: disk) == nil)
  }
}
