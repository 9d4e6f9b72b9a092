// One owned partition: its logic, its checkpoint and how far it has read.

import Checkpoint
import Customers
import Engine
import Events
import Kafka

#if PlantedBugs
  import PlantedBugs
#endif

/// Confined to the data-plane thread; but the store is the committer's while an epoch of this task is uncommitted.
///
/// `next` runs ahead of `sealedNext` by the open epoch, and that one ahead of the confirmed offsets by the uncommitted.
final class TaskRuntime {
  let partition: Int32
  let partitionCount: Int32
  let lineage: Lineage
  let store: PartitionStore
  var logic: any TaskLogic

  /// The next offset to read, by topic. Records below it were seen before and are dropped.
  var next: [Int64]
  /// Where reading began when the task was made.
  let firstNext: [Int64]
  /// `next` as of the newest sealed epoch.
  private(set) var sealedNext: [Int64]
  /// Everything of the topic was read, as of the last look.
  var atEnd: [Bool]
  /// The newest epoch that was sealed; nil for a task that has none.
  private(set) var epoch: UInt64?
  /// The newest epoch known to be committed.
  private(set) var confirmed: UInt64?
  /// A block found on disk that the group does not know yet, with its outputs where they may not have been sent.
  private var unannounced: (tag: EpochTag, outputs: OutputBuffer)?
  /// Of the store, as of the last moment it was ours.
  private(set) var logBytes: UInt64 = 0
  private(set) var baseBytes: UInt64 = 0
  /// What was copied of the open epoch.
  private var copied = ChangeList()
  /// Memory of an earlier epoch's outputs, and of its changes.
  private var spare = OutputBuffer()
  private var spareChanges: ChangeList?
  /// Records that an operator told us to pass over, not reached by the newest sealed epoch.
  private(set) var skips: [SkippedOffset] = []
  /// Why this partition is read no further.
  var halted: String?

  /// A new state: `next` is where reading begins, and is to be committed even though nothing was read.
  convenience init(
    partition: Int32, partitionCount: Int32, lineage: Lineage, store: PartitionStore, logic: any TaskLogic,
    beginningAt next: [Int64]
  ) {
    self.init(
      partition, of: partitionCount, lineage, store, logic, next: next, sealedNext: next.map { _ in -1 }, epoch: nil)
  }

  /// A state restored from `epoch`.
  convenience init(
    partition: Int32, partitionCount: Int32, lineage: Lineage, store: PartitionStore, logic: any TaskLogic,
    next: [Int64], restoredFrom epoch: UInt64, skips: [SkippedOffset]
  ) {
    self.init(partition, of: partitionCount, lineage, store, logic, next: next, sealedNext: next, epoch: epoch)
    self.skips = skips
  }

  private init(
    _ partition: Int32, of partitionCount: Int32, _ lineage: Lineage, _ store: PartitionStore, _ logic: any TaskLogic,
    next: [Int64], sealedNext: [Int64], epoch: UInt64?
  ) {
    self.partition = partition
    self.partitionCount = partitionCount
    self.lineage = lineage
    self.store = store
    self.logic = logic
    self.next = next
    firstNext = next
    self.sealedNext = sealedNext
    atEnd = next.map { _ in false }
    self.epoch = epoch
    noteSizes()
  }

  /// Whether the open epoch has anything to save.
  var isDirty: Bool { unannounced != nil || next != sealedNext || !copied.isEmpty || logic.isDirty }

  /// In memory is exactly what is committed.
  var isSettled: Bool { !isDirty && epoch != nil && epoch == confirmed && halted == nil }

  /// The restored epoch is committed: the group says so.
  func confirmRestored() throws(CheckpointError) {
    guard let epoch else { return }
    try store.confirm(epoch)
    confirmed = epoch
  }

  /// The restored epoch is yet to be committed, after `outputs` were sent.
  func announce(_ tag: EpochTag, outputs: OutputBuffer) { unannounced = (tag, outputs) }

  /// Takes what the open epoch has; the next record belongs to the next epoch. Copies only: the block is made by whoever
  /// writes it.
  func seal(topics: [String], versions: TaskVersions, withOutbox: Bool, cleanShutdown: Bool) throws(CheckpointError)
    -> SealedTask
  {
    if let (tag, outputs) = unannounced {
      unannounced = nil
      return sealed(.onDisk(tag), outputs: outputs, topics: topics)
    }
    let offsets = zip(topics, next).map { TopicOffset(topic: $0, next: $1) }
    skips = skips.ahead(of: offsets)
    let header = EpochHeader(
      lineage: lineage, epoch: epoch.map { $0 + 1 } ?? 0, clock: logic.clock.microseconds, partition: partition,
      partitionCount: partitionCount, offsets: offsets, rulesRevision: versions.rulesRevision,
      rulesFingerprint: versions.rulesFingerprint, modelVersion: versions.model,
      engineVersion: versions.engine, timeZoneVersion: versions.timeZone, cleanShutdown: cleanShutdown, skips: skips)
    try logic.endEpoch(header.epoch)
    let outputs = logic.takeOutputs(leaving: spare)
    spare = OutputBuffer()
    logic.takeChanges(into: copied)
    let changes = copied
    copied = spareChanges ?? ChangeList()
    spareChanges = nil
    epoch = header.epoch
    return sealed(.toWrite(header, changes, withOutbox: withOutbox), outputs: outputs, topics: topics)
  }

  /// How many customers the open epoch has changed, about.
  var changes: Int { copied.count + logic.changes }

  /// Copies what changed longest ago of the open epoch, once that is enough beyond `leaving`: records wait a little now, and
  /// less when the epoch is sealed.
  func copyAhead(leaving: Int, atLeast count: Int) {
    if logic.changes >= leaving + count { logic.copyAhead(into: copied, leaving: leaving) }
  }

  private func sealed(_ block: SealedTask.Block, outputs: OutputBuffer, topics: [String]) -> SealedTask {
    sealedNext = next
    let task = SealedTask(
      partition: partition, store: store, block, outputs: outputs,
      offsets: zip(topics, next).map { PartitionOffset($0, partition, offset: $1) })
    #if PlantedBugs
      task.openOffsets = { [weak self] in self?.next ?? [] }
    #endif
    return task
  }

  /// The sealed epoch is committed, and the store ours again.
  func confirm(_ sealed: SealedTask) throws(CheckpointError) {
    try store.confirm(sealed.epoch)
    confirmed = sealed.epoch
    // Swapped, not copied: the memory is used again.
    swap(&spare, &sealed.outputs)
    spare.removeAll()
    if let changes = sealed.takeChanges() {
      changes.removeAll()
      spareChanges = changes
    }
    noteSizes()
  }

  /// Gives back the memory that earlier epochs needed, unless there is something to save. Between epochs, while the store is
  /// ours.
  func releaseMemory() {
    guard !isDirty, logic.outputs.isEmpty else { return }
    spare = OutputBuffer()
    spareChanges = nil
    copied = ChangeList()
    _ = logic.takeOutputs(leaving: OutputBuffer())
    store.releaseMemory()
  }

  /// After an abort: `logic` is the state of the confirmed epoch, read up to `next`.
  func takeBack(_ logic: any TaskLogic, next: [Int64], skips: [SkippedOffset]) {
    self.logic = logic
    #if PlantedBugs
      if !PlantedBug.isPlanted(.keepCopiedOnAbort) { copied.removeAll() }
    #else
      copied.removeAll()
    #endif
    self.skips = skips
    self.next = next
    sealedNext = next
    atEnd = next.map { _ in false }
    epoch = confirmed
    unannounced = nil
  }

  func noteSizes() {
    logBytes = store.logBytes
    baseBytes = store.baseBytes
  }
}
