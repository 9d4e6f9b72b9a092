// What each task was told, epoch by epoch: the wrapper around a task's logic writes it down, and puts the number of the
// epoch's page into the state itself. So the committed state says by which way it came to be, and the reference can go the
// same way: without a disk, without Kafka, without faults.

import Checkpoint
import Customers
import Daemon
import Engine
import Events

/// Every page that was ever written, by all lives of all members. Guarded by the scheduler's token.
package final class History {
  package enum Call {
    case consume(topic: Int, offset: Int64, wall: Instant)
    case reachedEnd(topic: Int)
    case grew(topic: Int, wall: Instant)
    case tick(wall: Instant, maxTimers: Int)
    case advance(to: Instant, maxTimers: Int)
    case profiles(from: Int, limit: Int)
    case copiedAhead(leaving: Int)
    /// The task was made anew from its stored state.
    case restored(epoch: UInt64, clock: Instant)
    /// The task had stayed in memory while its partition was given back.
    case resumed(epoch: UInt64, clock: Instant)
  }

  /// What went into one epoch of one task.
  package struct Page {
    package var partition: Int32
    package var seed: UInt64
    /// The epoch before; nil for the first.
    package var parent: Int?
    package var epoch: UInt64?
    package var calls: [Call] = []
  }

  package private(set) var pages: [Page] = []
  /// What is told to tasks that have nothing to do with each other is told often: idle ticks.
  package init() {}

  func open(_ page: Page) -> Int {
    pages.append(page)
    return pages.count - 1
  }

  func add(_ call: Call, to page: Int) { pages[page].calls.append(call) }
  func seal(_ page: Int, as epoch: UInt64) { pages[page].epoch = epoch }

  /// The pages that lead to `page`, oldest first.
  package func way(to page: Int) -> [Page] {
    var way: [Page] = []
    var next: Int? = page
    while let number = next, pages.indices.contains(number) {
      way.append(pages[number])
      next = pages[number].parent
    }
    return way.reversed()
  }
}

/// A task's logic that is listened to.
final class RecordedLogic: TaskLogic {
  /// No customer id begins like this.
  static let pageKey: [UInt8] = [0, 112, 97, 103, 101]

  private let inner: any TaskLogic
  private let history: History
  private let journal: Journal
  private let partition: Int32
  private let seed: UInt64
  private var page: Int
  private var restoredPage: Int?

  init(_ inner: any TaskLogic, _ history: History, _ journal: Journal, partition: Int32, seed: UInt64) {
    self.inner = inner
    self.history = history
    self.journal = journal
    self.partition = partition
    self.seed = seed
    page = history.open(History.Page(partition: partition, seed: seed))
  }

  func consume(_ record: InputItem, wall: Instant) {
    history.add(.consume(topic: record.topic, offset: record.offset, wall: wall), to: page)
    if record.partition != partition {
      journal.violate("routing", "a record of partition \(record.partition) was given to the task of \(partition)")
    }
    inner.consume(record, wall: wall)
  }
  func reachedEnd(of topic: Int) {
    history.add(.reachedEnd(topic: topic), to: page)
    inner.reachedEnd(of: topic)
  }
  func topicGrew(_ topic: Int, at wall: Instant) {
    history.add(.grew(topic: topic, wall: wall), to: page)
    inner.topicGrew(topic, at: wall)
  }
  func tick(wall: Instant, maxTimers: Int) -> Bool {
    history.add(.tick(wall: wall, maxTimers: maxTimers), to: page)
    return inner.tick(wall: wall, maxTimers: maxTimers)
  }
  func advance(to instant: Instant, maxTimers: Int) -> Bool {
    history.add(.advance(to: instant, maxTimers: maxTimers), to: page)
    return inner.advance(to: instant, maxTimers: maxTimers)
  }
  var clock: Instant { inner.clock }
  var clockStatus: TaskClock.Status { inner.clockStatus }
  var isDirty: Bool { inner.isDirty }

  private var sealed: Int?

  func endEpoch(_ epoch: UInt64) throws(CheckpointError) {
    try inner.endEpoch(epoch)
    let before = history.pages[page].parent.flatMap { history.pages[$0].epoch }
    if epoch != before.map({ $0 + 1 }) ?? 0 {
      journal.violate("epochs", "partition \(partition): epoch \(epoch) was made from the state of \(name(before))")
    }
    history.seal(page, as: epoch)
    sealed = page
    page = history.open(History.Page(partition: partition, seed: seed, parent: page))
  }

  private func name(_ epoch: UInt64?) -> String { epoch.map { "epoch \($0)" } ?? "no epoch" }

  func emitProfiles(from start: Int, limit: Int) -> Int? {
    history.add(.profiles(from: start, limit: limit), to: page)
    return inner.emitProfiles(from: start, limit: limit)
  }

  func copyAhead(into list: ChangeList, leaving: Int) {
    history.add(.copiedAhead(leaving: leaving), to: page)
    inner.copyAhead(into: list, leaving: leaving)
  }

  func takeChanges(into list: ChangeList) {
    inner.takeChanges(into: list)
    guard let sealed else { return }
    Self.pageKey.withUnsafeBytes { key in
      withUnsafeBytes(of: Int64(sealed).littleEndian) { list.append(key: key, value: $0) }
    }
  }

  func restore(key: UnsafeRawBufferPointer, value: UnsafeRawBufferPointer?) throws {
    guard let number = Self.page(key: key, value: value) else { return try inner.restore(key: key, value: value) }
    restoredPage = number
  }

  /// The page number, if this entry is one.
  static func page(key: UnsafeRawBufferPointer, value: UnsafeRawBufferPointer?) -> Int? {
    guard key.elementsEqual(pageKey), let value, value.count == 8 else { return nil }
    return Int(Int64(littleEndian: value.loadUnaligned(as: Int64.self)))
  }

  func finishRestore(epoch: UInt64, clock: Instant) throws {
    if let restoredPage {
      page = history.open(History.Page(partition: partition, seed: seed, parent: restoredPage))
      if history.pages[restoredPage].seed != seed {
        journal.violate("restore", "partition \(partition): a state of another lineage was restored")
      }
      checkEpoch(restoredPage, epoch)
      journal.note("task: restored")
    }
    history.add(.restored(epoch: epoch, clock: clock), to: page)
    try inner.finishRestore(epoch: epoch, clock: clock)
  }

  func resume(epoch: UInt64, clock: Instant) {
    if let parent = history.pages[page].parent { checkEpoch(parent, epoch) }
    history.add(.resumed(epoch: epoch, clock: clock), to: page)
    journal.note("task: kept in memory")
    inner.resume(epoch: epoch, clock: clock)
  }

  private func checkEpoch(_ page: Int, _ epoch: UInt64) {
    if history.pages[page].epoch != epoch {
      journal.violate(
        "restore",
        "partition \(partition): the state of \(name(history.pages[page].epoch)) was taken for epoch \(epoch)")
    }
  }

  var outputs: OutputBuffer { inner.outputs }
  var changes: Int { inner.changes }
  var bytesNeeded: Int { inner.bytesNeeded }
  func takeOutputs(leaving buffer: OutputBuffer) -> OutputBuffer { inner.takeOutputs(leaving: buffer) }
  var counters: TaskCounters { inner.counters }
}

/// Makes tasks that are listened to.
struct RecordingFactory: TaskFactory {
  let inner: any TaskFactory
  let history: TokenGuarded<History>
  let journal: TokenGuarded<Journal>

  var versions: TaskVersions { inner.versions }
  func makeTask(partition: Int32, partitionCount: Int32, seed: UInt64) throws -> any TaskLogic {
    RecordedLogic(
      try inner.makeTask(partition: partition, partitionCount: partitionCount, seed: seed), history.value,
      journal.value, partition: partition, seed: seed)
  }
}
