// Why a replay cannot go on: the thread that fails says it, the others look now and then.

import Handoff

final class FirstFailure: Sendable {
  private let first = Shared<(any Error)?>(nil)

  /// Nil while nothing has failed.
  var error: (any Error)? { first.read() }

  /// What comes after the first is its consequence.
  func note(_ error: any Error) {
    first.withLock { first in
      if first == nil { first = error }
    }
  }
}
