// `state.memory_limit`: when reading stops and goes on, for every pair of state and level.

import Daemon
import Testing

@Suite struct MemoryGateTests {
  private typealias Row = (MemoryGate.State, MemoryGate.Level, MemoryGate.Action?, MemoryGate.State)
  /// The table of the documentation, row by row: the action and the state after it.
  private static let table: [Row] = [
    (.reading, .roomy, nil, .reading),
    (.reading, .tight, nil, .reading),
    (.reading, .full, .stop, .closing),
    (.closing, .roomy, .read, .reading),
    (.closing, .tight, .pause, .paused),
    (.closing, .full, .pause, .paused),
    (.paused, .roomy, .read, .reading),
    (.paused, .tight, nil, .paused),
    (.paused, .full, nil, .paused),
  ]

  @Test func everyPair() {
    for (before, level, action, after) in Self.table {
      var gate = MemoryGate(limit: 100, state: before)
      #expect(gate.handle(level) == action, "\(before), \(level)")
      #expect(gate.state == after, "\(before), \(level)")
    }
    #expect(Self.table.count == MemoryGate.State.allCases.count * MemoryGate.Level.allCases.count)
  }

  @Test func levelsBeginAtTheLimitAndAt95Percent() {
    let gate = MemoryGate(limit: 1_000)
    #expect([0, 949, 950, 999, 1_000, .max].map(gate.level) == [.roomy, .roomy, .tight, .tight, .full, .full])
    let tiny = MemoryGate(limit: 1)
    #expect([0, 1].map(tiny.level) == [.roomy, .full])
    let huge = MemoryGate(limit: 1 << 50)
    #expect([1 << 49, 1 << 50].map(huge.level) == [.roomy, .full])
    let none = MemoryGate(limit: 0)
    #expect([0, .max].map(none.level) == [.roomy, .roomy])
  }
}
