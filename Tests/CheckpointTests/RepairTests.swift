// Repairing damaged directories: nothing is deleted, nothing is guessed, and no epoch is given up that could be kept.
import Checkpoint
import CheckpointTesting
import Testing

/// A directory with two generations and the truth about it.
private struct Sample {
  let disk = ModelDisk(seed: 1)
  var states: [State] = []
  var tags: [EpochTag] = []
  /// End of each block: name of its log, byte.
  var ends: [(log: String, byte: Int)] = []

  var newest: UInt64 { UInt64(states.count - 1) }

  /// - Parameter rewrites: epochs behind which the base is rewritten.
  init(seed: UInt64 = 1, epochs: Int = 12, rewrites: Set<UInt64> = [3, 7]) throws {
    var random = SeededGenerator(seed: seed)
    let store = try openNewest(disk)
    var state: State = [:]
    for epoch in 0..<UInt64(epochs) {
      let changes = Epoch.random(using: &random, valueBytesMax: 200)
      changes.apply(to: &state)
      tags.append(try store.commit(changes, header(epoch)))
      states.append(state)
      let block = try store.block(of: epoch)
      ends.append((block.file, Int(block.offset) + block.bytes))
      if rewrites.contains(epoch) { #expect(try store.rewriteNow()) }
    }
    disk.killProcess()
  }

  private func text(_ epoch: UInt64) -> String { String(repeating: "0", count: 12 - "\(epoch)".count) + "\(epoch).tw" }

  /// The newest epoch of which the files still make the right state, found by trying all ways.
  func newestRestorable() throws -> UInt64? {
    let names = disk.paths.filter { $0.hasSuffix(".tw") }
    let bases = names.filter { $0.contains("/base-") }
    for epoch in (0...newest).reversed() {
      for base in bases.map(Optional.init) + [nil] {
        let trial = disk.copy(seed: 1)
        for name in bases where name != base { trial.setContents(nil, of: name) }
        // The logs end with the epoch, each at the end of its last block up to there.
        for log in names where log.contains("/log-") {
          let own = ends.prefix(Int(epoch) + 1).filter { log.hasSuffix($0.log) }
          let first = UInt64(log.suffix(15).prefix(12)) ?? 0
          if own.isEmpty && (first != epoch + 1 || base?.hasSuffix(text(epoch)) != true)
            || base.map({ $0.suffix(15) > log.suffix(15) }) ?? false
          {
            trial.setContents(nil, of: log)
          } else if let bytes = trial.contents(of: log) {
            trial.setContents(Array(bytes.prefix(own.last?.byte ?? 64)), of: log)
          }
        }
        if let store = try? PartitionStore(opening: directory, on: trial), store.tag(of: epoch) == tags[Int(epoch)],
          let state = try? store.state(upTo: epoch), state == states[Int(epoch)]
        {
          return epoch
        }
        // A base alone is a state, too: an empty log can be made for it.
        if let base, base.hasSuffix(text(epoch)) {
          let alone = ModelDisk(seed: 1)
          try alone.createDirectories(directory)
          alone.setContents(disk.contents(of: base), of: base)
          let report = try PartitionReport.verify(directory, on: alone)
          if report.files.allSatisfy({ $0.damage == nil }) { return epoch }
        }
      }
    }
    return nil
  }

  /// Every byte that was there is there, in place or in the sub-folder.
  func expectKept(_ before: [String: Bytes], seed: UInt64) {
    for (path, bytes) in before where path.hasSuffix(".tw") {
      let name = path.dropFirst(directory.count + 1)
      let kept = [path, "\(directory)/damaged-1/\(name)", "\(directory)/damaged-2/\(name)"].compactMap {
        disk.contents(of: $0)
      }
      #expect(kept.contains { $0.starts(with: bytes) }, "seed \(seed): \(path) is lost")
    }
  }

  var contents: [String: Bytes] {
    Dictionary(uniqueKeysWithValues: disk.paths.map { ($0, disk.contents(of: $0) ?? []) })
  }

  mutating func damage(_ random: inout SeededGenerator) {
    let files = disk.paths.filter { $0.hasSuffix(".tw") }
    guard let path = files.randomElement(using: &random), let bytes = disk.contents(of: path), !bytes.isEmpty
    else { return }
    let at = Int.random(in: 0..<bytes.count, using: &random)
    switch Int.random(in: 0..<6, using: &random) {
    case 0: disk.setContents(nil, of: path)
    case 1: disk.setContents(Array(bytes.prefix(at)), of: path)
    case 2:
      let end = min(bytes.count, at + 600)
      disk.setContents(bytes[..<at] + Bytes(repeating: 0, count: end - at) + bytes[end...], of: path)
    default: disk.flipBit(at * 8 + Int.random(in: 0..<8, using: &random), of: path)
    }
  }
}

private let wall: Int64 = 1_772_368_496_000_000
private func path(_ name: String) -> String { "\(directory)/\(name)" }

@Suite struct RepairTests {
  @Test func aSoundDirectoryIsLeftAlone() throws {
    for rewrites in [[], [3, 7]] as [Set<UInt64>] {
      let sample = try Sample(rewrites: rewrites)
      let before = sample.contents
      let plan = try PartitionRepair(planning: directory, on: sample.disk)
      #expect(plan.verdict == .sound)
      #expect(plan.newest?.tag == sample.tags.last)
      let (repair, folder) = try PartitionRepair.apply(directory, on: sample.disk, wallMicroseconds: wall)
      #expect(repair.verdict == .sound && folder == nil)
      #expect(sample.contents == before)
    }
  }

  /// What a start does by itself is left to it.
  @Test func aTornTailIsNoDamage() throws {
    let sample = try Sample()
    let log = path("log-000000000008.tw")
    let bytes = try #require(sample.disk.contents(of: log))
    sample.disk.setContents(bytes.dropLast(3), of: log)
    let plan = try PartitionRepair(planning: directory, on: sample.disk)
    #expect(plan.verdict == .sound)
    #expect(plan.tornTail?.path == log)
    #expect(plan.tornTail?.offset == UInt64(sample.ends[10].byte))
    #expect(plan.newest?.tag == sample.tags[10])
  }

  @Test func aDamagedNewestBaseLosesNothing() throws {
    for bit in [8 * 8, 70 * 8, 300 * 8] {
      let sample = try Sample()
      let base = path("base-000000000007.tw")
      sample.disk.flipBit(bit, of: base)
      let before = sample.contents
      let (repair, folder) = try PartitionRepair.apply(directory, on: sample.disk, wallMicroseconds: wall)
      #expect(repair.verdict == .lossless)
      #expect(repair.moved == ["base-000000000007.tw"])
      #expect(repair.cut == nil)
      #expect(repair.damages.map(\.path) == [base])
      #expect(folder == path("damaged-1"))
      let store = try PartitionStore(opening: directory, on: sample.disk)
      #expect(store.tags.last == sample.tags.last)
      #expect(try store.state() == sample.states.last)
      sample.expectKept(before, seed: 0)
    }
  }

  @Test func damageInTheOlderGenerationLosesNothing() throws {
    let sample = try Sample()
    sample.disk.flipBit(200 * 8, of: path("log-000000000004.tw"))
    let (repair, _) = try PartitionRepair.apply(directory, on: sample.disk, wallMicroseconds: wall)
    #expect(repair.verdict == .lossless)
    #expect(repair.moved == ["log-000000000004.tw"])
    #expect(try PartitionReport.verify(directory, on: sample.disk).isSound)
    #expect(try PartitionStore(opening: directory, on: sample.disk).tags.last == sample.tags.last)
  }

  @Test func damageBelowTheTailGoesBackToTheEpochBefore() throws {
    let sample = try Sample()
    let log = path("log-000000000008.tw")
    sample.disk.flipBit((sample.ends[8].byte + 40) * 8, of: log)
    let before = sample.contents
    let plan = try PartitionRepair(planning: directory, on: sample.disk)
    #expect(plan.verdict == .cutBack(lost: 9...11))
    #expect(plan.damages.map(\.offset) == [UInt64(sample.ends[8].byte)])
    #expect(plan.cut?.name == "log-000000000008.tw")
    #expect(plan.cut?.at == UInt64(sample.ends[8].byte))
    #expect(plan.newest?.tag == sample.tags[8])
    #expect(sample.contents == before, "a plan changes nothing")

    _ = try PartitionRepair.apply(directory, on: sample.disk, wallMicroseconds: wall)
    sample.expectKept(before, seed: 0)
    let store = try PartitionStore(opening: directory, on: sample.disk)
    #expect(store.newestEpoch == 9)
    #expect(store.tag(of: 8) == sample.tags[8])
    #expect(store.tag(of: 9) != sample.tags[9], "another epoch 9 than the one that is lost")
    #expect(try store.state() == sample.states[8])
    let header = try store.block(of: 9).header
    // From the offsets of epoch 11, which can still be read, back to those of epoch 8.
    #expect(
      header.interventions == [
        Intervention(kind: .repaired, topic: "clickstream", from: 1100, to: 800, wallMicroseconds: wall),
        Intervention(kind: .repaired, topic: "orders", from: 11, to: 8, wallMicroseconds: wall),
      ])
    #expect(header.offsets == (try store.block(of: 8).header.offsets))
    #expect(!header.cleanShutdown)
  }

  @Test func aLostLogGoesBackToTheBase() throws {
    let sample = try Sample()
    sample.disk.setContents(nil, of: path("log-000000000008.tw"))
    let (repair, _) = try PartitionRepair.apply(directory, on: sample.disk, wallMicroseconds: wall)
    // Nothing tells that there were epochs behind the base.
    #expect(repair.verdict == .lossless)
    let store = try PartitionStore(opening: directory, on: sample.disk)
    #expect(store.tags.last == sample.tags[7])
    #expect(try store.state() == sample.states[7])
  }

  @Test func withNothingLeftNothingIsDone() throws {
    let sample = try Sample(rewrites: [])
    sample.disk.flipBit(70 * 8, of: path("log-000000000000.tw"))
    let before = sample.contents
    let (repair, folder) = try PartitionRepair.apply(directory, on: sample.disk, wallMicroseconds: wall)
    #expect(repair.verdict == .nothingIntact)
    #expect(folder == nil)
    #expect(sample.contents.filter { $0.key.hasSuffix(".tw") } == before.filter { $0.key.hasSuffix(".tw") })
  }

  @Test func filesOfTwoStatesAreNotSorted() throws {
    let sample = try Sample()
    let other = ModelDisk(seed: 2)
    let strange = Lineage(high: 1, low: 1)
    let store = try openNewest(other)
    for epoch in 0..<12 as Range<UInt64> {
      try store.commit(Epoch(), header(epoch, lineage: strange))
      if epoch == 7 { #expect(try store.rewriteNow()) }
    }
    sample.disk.setContents(other.contents(of: path("base-000000000007.tw")), of: path("base-000000000007.tw"))
    let (repair, folder) = try PartitionRepair.apply(directory, on: sample.disk, wallMicroseconds: wall)
    #expect(repair.verdict == .mixed([strange, someLineage]))
    #expect(folder == nil)
  }

  @Test func aDirectoryInUseIsRefused() throws {
    let sample = try Sample()
    sample.disk.flipBit(300 * 8, of: path("base-000000000003.tw"))
    let store = try PartitionStore(opening: directory, on: sample.disk)
    #expect(throws: CheckpointError.locked(directory: directory)) {
      try PartitionRepair.apply(directory, on: sample.disk, wallMicroseconds: wall)
    }
    withExtendedLifetime(store) {}
  }

  /// Random damage: what is left is the newest state that any way of putting the files together gives, and all files are
  /// kept; also when the repair itself is cut short and run again.
  @Test func noEpochIsGivenUpThatCouldBeKept() throws {
    var verdicts: [String: Int] = [:]
    for seed in 0..<400 as Range<UInt64> {
      var random = SeededGenerator(seed: seed)
      var sample = try Sample(seed: seed, epochs: 10, rewrites: [[], [2], [2, 5], [2, 5, 9]][Int(seed % 4)])
      for _ in 0..<Int.random(in: 1...3, using: &random) { sample.damage(&random) }
      let before = sample.contents
      let plan = try PartitionRepair(planning: directory, on: sample.disk)
      #expect(sample.contents == before)
      let best = try sample.newestRestorable()
      #expect(plan.newest?.tag.epoch == best, "seed \(seed), \(plan.verdict)")
      verdicts["\(plan.verdict)".prefix { $0 != "(" }.description, default: 0] += 1

      if seed % 2 == 0 {
        let changes = Int.random(in: 0..<20, using: &random)
        sample.disk.setFaults { $0.stopAfterChanges = changes }
        _ = try? PartitionRepair.apply(directory, on: sample.disk, wallMicroseconds: wall)
        sample.disk.crash()
        if plan.isNeeded { sample.expectKept(before, seed: seed) }
      }
      _ = try PartitionRepair.apply(directory, on: sample.disk, wallMicroseconds: wall)
      guard let best, plan.isNeeded || plan.verdict == .sound else { continue }
      sample.expectKept(before, seed: seed)
      #expect(try PartitionReport.verify(directory, on: sample.disk).isSound, "seed \(seed)")
      let store = try PartitionStore(opening: directory, on: sample.disk)
      #expect(store.tag(of: best) == sample.tags[Int(best)], "seed \(seed)")
      #expect(try store.state() == sample.states[Int(best)], "seed \(seed)")
      let epochs = try #require(store.epochs)
      #expect(epochs.upperBound <= best + 1, "seed \(seed): \(epochs), best \(best), first plan \(plan)")
      #expect(try PartitionRepair(planning: directory, on: sample.disk).verdict == .sound, "seed \(seed)")
      // And it goes on.
      let newest = try #require(store.newestEpoch)
      try store.truncate(after: newest)
      try store.commit(Epoch(), header(newest + 1))
    }
    for verdict in ["sound", "lossless", "cutBack", "nothingIntact"] {
      #expect(verdicts[verdict, default: 0] >= 10, "\(verdicts)")
    }
  }
}
