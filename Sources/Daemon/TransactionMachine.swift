// How one sealed epoch is committed: which step is next and what each outcome means. Pure.

import Configuration

/// What came of one step.
public enum StepOutcome: Hashable, Sendable {
  case done
  /// The same call again, with the same arguments; what is known about it is in the text.
  case retry(String)
  /// Some records were not delivered: produce all of them again (at_least_once).
  case resend(String)
  /// The transaction is to be aborted and its tasks reloaded.
  case abort(String)
  /// The assignment is somebody else's: nothing of it may be committed any more.
  case lost(String)
  /// This process cannot go on with this producer: fenced, expired, broken.
  case fatal(String)
  /// Only an operator can mend it (disk full, a record no topic takes): go no further.
  case halt(String)
}

/// One epoch of all tasks of an assignment, from the block to the committed offsets.
///
/// exactly_once: write and fsync, begin, produce, send offsets, flush, commit. (A commit flushes by itself, but commits what
/// the producer takes for delivered; see `DeliveryReport.unconfirmed`.)
/// at_least_once: write (with the outbox) and fsync, produce, flush, commit offsets.
///
/// | state | `start` | done | retry | resend | abort | lost | fatal | halt | `giveUp` |
/// | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |
/// | idle | write | – | – | – | – | – | – | – | – |
/// | write, begin, commitOffsets; produce, flush without a transaction | – | next, or committed | same | produce | aborted | refused | exit | halt | refused |
/// | produce, sendOffsets, flush (a transaction is open) | – | next | same | produce | aborting | aborting | exit | halt | aborting |
/// | commitTransaction | – | committed | same | produce | aborting | aborting | exit | halt | exit |
/// | aborting | – | aborted or refused | again | again | aborted or refused | refused | exit | halt | exit |
/// | ended | – | – | – | – | – | – | – | – | – |
///
/// A commit that was sent is never given up for an abort: its outcome is the broker's, and the next start reads it there.
/// `aborting` remembers whether it ends in `aborted` (reload and go on) or `refused` (the partitions are lost).
public struct TransactionMachine: Sendable {
  public enum Step: Hashable, Sendable, CaseIterable {
    case write
    case beginTransaction
    case produce
    case sendOffsets
    case commitTransaction
    case flush
    case commitOffsets
  }

  public enum State: Hashable, Sendable {
    case idle
    case performing(Step)
    case aborting(isLost: Bool)
    /// There was an outcome.
    case ended
  }

  public enum Action: Hashable, Sendable {
    case perform(Step)
    case abortTransaction
    /// The epoch is committed.
    case committed
    /// Nothing of it was: every task goes back to its last confirmed epoch.
    case aborted
    /// Nothing of it was, and nothing may be: the tasks are somebody else's.
    case refused
    /// End the process; systemd starts it again and the committed tag is read anew.
    case exit(String)
    /// End the process and stay down until an operator has looked.
    case halt(String)
  }

  public let delivery: Configuration.Delivery
  public private(set) var state = State.idle

  public init(delivery: Configuration.Delivery) { self.delivery = delivery }
  /// For tests of each pair.
  package init(delivery: Configuration.Delivery, state: State) {
    self.delivery = delivery
    self.state = state
  }

  public static func steps(_ delivery: Configuration.Delivery) -> [Step] {
    switch delivery {
    case .exactlyOnce: [.write, .beginTransaction, .produce, .sendOffsets, .flush, .commitTransaction]
    case .atLeastOnce: [.write, .produce, .flush, .commitOffsets]
    }
  }

  /// Begins; nil when it has begun already.
  public mutating func start() -> Action? {
    guard state == .idle else { return nil }
    state = .performing(.write)
    return .perform(.write)
  }

  /// The outcome of the step, or of the abort, performed last; nil when none was.
  public mutating func finish(_ outcome: StepOutcome) -> Action? {
    switch state {
    case .idle, .ended: return nil
    case .performing(let step):
      switch outcome {
      case .done: return advance(after: step)
      case .retry: return .perform(step)
      case .resend:
        state = .performing(.produce)
        return .perform(.produce)
      case .abort: return abort(isLost: false, at: step)
      case .lost: return abort(isLost: true, at: step)
      case .fatal(let text): return end(.exit(text))
      case .halt(let text): return end(.halt(text))
      }
    case .aborting(let isLost):
      switch outcome {
      case .retry, .resend: return .abortTransaction
      case .done, .abort: return end(isLost ? .refused : .aborted)
      case .lost: return end(.refused)
      case .fatal(let text): return end(.exit(text))
      case .halt(let text): return end(.halt(text))
      }
    }
  }

  /// The time for finishing is over, or the partitions are lost. What is not known to be committed is aborted; a commit
  /// that was sent can be neither repeated for ever nor taken back, so the process ends and its successor asks the broker.
  public mutating func giveUp() -> Action? {
    switch state {
    case .idle, .ended: return nil
    case .performing(.commitTransaction): return end(.exit("the outcome of a commit stayed unknown for too long"))
    case .performing(let step): return abort(isLost: true, at: step)
    case .aborting: return end(.exit("an abort was not answered for too long"))
    }
  }

  private mutating func advance(after step: Step) -> Action {
    let steps = Self.steps(delivery)
    guard let index = steps.firstIndex(of: step), index + 1 < steps.count else { return end(.committed) }
    state = .performing(steps[index + 1])
    return .perform(steps[index + 1])
  }

  private mutating func abort(isLost: Bool, at step: Step) -> Action {
    switch (delivery, step) {
    case (.exactlyOnce, .produce), (.exactlyOnce, .sendOffsets), (.exactlyOnce, .flush),
      (.exactlyOnce, .commitTransaction):
      state = .aborting(isLost: isLost)
      return .abortTransaction
    default:
      // No transaction is open.
      return end(isLost ? .refused : .aborted)
    }
  }

  private mutating func end(_ action: Action) -> Action {
    state = .ended
    return action
  }
}
