// Reports for the command line.
import CXXHash
import Checkpoint
import CheckpointTesting
import Testing

/// XXH3, as the format says.
func testChecksum(_ bytes: Bytes) -> UInt64 { bytes.withUnsafeBytes { tw_xxh3_64($0.baseAddress, $0.count, 0) } }

@Suite struct InspectTests {
  @Test func aReportTellsFilesEpochsAndKeys() throws {
    let disk = ModelDisk(seed: 1)
    let store = try openNewest(disk)
    try store.commit(Epoch(changes: [([1], [1, 1]), ([2], [2])]), header(0))
    #expect(try store.rewriteNow())
    try store.commit(Epoch(changes: [([1], nil), ([3, 3], [3])]), header(1))
    try store.commit(Epoch(changes: [([3, 3], [4])], outbox: [1]), header(2))
    disk.setContents([1], of: directory + "/base-000000000009.tw.tmp")
    disk.setContents([1, 2], of: directory + "/notes.txt")

    // Beside the running owner, and without its lock.
    let report = try PartitionReport.verify(directory, on: disk, blockLimit: 2)
    #expect(report.isSound)
    #expect(report.firstDamage == nil)
    #expect(report.epochs == 0...2)
    #expect(report.blocks.map(\.tag) == Array(store.tags.suffix(2)))
    #expect(report.blocks.last?.hasOutbox == true)
    #expect(report.liveKeyCount == 2)
    #expect(report.liveBytes == 5)
    let files = report.files.map { "\($0.name) \($0.kind) \($0.epochs.map { "\($0)" } ?? "-") \($0.isCurrent)" }
    #expect(
      files == [
        "log-000000000000.tw log 0...0 false", "base-000000000000.tw base 0...0 true",
        "log-000000000001.tw log 1...2 true", "base-000000000009.tw.tmp temporary - false", "lock lock - false",
        "notes.txt foreign - false",
      ])
    #expect(report.files[2].blockCount == 2)
    #expect(report.files[2].entryCount == 3)
    #expect(report.files[2].tombstoneCount == 1)
    #expect(report.files[1].entryCount == 2)
    #expect(report.bytes == UInt64(disk.totalBytes))

    let quick = try PartitionReport.inspect(directory, on: disk, blockLimit: 0)
    #expect(quick.liveKeyCount == nil)
    #expect(quick.blocks.isEmpty)
    #expect(quick.epochs == 0...2)
  }

  @Test func damageInsideABaseIsFoundByVerifyAndByRestore() throws {
    let disk = ModelDisk(seed: 1)
    let store = try openNewest(disk)
    var many = Epoch()
    for number in 0..<3000 { many.changes.append((Bytes("key\(number)".utf8), Bytes(repeating: 7, count: 1000))) }
    try store.commit(many, header(0))
    #expect(try store.rewriteNow())
    #expect(try PartitionReport.verify(directory, on: disk).liveKeyCount == 3000)
    let base = directory + "/base-000000000000.tw"
    let bytes = try #require(disk.contents(of: base))
    disk.flipBit(bytes.count * 4, of: base)
    #expect(try PartitionReport.inspect(directory, on: disk).isSound, "heads are good")
    let report = try PartitionReport.verify(directory, on: disk)
    #expect(report.firstDamage?.path == base)
    #expect(damage(of: report.error)?.path == base)
    #expect { try store.state() } throws: { damage(of: $0) == report.firstDamage }

    // Chunks in another order are whole each by itself, and yet not the base.
    disk.setContents(bytes, of: base)
    let starts = bytes.indices.filter { bytes[$0...].starts(with: [0x54, 0x57, 0x42, 0x43]) }.map { $0 - 8 }
    #expect(starts.count == 3)
    let second = Array(bytes[starts[1]..<starts[2]])
    let swapped = bytes[..<starts[0]] + second + bytes[starts[0]..<starts[1]] + bytes[starts[2]...]
    disk.setContents(Bytes(swapped), of: base)
    #expect { try store.state() } throws: { damage(of: $0)?.reason.contains("out of order") == true }
  }

  @Test("an older generation that does not lead to the newest base could not stand in for it")
  func aGapBeforeTheNewestBase() throws {
    let disk = ModelDisk(seed: 1)
    let store = try openNewest(disk)
    for epoch in 0..<5 as Range<UInt64> {
      try store.commit(Epoch(changes: [([UInt8(epoch)], [1])]), header(epoch))
      if epoch == 0 || epoch == 3 { #expect(try store.rewriteNow()) }
    }
    let whole = try PartitionReport.verify(directory, on: disk)
    #expect(whole.isSound && whole.files.count { $0.kind == .base } == 2)
    let log = directory + "/log-000000000001.tw"
    let bytes = try #require(disk.contents(of: log))
    for cut in [bytes.count, 64, nil] {
      if let cut { disk.setContents(Bytes(bytes.prefix(cut)), of: log) } else { try disk.remove(log) }
      let report = try PartitionReport.verify(directory, on: disk)
      #expect(report.isSound, "the newest is not concerned")
      #expect(report.olderEnd == (cut == bytes.count ? nil : 0), "\(String(describing: cut))")
    }
  }

  @Test func anEmptyOrMissingDirectoryIsNoDamage() throws {
    let disk = ModelDisk(seed: 1)
    #expect(throws: DiskError.self) { try PartitionReport.inspect(directory, on: disk) }
    try disk.createDirectories(directory)
    let report = try PartitionReport.verify(directory, on: disk)
    #expect(report.isSound && report.files.isEmpty && report.epochs == nil)
  }
}
