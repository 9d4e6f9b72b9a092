// Defects that can be switched on, one at a time, to see whether the simulator finds them. Built only with the package trait
// `PlantedBugs`; a normal build holds nothing of them.

import Synchronization

/// A defect of the kind that would lose or double something.
public enum PlantedBug: Int, CaseIterable, Sendable {
  /// An epoch is committed before its block is durable.
  case commitBeforeSync = 1
  /// After an abort the tasks stay as they are, and are read again from the committed offsets.
  case skipReload
  /// An epoch of a lost assignment is committed with the membership of the next one.
  case newerMembership
  /// A block whose checksum is wrong is taken for whole.
  case acceptTornTail
  /// The committed epoch is looked for by its number only.
  case matchNumberOnly
  /// A base is made of an epoch that is not committed.
  case baseFromUncommitted
  /// The outputs of an aborted epoch go out with the next one.
  case keepOutputsOnAbort
  /// The offsets committed are those of the open epoch, not of the sealed one.
  case offsetsOfOpenEpoch
  /// at_least_once: the outbox of the newest block is not sent again.
  case skipOutbox
  /// The lock of a partition's directory is not asked for.
  case ignoreLock
  /// A commit that timed out is taken for done.
  case timeoutIsSuccess
  /// State without committed offsets is taken up although its process died.
  case skipCleanShutdown
  /// A rename is not made durable.
  case renameWithoutSync
  /// What stayed in memory is used again without a look at what was committed meanwhile.
  case staleWarmState
  /// Records that come again after an assignment are applied again.
  case applyRepeated
  /// Records that were fetched before an abort are applied after it.
  case applyStaleBatch
  /// at_least_once: what an epoch that was given up had produced stays in the producer's queue.
  case keepQueueOfLost
  /// Records that later ones have passed over are taken for delivered, as librdkafka says.
  case trustUnconfirmed
  /// What was copied of an open epoch that was given up goes into the next one's block.
  case keepCopiedOnAbort

  private static let active = Atomic<Int>(0)

  /// Switches one on, or with nil all off.
  public static func plant(_ bug: PlantedBug?) { active.store(bug?.rawValue ?? 0, ordering: .sequentiallyConsistent) }
  public static func isPlanted(_ bug: PlantedBug) -> Bool { active.load(ordering: .relaxed) == bug.rawValue }
}
