// The system's clock set back: noticed once, until it has caught up, also by a process that has just restored.

import Daemon
import Events
import Testing

@Suite struct WallWatchTests {
  private func at(_ seconds: Double) -> Instant { Instant(microseconds: Int64(seconds * 1_000_000)) }

  @Test("a clock that goes on, or is slowed by less than the tolerance, is nothing to speak of") func goesOn() {
    var watch = WallWatch()
    for time in [100, 100, 101, 100.5, 102, 101, 103] {
      #expect(watch.see(at(time), taskClock: .distantPast) == nil)
      #expect(watch.behind == .seconds(0))
    }
  }

  @Test("said once, until it is past what it showed") func saidOnce() {
    var watch = WallWatch()
    #expect(watch.see(at(1_000), taskClock: .distantPast) == nil)
    #expect(watch.see(at(400), taskClock: .distantPast) == .wentBack(by: .seconds(600)))
    #expect(watch.see(at(401), taskClock: .distantPast) == nil)
    // Corrected bit by bit; the last second too is behind.
    #expect(watch.see(at(999.5), taskClock: .distantPast) == nil)
    #expect(watch.behind == TimeSpan(microseconds: 500_000))
    #expect(watch.see(at(1_000), taskClock: .distantPast) == .caughtUp)
    #expect(watch.behind == .seconds(0))
    #expect(watch.see(at(998), taskClock: .distantPast) == .wentBack(by: .seconds(2)))
  }

  @Test("set back while the process was down: the restored state has seen more") func restored() {
    var watch = WallWatch()
    #expect(watch.see(at(50), taskClock: .distantPast) == nil)
    #expect(watch.see(at(51), taskClock: at(3_651)) == .wentBack(by: .seconds(3_600)))
    #expect(watch.see(at(3_651), taskClock: at(3_651)) == .caughtUp)
  }

  @Test("a step back of the running system is told from slow corrections and from steps forward") func setBack() {
    var setBack = SetBack()
    func see(_ wall: Double, _ monotonic: Double) -> TimeSpan? {
      setBack.see(at(wall), monotonicMicroseconds: Int64(monotonic * 1_000_000))
    }
    #expect(see(1_000, 10) == nil)
    #expect(see(1_001, 11) == nil)
    #expect(see(997, 12) == nil, "five seconds are borne")
    #expect(see(991.5, 13) == .some(TimeSpan(microseconds: 6_500_000)))
    #expect(see(992.5, 14) == nil, "said once")
    #expect(see(9_000, 15) == nil)
    for step in 0..<100 { #expect(see(9_000 + Double(step) * 0.8, 15 + Double(step)) == nil, "slowed by a fifth") }
  }
}
