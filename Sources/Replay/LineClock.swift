// Where the clock stands at each line. It depends on the lines alone, not on what the engine makes of them: so the
// thread that reads works it out once, and every engine thread moves its task's clock as if it had all customers.

import Engine
import Events

/// What `TaskClock` says in `ClockMode.event` of one topic whose end is not reached: the greatest event time less `settle`.
struct LineClock {
  private(set) var now = Instant.distantPast

  /// Goes past a line with an event at `time`, and returns where the clock stands behind it. One that the engine will
  /// find to be a duplicate moves it like any other; one that it will reject as too late is behind the clock, and does
  /// not.
  mutating func pass(_ time: Instant) -> Instant {
    now = max(now, time - TaskClock.settle)
    return now
  }
}
