// When the machine counts as idle: a part measured while something else is written or tidied is not worth its figures.

import Benchmarks
import Testing

@Suite struct QuietTests {
  @Test func whatTheCoresDoIsReadFromTheirFirstLine() throws {
    // user nice system idle iowait irq softirq steal guest guest_nice
    let before = try #require(CoreTimes(stat: "cpu  100 0 50 800 40 1 2 7 30 0\ncpu0 1 2 3 4 5 6 7 8 9 10\n"))
    #expect(before.all == 1_000 && before.busy == 160)
    let after = try #require(CoreTimes(stat: "cpu  130 0 60 950 50 1 2 7 30 0\n"))
    #expect(after.busyShare(since: before) == 0.2)
    #expect(before.busyShare(since: before) == nil, "no time has passed")
    #expect(before.busyShare(since: after) == nil, "the time goes back")
  }

  @Test(arguments: ["", "cpu0 1 2 3 4 5 6 7 8\n", "cpu  1 2 3\n", "intr 5 6 7 8 9\n"])
  func anotherTextIsRefused(text: String) { #expect(CoreTimes(stat: text) == nil) }
}
