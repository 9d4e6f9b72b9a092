// Thousands of random lives against a dictionary: appends, aborts, rewrites beside appends, kills, crashes, full disks.
import Checkpoint
import CheckpointTesting
import Glibc
import Testing

/// One partition's random life. `history` is the oracle: for each epoch the state, the tag and the outbox.
private struct RandomLife {
  struct Known {
    var state: State
    var tag: EpochTag?
    var outbox: Bytes?
  }

  var random: SeededGenerator
  let disk: ModelDisk
  var store: PartitionStore
  var history: [UInt64: Known] = [:]
  /// The newest epoch must be within these after a crash; -1 is none.
  var least = -1
  var most = -1
  var confirmed = -1
  var rewriter: BaseRewriter?
  var recoveries = 0
  var rewrites = 0
  var tornTails = 0

  init(seed: UInt64) throws {
    random = SeededGenerator(seed: seed)
    disk = ModelDisk(seed: seed ^ 0xABCD)
    store = try openNewest(disk, policy: .init(logRatio: 1, logBytesMin: 3000))
  }

  mutating func run(steps: Int) throws {
    for _ in 0..<steps {
      do { try step() } catch CheckpointError.disk(_) {
        try recover(crashed: Bool.random(using: &random))
      } catch CheckpointError.poisoned(_, _) { try recover(crashed: true) }
    }
    try recover(crashed: true)
    #expect(try PartitionReport.verify(directory, on: disk).isSound)
  }

  private mutating func step() throws {
    switch Int.random(in: 0..<100, using: &random) {
    case 0..<50: try append()
    case 50..<58: try abort()
    case 58..<66: try startRewrite()
    case 66..<76: try runRewrite()
    case 76..<82: try checkNow()
    case 82..<88: try recover(crashed: Bool.random(using: &random))
    case 88..<94:
      let left = Int.random(in: 0..<14, using: &random)
      disk.setFaults { $0.stopAfterChanges = left }
    case 94..<96: disk.setFaults { $0.nextSync = EIO }
    case 96..<97: disk.setFaults { $0.nextDirectorySync = EIO }
    case 97..<98: disk.setFaults { $0.nextWrite = ENOSPC }
    default:
      let room = disk.totalBytes + Int.random(in: 0..<4000, using: &random)
      disk.setFaults { $0.capacity = room }
    }
  }

  private var newest: Int { store.newestEpoch.map { Int($0) } ?? -1 }

  private mutating func append() throws {
    if Int.random(in: 0..<8, using: &random) == 0 { store.releaseMemory() }
    let epoch = UInt64(newest + 1)
    let changes = Epoch.random(using: &random, valueBytesMax: Bool.random(using: &random) ? 40 : 2000)
    var state = epoch == 0 ? [:] : history[epoch - 1]?.state ?? [:]
    changes.apply(to: &state)
    history[epoch] = Known(state: state, tag: nil, outbox: changes.outbox)
    most = Int(epoch)
    history[epoch]?.tag = try store.write(changes, header(epoch))
    if Int.random(in: 0..<25, using: &random) == 0 { return try recover(crashed: Bool.random(using: &random)) }
    try store.sync()
    least = Int(epoch)
    if Int.random(in: 0..<8, using: &random) == 0 {
      try store.closeLog()
      #expect(store.isLogClosed)
    }
    if Int.random(in: 0..<5, using: &random) > 0 {
      try store.confirm(epoch)
      confirmed = Int(epoch)
    }
  }

  private mutating func abort() throws {
    let floor = max(confirmed, store.epochs.map { Int($0.lowerBound) } ?? -1, 0)
    guard newest >= floor, store.epochs != nil else { return }
    try cut(after: Int.random(in: floor...newest, using: &random))
  }

  private mutating func cut(after epoch: Int) throws {
    most = max(most, newest)
    least = min(least, epoch)
    try store.truncate(after: epoch < 0 ? nil : UInt64(epoch))
    #expect(newest == epoch)
    least = epoch
    most = epoch
  }

  private mutating func startRewrite() throws {
    if let started = try store.startRewriteIfDue(evenIfShort: Bool.random(using: &random)) { rewriter = started }
  }

  private mutating func runRewrite() throws {
    guard let rewriter else { return }
    self.rewriter = nil
    let result: Result<NewBase, CheckpointError>
    do throws(CheckpointError) {
      let isStopped = Int.random(in: 0..<10, using: &random) == 0
      result = .success(try rewriter.run(isCancelled: { isStopped }))
      rewrites += 1
    } catch { result = .failure(error) }
    store.finishRewrite(result)
  }

  private func checkNow() throws {
    guard let epochs = store.epochs else { return }
    for epoch in Set([epochs.lowerBound, epochs.upperBound, (epochs.lowerBound + epochs.upperBound) / 2]) {
      let known = try #require(history[epoch])
      #expect(try store.state(upTo: epoch) == known.state, "epoch \(epoch)")
      if let tag = known.tag { #expect(store.tag(of: epoch) == tag) }
      #expect(try store.block(of: epoch).header == header(epoch))
      let isBase = try store.block(of: epoch).isBase
      #expect(try store.outbox(of: epoch) == (isBase ? nil : known.outbox))
    }
  }

  /// The process dies, or the machine, if need be again while recovering.
  private mutating func recover(crashed: Bool) throws {
    do { try recoverOnce(crashed: crashed) } catch CheckpointError.disk(_) { try recover(crashed: true) }
  }

  /// Whatever comes up must be a moment of the history.
  private mutating func recoverOnce(crashed: Bool) throws {
    recoveries += 1
    rewriter = nil
    if crashed { disk.crash() } else { disk.killProcess() }
    store = try PartitionStore(opening: directory, on: disk, policy: store.policy)
    if store.tornTail != nil { tornTails += 1 }
    #expect((least...max(least, most)).contains(newest), "\(newest) is not within \(least) and \(most)")
    // What a dead process left can be read and yet be lost in a crash, until the truncation below has settled it.
    least = min(least, newest)
    most = max(most, newest)
    confirmed = store.epochs.flatMap { store.newestEpoch == $0.lowerBound ? Int($0.lowerBound) : nil } ?? -1
    try checkNow()
    // The caller decides; mostly for the newest.
    let floor = store.epochs.map { Int($0.lowerBound) } ?? -1
    let isOlder = newest > floor && Int.random(in: 0..<4, using: &random) == 0
    let truth = isOlder ? Int.random(in: floor...newest, using: &random) : newest
    if Int.random(in: 0..<4, using: &random) == 0 {
      let left = Int.random(in: 0..<6, using: &random)
      disk.setFaults { $0.stopAfterChanges = left }
    }
    try cut(after: truth)
    disk.setFaults { $0.stopAfterChanges = nil }
    if truth >= 0 {
      try store.confirm(UInt64(truth))
      confirmed = truth
    }
  }
}

/// Lives in each of the sixteen groups.
#if DEBUG
  private let livesPerGroup = 40
#else
  private let livesPerGroup = 250
#endif

@Suite struct PropertyTests {
  @Test(arguments: 0..<16) func randomLivesKeepTheirHistory(group: Int) throws {
    var recoveries = 0
    var rewrites = 0
    var tornTails = 0
    for seed in 0..<livesPerGroup {
      let seed = UInt64(group * livesPerGroup + seed)
      var life = try RandomLife(seed: seed)
      do { try life.run(steps: 60) } catch { Issue.record("seed \(seed): \(error)") }
      recoveries += life.recoveries
      rewrites += life.rewrites
      tornTails += life.tornTails
    }
    // Nothing of this may be a test of nothing.
    #expect(recoveries > livesPerGroup * 4)
    #expect(rewrites > livesPerGroup / 3)
    #expect(tornTails > livesPerGroup / 5)
  }

  @Test func theModelledDiskLosesWhatIsNotSynced() throws {
    var outcomes: Set<Bytes?> = []
    for seed in UInt64(0)..<200 {
      let disk = ModelDisk(seed: seed)
      let file = try disk.open("/a", .create)
      try Bytes([1, 2]).withUnsafeBytes { try file.write($0, at: 0) }
      try file.sync()
      try disk.syncDirectory("/")
      try Bytes([3, 4, 5]).withUnsafeBytes { try file.write($0, at: 1) }
      disk.crash()
      let left = try #require(disk.contents(of: "/a"))
      #expect(left.first == 1)
      outcomes.insert(left)
      #expect(throws: DiskError.self) { try file.size() }
    }
    #expect(outcomes.isSuperset(of: [[1, 2], [1, 3, 4, 5]]))
    #expect(outcomes.count > 3)

    var names: Set<[String]> = []
    for seed in UInt64(0)..<50 {
      let disk = ModelDisk(seed: seed)
      try disk.open("/d/a", .create).sync()
      try disk.rename("/d/a", to: "/d/b")
      disk.crash()
      names.insert(disk.paths)
    }
    #expect(names == [[], ["/d/a"], ["/d/b"]])
  }
}
