// What is handed from the data plane to the committer and back: one epoch, complete.

import Checkpoint
import Customers
import Engine
import Kafka

#if PlantedBugs
  import PlantedBugs
#endif

/// One partition's share of a sealed epoch.
///
/// From sealing to the outcome the store is the committer's: the data plane does not touch it meanwhile.
final class SealedTask {
  enum Block {
    /// Of an earlier process: it is yet to be committed.
    case onDisk(EpochTag)
    case toWrite(EpochHeader, ChangeList, withOutbox: Bool)
  }

  let partition: Int32
  let store: PartitionStore
  private(set) var block: Block
  let epoch: UInt64
  var outputs: OutputBuffer
  /// The next offset of every topic.
  private let offsets: [PartitionOffset]
  /// What made a block that is written now.
  private var written: ChangeList?
  /// A rewrite of the base is due, and begins when this is committed.
  var closesLog = false
  #if PlantedBugs
    /// Where the task has read to by now.
    var openOffsets: (() -> [Int64])?
  #endif

  init(partition: Int32, store: PartitionStore, _ block: Block, outputs: OutputBuffer, offsets: [PartitionOffset]) {
    self.partition = partition
    self.store = store
    self.block = block
    epoch =
      switch block {
      case .onDisk(let tag): tag.epoch
      case .toWrite(let header, _, _): header.epoch
      }
    self.outputs = outputs
    self.offsets = offsets
  }

  /// Makes the block and puts it on disk, where that is not done yet.
  /// - Returns: false when it was there.
  func write(_ packer: inout OutboxPacker) throws(CheckpointError) -> Bool {
    guard case .toWrite(let header, let changes, let withOutbox) = block else { return false }
    let fill: (inout EntryWriter) -> Void = { writer in
      changes.readEntries { key, value in
        if let value { writer.put(key: key, value: value) } else { writer.remove(key: key) }
      }
    }
    let tag =
      withOutbox && !outputs.isEmpty
      ? try store.append(header, outbox: packer.pack(packer.encode(outputs)), entries: fill)
      : try store.append(header, entries: fill)
    try store.sync()
    written = changes
    block = .onDisk(tag)
    return true
  }

  /// The memory of the changes, which are on disk.
  func takeChanges() -> ChangeList? {
    defer { written = nil }
    return written
  }

  /// The next offset of every topic, each with the tag; to be asked for when the block is on disk.
  var commits: [PartitionOffset] {
    guard case .onDisk(let tag) = block else {
      assertionFailure("offsets are committed behind their block")
      return []
    }
    let metadata = tag.description
    #if PlantedBugs
      if PlantedBug.isPlanted(.offsetsOfOpenEpoch), let open = openOffsets?() {
        return zip(offsets, open).map { PartitionOffset($0.partition, offset: $1, metadata: metadata) }
      }
    #endif
    return offsets.map { PartitionOffset($0.partition, offset: $0.offset, metadata: metadata) }
  }
}

/// One epoch of all the tasks that have something to save.
final class SealedEpoch {
  private(set) var members: [SealedTask]
  /// Captured when the assignment was accepted, so that a member that has lost it cannot overwrite its successor.
  let membership: (any GroupMembership)?
  /// Monotonic microseconds.
  let sealedAt: Int64

  init(members: [SealedTask], membership: (any GroupMembership)?, sealedAt: Int64) {
    self.members = members
    self.membership = membership
    self.sealedAt = sealedAt
  }

  /// Takes the members out, at the end: a store's lock must not live on in a forgotten reference to the epoch.
  func takeMembers() -> [SealedTask] {
    defer { members = [] }
    return members
  }
}

/// What came of a sealed epoch.
struct EpochOutcome {
  enum Result {
    case committed, aborted, refused
    case exit(String)
    case halt(String)
  }
  var result: Result
  /// Given back.
  var epoch: SealedEpoch
}

/// What the committer counts and says while it works.
struct CommitterReport: Sendable {
  var blocks = 0
  var bytes: UInt64 = 0
  var outputs = 0
  var retries = 0
  var aborts = 0
  /// What a step waits for, in a sentence; empty when it waits for nothing.
  var waiting = ""
  /// What the producer's client said since the last look.
  var events: [ClientEvent] = []
}
