// Rebalances: what the group says against what we do.

import Daemon
import Testing

@Suite struct OwnershipTests {
  @Test("assigned, restored, revoked: the epoch is finished before anything is given back") func ordinary() {
    var ownership = Ownership()
    #expect(ownership.handle(.assigned([0, 2])) == [.restore([0, 2])])
    #expect(ownership.state == .restoring([0, 2]))
    #expect(ownership.restored() == [.read])
    #expect(ownership.state == .running([0, 2]))
    #expect(ownership.handle(.revoked) == [.finishEpoch])
    #expect(ownership.state == .revoking([0, 2]) && ownership.partitions == [0, 2])
    #expect(ownership.released() == [.drop, .unassign])
    #expect(ownership.state == .unassigned && ownership.partitions == [])
  }

  @Test("lost: nothing is committed any more, in whatever state") func lost() {
    for prepare in [[], ["restored"], ["restored", "revoke"]] as [[String]] {
      var ownership = Ownership()
      _ = ownership.handle(.assigned([1]))
      if prepare.contains("restored") { _ = ownership.restored() }
      if prepare.contains("revoke") { _ = ownership.handle(.revoked) }
      #expect(ownership.handle(.lost) == [.drop, .unassign])
      #expect(ownership.state == .unassigned)
    }
  }

  @Test("revoked while restoring: there is no epoch to finish") func revokedEarly() {
    var ownership = Ownership()
    _ = ownership.handle(.assigned([1]))
    #expect(ownership.handle(.revoked) == [.drop, .unassign])
    #expect(ownership.restored() == [])
  }

  @Test("a refused commit drops the tasks at once; the group's own word still gets its answer") func refused() {
    var ownership = Ownership()
    _ = ownership.handle(.assigned([1]))
    _ = ownership.restored()
    #expect(ownership.commitRefused() == [.drop])
    #expect(ownership.commitRefused() == [])
    #expect(ownership.handle(.lost) == [.unassign])
    #expect(ownership.handle(.assigned([3])) == [.restore([3])])
  }

  @Test("an empty assignment is one too") func empty() {
    var ownership = Ownership()
    #expect(ownership.handle(.assigned([])) == [.restore([])])
    #expect(ownership.restored() == [.read])
    #expect(ownership.handle(.revoked) == [.finishEpoch])
  }

  @Test("fenced: only the exit is left") func fenced() {
    var ownership = Ownership()
    _ = ownership.handle(.assigned([1]))
    #expect(ownership.fence() == [.exit])
    #expect(ownership.handle(.revoked) == [.exit] && ownership.handle(.assigned([1])) == [.exit])
    #expect(ownership.restored() == [] && ownership.released() == [])
  }
}
