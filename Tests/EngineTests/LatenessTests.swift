// What counts as late: behind the clock by more than topics and producers usually are.

import Engine
import Testing

struct LatenessTests {
  @Test func withTheWallsClockTheUsualDelayIsNotLate() throws {
    let steps = Steps(try TestSettings.make(clockMode: .wall))
    try steps.advance(to: "2026-05-01T00:01:00Z", says: [])
    try steps.apply(event(.pageView, "2026-05-01T00:00:58Z", id: "usual"), is: .applied, says: [])
    try steps.apply(event(.pageView, "2026-05-01T00:00:50Z", id: "at the edge"), is: .applied, says: [])
    try steps.apply(event(.pageView, "2026-05-01T00:00:49Z", id: "late"), is: .late, says: [])
    #expect(steps.task.counters.applied == 2 && steps.task.counters.late == 1)
  }

  @Test func withTheEventsClockTheDelayIsInTheClock() throws {
    let steps = Steps(try TestSettings.make(clockMode: .event))
    try steps.advance(to: "2026-05-01T00:01:00Z", says: [])
    try steps.apply(event(.pageView, "2026-05-01T00:01:00Z", id: "on time"), is: .applied, says: [])
    try steps.apply(event(.pageView, "2026-05-01T00:00:59Z", id: "late"), is: .late, says: [])
  }
}
