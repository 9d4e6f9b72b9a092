// The line between the data plane and the committer: one epoch goes out, its outcome comes back.

import Handoff
import Kafka

/// Has room for one epoch: the data plane sends the next only after the outcome of the last.
final class CommitLine: Sendable {
  /// What the committer is to do next.
  enum Order {
    case commit(SealedEpoch)
    case none
    case end
  }

  /// How long an epoch may still take.
  struct Bound: Sendable {
    /// Monotonic microseconds.
    var deadline: Int64?
    /// What has not been sent to be committed is given up at once.
    var isAbandoned = false
  }

  private struct State {
    var order: Transferred<SealedEpoch>?
    var outcome: Transferred<EpochOutcome>?
    var isEnding = false
    var isReady = false
    var failure: DataPlaneEnd?
    var bound = Bound()
    var report = CommitterReport()
    /// When the committer last began a step, monotonic microseconds; nil while it has nothing to do.
    var busySince: Int64?
  }

  private let state = Guarded(State())
  private let orders: any Signal
  private let outcomes: any Signal

  init(_ threads: any Threads) {
    orders = threads.makeSignal()
    outcomes = threads.makeSignal()
  }

  // MARK: The data plane's side

  /// The epoch belongs to the committer from here on, until `takeOutcome` gives it back.
  func send(_ epoch: SealedEpoch) {
    let sent = Transferred(epoch)
    state.withLock {
      $0.order = sent
      $0.bound = Bound()
    }
    orders.notify()
  }

  func takeOutcome() -> EpochOutcome? {
    state.withLock { state in
      defer { state.outcome = nil }
      return state.outcome
    }?.value
  }

  func waitForOutcome(milliseconds: Int32) { outcomes.wait(milliseconds: milliseconds) }

  /// The producer may be used; or why it never can be.
  var start: (isReady: Bool, failure: DataPlaneEnd?) { state.withLock { ($0.isReady, $0.failure) } }

  /// Ends the waiting of the epoch under way at `deadline`; an earlier bound stays.
  func bound(at deadline: Int64, abandon: Bool = false) {
    state.withLock {
      $0.bound.deadline = min(deadline, $0.bound.deadline ?? .max)
      if abandon { $0.bound.isAbandoned = true }
    }
  }

  func takeReport() -> CommitterReport {
    state.withLock { state in
      defer { state.report = CommitterReport(waiting: state.report.waiting) }
      return state.report
    }
  }

  /// Since when the present step has been going on, monotonic microseconds; nil when there is none.
  var busySince: Int64? { state.withLock { $0.busySince } }

  func end() {
    state.withLock { $0.isEnding = true }
    orders.notify()
  }

  // MARK: The committer's side

  func waitForOrder(milliseconds: Int32) -> Order {
    orders.wait(milliseconds: milliseconds)
    return takeOrder()
  }

  private func takeOrder() -> Order {
    let (order, isEnding) = state.withLock { state in
      defer { state.order = nil }
      return (state.order, state.isEnding)
    }
    if let order { return .commit(order.value) }
    return isEnding ? .end : .none
  }

  var isEnding: Bool { state.withLock { $0.isEnding } }
  var bound: Bound { state.withLock { $0.bound } }

  func beginStep(at now: Int64) { state.withLock { $0.busySince = now } }
  func report(_ change: @Sendable (inout CommitterReport) -> Void) { state.withLock { change(&$0.report) } }

  func ready() {
    state.withLock {
      $0.isReady = true
      $0.busySince = nil
    }
    outcomes.notify()
  }

  func fail(_ end: DataPlaneEnd) {
    state.withLock { $0.failure = end }
    outcomes.notify()
  }

  /// Gives the epoch back.
  func finish(_ outcome: EpochOutcome) {
    let back = Transferred(outcome)
    state.withLock {
      $0.outcome = back
      $0.busySince = nil
      $0.report.waiting = ""
    }
    outcomes.notify()
  }
}
