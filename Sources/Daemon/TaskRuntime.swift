// One owned partition: its logic, its checkpoint and how far it has read.

import Checkpoint
import Engine
import Events

/// Confined to the data-plane thread. `next` runs ahead of `savedNext` by the open epoch.
final class TaskRuntime {
  let partition: Int32
  let partitionCount: Int32
  let lineage: Lineage
  let store: PartitionStore
  var logic: any TaskLogic

  /// The next offset to read, by topic. Records below it were seen before and are dropped.
  var next: [Int64]
  /// `next` as of the last confirmed epoch.
  var savedNext: [Int64]
  /// Everything of the topic was read, as of the last look.
  var atEnd: [Bool]
  /// The newest epoch that was appended; nil for a task that has none.
  var epoch: UInt64?
  /// The newest epoch known to be committed.
  var confirmed: UInt64?
  /// Appended and not yet confirmed: what the commit metadata will say.
  var pending: EpochTag?
  /// Outputs of a block found on disk that may not have been sent.
  var resend: OutputBuffer?
  /// Why this partition is read no further.
  var halted: String?

  init(
    partition: Int32, partitionCount: Int32, lineage: Lineage, store: PartitionStore, logic: any TaskLogic,
    next: [Int64],
    epoch: UInt64?
  ) {
    self.partition = partition
    self.partitionCount = partitionCount
    self.lineage = lineage
    self.store = store
    self.logic = logic
    self.next = next
    savedNext = next
    atEnd = next.map { _ in false }
    self.epoch = epoch
  }

  /// Whether the open epoch has anything to save.
  var isDirty: Bool { pending != nil || resend != nil || next != savedNext || logic.isDirty }

  /// What is to be produced with the pending epoch.
  var outputs: OutputBuffer { resend ?? logic.outputs }

  /// Builds and writes the block of the open epoch, without making it durable.
  func append(topics: [String], versions: TaskVersions, withOutbox: Bool, cleanShutdown: Bool) throws(CheckpointError) {
    let header = EpochHeader(
      lineage: lineage, epoch: epoch.map { $0 + 1 } ?? 0, clock: logic.clock.microseconds, partition: partition,
      partitionCount: partitionCount, offsets: zip(topics, next).map { TopicOffset(topic: $0, next: $1) },
      rulesRevision: versions.rulesRevision, rulesFingerprint: versions.rulesFingerprint, modelVersion: versions.model,
      engineVersion: versions.engine, timeZoneVersion: versions.timeZone, cleanShutdown: cleanShutdown)
    logic.endEpoch()
    let outputs = logic.outputs
    let fill: (inout EntryWriter) -> Void = { writer in
      self.logic.drainChanges { key, value in
        if let value { writer.put(key: key, value: value) } else { writer.remove(key: key) }
      }
    }
    let tag =
      withOutbox && !outputs.isEmpty
      ? try store.append(header, outbox: Outbox.encode(outputs), entries: fill)
      : try store.append(header, entries: fill)
    epoch = header.epoch
    pending = tag
  }

  /// The pending epoch is committed.
  func confirm() throws(CheckpointError) {
    guard let tag = pending else { return }
    try store.confirm(tag.epoch)
    confirmed = tag.epoch
    pending = nil
    if resend != nil { resend = nil } else { logic.removeOutputs() }
    savedNext = next
  }
}
