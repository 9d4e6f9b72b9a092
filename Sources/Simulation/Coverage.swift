// What a run reached, and what it found wrong.

/// Counts by name: faults that struck, states and transitions that were reached. A simulator that never reached, say, an
/// abort after a lost response proves little.
package struct Coverage: Sendable {
  package private(set) var counts: [String: Int] = [:]

  /// What a campaign of some size must have reached to be worth something.
  package static let wanted = [
    "answer lost: commit transaction", "answer lost: send offsets", "answer lost: produce", "answer lost: join",
    "answer lost: commit offsets", "answer lost: init transactions", "answer lost: abort transaction",
    "commit: done", "commit: refused, UNKNOWN_MEMBER_ID",
    "committed: held back by an open transaction", "consumer: assignment outdated on arrival",
    "consumer: group changed while an assignment is being taken up", "consumer: lost", "consumer: out of range",
    "consumer: records repeated", "consumer: revoked", "fault: SIGSTOP", "fault: SIGTERM", "fault: bit flipped",
    "fault: brokers away", "fault: coordinator moves", "fault: cut off", "fault: cut off between assignments",
    "fault: directory sync error", "fault: disk full", "fault: kill -9", "fault: leaders of outputs away",
    "fault: offsets expired",
    "fault: power loss", "fault: power loss between write and sync", "fault: queue full", "fault: sync error",
    "fault: wall jumps", "fault: write error", "group: member left", "group: rebalance",
    "group: rebalance timed out", "group: session expired", "process: ended halted", "process: ended ok",
    "process: ended restart", "process: ended stateRefused", "producer: abort transaction done",
    "producer: batch refused", "producer: commit transaction called again", "producer: commit transaction done",
    "producer: commit transaction timed out", "producer: fenced", "producer: flush timed out",
    "producer: records passed over",
    "producer: records timed out", "producer: send offsets called again", "producer: settled after a lost answer",
    "producer: unacknowledged records discarded",
    "refused: bitFlips", "refused: expired", "refused: ownDisks", "refused: retention",
    "request of a dead process: commit transaction", "request of a dead process: send offsets",
    "request twice: commit transaction", "request late: commit transaction", "task: kept in memory",
    "transaction: aborted", "transaction: aborted by a successor", "transaction: committed",
    "transaction: offsets refused, UNKNOWN_MEMBER_ID",
    "transaction: request of an older one refused", "transaction: timed out by the coordinator",
    "task: reloaded after an abort", "rewrite: base made",
  ]

  package init() {}

  package mutating func note(_ name: String, _ count: Int = 1) { counts[name, default: 0] += count }

  package mutating func add(_ other: Coverage) { counts.merge(other.counts, uniquingKeysWith: +) }
}

/// Something that must never happen, found by one of the checks.
package struct Violation: Sendable, Hashable, CustomStringConvertible {
  /// The check that found it, such as `outputs`.
  package var check: String
  package var text: String
  /// Simulated microseconds.
  package var at: Int64

  package var description: String {
    let seconds = Double(at) / 1e6
    return "[\(check)] after \((seconds * 1_000).rounded() / 1_000) s: \(text)"
  }
}

/// What one run writes down: guarded by the scheduler's token like everything simulated.
package final class Journal {
  package private(set) var violations: [Violation] = []
  package var coverage = Coverage()
  /// Lines for a person, oldest first; kept only when asked for.
  package private(set) var trace: [String] = []
  private let isTracing: Bool
  private let now: () -> Int64

  /// - Parameter now: the simulated time in microseconds.
  package init(isTracing: Bool, now: @escaping () -> Int64) {
    self.isTracing = isTracing
    self.now = now
  }

  package var hasFailed: Bool { !violations.isEmpty }

  package func violate(_ check: String, _ text: @autoclosure () -> String) {
    // The first few tell the story; one defect may break a check for every record.
    guard violations.count < 20 else { return }
    let violation = Violation(check: check, text: text(), at: now())
    violations.append(violation)
    say("VIOLATION \(violation)")
  }

  package func note(_ name: String) { coverage.note(name) }

  /// A line of a process's log: some are milestones.
  func hear(_ line: String, from process: String) {
    if line.hasPrefix("reloaded ") { note("task: reloaded after an abort") }
    if line.contains("new base of") { note("rewrite: base made") }
    say("\(process): \(line)")
  }

  package func say(_ line: @autoclosure () -> String) {
    guard isTracing else { return }
    let milliseconds = now() / 1_000
    trace.append("\(milliseconds / 1_000).\(String(milliseconds % 1_000 + 1_000).dropFirst()) \(line())")
  }
}
