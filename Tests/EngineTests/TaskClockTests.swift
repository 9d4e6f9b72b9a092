// The clock of a task, clause by clause of the design: (a) the future, (b) catching up, (c) stalls, (d) event mode.

import Engine
import Events
import Testing

private func at(_ seconds: Int64) -> Instant { Instant(seconds: seconds) }

/// What a task sees, one step at a time; `wall` is the time at which it sees it.
private enum Step {
  case event(topic: Int, at: Int64, broker: Int64)
  case deadLetter(topic: Int, broker: Int64)
  case end(topic: Int)
  case grew(topic: Int)
}

private struct Case: CustomTestStringConvertible, Sendable {
  var name: String
  var mode = ClockMode.wall
  var required = [false]
  var start = Instant.distantPast
  /// (wall, what is seen, clock after it)
  var steps: [(Int64, Step?, Instant)]
  var status: TaskClock.Status
  var testDescription: String { name }
}

extension Step: Sendable {}

private let cases: [Case] = [
  Case(
    name: "(b) nothing seen: the clock does not move",
    steps: [(1_000, nil, .distantPast)], status: .catchingUp(topics: [0])),
  Case(
    name: "(b) lagging: the greatest event time less 10 s, and an older event does not take it back",
    steps: [
      (9_000, .event(topic: 0, at: 500, broker: 510), at(490)),
      (9_001, .event(topic: 0, at: 400, broker: 511), at(490)),
      (9_002, .event(topic: 0, at: 600, broker: 612), at(590)),
    ], status: .catchingUp(topics: [0])),
  Case(
    name: "(b) the least over the lagging topics, once each has shown something",
    required: [false, false],
    steps: [
      (9_000, .event(topic: 0, at: 800, broker: 800), .distantPast),
      (9_000, .event(topic: 1, at: 500, broker: 500), at(490)),
      (9_000, .event(topic: 1, at: 900, broker: 900), at(790)),
    ], status: .catchingUp(topics: [0, 1])),
  Case(
    name: "(b) a topic at its end does not lag: the other one decides",
    required: [false, false],
    steps: [
      (9_000, .event(topic: 0, at: 300, broker: 300), .distantPast), (9_000, .end(topic: 0), .distantPast),
      (9_000, .event(topic: 1, at: 500, broker: 500), at(490)),
    ], status: .catchingUp(topics: [1])),
  Case(
    name: "(b) caught up at the end of every input: the wall",
    required: [false, false],
    steps: [(9_000, .end(topic: 0), .distantPast), (9_000, .end(topic: 1), at(9_000)), (9_007, nil, at(9_007))],
    status: .followingWall),
  Case(
    name: "(b) caught up by a broker timestamp within 5 s of the wall, whatever the event time",
    steps: [
      (9_000, .event(topic: 0, at: 100, broker: 8_994), at(90)),
      (9_000, .event(topic: 0, at: 100, broker: 8_995), at(9_000)),
    ],
    status: .followingWall),
  Case(
    name: "(b) history that is being loaded is read to its end, however fresh its records are",
    steps: [
      (1_000_000, .event(topic: 0, at: 100, broker: 1_000_000), at(90)),
      (1_000_001, .deadLetter(topic: 0, broker: 1_000_001), at(90)),
      (1_000_002, .event(topic: 0, at: 300_000, broker: 1_000_001), at(299_990)),
      // Seven days behind its record, and after that nothing takes it back.
      (1_000_003, .event(topic: 0, at: 395_203, broker: 1_000_003), at(1_000_003)),
      (1_000_009, .event(topic: 0, at: 200, broker: 1_000_008), at(1_000_009)),
    ], status: .followingWall),
  Case(
    name: "(b) lags again when old records come after the end: the clock waits, never goes back",
    steps: [
      (9_000, .end(topic: 0), at(9_000)), (9_100, .event(topic: 0, at: 9_050, broker: 9_051), at(9_040)),
      (9_200, nil, at(9_040)), (9_200, .end(topic: 0), at(9_200)),
    ], status: .followingWall),
  Case(
    name: "(b) while lagging the clock never passes the wall",
    steps: [(1_000, .event(topic: 0, at: 1_200, broker: 900), at(1_000))], status: .catchingUp(topics: [0])),
  Case(
    name: "a restored clock is kept",
    start: at(5_000), steps: [(9_000, .event(topic: 0, at: 500, broker: 510), at(5_000))],
    status: .catchingUp(topics: [0])),
  Case(
    name: "(c) a required topic that never showed life holds the clock",
    required: [true], steps: [(9_000, .end(topic: 0), .distantPast), (9_900, nil, .distantPast)],
    status: .stalled(topics: [0])),
  Case(
    name: "(c) growth anywhere in the required topic keeps the clock going without a record here",
    required: [true],
    steps: [
      (9_000, .grew(topic: 0), .distantPast), (9_000, .end(topic: 0), at(9_000)), (9_800, .grew(topic: 0), at(9_800)),
      (10_000, nil, at(10_000)),
    ], status: .followingWall),
  Case(
    name: "(c) no growth for source_stall: it stands still",
    required: [true],
    steps: [
      (9_000, .grew(topic: 0), .distantPast), (9_000, .end(topic: 0), at(9_000)), (9_900, nil, at(9_900)),
      (9_901, nil, at(9_900)), (20_000, nil, at(9_900)),
    ], status: .stalled(topics: [0])),
  Case(
    name: "(c) resumes through (b): after a stall the backlog is caught up before the wall is followed",
    required: [true],
    steps: [
      (9_000, .grew(topic: 0), .distantPast), (9_000, .end(topic: 0), at(9_000)), (9_901, nil, at(9_000)),
      (20_000, .grew(topic: 0), at(9_000)), (20_000, .event(topic: 0, at: 9_950, broker: 9_951), at(9_940)),
      (20_001, .event(topic: 0, at: 15_000, broker: 15_001), at(14_990)), (20_002, .end(topic: 0), at(20_002)),
    ], status: .followingWall),
  Case(
    name: "(c) a topic that is not required may be silent for ever",
    required: [false, true],
    steps: [
      (9_000, .end(topic: 0), .distantPast), (9_000, .grew(topic: 1), .distantPast), (9_000, .end(topic: 1), at(9_000)),
      (50_000, .grew(topic: 1), at(50_000)),
    ], status: .followingWall),
  Case(
    name: "(c) a stalled topic bounds what a lagging one may do to the clock",
    required: [false, true],
    steps: [
      (20_000, .event(topic: 1, at: 9_000, broker: 9_000), .distantPast), (20_000, .end(topic: 1), .distantPast),
      (20_000, .event(topic: 0, at: 8_000, broker: 8_000), at(7_990)),
      (20_000, .event(topic: 0, at: 19_000, broker: 19_000), at(9_000)),
    ], status: .stalled(topics: [1])),
  Case(
    name: "(c) a timestamp from the future proves life only for now",
    required: [true],
    steps: [
      (9_000, .event(topic: 0, at: 9_000, broker: 99_000), at(8_990)), (9_000, .end(topic: 0), at(9_000)),
      (9_901, nil, at(9_000)),
    ], status: .stalled(topics: [0])),
  Case(
    name: "(d) event mode never follows the wall",
    mode: .event, required: [true],
    steps: [
      (9_000, .event(topic: 0, at: 500, broker: 8_999), at(490)), (9_000, .end(topic: 0), at(490)),
      (90_000, nil, at(490)),
    ], status: .eventTime),
  Case(
    name: "(d) event mode: least over the lagging topics, greatest once none lags",
    mode: .event, required: [false, false],
    steps: [
      (0, .event(topic: 0, at: 500, broker: 0), .distantPast), (0, .event(topic: 1, at: 300, broker: 0), at(290)),
      (0, .end(topic: 1), at(490)), (0, .end(topic: 0), at(490)),
    ], status: .eventTime),
  Case(
    name: "(d) event mode: empty topics hold nothing back",
    mode: .event, required: [false, false],
    steps: [(0, .end(topic: 1), .distantPast), (0, .event(topic: 0, at: 500, broker: 0), at(490))],
    status: .catchingUp(topics: [0])),
]

@Suite struct TaskClockTests {
  @Test(arguments: cases) fileprivate func follows(_ test: Case) {
    var clock = TaskClock(mode: test.mode, required: test.required, sourceStall: .minutes(15), startingAt: test.start)
    for (number, (wall, step, expected)) in test.steps.enumerated() {
      switch step {
      case .event(let topic, let time, let broker):
        clock.observe(topic: topic, eventTime: at(time), brokerTimestamp: at(broker))
      case .deadLetter(let topic, let broker): clock.recordSeen(topic: topic, brokerTimestamp: at(broker))
      case .end(let topic): clock.reachedEnd(of: topic)
      case .grew(let topic): clock.topicGrew(topic, at: at(wall))
      case nil: break
      }
      #expect(clock.update(wall: at(wall)) == expected, "step \(number)")
    }
    #expect(clock.status == test.status)
  }

  @Test("(a) a record is from the future when it is more than 5 min ahead of the ceiling")
  func future() {
    #expect(!TaskClock.isTooFarAhead(at(1_300), of: at(1_000)))
    #expect(TaskClock.isTooFarAhead(Instant(microseconds: 1_300_000_001), of: at(1_000)))
    #expect(TaskClock.isTooFarAhead(at(1_002), of: at(1_000), tolerance: .seconds(1)))
  }

  @Test("having caught up is remembered, and a stall does not count as having caught up")
  func caughtUpOnce() {
    var clock = TaskClock(mode: .wall, required: [true], sourceStall: .minutes(15))
    clock.reachedEnd(of: 0)
    clock.update(wall: at(1_000))
    #expect(!clock.hasCaughtUp)
    clock.topicGrew(0, at: at(1_001))
    clock.reachedEnd(of: 0)
    clock.update(wall: at(1_001))
    #expect(clock.hasCaughtUp)
    clock.observe(topic: 0, eventTime: at(900), brokerTimestamp: at(900))
    clock.update(wall: at(1_002))
    #expect(clock.hasCaughtUp && clock.status == .catchingUp(topics: [0]))
  }

  @Test(
    "random histories: never back, never past the wall, event mode blind to the wall",
    arguments: 0..<200 as Range<UInt64>)
  func invariants(seed: UInt64) {
    var random = SplitMix(state: seed)
    let mode: ClockMode = seed % 2 == 0 ? .wall : .event
    let required = [random.next() % 2 == 0, random.next() % 2 == 0]
    var clock = TaskClock(mode: mode, required: required, sourceStall: .seconds(60))
    var shifted = TaskClock(mode: mode, required: required, sourceStall: .seconds(60))
    var wall: Int64 = 10_000
    for _ in 0..<300 {
      wall += Int64(random.next() % 20)
      let topic = Int(random.next() % 2)
      let time = wall - Int64(random.next() % 200)
      let step = random.next() % 6
      for copy in 0..<2 {
        var subject = copy == 0 ? clock : shifted
        switch step {
        case 0: subject.reachedEnd(of: topic)
        case 1: subject.topicGrew(topic, at: at(wall))
        default: subject.observe(topic: topic, eventTime: at(time), brokerTimestamp: at(time + 3))
        }
        let before = subject.now
        subject.update(wall: at(copy == 0 ? wall : wall * 3))
        #expect(subject.now >= before)
        if copy == 0 { clock = subject } else { shifted = subject }
      }
      if mode == .wall { #expect(clock.now <= at(wall)) } else { #expect(clock.now == shifted.now) }
    }
  }
}

private struct SplitMix {
  var state: UInt64
  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var z = state
    z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
    z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
    return z ^ (z >> 31)
  }
}
