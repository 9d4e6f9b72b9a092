// What is handed from the data plane to the committer and back: one epoch, complete.

import Checkpoint
import Engine
import Kafka

#if PlantedBugs
  import PlantedBugs
#endif

/// One partition's share of a sealed epoch.
///
/// From sealing to the outcome the store is the committer's: the data plane does not touch it meanwhile.
final class SealedTask {
  let partition: Int32
  let store: PartitionStore
  /// The block is prepared in the store and is yet to be written; false for one that is on disk already.
  let needsWrite: Bool
  let tag: EpochTag
  var outputs: OutputBuffer
  #if PlantedBugs
    /// Where the task has read to by now.
    var openOffsets: (() -> [Int64])?
    private let sealedCommits: [PartitionOffset]
    var commits: [PartitionOffset] {
      guard PlantedBug.isPlanted(.offsetsOfOpenEpoch), let open = openOffsets?() else { return sealedCommits }
      return zip(sealedCommits, open).map { PartitionOffset($0.partition, offset: $1, metadata: $0.metadata) }
    }
  #else
    /// The next offset of every topic, each with the tag.
    let commits: [PartitionOffset]
  #endif

  init(
    partition: Int32, store: PartitionStore, needsWrite: Bool, tag: EpochTag, outputs: OutputBuffer,
    commits: [PartitionOffset]
  ) {
    self.partition = partition
    self.store = store
    self.needsWrite = needsWrite
    self.tag = tag
    self.outputs = outputs
    #if PlantedBugs
      sealedCommits = commits
    #else
      self.commits = commits
    #endif
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
