// `run --journal`: a task that writes down every call that can change what it says, so that `replay --journal` can make
// the same calls again.

import Checkpoint
import Customers
import Engine
import Events

/// Makes journaling tasks around those of another factory.
public struct JournalingFactory: TaskFactory {
  let base: any TaskFactory
  let directory: String
  let disk: any Disk
  let group: String
  let topics: [String]

  /// - Parameter directory: one file a partition; members of one group may share it as they share `state.dir`.
  public init(
    _ base: any TaskFactory, directory: String, group: String, topics: [String], disk: any Disk = PosixDisk()
  ) {
    self.base = base
    self.directory = directory
    self.disk = disk
    self.group = group
    self.topics = topics
  }

  public var versions: TaskVersions { base.versions }

  /// - Throws: `JournalError`, `DiskError`, and what the inner factory throws.
  public func makeTask(partition: Int32, partitionCount: Int32, seed: UInt64) throws -> any TaskLogic {
    let identity = JournalIdentity(
      group: group, topics: topics, partition: partition, partitionCount: partitionCount, seed: seed)
    let journal = try open(identity)
    let inner = try base.makeTask(partition: partition, partitionCount: partitionCount, seed: seed)
    return JournalingLogic(inner, journal.writer, contents: journal.contents, versions: versions)
  }

  private func open(_ identity: JournalIdentity) throws -> (writer: JournalWriter, contents: JournalContents) {
    let path = directory + "/" + JournalFormat.fileName(identity.partition)
    try disk.createDirectories(directory)
    let names = try disk.list(directory)
    if names.contains(JournalFormat.fileName(identity.partition)) {
      let file = try disk.open(path, .readWrite)
      if let contents = try JournalContents.read(file, path: path) {
        if contents.identity == identity, contents.lastEpoch != nil {
          return (JournalWriter(path: path, file: file, position: contents.end), contents)
        }
        // Of another state: a first epoch that was never committed, or one whose copy was not finished, is nothing.
        if contents.identity != identity, let last = contents.lastEpoch, last > 0 {
          throw JournalError.ofAnother(path: path, what: difference(contents.identity, identity))
        }
      } else if try file.size() > 0 {
        // A header is written at once; only a crash of the machine leaves less than one.
        guard try file.size() < UInt64(identity.encoded().count) else { throw JournalError.notAJournal(path: path) }
      }
    }
    let file = try disk.open(path, .create)
    let header = identity.encoded()
    try header.withUnsafeBytes { try file.write($0, at: 0) }
    try file.sync()
    try disk.syncDirectory(directory)
    let end = UInt64(header.count)
    return (
      JournalWriter(path: path, file: file, position: end), JournalContents(path: path, identity: identity, end: end)
    )
  }

  private func difference(_ found: JournalIdentity, _ own: JournalIdentity) -> String {
    if found.group != own.group { return "group \(found.group), not \(own.group)" }
    if found.topics != own.topics { return "the topics \(found.topics.joined(separator: ", "))" }
    if found.partition != own.partition { return "partition \(found.partition)" }
    if found.partitionCount != own.partitionCount { return "\(found.partitionCount) partitions" }
    return "another state, which was begun anew since"
  }
}

final class JournalingLogic: TaskLogic {
  private let inner: any TaskLogic
  private let journal: JournalWriter
  private let contents: JournalContents
  private let versions: TaskVersions
  /// The calls of the open epoch.
  private var calls = JournalCalls()
  /// Of the restore that is going on: which keys came, and in which order.
  private var restoredKeys: Set<UInt64> = []
  private var restoredOrder: [UInt64] = []
  private var copied = JournalBytes()
  private var hasBegun = false
  /// A tick that did nothing but move the clock: the next one of its kind takes its place.
  private var heldTick: (wall: Instant, maxTimers: Int)?
  private var lastTick: Instant?

  init(_ inner: any TaskLogic, _ journal: JournalWriter, contents: JournalContents, versions: TaskVersions) {
    self.inner = inner
    self.journal = journal
    self.contents = contents
    self.versions = versions
  }

  // MARK: Calls that are written down

  func consume(_ record: InputItem, wall: Instant) {
    writeHeldTick()
    calls.consume(record, wall: wall)
    inner.consume(record, wall: wall)
  }

  func reachedEnd(of topic: Int) {
    writeHeldTick()
    calls.reachedEnd(of: topic)
    inner.reachedEnd(of: topic)
  }

  func topicGrew(_ topic: Int, at wall: Instant) {
    writeHeldTick()
    calls.topicGrew(topic, at: wall)
    inner.topicGrew(topic, at: wall)
  }

  /// Ticks come many times a second, and most only move the clock with the wall: of a run of those the first and the last
  /// give the same. (The first, for it may cut a timestamp from the future down to its wall; a wall that goes back may do
  /// so again.)
  func tick(wall: Instant, maxTimers: Int) -> Bool {
    let before = (inner.clock, inner.clockStatus, inner.tickWork)
    let more = inner.tick(wall: wall, maxTimers: maxTimers)
    let status = inner.clockStatus
    let isPlain =
      !more && before.2 != nil && inner.tickWork == before.2 && status == before.1
      && (inner.clock == before.0 || status == .followingWall)
    if isPlain, let lastTick, lastTick <= wall {
      heldTick = (wall, maxTimers)
    } else {
      writeHeldTick()
      calls.tick(wall: wall, maxTimers: maxTimers)
    }
    lastTick = wall
    return more
  }

  private func writeHeldTick() {
    if let held = heldTick { calls.tick(wall: held.wall, maxTimers: held.maxTimers) }
    heldTick = nil
    lastTick = nil
  }

  func advance(to instant: Instant, maxTimers: Int) -> Bool {
    writeHeldTick()
    calls.advance(to: instant, maxTimers: maxTimers)
    return inner.advance(to: instant, maxTimers: maxTimers)
  }

  func emitProfiles(from start: Int, limit: Int) -> Int? {
    writeHeldTick()
    calls.emitProfiles(from: start, limit: limit)
    return inner.emitProfiles(from: start, limit: limit)
  }

  /// The calls of the epoch become durable here, before anything else of it does.
  func endEpoch(_ epoch: UInt64) throws(CheckpointError) {
    writeHeldTick()
    do throws(DiskError) {
      if !hasBegun { try begin(JournalLife(restoredEpoch: nil, clock: .distantPast, versions: versions, order: [])) }
      try journal.add(.epoch, epoch: epoch, calls.end(clock: inner.clock))
      try journal.sync()
    } catch { throw .disk(error) }
    calls = JournalCalls()
    try inner.endEpoch(epoch)
  }

  private func begin(_ life: JournalLife) throws(DiskError) {
    hasBegun = true
    var body = JournalBytes()
    life.append(to: &body)
    try journal.add(.life, epoch: life.restoredEpoch ?? 0, body.storage)
  }

  // MARK: Restoring

  func restore(key: UnsafeRawBufferPointer, value: UnsafeRawBufferPointer?) throws {
    let hash = JournalFormat.checksum(key)
    if restoredKeys.insert(hash).inserted { restoredOrder.append(hash) }
    if contents.lastEpoch == nil { try copy(key, value) }
    try inner.restore(key: key, value: value)
  }

  /// A journal that is begun after its state begins with a copy of it.
  private func copy(_ key: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer?) throws {
    copied.bytes(key)
    copied.storage.append(value == nil ? 0 : 1)
    if let value { copied.bytes(value) }
    guard copied.storage.count >= 1 << 20 else { return }
    try journal.add(.state, epoch: 0, copied.storage)
    copied = JournalBytes()
  }

  func finishRestore(epoch: UInt64, clock: Instant) throws {
    if contents.lastEpoch == nil {
      try journal.add(.state, epoch: 0, copied.storage)
    } else {
      guard let end = contents.end(ofEpoch: epoch) else {
        throw JournalError.gap(path: journal.path, last: contents.lastEpoch, state: epoch)
      }
      journal.rewind(to: end)
    }
    copied = JournalBytes()
    try begin(JournalLife(restoredEpoch: epoch, clock: clock, versions: versions, order: restoredOrder))
    restoredKeys = []
    restoredOrder = []
    try inner.finishRestore(epoch: epoch, clock: clock)
  }

  /// The state came back as it was left. It was left settled, so that what the open epoch holds is at most ticks that moved
  /// the clock; the state has felt those.
  func resume(epoch: UInt64, clock: Instant) {
    writeHeldTick()
    calls.resume(epoch: epoch, clock: clock)
    inner.resume(epoch: epoch, clock: clock)
  }

  // MARK: The rest

  var clock: Instant { inner.clock }
  var clockStatus: TaskClock.Status { inner.clockStatus }
  var tickWork: Int? { inner.tickWork }
  var isDirty: Bool { inner.isDirty }
  func copyAhead(into list: ChangeList, leaving: Int) { inner.copyAhead(into: list, leaving: leaving) }
  func takeChanges(into list: ChangeList) { inner.takeChanges(into: list) }
  var outputs: OutputBuffer { inner.outputs }
  var outputBytes: Int { inner.outputBytes }
  var changes: Int { inner.changes }
  var bytesNeeded: Int { inner.bytesNeeded }
  var lookAhead: LookAheadTarget? { inner.lookAhead }
  func takeOutputs(leaving empty: OutputBuffer) -> OutputBuffer { inner.takeOutputs(leaving: empty) }
  var counters: TaskCounters { inner.counters }
}
