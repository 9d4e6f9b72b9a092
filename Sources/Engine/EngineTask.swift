// The engine's one task: a pure function over its inputs. No I/O, no wall clock, no randomness.

import Customers
import Events
import Models
import Rules

/// Which clock a task follows (DESIGN: the clock of a task).
public enum ClockMode: String, Sendable {
  /// Event time only; never the wall: replay, demo, tests.
  case event
  /// The wall once caught up.
  case wall
}

/// What became of one event.
public enum ApplyResult: Sendable, Equatable {
  case applied
  /// Applied, though behind the task's clock.
  case late
  /// An event id this customer has shown before: no effect.
  case duplicate
  /// Not applied, older than the lateness horizon: the caller writes a dead letter (`too_late`) with the original bytes.
  case tooLate
}
