// A warning when most of the input becomes dead letters: once, and not for a few.

import Daemon
import Testing

@Suite struct RejectionWatchTests {
  private func counters(applied: Int, _ reasons: [String: Int]) -> TaskCounters {
    var counters = TaskCounters(topics: 2)
    counters.events[1][TaskCounters.Result.applied.rawValue] = applied
    counters.events[0][TaskCounters.Result.rejected.rawValue] = reasons.values.reduce(0, +)
    counters.deadLetters = reasons
    return counters
  }
  private let second: Int64 = 1_000_000

  @Test func mostOfTheInputIsSaidOnce() {
    var watch = RejectionWatch()
    #expect(watch.see(counters(applied: 0, [:]), at: 20 * second) == nil)
    let first = watch.see(counters(applied: 100, ["too_late": 190, "key_missing": 10]), at: 30 * second)
    #expect(
      first?.hasPrefix("200 of the last 300 records became dead letters, 190 of them as too_late: The event") == true)
    // Within ten seconds nobody looks, within ten minutes it was said.
    #expect(watch.see(counters(applied: 100, ["too_late": 900]), at: 39 * second) == nil)
    #expect(watch.see(counters(applied: 100, ["too_late": 900]), at: 50 * second) == nil)
    let other = watch.see(counters(applied: 100, ["too_late": 900, "key_missing": 500]), at: 60 * second)
    #expect(other?.contains("of them as key_missing") == true)
    #expect(watch.see(counters(applied: 100, ["too_late": 2_000, "key_missing": 500]), at: 640 * second) != nil)
  }

  @Test func aFewOrTheLesserHalfAreNoNews() {
    var watch = RejectionWatch()
    #expect(watch.see(counters(applied: 1_000, ["bad_amount": 1_000]), at: 10 * second) == nil)
    #expect(watch.see(counters(applied: 1_000, ["bad_amount": 1_100]), at: 20 * second) == nil)
    // After a reload they count from the beginning.
    #expect(watch.see(counters(applied: 0, [:]), at: 30 * second) == nil)
    #expect(watch.see(counters(applied: 10, ["bad_amount": 500]), at: 40 * second) != nil)
  }
}
