// Which partitions are ours and in what phase: the answers to the group's rebalances. Pure.

/// What the group says, in partitions (all topics of a task at once).
public enum GroupEvent: Hashable, Sendable {
  case assigned([Int32])
  case revoked
  case lost
}

/// The membership of this process in its group.
public struct Ownership: Sendable {
  public enum State: Hashable, Sendable {
    case unassigned
    /// Accepted; the committed offsets are being read and the checkpoints restored.
    case restoring([Int32])
    case running([Int32])
    /// The open epoch is being finished before the partitions are given back.
    case revoking([Int32])
    /// The producer is fenced or broken, or the group has put us out for good.
    case fenced
  }

  public enum Action: Hashable, Sendable {
    /// Capture the group metadata, read the committed offsets, open and restore the tasks, commit what the start-up table
    /// wants; then `restored`.
    case restore([Int32])
    /// Start reading at the offsets of the restored tasks.
    case read
    /// Finish and commit the open epoch, within the bound; then `released`.
    case finishEpoch
    /// Throw the tasks away, commit nothing.
    case drop
    /// Answer the group: nothing is read any more.
    case unassign
    case exit
  }

  public private(set) var state = State.unassigned

  public init() {}

  public var partitions: [Int32] {
    switch state {
    case .unassigned, .fenced: []
    case .restoring(let all), .running(let all), .revoking(let all): all
    }
  }

  public mutating func handle(_ event: GroupEvent) -> [Action] {
    switch (state, event) {
    case (.fenced, _): return [.exit]
    case (.unassigned, .assigned(let partitions)):
      state = .restoring(partitions)
      return [.restore(partitions)]
    case (_, .assigned(let partitions)):
      // With the range assignor a revoke comes first; if it was lost on the way, what we had is gone.
      state = .restoring(partitions)
      return [.drop, .restore(partitions)]
    case (.running(let partitions), .revoked):
      state = .revoking(partitions)
      return [.finishEpoch]
    case (.restoring, .revoked), (.revoking, .revoked):
      // Not read from yet (or already finished): there is no epoch to save.
      state = .unassigned
      return [.drop, .unassign]
    case (.restoring, .lost), (.running, .lost), (.revoking, .lost):
      state = .unassigned
      return [.drop, .unassign]
    case (.unassigned, .revoked), (.unassigned, .lost): return [.unassign]
    }
  }

  /// The tasks asked for are restored; those that halted are not among those to be read.
  public mutating func restored() -> [Action] {
    guard case .restoring(let partitions) = state else { return [] }
    state = .running(partitions)
    return [.read]
  }

  /// The epoch was finished (or given up) after a revoke.
  public mutating func released() -> [Action] {
    guard case .revoking = state else { return [] }
    state = .unassigned
    return [.drop, .unassign]
  }

  /// The commit of an epoch was refused because the generation is gone: as good as lost, though the group has not said so.
  public mutating func commitRefused() -> [Action] {
    guard case .running = state else { return [] }
    state = .unassigned
    return [.drop]
  }

  public mutating func fence() -> [Action] {
    state = .fenced
    return [.exit]
  }
}
