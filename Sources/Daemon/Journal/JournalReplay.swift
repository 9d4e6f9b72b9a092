// `replay --journal`: the calls of a journal, made again.

import Checkpoint
import Customers
import Engine
import Events

/// What came of one partition's journal.
public struct JournalSummary: Sendable, Equatable {
  public var partition: Int32
  /// Of the epochs replayed; nil when the journal holds none.
  public var epochs: ClosedRange<UInt64>?
  /// How often the state was restored on the way: restarts, aborts, partitions that came back.
  public var restores = 0
  public var records = 0
  public var ticks = 0
  public var outputs = 0
  /// Where its clock was at the end.
  public var clock = Instant.distantPast
  /// Of a last frame that its process did not finish.
  public var tornBytes: UInt64 = 0
}

public struct JournalReplay {
  let factory: any TaskFactory
  let disk: any Disk
  let group: String
  let topics: [String]

  public init(_ factory: any TaskFactory, group: String, topics: [String], disk: any Disk = PosixDisk()) {
    self.factory = factory
    self.disk = disk
    self.group = group
    self.topics = topics
  }

  /// Replays each partition of the directory, in order of their numbers.
  /// - Parameter emit: gets the outputs of each epoch, partition by partition, and takes them out of the buffer.
  /// - Throws: `JournalError`, `DiskError`, what the tasks and `emit` throw.
  public func run(
    directory: String, emit: (_ partition: Int32, _ outputs: inout OutputBuffer) throws -> Void
  ) throws -> [JournalSummary] {
    let names: [String]
    do { names = try disk.list(directory) } catch {
      throw error.kind == .notFound ? JournalError.noFiles(directory: directory) : JournalError.disk(error)
    }
    let numbers = names.compactMap { name -> Int32? in
      guard name.hasPrefix("p"), name.hasSuffix(".twj") else { return nil }
      return Int32(name.dropFirst().dropLast(4)).flatMap { JournalFormat.fileName($0) == name ? $0 : nil }
    }
    guard !numbers.isEmpty else { throw JournalError.noFiles(directory: directory) }
    return try numbers.sorted().map { partition in
      try replay(directory + "/" + JournalFormat.fileName(partition), partition, emit)
    }
  }

  private func replay(
    _ path: String, _ partition: Int32, _ emit: (Int32, inout OutputBuffer) throws -> Void
  ) throws -> JournalSummary {
    var summary = JournalSummary(partition: partition)
    let file = try disk.open(path, .read)
    guard let contents = try JournalContents.read(file, path: path) else { return summary }
    let identity = contents.identity
    guard identity.group == group, identity.topics == topics, identity.partition == partition else {
      throw JournalError.ofAnother(
        path: path,
        what: "group \(identity.group), topics \(identity.topics.joined(separator: ", ")), "
          + "partition \(identity.partition)")
    }
    summary.tornBytes = contents.tornBytes
    // Restored states are made of what was saved, in the order in which it was read then.
    var state: [UInt64: (key: [UInt8], value: [UInt8])] = [:]
    var logic: (any TaskLogic)?
    var recorded = JournalEpoch()
    var buffer = OutputBuffer()
    let changes = ChangeList()

    for frame in contents.frames {
      let body = try contents.body(of: frame, in: file)
      let damaged = JournalError.damaged(path: path, offset: frame.bodyOffset, reason: "the frame cannot be read")
      switch frame.kind {
      case .state:
        guard body.withUnsafeBytes({ Self.readState($0, into: &state) }) else { throw damaged }
      case .life:
        guard let life = body.withUnsafeBytes({ Self.life($0) }) else { throw damaged }
        try check(life, path)
        logic = try begin(life, identity, state)
        if life.restoredEpoch != nil { summary.restores += 1 }
      case .epoch:
        guard let logic else { throw damaged }
        let isRead = body.withUnsafeBytes {
          recorded.perform($0, partition: partition, topics: topics.count, on: logic)
        }
        guard isRead else { throw damaged }
        guard logic.clock == recorded.clock else {
          throw JournalError.diverged(path: path, epoch: frame.epoch, recorded: recorded.clock, here: logic.clock)
        }
        try logic.endEpoch(frame.epoch)
        logic.takeChanges(into: changes)
        changes.readEntries { key, value in Self.save(key, value, into: &state) }
        changes.removeAll()
        buffer = logic.takeOutputs(leaving: buffer)
        summary.outputs += buffer.entries.count
        try emit(partition, &buffer)
        buffer.removeAll()
        summary.epochs = (summary.epochs?.lowerBound ?? frame.epoch)...frame.epoch
      }
    }
    summary.records = recorded.records
    summary.ticks = recorded.ticks
    summary.clock = recorded.clock
    return summary
  }

  private func begin(
    _ life: JournalLife, _ identity: JournalIdentity, _ state: [UInt64: (key: [UInt8], value: [UInt8])]
  ) throws -> any TaskLogic {
    let logic = try factory.makeTask(
      partition: identity.partition, partitionCount: identity.partitionCount, seed: identity.seed)
    guard let epoch = life.restoredEpoch else { return logic }
    for hash in life.order {
      guard let entry = state[hash] else { continue }
      try entry.key.withUnsafeBytes { key in
        try entry.value.withUnsafeBytes { try logic.restore(key: key, value: $0) }
      }
    }
    try logic.finishRestore(epoch: epoch, clock: life.clock)
    return logic
  }

  private func check(_ life: JournalLife, _ path: String) throws {
    guard life.versions != factory.versions else { return }
    throw JournalError.otherVersions(
      path: path, epoch: life.restoredEpoch ?? 0, recorded: Self.text(life.versions), here: Self.text(factory.versions))
  }

  private static func text(_ versions: TaskVersions) -> String {
    "rules \(versions.rulesRevision) (\(versions.rulesFingerprint)), model \(versions.model), engine \(versions.engine), "
      + "time zone \(versions.timeZone)"
  }

  private static func save(
    _ key: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer?,
    into state: inout [UInt64: (key: [UInt8], value: [UInt8])]
  ) {
    state[JournalFormat.checksum(key)] = value.map { (Array(key), Array($0)) }
  }

  private static func readState(
    _ body: UnsafeRawBufferPointer, into state: inout [UInt64: (key: [UInt8], value: [UInt8])]
  ) -> Bool {
    var input = JournalInput(body)
    while !input.isAtEnd {
      guard let key = input.counted(), let flag = input.fixed(UInt8.self) else { return false }
      if flag == 0 {
        save(key, nil, into: &state)
      } else {
        guard let value = input.counted() else { return false }
        save(key, value, into: &state)
      }
    }
    return true
  }

  private static func life(_ body: UnsafeRawBufferPointer) -> JournalLife? {
    var input = JournalInput(body)
    return JournalLife(&input)
  }
}
