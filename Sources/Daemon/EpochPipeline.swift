// How epochs follow each other: at most one is uncommitted while the next is being filled in memory. Pure.

/// The two epochs a process may have at a time: the *open* one, to which records and ticks are applied, and the
/// *uncommitted* one before it, sealed and being written and committed by the committer.
///
/// | state | `due` | `full` | `drain` | `abandon` | `committed` | `aborted` | `refused` | `ended` |
/// | --- | --- | --- | --- | --- | --- | --- | --- | --- |
/// | idle | seal → committing | seal → committing | seal → draining | – | – | – | – | → ended |
/// | committing | – | hold → holding | hold → draining | abandon, hold → draining | confirm → idle | reload → idle | drop → idle | → ended |
/// | holding | – | – | → draining | abandon → draining | confirm, seal → committing | reload → idle | drop → idle | → ended |
/// | draining | – | – | – | abandon | confirm → idle | reload → idle | drop → idle | → ended |
/// | ended | – | – | – | – | – | – | – | – |
public struct EpochPipeline: Sendable {
  public enum State: Hashable, Sendable, CaseIterable {
    /// Nothing is uncommitted; the open epoch may be sealed at any time.
    case idle
    /// One epoch is uncommitted, the open one takes records.
    case committing
    /// One epoch is uncommitted and the open one is full: nothing is applied. This is the back-pressure.
    case holding
    /// One epoch is uncommitted and nothing is applied: partitions are given back, or the process ends.
    case draining
    /// Nothing more is committed by this process.
    case ended
  }

  public enum Event: Hashable, Sendable, CaseIterable {
    /// The open epoch is as old as an epoch should get, and has something to save.
    case due
    /// The open epoch may take no more events or bytes.
    case full
    /// Everything is to be committed now. Again when idle, for the open epoch.
    case drain
    /// The assignment is somebody else's: what can still be aborted is.
    case abandon
    /// What came of the uncommitted epoch.
    case committed, aborted, refused, ended
  }

  public enum Action: Hashable, Sendable {
    /// Take what the open epoch has, hand it to the committer, and open the next.
    case seal
    /// Apply nothing until the outcome is there.
    case hold
    /// The stores learn that the epoch is committed.
    case confirm
    /// Take every task back to its last confirmed epoch; the open epoch goes with the aborted one.
    case reload
    /// Throw the tasks away: they are not ours any more.
    case drop
    /// Tell the committer to give up what has not been sent to be committed.
    case abandon
  }

  public private(set) var state = State.idle

  public init() {}
  /// For tests of each pair.
  package init(state: State) { self.state = state }

  /// One epoch is sealed, and its outcome not known.
  public var hasUncommitted: Bool { state == .committing || state == .holding || state == .draining }

  public mutating func handle(_ event: Event) -> [Action] {
    switch (state, event) {
    case (.ended, _): return []
    case (_, .ended):
      state = .ended
      return []
    case (.idle, .due), (.idle, .full):
      state = .committing
      return [.seal]
    case (.idle, .drain):
      state = .draining
      return [.seal]
    case (.idle, .abandon), (.idle, .committed), (.idle, .aborted), (.idle, .refused): return []
    case (.committing, .due): return []
    case (.committing, .full):
      state = .holding
      return [.hold]
    case (.committing, .drain):
      state = .draining
      return [.hold]
    case (.committing, .abandon):
      state = .draining
      return [.abandon, .hold]
    case (.holding, .due), (.holding, .full): return []
    case (.holding, .drain):
      state = .draining
      return []
    case (.holding, .abandon):
      state = .draining
      return [.abandon]
    case (.holding, .committed):
      state = .committing
      return [.confirm, .seal]
    case (.draining, .due), (.draining, .full), (.draining, .drain): return []
    case (.draining, .abandon): return [.abandon]
    case (.committing, .committed), (.draining, .committed):
      state = .idle
      return [.confirm]
    case (.committing, .aborted), (.holding, .aborted), (.draining, .aborted):
      state = .idle
      return [.reload]
    case (.committing, .refused), (.holding, .refused), (.draining, .refused):
      state = .idle
      return [.drop]
    }
  }
}
