// One epoch uncommitted, one open: every pair of state and event, and what holds along any way through them.

import CheckpointTesting
import Daemon
import Testing

private typealias State = EpochPipeline.State
private typealias Event = EpochPipeline.Event
private typealias Action = EpochPipeline.Action

@Suite struct EpochPipelineTests {
  /// The table of the documentation: for each event in the order of `Event.allCases`, the actions and the state after.
  private static let table: [(State, [([Action], State)])] = [
    (
      .idle,
      [
        ([.seal], .committing), ([.seal], .committing), ([.seal], .draining), ([], .idle), ([], .idle), ([], .idle),
        ([], .idle), ([], .ended),
      ]
    ),
    (
      .committing,
      [
        ([], .committing), ([.hold], .holding), ([.hold], .draining), ([.abandon, .hold], .draining),
        ([.confirm], .idle), ([.reload], .idle), ([.drop], .idle), ([], .ended),
      ]
    ),
    (
      .holding,
      [
        ([], .holding), ([], .holding), ([], .draining), ([.abandon], .draining), ([.confirm, .seal], .committing),
        ([.reload], .idle), ([.drop], .idle), ([], .ended),
      ]
    ),
    (
      .draining,
      [
        ([], .draining), ([], .draining), ([], .draining), ([.abandon], .draining), ([.confirm], .idle),
        ([.reload], .idle), ([.drop], .idle), ([], .ended),
      ]
    ),
    (.ended, Array(repeating: ([], .ended), count: 8)),
  ]

  @Test("the table", arguments: State.allCases) func pairs(state: EpochPipeline.State) throws {
    #expect(Event.allCases == [.due, .full, .drain, .abandon, .committed, .aborted, .refused, .ended])
    let row = try #require(Self.table.first { $0.0 == state }?.1)
    for (event, (actions, after)) in zip(Event.allCases, row) {
      var pipeline = EpochPipeline(state: state)
      #expect(pipeline.handle(event) == actions, "\(state) \(event)")
      #expect(pipeline.state == after, "\(state) \(event)")
    }
  }

  @Test("at most one epoch is ever uncommitted, and each is answered once", arguments: 0..<200 as Range<UInt64>)
  func bound(seed: UInt64) {
    var random = SeededGenerator(seed: seed)
    var pipeline = EpochPipeline()
    var uncommitted = 0
    for _ in 0..<200 {
      // An outcome comes only for an epoch that is under way.
      let outcomes: [Event] = uncommitted > 0 ? [.committed, .aborted, .refused] : []
      let events = [.due, .full, .drain, .abandon] + outcomes
      guard let event = events.randomElement(using: &random) else { continue }
      for action in pipeline.handle(event) {
        switch action {
        case .seal: uncommitted += 1
        case .confirm, .reload, .drop: uncommitted -= 1
        case .hold, .abandon: #expect(uncommitted == 1)
        }
      }
      #expect(uncommitted == (pipeline.hasUncommitted ? 1 : 0))
    }
  }
}
