// Whether one task could hold the names of all engine threads. Beyond its limit a task takes names in by the order in
// which they come: of that several tasks know nothing.

import Engine
import Handoff

/// More names came than one task takes in: only one engine thread gets that right.
struct TooManyNames: Error {}

final class NameCensus: Sendable {
  private let hashes = Shared<Set<UInt64>>([])

  /// Counts the names that a task has taken in since the call before, which left `known` behind.
  /// - Throws: `TooManyNames`.
  func take(_ known: inout Int, from task: borrowing EngineTask) throws(TooManyNames) {
    let new = task.nameHashes(from: known)
    known += new.count
    let count = hashes.withLock {
      $0.formUnion(new)
      return $0.count
    }
    if count > task.nameLimit || task.leftOutNames > 0 { throw TooManyNames() }
  }
}
