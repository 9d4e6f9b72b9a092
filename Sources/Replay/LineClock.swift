// Where the clock stands at each line. It depends on the lines alone, not on what the engine makes of them: so the
// thread that reads works it out once, and every engine thread moves its task's clock as if it had all customers.

import Engine
import Events

struct LineClock {
  private var clock = TaskClock(mode: .event, required: [false], sourceStall: .minutes(15))

  var now: Instant { clock.now }

  /// Goes past a line with an event at `time`, and returns where the clock stands behind it. One that the engine will
  /// find to be a duplicate moves it like any other; one that it will reject as too late is behind the clock, and does
  /// not.
  mutating func pass(_ time: Instant) -> Instant {
    clock.observe(topic: 0, eventTime: time)
    return clock.update(wall: .distantPast)
  }
}
