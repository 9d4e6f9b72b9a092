// Rebalances: what the group says against what we do, for every pair of state and event.

import Daemon
import Testing

private typealias State = Ownership.State
private typealias Event = Ownership.Event
private typealias Action = Ownership.Action

@Suite struct OwnershipTests {
  /// The table of the documentation, row by row: the actions and the state after them.
  private static let table: [(State, Event, [Action], State)] = [
    (.unassigned, .assigned([3]), [.restore([3])], .restoring([3])),
    (.unassigned, .revoked, [.unassign], .unassigned),
    (.unassigned, .lost, [.unassign], .unassigned),
    (.unassigned, .restored, [], .unassigned),
    (.unassigned, .finished, [], .unassigned),
    (.unassigned, .refused, [], .unassigned),
    (.unassigned, .fenced, [.exit], .fenced),

    (.restoring([1, 2]), .assigned([3]), [.drop, .restore([3])], .restoring([3])),
    (.restoring([1, 2]), .revoked, [.drop, .unassign], .unassigned),
    (.restoring([1, 2]), .lost, [.drop, .unassign], .unassigned),
    (.restoring([1, 2]), .restored, [.read], .running([1, 2])),
    (.restoring([1, 2]), .finished, [], .restoring([1, 2])),
    (.restoring([1, 2]), .refused, [.drop, .decline], .lost),
    (.restoring([1, 2]), .fenced, [.exit], .fenced),

    (.running([1, 2]), .assigned([3]), [.abandon, .drop, .restore([3])], .restoring([3])),
    (.running([1, 2]), .revoked, [.finishEpoch], .revoking([1, 2])),
    (.running([1, 2]), .lost, [.abandon, .drop, .unassign], .unassigned),
    (.running([1, 2]), .restored, [], .running([1, 2])),
    (.running([1, 2]), .finished, [], .running([1, 2])),
    (.running([1, 2]), .refused, [.drop], .lost),
    (.running([1, 2]), .fenced, [.exit], .fenced),

    (.revoking([1, 2]), .assigned([3]), [.abandon, .drop, .restore([3])], .restoring([3])),
    (.revoking([1, 2]), .revoked, [.drop, .unassign], .unassigned),
    (.revoking([1, 2]), .lost, [.abandon, .drop, .unassign], .unassigned),
    (.revoking([1, 2]), .restored, [], .revoking([1, 2])),
    (.revoking([1, 2]), .finished, [.release, .unassign], .unassigned),
    (.revoking([1, 2]), .refused, [.drop], .lost),
    (.revoking([1, 2]), .fenced, [.exit], .fenced),

    (.lost, .assigned([3]), [.restore([3])], .restoring([3])),
    (.lost, .revoked, [.unassign], .unassigned),
    (.lost, .lost, [.unassign], .unassigned),
    (.lost, .restored, [], .lost),
    (.lost, .finished, [.unassign], .unassigned),
    (.lost, .refused, [], .lost),
    (.lost, .fenced, [.exit], .fenced),

    (.fenced, .assigned([3]), [.exit], .fenced),
    (.fenced, .revoked, [.exit], .fenced),
    (.fenced, .lost, [.exit], .fenced),
    (.fenced, .restored, [.exit], .fenced),
    (.fenced, .finished, [.exit], .fenced),
    (.fenced, .refused, [.exit], .fenced),
    (.fenced, .fenced, [.exit], .fenced),
  ]

  @Test("every state meets every event, once") func complete() {
    #expect(Self.table.count == 6 * 7)
    #expect(Set(Self.table.map { "\($0.0) \($0.1)" }).count == Self.table.count)
  }

  @Test("the table", arguments: table.indices) func pair(_ row: Int) {
    let (state, event, actions, after) = Self.table[row]
    var ownership = Ownership(state: state)
    #expect(ownership.handle(event) == actions, "\(state) \(event)")
    #expect(ownership.state == after, "\(state) \(event)")
  }

  @Test("partitions are ours from the assignment to the answer of a revoke") func partitions() {
    #expect(Ownership(state: .restoring([1])).partitions == [1])
    #expect(Ownership(state: .running([1])).partitions == [1])
    #expect(Ownership(state: .revoking([1])).partitions == [1])
    for state in [.unassigned, .lost, .fenced] as [State] { #expect(Ownership(state: state).partitions.isEmpty) }
  }

  @Test("an empty assignment is one too") func empty() {
    var ownership = Ownership()
    #expect(ownership.handle(.assigned([])) == [.restore([])])
    #expect(ownership.handle(.restored) == [.read])
    #expect(ownership.handle(.revoked) == [.finishEpoch])
  }
}
