// What progress reports say.

import CommandSupport
import Testing

private func state(done: UInt64, total: UInt64?, items: UInt64, seconds: Double) -> ProgressState {
  var state = ProgressState(label: "replay", unit: "events", total: total)
  state.done = done
  state.items = items
  state.elapsedSeconds = seconds
  return state
}

@Suite struct ProgressTextTests {
  @Test func barShowsShareRateAndTimeLeft() {
    let half = state(done: 500, total: 1000, items: 1_234_567, seconds: 2)
    #expect(
      half.bar(width: 80)
        == "replay  [#############--------------]   50 %  1,234,567 events  617k/s  ETA 0:02")
    #expect(half.line == "replay:  50 %, 1,234,567 events, 617k/s, ETA 0:02")
    #expect(half.closing == "replay: 1,234,567 events in 0:02, 617k/s")
  }

  @Test func withoutTotalThereIsNoBar() {
    let some = state(done: 500, total: nil, items: 10, seconds: 4)
    #expect(some.bar(width: 80) == "replay  10 events  2.5/s")
    #expect(some.line == "replay: 10 events, 2.5/s")
    #expect(some.remainingSeconds == nil)
    #expect(state(done: 0, total: 0, items: 0, seconds: 0).fraction == nil)
  }

  @Test func fullOnlyWhenDone() {
    #expect(state(done: 999_999, total: 1_000_000, items: 1, seconds: 1).line.contains(" 99 %"))
    #expect(state(done: 1_000_000, total: 1_000_000, items: 1, seconds: 1).line == "replay: 100 %, 1 events, 1.0/s")
    // A file that grew while it was read.
    #expect(state(done: 3, total: 2, items: 1, seconds: 1).fraction == 1)
  }

  @Test func barNeverWrapsTheLine() {
    var random = SplitMix(state: 7)
    for _ in 0..<2000 {
      let total = UInt64.random(in: 0...10_000_000, using: &random)
      let some = state(
        done: UInt64.random(in: 0...total, using: &random), total: Bool.random(using: &random) ? total : nil,
        items: UInt64.random(in: 0...UInt64.max, using: &random), seconds: Double.random(in: 0...1e6, using: &random))
      let width = Int.random(in: 0...200, using: &random)
      #expect(some.bar(width: width).count <= width)
    }
  }

  @Test func numbers() {
    #expect(grouped(0) == "0")
    #expect(grouped(999) == "999")
    #expect(grouped(-1000) == "-1,000")
    #expect(grouped(UInt64.max) == "18,446,744,073,709,551,615")
    #expect(grouped(Int64.min) == "-9,223,372,036,854,775,808")
    #expect(shortRate(0) == "0")
    #expect(shortRate(.infinity) == "0")
    #expect(shortRate(0.25) == "0.3")
    #expect(shortRate(950) == "950")
    #expect(shortRate(999.6) == "1.00k")
    #expect(shortRate(12_345) == "12.3k")
    #expect(shortRate(999_600) == "1.00M")
    #expect(fixed(1.005, digits: 1) == "1.0")
    #expect(fixed(0.06, digits: 2) == "0.06")
    #expect(clockText(6.6) == "0:07")
    #expect(clockText(754) == "12:34")
    #expect(clockText(3723) == "1:02:03")
    #expect(clockText(.infinity) == "over 100 h")
  }
}

private struct SplitMix: RandomNumberGenerator {
  var state: UInt64
  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }
}

@Suite struct ExitStatusTests {
  @Test func helpListsEveryStatus() {
    for status in ExitStatus.allCases { #expect(ExitStatus.help.contains("\n  \(status.rawValue) ")) }
  }
}
