// Input of which most becomes dead letters: something is set up wrong, and somebody should hear of it.

import Events

/// Looks at the counters now and then. Pure: the time is an argument.
package struct RejectionWatch {
  /// Between two looks.
  static let interval: Int64 = 10_000_000
  /// Rejected records within an interval that are nothing to speak of.
  static let few = 100
  /// The same reason is said again after this long.
  static let silence: Int64 = 600_000_000

  private var counted: (at: Int64, read: Int, reasons: [String: Int]) = (0, 0, [:])
  private var said: [String: Int64] = [:]

  package init() {}

  /// - Parameter now: monotonic, microseconds.
  /// - Returns: a warning when more than half of what was read since the last look was rejected.
  package mutating func see(_ counters: TaskCounters, at now: Int64) -> String? {
    guard now - counted.at >= Self.interval else { return nil }
    let before = counted
    counted = (now, counters.events.joined().reduce(0, +), counters.deadLetters)
    // Counters begin again with a task that is read again.
    let reasons = counters.deadLetters.map { ($0.key, max(0, $0.value - before.reasons[$0.key, default: 0])) }
    let rejected = reasons.reduce(0) { $0 + $1.1 }
    let read = counted.read - before.read
    guard rejected > Self.few, rejected * 2 > read, rejected <= read else { return nil }
    guard let most = reasons.max(by: { ($0.1, $1.0) < ($1.1, $0.0) }), let reason = RejectReason(rawValue: most.0)
    else {
      return nil
    }
    if let last = said[most.0], now - last < Self.silence { return nil }
    said[most.0] = now
    return
      "\(rejected) of the last \(read) records became dead letters, \(most.1) of them as \(most.0): \(reason.message)"
  }
}
