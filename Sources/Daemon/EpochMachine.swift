// The life of one epoch, from collecting to confirmed: which step is next and what each outcome means. Pure.

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

/// One epoch of all tasks of an assignment.
///
/// exactly_once: append and fsync, begin, produce, send offsets, commit, confirm.
/// at_least_once: append (with the outbox) and fsync, produce, flush, commit offsets, confirm.
public struct EpochMachine: Sendable {
  public enum Step: Hashable, Sendable {
    case append
    case beginTransaction
    case produce
    case sendOffsets
    case commitTransaction
    case flush
    case commitOffsets
    /// Tell the stores that the epoch is committed, and forget its outputs.
    case confirm
  }

  public enum State: Hashable, Sendable {
    /// Records are being applied; nothing is under way.
    case collecting
    case closing(Step)
    case aborting
    /// Nothing more can be done.
    case ended
  }

  public enum Action: Hashable, Sendable {
    case perform(Step)
    case abortTransaction
    /// Take every task back to its last confirmed epoch.
    case reload
    /// Throw the tasks away: they are not ours any more.
    case drop
    /// The epoch is committed; the next one collects.
    case finished
    /// End the process; systemd starts it again and the committed tag is read anew.
    case exit(String)
    /// End the process and stay down until an operator has looked.
    case halt(String)
  }

  public let delivery: Configuration.Delivery
  public private(set) var state = State.collecting
  /// After the abort: are the tasks to be dropped instead of reloaded?
  private var dropAfterAbort = false

  public init(delivery: Configuration.Delivery) { self.delivery = delivery }

  public static func steps(_ delivery: Configuration.Delivery) -> [Step] {
    switch delivery {
    case .exactlyOnce: [.append, .beginTransaction, .produce, .sendOffsets, .commitTransaction, .confirm]
    case .atLeastOnce: [.append, .produce, .flush, .commitOffsets, .confirm]
    }
  }

  /// The epoch is complete. In any state but `collecting` this is a mistake of the caller and changes nothing.
  public mutating func close() -> Action? {
    guard state == .collecting else { return nil }
    state = .closing(.append)
    return .perform(.append)
  }

  /// The outcome of the step performed last.
  public mutating func finish(_ outcome: StepOutcome) -> Action? {
    guard case .closing(let step) = state else { return nil }
    switch outcome {
    case .done: return advance(after: step)
    case .retry: return .perform(step)
    case .resend:
      state = .closing(.produce)
      return .perform(.produce)
    case .fatal(let text):
      state = .ended
      return .exit(text)
    case .halt(let text):
      state = .ended
      return .halt(text)
    case .abort: return abort(drop: false, at: step)
    case .lost: return abort(drop: true, at: step)
    }
  }

  /// The outcome of `abortTransaction`.
  public mutating func finishAbort(_ outcome: StepOutcome) -> Action? {
    guard state == .aborting else { return nil }
    switch outcome {
    case .retry, .resend: return .abortTransaction
    case .halt(let text):
      state = .ended
      return .halt(text)
    case .done, .abort, .lost:
      state = .collecting
      return dropAfterAbort ? .drop : .reload
    case .fatal(let text):
      state = .ended
      return .exit(text)
    }
  }

  /// The time for finishing is over (a revoke waits for us). What is not known to be committed is aborted; a commit that
  /// was sent can be neither repeated for ever nor taken back, so the process ends and its successor asks the broker.
  public mutating func giveUp() -> Action? {
    switch state {
    case .collecting: return .drop
    case .closing(let step):
      if step == .commitTransaction {
        state = .ended
        return .exit("the outcome of a commit stayed unknown for too long")
      }
      return abort(drop: true, at: step)
    case .aborting:
      state = .ended
      return .exit("an abort was not answered for too long")
    case .ended: return nil
    }
  }

  private mutating func advance(after step: Step) -> Action? {
    let steps = Self.steps(delivery)
    guard let index = steps.firstIndex(of: step), index + 1 < steps.count else {
      state = .collecting
      return .finished
    }
    state = .closing(steps[index + 1])
    return .perform(steps[index + 1])
  }

  private mutating func abort(drop: Bool, at step: Step) -> Action {
    dropAfterAbort = drop
    switch (delivery, step) {
    case (.exactlyOnce, .produce), (.exactlyOnce, .sendOffsets), (.exactlyOnce, .commitTransaction):
      state = .aborting
      return .abortTransaction
    default:
      // No transaction is open.
      state = .collecting
      return drop ? .drop : .reload
    }
  }
}
