// The same store on the machine's own file system, in a temporary directory.
import Checkpoint
import CheckpointTesting
import Foundation
import Testing

/// A directory that is removed when the test ends.
private final class TemporaryDirectory {
  let path = FileManager.default.temporaryDirectory.appendingPathComponent("tidewatch-\(UUID().uuidString)").path

  deinit { try? FileManager.default.removeItem(atPath: path) }
}

@Suite struct PosixDiskTests {
  @Test func aLifeOnARealDisk() throws {
    let root = TemporaryDirectory()
    let directory = CheckpointLayout.directory(state: root.path, name: "shop", partition: 3)
    var states: [State] = []
    var tags: [EpochTag] = []
    do {
      let store = try openNewest(PosixDisk(), directory)
      states = try fill(store, count: 8, valueBytesMax: 50_000)
      #expect(try store.rewriteNow())
      states.append(states[7])
      states[8][[1]] = [2]
      try store.commit(Epoch(changes: [([1], [2])], outbox: [3]), header(8))
      tags = store.tags
      #expect(throws: CheckpointError.locked(directory: directory)) { try PartitionStore(opening: directory) }
    }
    do {
      let store = try openNewest(PosixDisk(), directory)
      #expect(store.tags == tags)
      #expect(try store.state() == states[8])
      #expect(try store.state(upTo: 7) == states[7])
      #expect(try store.outbox(of: 8) == [3])
      try store.truncate(after: 7)
      #expect(try store.state() == states[7])
      try store.commit(Epoch(changes: [([1], [3])]), header(8))
      #expect(store.tag(of: 8) != tags.last)
    }
    let report = try PartitionReport.verify(directory)
    #expect(report.isSound)
    #expect(report.epochs == 7...8)
    #expect(report.liveKeyCount == UInt64(states[7].count + 1))
    #expect(try CheckpointLayout.partitions(under: root.path) == [directory])
    #expect(try CheckpointLayout.partitions(under: directory) == [directory])
  }

  @Test func aPipeInTheWayIsAnErrorAndNotWaitedFor() throws {
    let root = TemporaryDirectory()
    let directory = CheckpointLayout.directory(state: root.path, name: "shop", partition: 0)
    _ = try fill(try openNewest(PosixDisk(), directory), count: 2)
    let log = directory + "/log-000000000000.tw"
    try FileManager.default.removeItem(atPath: log)
    try #require(mkfifo(log, 0o600) == 0)
    #expect {
      _ = try PartitionStore(opening: directory)
    } throws: {
      "\($0)".contains("cannot open \(log): Invalid argument. It is a pipe, not a file")
    }
    let report = try PartitionReport.verify(directory)
    #expect(!report.isSound && report.error != nil)
  }

  @Test func aTornTailOnARealDisk() throws {
    let root = TemporaryDirectory()
    let state: State
    do {
      let store = try openNewest(PosixDisk(), root.path)
      state = try fill(store, count: 3)[2]
    }
    let log = root.path + "/log-000000000000.tw"
    let handle = try #require(FileHandle(forWritingAtPath: log))
    try handle.seekToEnd()
    try handle.write(contentsOf: Data([1, 2, 3]))
    try handle.close()
    let store = try PartitionStore(opening: root.path)
    #expect(store.tornTail?.bytes == 3)
    #expect(try store.state() == state)
    try store.truncate(after: 2)
    #expect(try PartitionReport.verify(root.path).tornTail == nil)
  }

  @Test func partitionsAreFoundInTheirOrder() throws {
    let root = TemporaryDirectory()
    for partition in [Int32(10), 2, 0] {
      let path = CheckpointLayout.directory(state: root.path, name: "g", partition: partition)
      try openNewest(PosixDisk(), path).commit(Epoch(), header(0))
    }
    let found = try CheckpointLayout.partitions(under: root.path)
    #expect(found == ["p0", "p2", "p10"].map { "\(root.path)/g/\($0)" })
  }

  @Test func refusalsAreTyped() throws {
    let root = TemporaryDirectory()
    let missing = #expect(throws: DiskError.self) { try PosixDisk().list(root.path) }
    #expect(missing?.kind == .notFound)
    try FileManager.default.createDirectory(atPath: root.path, withIntermediateDirectories: true)
    #expect(FileManager.default.createFile(atPath: root.path + "/file", contents: Data([1])))
    let notDirectory = #expect(throws: CheckpointError.self) { try PartitionStore(opening: root.path + "/file/p0") }
    guard case .disk(let error)? = notDirectory else { return #expect(Bool(false), "\(notDirectory as Any)") }
    #expect(error.operation == .createDirectory)
    // A full device.
    let full = try PosixDisk().open("/dev/full", .readWrite)
    let noSpace = #expect(throws: DiskError.self) { try Bytes([1]).withUnsafeBytes { try full.write($0, at: 0) } }
    #expect(noSpace == DiskError(.write, path: "/dev/full", offset: 0, code: 28))
  }

  @Test(.enabled(if: getuid() != 0, "the superuser may write anywhere")) func aReadOnlyDirectoryIsATypedError() throws {
    let root = TemporaryDirectory()
    try openNewest(PosixDisk(), root.path).commit(Epoch(), header(0))
    try FileManager.default.setAttributes([.posixPermissions: 0o500], ofItemAtPath: root.path)
    defer { try? FileManager.default.setAttributes([.posixPermissions: 0o700], ofItemAtPath: root.path) }
    try FileManager.default.removeItem(atPath: root.path + "/lock")
    let error = #expect(throws: CheckpointError.self) { try PartitionStore(opening: root.path) }
    guard case .disk(let refusal)? = error else { return #expect(Bool(false), "\(error as Any)") }
    #expect(refusal.kind == .permissionDenied)
  }

  @Test func theRewriterRunsOnAThreadOfItsOwn() async throws {
    let root = TemporaryDirectory()
    let store = try openNewest(PosixDisk(), root.path)
    var state = try fill(store, count: 20, valueBytesMax: 20_000)[19]
    let rewriter = try #require(try store.startRewriteIfDue(evenIfShort: true))
    let (results, continuation) = AsyncStream<Result<NewBase, CheckpointError>>.makeStream()
    Thread {
      do throws(CheckpointError) { continuation.yield(.success(try rewriter.run())) } catch {
        continuation.yield(.failure(error))
      }
      continuation.finish()
    }.start()
    for epoch in UInt64(20)..<40 {
      let changes = Epoch(changes: [([UInt8(epoch)], [1, 2, 3])])
      changes.apply(to: &state)
      try store.commit(changes, header(epoch))
    }
    for await result in results { store.finishRewrite(result) }
    #expect(store.epochs == 19...39)
    #expect(try store.state() == state)
    #expect(try PartitionReport.verify(root.path).isSound)
  }
}
