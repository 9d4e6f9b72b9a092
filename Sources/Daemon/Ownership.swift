// Which partitions are ours and in what phase: the answers to the group's rebalances. Pure.

/// The membership of this process in its group.
///
/// | state | `assigned` | `revoked` | `lost` | `restored` | `finished` | `refused` | `fenced` |
/// | --- | --- | --- | --- | --- | --- | --- | --- |
/// | unassigned | restore → restoring | unassign | unassign | – | – | – | exit → fenced |
/// | restoring | drop, restore → restoring | drop, unassign → unassigned | drop, unassign → unassigned | read → running | – | drop, decline → lost | exit → fenced |
/// | running | abandon, drop, restore → restoring | finish epoch → revoking | abandon, drop, unassign → unassigned | – | – | drop → lost | exit → fenced |
/// | revoking | abandon, drop, restore → restoring | drop, unassign → unassigned | abandon, drop, unassign → unassigned | – | release, unassign → unassigned | drop → lost | exit → fenced |
/// | lost | restore → restoring | unassign → unassigned | unassign → unassigned | – | unassign → unassigned | – | exit → fenced |
/// | fenced | exit | exit | exit | exit | exit | exit | exit |
///
/// A revoke comes before every assignment with the range assignor; where it was lost on the way, what we had is gone.
public struct Ownership: Sendable {
  public enum State: Hashable, Sendable {
    case unassigned
    /// Accepted; the committed offsets are being read and the checkpoints restored.
    case restoring([Int32])
    case running([Int32])
    /// The open epoch is being finished before the partitions are given back.
    case revoking([Int32])
    /// A commit was refused because our generation is gone: the partitions are lost, though the group has not said so.
    case lost
    /// The producer is fenced or broken, or the group has put us out for good.
    case fenced
  }

  /// What the group says, in partitions (all topics of a task at once), and what became of our answers.
  public enum Event: Hashable, Sendable {
    case assigned([Int32])
    case revoked
    case lost
    /// The tasks asked for are restored; those that halted are not among those to be read.
    case restored
    /// The epoch was finished, or given up, after a revoke.
    case finished
    /// A commit was refused: the generation is gone.
    case refused
    case fenced
  }

  public enum Action: Hashable, Sendable {
    /// Capture the group metadata, read the committed offsets, open and restore the tasks, commit what the start-up table
    /// wants; then `restored`.
    case restore([Int32])
    /// Start reading at the offsets of the restored tasks.
    case read
    /// Finish and commit the open epoch, within the bound; then `finished`.
    case finishEpoch
    /// Abort the uncommitted epoch, unless its commit was sent.
    case abandon
    /// Close the tasks; what is exactly as committed may be kept in memory in case the partition comes back.
    case release
    /// Throw the tasks away, commit nothing.
    case drop
    /// Answer a revoke: nothing is read any more.
    case unassign
    /// Answer an assignment: nothing of it is read.
    case decline
    case exit
  }

  public private(set) var state = State.unassigned

  public init() {}
  /// For tests of each pair.
  package init(state: State) { self.state = state }

  public var partitions: [Int32] {
    switch state {
    case .unassigned, .lost, .fenced: []
    case .restoring(let all), .running(let all), .revoking(let all): all
    }
  }

  public mutating func handle(_ event: Event) -> [Action] {
    switch (state, event) {
    case (.fenced, _): return [.exit]
    case (_, .fenced):
      state = .fenced
      return [.exit]

    case (.unassigned, .assigned(let partitions)), (.lost, .assigned(let partitions)):
      state = .restoring(partitions)
      return [.restore(partitions)]
    case (.restoring, .assigned(let partitions)):
      state = .restoring(partitions)
      return [.drop, .restore(partitions)]
    case (.running, .assigned(let partitions)), (.revoking, .assigned(let partitions)):
      state = .restoring(partitions)
      return [.abandon, .drop, .restore(partitions)]

    case (.unassigned, .revoked), (.unassigned, .lost): return [.unassign]
    case (.running(let partitions), .revoked):
      state = .revoking(partitions)
      return [.finishEpoch]
    case (.restoring, .revoked), (.restoring, .lost), (.revoking, .revoked):
      // Not read from yet (or already finished): there is no epoch to save.
      state = .unassigned
      return [.drop, .unassign]
    case (.running, .lost), (.revoking, .lost):
      state = .unassigned
      return [.abandon, .drop, .unassign]
    case (.lost, .revoked), (.lost, .lost), (.lost, .finished):
      state = .unassigned
      return [.unassign]

    case (.restoring(let partitions), .restored):
      state = .running(partitions)
      return [.read]
    case (.revoking, .finished):
      state = .unassigned
      return [.release, .unassign]
    case (.restoring, .refused):
      // librdkafka hears nothing of the group until an assignment is answered: to keep it would be to wait for ever, and to
      // unassign is no answer.
      state = .lost
      return [.drop, .decline]
    case (.running, .refused), (.revoking, .refused):
      state = .lost
      return [.drop]
    case (.unassigned, .restored), (.running, .restored), (.revoking, .restored), (.lost, .restored),
      (.unassigned, .finished), (.restoring, .finished), (.running, .finished), (.unassigned, .refused),
      (.lost, .refused):
      return []
    }
  }
}
