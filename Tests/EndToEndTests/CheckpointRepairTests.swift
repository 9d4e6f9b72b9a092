// `checkpoint repair` and `checkpoint backup` through the binary, on real files.

import Checkpoint
import Foundation
import SchemaTesting
import Synchronization
import Testing

@Suite struct CheckpointRepairTests {
  let scratch: ScratchDirectory
  private let lineage = Lineage(high: 7, low: 7)

  /// One partition with two generations: bases of epochs 2 and 5, newest epoch 9.
  init() throws {
    scratch = try ScratchDirectory()
    let store = try PartitionStore(opening: scratch.path("state/shop/p0"))
    try store.truncate(after: nil)
    for epoch in 0..<10 as Range<UInt64> {
      try append(epoch, to: store)
      try store.confirm(epoch)
      if epoch == 2 || epoch == 5, let rewriter = try store.startRewriteIfDue(evenIfShort: true) {
        store.finishRewrite(.success(try rewriter.run()))
      }
    }
  }

  private func append(_ epoch: UInt64, to store: PartitionStore) throws {
    var header = EpochHeader(
      lineage: lineage, epoch: epoch, clock: 1_772_368_496_123_000 + Int64(epoch), partition: 0, partitionCount: 1,
      offsets: [TopicOffset(topic: "orders", next: Int64(epoch) * 10)], engineVersion: "1")
    header.skips = [SkippedOffset(topic: "orders", offset: 1000)]
    _ = try store.append(header) { $0.put(key: [UInt8(epoch)], value: [UInt8](repeating: 9, count: 100)) }
    try store.sync()
  }

  private var state: String { scratch.path("state") }
  private func file(_ name: String) -> String { scratch.path("state/shop/p0/\(name)") }

  private func flip(_ name: String, at offset: Int) throws {
    var bytes = try Data(contentsOf: URL(fileURLWithPath: file(name)))
    bytes[offset] ^= 0x10
    try bytes.write(to: URL(fileURLWithPath: file(name)))
  }

  private func files() throws -> [String: Data] {
    let names = try FileManager.default.subpathsOfDirectory(atPath: state)
    return try Dictionary(
      uniqueKeysWithValues: names.filter { $0.hasSuffix(".tw") }.map {
        ($0, try Data(contentsOf: URL(fileURLWithPath: state + "/" + $0)))
      })
  }

  @Test func soundStateIsLeftAlone() async throws {
    let before = try files()
    for arguments in [[], ["--apply"]] {
      let outcome = try await Binary.run(["checkpoint", "repair", state] + arguments)
      #expect(outcome.status == 0, "\(outcome.errorText)")
      #expect(outcome.text.contains("/shop/p0: sound, nothing to repair\n"))
    }
    #expect(try files() == before)
  }

  /// What a message tells to do is done, and helps.
  @Test func aDamagedBaseGivesWayToTheGenerationBefore() async throws {
    try flip("base-000000000005.tw", at: 80)
    let verify = try await Binary.run(["checkpoint", "verify", state])
    #expect(verify.status == 65)
    #expect(verify.errorText.contains("base-000000000005.tw at byte 64"))
    #expect(verify.errorText.contains("`tidewatch checkpoint repair \(scratch.path("state/shop/p0"))`"))

    let before = try files()
    let plan = try await Binary.run(["checkpoint", "repair", state])
    #expect(plan.status == 65)
    #expect(plan.text.contains("damaged; nothing is lost by the repair"))
    #expect(plan.text.contains("to be moved   base-000000000005.tw"))
    #expect(plan.text.contains("run `tidewatch checkpoint repair --apply \(scratch.path("state/shop/p0"))`"))
    #expect(try files() == before)

    let done = try await Binary.run(["checkpoint", "repair", "--apply", state])
    #expect(done.status == 0, "\(done.errorText)")
    #expect(done.text.contains("next          start the daemon\n"))
    #expect(FileManager.default.fileExists(atPath: file("damaged-1/base-000000000005.tw")))
    let after = try await Binary.run(["checkpoint", "verify", state])
    #expect(after.status == 0, "\(after.errorText)")
    #expect(after.text.contains("epochs        2 to 9"))
    #expect(after.text.contains("live state    10 keys"))
  }

  @Test func damageInTheLogTakesTheStateBackAndSaysWhatIsNext() async throws {
    // In the second of four blocks; the first begins behind the file's header and has its length at 16.
    let log = try #require(try files()["shop/p0/log-000000000006.tw"])
    let second = 64 + log[80..<84].reversed().reduce(0) { $0 << 8 | Int($1) }
    try flip("log-000000000006.tw", at: second + 120)
    let done = try await Binary.run(["checkpoint", "repair", "--apply", state])
    #expect(done.status == 0, "\(done.errorText)")
    #expect(done.text.contains("epochs 7 to 9 are lost, the state goes back to epoch 6"))
    #expect(done.text.contains("log-000000000006.tw at byte \(second)"))
    #expect(done.text.contains("run `tidewatch recover --config FILE --adopt-disk --partition 0`"))
    #expect(FileManager.default.fileExists(atPath: file("damaged-1/log-000000000006.tw")))

    let inspect = try await Binary.run(["checkpoint", "inspect", "--json", state])
    #expect(inspect.status == 0)
    let partition = try #require(JSONValue(inspect.output)["partitions"]?.elements?.first)
    #expect(partition["last_epoch"]?.integer == 7)
    let newest = try #require(partition["epochs"]?.elements?.last)
    #expect(newest["format_version"]?.integer == 4)
    #expect(newest["skips"]?.elements?.first?["offset"]?.integer == 1000)
    let intervention = try #require(partition["interventions"]?.elements?.first)
    #expect(intervention["kind"]?.string == "repaired")
    #expect(intervention["epoch"]?.integer == 7)
    #expect(intervention["topic"]?.string == "orders")
    #expect(intervention["from_offset"]?.integer == 90)
    #expect(intervention["to_offset"]?.integer == 60)
    let text = try await Binary.run(["checkpoint", "inspect", state])
    #expect(text.text.contains("to skip     orders 1000\n"))
    #expect(text.text.contains("repaired orders, offset 90 to 60\n"))
  }

  @Test func anUnfinishedEndIsLeftToTheStart() async throws {
    let log = URL(fileURLWithPath: file("log-000000000006.tw"))
    try Data(contentsOf: log).dropLast(5).write(to: log)
    let outcome = try await Binary.run(["checkpoint", "repair", state])
    #expect(outcome.status == 0, "\(outcome.errorText)")
    #expect(outcome.text.contains("a start cuts the unfinished end by itself"))
    // It may have been a whole block once.
    #expect(outcome.text.contains("because epoch 9 is committed"))
    #expect(outcome.text.contains("--adopt-disk --partition 0"))
  }

  @Test func whatCannotBeSavedIsSaid() async throws {
    for name in ["base-000000000005.tw", "base-000000000002.tw"] { try flip(name, at: 80) }
    let outcome = try await Binary.run(["checkpoint", "repair", "--apply", state])
    #expect(outcome.status == 65)
    #expect(outcome.text.contains("no epoch can be restored from these files"))
    #expect(outcome.text.contains("bring back a backup"))
    #expect(!FileManager.default.fileExists(atPath: file("damaged-1")))
  }

  @Test func aDirectoryInUseIsNotRepaired() async throws {
    try flip("base-000000000002.tw", at: 80)
    var opened: PartitionStore?
    // Other tests start processes: between fork and exec each holds every lock that this one has just let go.
    for _ in 0..<100 where opened == nil {
      do throws(CheckpointError) { opened = try PartitionStore(opening: scratch.path("state/shop/p0")) } catch {
        guard case .locked = error else { throw error }
        try await Task.sleep(for: .milliseconds(20))
      }
    }
    let store = try #require(opened)
    let outcome = try await Binary.run(["checkpoint", "repair", "--apply", state])
    #expect(outcome.status == 70)
    #expect(outcome.errorText.contains("is in use by another tidewatch process"))
    withExtendedLifetime(store) {}
  }

  // MARK: Backup

  @Test func aBackupOfAStoppedDirectoryIsWhole() async throws {
    let outcome = try await Binary.run(["checkpoint", "backup", state, "--to", scratch.path("copy")])
    #expect(outcome.status == 0, "\(outcome.errorText)")
    // The newest epoch may not have been committed.
    #expect(outcome.text.contains("/shop/p0: epoch 8, clock 2026-03-01T12:34:56.123008Z, 9 keys"))
    #expect(outcome.text.contains("verified\n"))
    let verify = try await Binary.run(["checkpoint", "verify", scratch.path("copy")])
    #expect(verify.status == 0)
    #expect(verify.text.contains("epochs        5 to 8"))
    #expect(!FileManager.default.fileExists(atPath: scratch.path("copy.partial")))

    for (target, word) in [("copy", "is there already"), ("state/inner", "lies inside"), ("a/b/c", "cannot create")] {
      let refused = try await Binary.run(["checkpoint", "backup", state, "--to", scratch.path(target)])
      #expect(refused.status == 73, "\(target)")
      #expect(refused.errorText.contains(word), "\(refused.errorText)")
    }
    try FileManager.default.createDirectory(atPath: scratch.path("other.partial"), withIntermediateDirectories: false)
    let unfinished = try await Binary.run(["checkpoint", "backup", state, "--to", scratch.path("other")])
    #expect(unfinished.status == 73)
    #expect(unfinished.errorText.contains("another backup is being made"))
  }

  @Test func damagedStateMakesNoBackup() async throws {
    try flip("base-000000000005.tw", at: 300)
    let outcome = try await Binary.run(["checkpoint", "backup", state, "--to", scratch.path("copy")])
    #expect(outcome.status == 65)
    #expect(outcome.errorText.contains("base-000000000005.tw at byte "))
    for name in ["copy", "copy.partial"] { #expect(!FileManager.default.fileExists(atPath: scratch.path(name))) }
  }

  /// The binary copies while this process appends and rewrites the base as fast as it can.
  @Test func aBackupBesideAWriterIsOneOfItsEpochs() async throws {
    let directory = scratch.path("state/shop/p0")
    let stop = StopFlag()
    let lineage = lineage
    let written = Task.detached {
      let store = try PartitionStore(opening: directory, policy: .init(logRatio: 1, logBytesMin: 20_000))
      try store.truncate(after: 9)
      var tags = Dictionary(uniqueKeysWithValues: store.tags.map { ($0.epoch, $0) })
      var epoch: UInt64 = 10
      while !stop.isSet || epoch < 40 {
        let header = EpochHeader(
          lineage: lineage, epoch: epoch, clock: Int64(epoch), partition: 0, partitionCount: 1, offsets: [])
        tags[epoch] = try store.append(header) { writer in
          writer.put(key: Array("key \(epoch % 50)".utf8), value: Array("\(epoch)".utf8))
          writer.put(key: Array("count".utf8), value: Array("\(epoch)".utf8))
        }
        try store.sync()
        try store.confirm(epoch)
        if let rewriter = try store.startRewriteIfDue() { store.finishRewrite(.success(try rewriter.run())) }
        epoch += 1
      }
      return tags
    }
    for number in 0..<4 {
      let copy = scratch.path("copy-\(number)")
      let outcome = try await Binary.run(["checkpoint", "backup", state, "--to", copy])
      #expect(outcome.status == 0, "\(outcome.errorText)")
      let verify = try await Binary.run(["checkpoint", "verify", state])
      #expect(verify.status == 0, "\(verify.errorText)")
    }
    stop.set()
    let tags = try await written.value
    for number in 0..<4 {
      let store = try PartitionStore(opening: scratch.path("copy-\(number)/shop/p0"))
      let newest = try #require(store.newestEpoch)
      #expect(store.tag(of: newest) == tags[newest])
      var count: [UInt8]?
      try store.restore { key, value in
        if key.elementsEqual("count".utf8) { count = value.map { Array($0) } }
      }
      if newest >= 10 { #expect(count == Array("\(newest)".utf8)) }
    }
  }
}

private final class StopFlag: Sendable {
  private let value = Mutex(false)
  var isSet: Bool { value.withLock { $0 } }
  func set() { value.withLock { $0 = true } }
}
