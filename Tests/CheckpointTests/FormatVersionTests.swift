// State written in an older format, and what happens to it; state of a newer one.
import Checkpoint
import CheckpointTesting
import Foundation
import Testing

/// Files that the last program to write an older format left behind, and what they hold.
struct FormatFixture: Decodable, Sendable {
  struct Partition: Decodable, Sendable {
    var name: String
    var epochs: [Epoch]
  }
  struct Epoch: Decodable, Sendable {
    var epoch: UInt64
    var tag: String
    var clock: Int64
    var offsets: [[String]]
    var cleanShutdown: Bool
    var outbox: String?
    /// Topic and offset; format 1 has none.
    var skips: [[String]]?
    /// Kind, topic, from, to, wall clock; format 1 has none.
    var interventions: [[String]]?
    /// Values in hexadecimal digits.
    var state: [String: String]
  }

  var partitions: [Partition]

  static func folder(_ version: UInt32) -> URL {
    URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("Fixtures/format-\(version)")
  }

  static func load(_ version: UInt32) throws -> FormatFixture {
    try JSONDecoder().decode(
      FormatFixture.self, from: Data(contentsOf: folder(version).appendingPathComponent("contents.json")))
  }

  /// A disk that holds the files of a partition.
  static func disk(_ partition: String, _ version: UInt32, seed: UInt64 = 1) throws -> ModelDisk {
    let disk = ModelDisk(seed: seed)
    try disk.createDirectories(directory)
    let source = folder(version).appendingPathComponent(partition)
    for name in try FileManager.default.contentsOfDirectory(atPath: source.path) where name.hasSuffix(".tw") {
      disk.setContents(try Bytes(Data(contentsOf: source.appendingPathComponent(name))), of: "\(directory)/\(name)")
    }
    return disk
  }
}

extension FormatFixture.Epoch {
  var expected: State {
    State(uniqueKeysWithValues: state.map { (Bytes($0.key.utf8), FormatFixture.bytes($0.value)) })
  }
}

extension FormatFixture {
  static func bytes(_ digits: String) -> Bytes {
    let all = Array(digits.utf8)
    return stride(from: 0, to: all.count, by: 2).map {
      UInt8(String(decoding: all[$0..<($0 + 2)], as: UTF8.self), radix: 16) ?? 0
    }
  }
}

/// Sets the format version in a file's header and makes its checksum right again.
private func setVersion(_ version: UInt8, release: [UInt16] = [0, 0, 0], of path: String, on disk: ModelDisk) throws {
  var bytes = try #require(disk.contents(of: path))
  bytes[16] = version
  for (index, part) in release.enumerated() {
    bytes[56 + 2 * index] = UInt8(truncatingIfNeeded: part)
    bytes[57 + 2 * index] = UInt8(truncatingIfNeeded: part >> 8)
  }
  setChecksum(&bytes, from: 0, to: 64)
  disk.setContents(bytes, of: path)
}

func setChecksum(_ bytes: inout Bytes, from start: Int, to end: Int) {
  let sum = testChecksum(Array(bytes[(start + 8)..<end]))
  for index in 0..<8 { bytes[start + index] = UInt8(truncatingIfNeeded: sum >> UInt64(8 * index)) }
}

/// What this program writes.
private let written: UInt32 = 4
private let older: [UInt32] = [1, 2, 3]

@Suite struct FormatVersionTests {
  /// Also files of this format: another release of zstd may have written them.
  @Test(arguments: older + [written]) func aFormatIsReadAsItIs(version: UInt32) throws {
    for partition in try FormatFixture.load(version).partitions {
      let disk = try FormatFixture.disk(partition.name, version)
      let paths = disk.paths
      let store = try PartitionStore(opening: directory, on: disk)
      #expect(store.tags.map(\.description) == partition.epochs.map(\.tag))
      for expected in partition.epochs {
        let block = try store.block(of: expected.epoch)
        #expect(block.formatVersion == version)
        #expect(block.header.clock == expected.clock)
        #expect(block.header.offsets.map { [$0.topic, String($0.next)] } == expected.offsets)
        #expect(block.header.cleanShutdown == expected.cleanShutdown)
        #expect(block.header.skips.map { [$0.topic, String($0.offset)] } == expected.skips ?? [])
        let interventions = block.header.interventions.map {
          [String($0.kind.rawValue), $0.topic, String($0.from), String($0.to), String($0.wallMicroseconds)]
        }
        #expect(interventions == expected.interventions ?? [])
        #expect(try store.outbox(of: expected.epoch) == expected.outbox.map(FormatFixture.bytes))
        #expect(try store.state(upTo: expected.epoch) == expected.expected, "\(partition.name) \(expected.epoch)")
      }
      let report = try PartitionReport.verify(directory, on: disk)
      #expect(report.isSound)
      #expect(report.epochs?.upperBound == partition.epochs.last?.epoch)
      #expect(report.liveKeyCount == partition.epochs.last.map { UInt64($0.state.count) })
      #expect(Set(report.files.compactMap(\.formatVersion)) == [version])
      // Opening and looking change nothing but the lock.
      #expect(disk.paths == (paths + ["\(directory)/lock"]).sorted())
    }
  }

  /// Continued from each of its epochs, the log goes on in this program's format, and two rewrites later nothing of the
  /// older one is left.
  @Test(arguments: older) func anOlderFormatIsContinuedInThisOne(version: UInt32) throws {
    for partition in try FormatFixture.load(version).partitions {
      for start in partition.epochs {
        let disk = try FormatFixture.disk(partition.name, version)
        var store = try PartitionStore(opening: directory, on: disk)
        try store.truncate(after: start.epoch)
        var state = start.expected
        var newest = start.epoch
        func next(_ changes: Epoch) throws {
          newest += 1
          var head = header(newest)
          head.skips = [SkippedOffset(topic: "orders", offset: 1000)]
          head.interventions = [Intervention(kind: .adoptedDisk, wallMicroseconds: Int64(newest))]
          try store.commit(changes, head)
          changes.apply(to: &state)
        }
        try next(Epoch(changes: [([1], [1])], outbox: [7]))
        try next(Epoch(changes: [(Bytes("customer-1".utf8), nil)]))
        #expect(try PartitionReport.verify(directory, on: disk).isSound)

        store = try reopened(disk, store)
        #expect(store.newestEpoch == newest)
        #expect(store.tag(of: start.epoch)?.description == start.tag)
        #expect(try store.state() == state)
        #expect(try store.state(upTo: start.epoch) == start.expected)
        #expect(try store.block(of: start.epoch).formatVersion == version)
        let block = try store.block(of: newest)
        #expect(block.formatVersion == written)
        #expect(block.header.skips == [SkippedOffset(topic: "orders", offset: 1000)])
        #expect(block.header.interventions.map(\.wallMicroseconds) == [Int64(newest)])

        for _ in 0..<2 {
          try store.truncate(after: newest)
          try store.confirm(newest)
          #expect(try store.rewriteNow())
          #expect(try PartitionReport.verify(directory, on: disk).isSound)
          try next(Epoch(changes: [([UInt8(truncatingIfNeeded: newest)], [2])]))
          store = try reopened(disk, store)
          #expect(try store.state() == state)
        }
        let versions = try PartitionReport.verify(directory, on: disk).files.compactMap(\.formatVersion)
        #expect(Set(versions) == [written])
      }
    }
  }

  /// Whatever the moment, what was there is there after the crash, and goes on.
  @Test(arguments: older) func aCrashWhileTheFormatIsLeftLosesNothing(version: UInt32) throws {
    for partition in try FormatFixture.load(version).partitions {
      let newest = try #require(partition.epochs.last)
      var finished = false
      var changes = 0
      while !finished && changes < 100 {
        let disk = try FormatFixture.disk(partition.name, version, seed: UInt64(changes))
        disk.setFaults { $0.stopAfterChanges = changes }
        do {
          let store = try PartitionStore(opening: directory, on: disk)
          try store.truncate(after: newest.epoch)
          finished = true
        } catch {}
        disk.crash()
        for _ in 0..<2 {
          let store = try openNewest(disk)
          #expect(store.tags.last?.description == newest.tag)
          #expect(try store.state() == newest.expected)
        }
        changes += 1
      }
      #expect(finished)
      #expect(changes > 8, "the log that is begun takes changes of its own")
    }
  }

  /// The log that was begun behind the older one holds no epoch yet when a start cuts back into the older one.
  @Test(arguments: older) func cuttingBackIntoTheOlderFormatWorksAgainAndAgain(version: UInt32) throws {
    let partition = try #require(try FormatFixture.load(version).partitions.last)
    let disk = try FormatFixture.disk(partition.name, version)
    for epoch in partition.epochs.reversed() {
      let store = try PartitionStore(opening: directory, on: disk)
      try store.truncate(after: epoch.epoch)
      #expect(store.tags.last?.description == epoch.tag)
      #expect(try store.state() == epoch.expected)
      _ = try store.append(header(epoch.epoch + 1)) { $0.put(key: [9], value: [9]) }
      try store.truncate(after: epoch.epoch)
    }
    #expect(try PartitionReport.verify(directory, on: disk).isSound)
  }

  @Test func aNewerFormatSaysWhichReleaseIsNeeded() throws {
    let disk = ModelDisk(seed: 1)
    try openNewest(disk).commit(Epoch(), header(0))
    let log = directory + "/log-000000000000.tw"
    try setVersion(UInt8(written) + 1, release: [1, 20, 3], of: log, on: disk)
    #expect(throws: CheckpointError.unsupportedFormat(path: log, version: written + 1, release: "1.20.3")) {
      try PartitionStore(opening: directory, on: disk)
    }
    let report = try PartitionReport.inspect(directory, on: disk)
    #expect(!report.isSound)
    #expect(report.error?.description.contains("format \(written + 1)") == true)
    #expect(report.error?.description.contains("Run tidewatch 1.20.3 or newer") == true)
    // A version before the first: no release will help, so none is named.
    try setVersion(0, release: [1, 20, 3], of: log, on: disk)
    #expect(throws: CheckpointError.unsupportedFormat(path: log, version: 0, release: nil)) {
      try PartitionStore(opening: directory, on: disk)
    }
  }

  @Test(arguments: older) func aFileHoldsOneFormat(version: UInt32) throws {
    let disk = try FormatFixture.disk("first-log", version)
    let log = directory + "/log-000000000000.tw"
    try setVersion(UInt8(version) + 1, release: [0, 2, 0], of: log, on: disk)
    #expect {
      try PartitionStore(opening: directory, on: disk)
    } throws: {
      damage(of: $0).map {
        $0.offset == 64 && $0.reason.contains("of format \(version), the file of format \(version + 1)")
      } ?? false
    }
    let twoBases = try FormatFixture.disk("two-bases", version)
    let base = directory + "/base-000000000007.tw"
    try setVersion(UInt8(version) + 1, release: [0, 2, 0], of: base, on: twoBases)
    #expect { try PartitionStore(opening: directory, on: twoBases) } throws: { damage(of: $0)?.path == base }
  }
}

@Suite struct OperatorRecordTests {
  private static let all = Intervention.Kind.allCases.map {
    Intervention(kind: $0, topic: $0 == .repaired ? "" : "orders", from: 3, to: 9, wallMicroseconds: 1_772_368_496)
  }

  /// They are in the block, in the base made of it, and in what is reported.
  @Test func theyComeBackFromLogAndBase() throws {
    let disk = ModelDisk(seed: 1)
    var store = try openNewest(disk)
    var head = header(0)
    head.skips = [SkippedOffset(topic: "orders", offset: 4), SkippedOffset(topic: "clickstream", offset: 4)]
    head.interventions = Self.all
    try store.commit(Epoch(), head)
    #expect(try store.block(of: 0).header == head)
    #expect(try store.rewriteNow())
    store = try reopened(disk, store)
    let block = try store.block(of: 0)
    #expect(block.isBase)
    #expect(block.header == head)
    try store.truncate(after: 0)
    try store.commit(Epoch(), header(1))
    let report = try PartitionReport.verify(directory, on: disk, blockLimit: 1)
    #expect(report.interventions.map(\.intervention) == Self.all, "also of epochs that are not listed, each once")
    #expect(report.interventions.allSatisfy { $0.epoch == 0 })
  }

  @Test func whatCannotBeIsNotWritten() throws {
    let store = try openNewest(ModelDisk(seed: 1))
    func refused(_ change: (inout EpochHeader) -> Void) -> Bool {
      var head = header(0)
      change(&head)
      do {
        _ = try store.append(head) { _ in }
        return false
      } catch {
        if case .misuse = error { return true }
        if case .tooLarge = error { return true }
        return false
      }
    }
    #expect(refused { $0.offsets[0].next = -1 })
    #expect(refused { $0.skips = [SkippedOffset(topic: "other", offset: 1)] })
    #expect(refused { $0.skips = [SkippedOffset(topic: "orders", offset: -1)] })
    #expect(refused { $0.skips = Array(repeating: SkippedOffset(topic: "orders", offset: 1), count: 2) })
    #expect(
      refused {
        $0.skips = (0...CheckpointLimits.skipsMax).map { SkippedOffset(topic: "orders", offset: Int64($0)) }
      })
    let one = Intervention(kind: .skippedGap, topic: "orders", from: 1, to: 5, wallMicroseconds: 0)
    #expect(refused { $0.interventions = Array(repeating: one, count: CheckpointLimits.interventionsMax + 1) })
    for kind in [Intervention.Kind.skippedGap, .skippedRecord] {
      let backward = Intervention(kind: kind, topic: "orders", from: 5, to: 4, wallMicroseconds: 0)
      #expect(refused { $0.interventions = [backward] })
    }
    #expect(refused { $0.interventions = [Intervention(kind: .adoptedDisk, from: -2, wallMicroseconds: 0)] })
    let long = String(repeating: "x", count: CheckpointLimits.nameBytesMax + 1)
    #expect(refused { $0.interventions = [Intervention(kind: .adoptedDisk, topic: long, wallMicroseconds: 0)] })
    // At the limits it is taken.
    #expect(
      !refused {
        $0.skips = (0..<CheckpointLimits.skipsMax).map { SkippedOffset(topic: "orders", offset: Int64($0)) }
        $0.interventions = Array(repeating: one, count: CheckpointLimits.interventionsMax)
      })
  }

  /// Bytes with right checksums that say what cannot be are damage, at the block, and not a surprise later.
  @Test func whatCannotBeIsNotRead() throws {
    let disk = ModelDisk(seed: 1)
    var head = header(0)
    head.skips = [SkippedOffset(topic: "orders", offset: 4)]
    head.interventions = [Intervention(kind: .skippedGap, topic: "orders", from: 3, to: 9, wallMicroseconds: 1)]
    try openNewest(disk).commit(Epoch(), head)
    let log = directory + "/log-000000000000.tw"
    let good = try #require(disk.contents(of: log))
    // The end of the head: name, kind, from, to, wall clock.
    let kind = good.count - 26
    let skip = kind - 2 - 6 - 2 - 8
    // From the back: kind unknown, `to` before `from`, the offsets of the skip and of its topic negative, one skip more than
    // there are.
    for (at, byte) in [(kind, UInt8(99)), (kind + 10, 0), (skip + 7, 0xFF), (skip - 2 - 6 - 1, 0xFF), (64 + 94, 2)] {
      var bytes = good
      #expect(bytes[at] != byte)
      bytes[at] = byte
      setChain(&bytes, from: 64)
      disk.setContents(bytes, of: log)
      #expect {
        try PartitionStore(opening: directory, on: disk)
      } throws: { damage(of: $0)?.offset == 64 }
      #expect(try PartitionReport.inspect(directory, on: disk, blockLimit: 0).firstDamage?.offset == 64)
    }
  }

  @Test func whatIsPassedIsNotCarried() {
    let skips = [
      SkippedOffset(topic: "orders", offset: 3), SkippedOffset(topic: "orders", offset: 5),
      SkippedOffset(topic: "clickstream", offset: 0), SkippedOffset(topic: "gone", offset: 9),
    ]
    let offsets = [TopicOffset(topic: "clickstream", next: 0), TopicOffset(topic: "orders", next: 4)]
    #expect(skips.ahead(of: offsets) == [skips[1], skips[2]])
  }
}

/// Makes chain and checksum of the one block that begins at `start` and ends with the file right again.
private func setChain(_ bytes: inout Bytes, from start: Int) {
  let chain = testChecksum(Array(bytes[(start + 32)...]))
  for index in 0..<8 { bytes[start + 24 + index] = UInt8(truncatingIfNeeded: chain >> UInt64(8 * index)) }
  setChecksum(&bytes, from: start, to: bytes.count)
}

/// The process of `store` dies; the directory is opened by the next.
private func reopened(_ disk: ModelDisk, _ store: PartitionStore) throws -> PartitionStore {
  disk.killProcess()
  return try PartitionStore(opening: directory, on: disk)
}
