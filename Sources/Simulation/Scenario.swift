// What one run is like: everything follows from the seed, and each part can be fixed from the command line.

import CheckpointTesting
import Configuration

/// The plan of one run.
package struct Scenario: Sendable {
  package enum Logic: String, Sendable, CaseIterable {
    /// A task simple enough to check by hand; fast.
    case counting
    /// The real engine with rules, timers and alerts.
    case engine
  }

  package enum Special: String, Sendable, CaseIterable {
    case none
    /// Bits flip on the disk: a refusal is allowed, a wrong output is not.
    case bitFlips
    /// Each member has a disk of its own: a partition that moves must be refused.
    case ownDisks
    /// Retention deletes what was not read: the partition must stop and say so.
    case retention
    /// The group forgets its offsets: after a clean end the state goes on, after a death it is refused.
    case expired
    /// Power is lost again and again, while large blocks are written and not synced yet.
    case powerLoss
    /// Members fall silent just when they have given their partitions back and wait for those to come.
    case silentJoiners

    /// Whether partitions may be refused in the end.
    package var mayRefuse: Bool {
      switch self {
      case .none, .powerLoss, .silentJoiners: false
      case .bitFlips, .ownDisks, .retention, .expired: true
      }
    }
  }

  package var seed: UInt64
  package var delivery: Configuration.Delivery
  package var logic: Logic
  package var clock: ClockChoice
  package var special: Special
  package var members: Int
  package var partitions: Int32
  package var topics: Int
  /// Simulated seconds of load with faults.
  package var loadSeconds: Int
  package var recordsPerSecond: Int
  package var epochMilliseconds: Int
  package var epochEvents: Int
  package var rewriteMinimumBytes: Int
  /// Mean of the simulated seconds between two faults; 0 for none.
  package var faultSeconds: Int
  package var network: NetworkFaults
  /// Of each sync, in simulated microseconds.
  package var syncMicroseconds: ClosedRange<Int64>

  package enum ClockChoice: String, Sendable, CaseIterable {
    case event, wall
  }

  package init(seed: UInt64) {
    var random = SeededGenerator(seed: seed ^ 0x7363_656E_6172_696F)
    func pick(_ range: ClosedRange<Int>) -> Int { Int.random(in: range, using: &random) }
    self.seed = seed
    delivery = pick(0...9) < 7 ? .exactlyOnce : .atLeastOnce
    logic = pick(0...9) < 8 ? .counting : .engine
    clock = pick(0...1) == 0 ? .event : .wall
    special =
      switch pick(0...99) {
      case 0..<6: .bitFlips
      case 6..<9: .ownDisks
      case 9..<11: .retention
      case 11..<14: .expired
      case 14..<20: .powerLoss
      case 20..<23: .silentJoiners
      default: .none
      }
    members = pick(1...3)
    partitions = Int32(pick(1...5))
    topics = pick(1...2)
    loadSeconds = pick(20...120)
    recordsPerSecond = pick(1...12)
    epochMilliseconds = [100, 300, 1_000, 1_000][pick(0...3)]
    epochEvents = [5, 20, 100, 1_000][pick(0...3)]
    rewriteMinimumBytes = [400, 1_500, 6_000][pick(0...2)]
    faultSeconds = [2, 4, 8, 15, 0][min(4, pick(0...12) / 3)]
    network = NetworkFaults()
    if pick(0...3) > 0 {
      let bad = [5, 20, 60][pick(0...2)]
      network.lostRequest = pick(0...bad)
      network.lostAnswer = pick(0...bad)
      network.duplicate = pick(0...bad)
      network.late = pick(0...bad / 2)
      network.queueFull = pick(0...8)
      network.refusedBatch = pick(0...25)
      network.passedOverBatch = pick(0...25)
    }
    syncMicroseconds = [50...2_000, 1_000...30_000, 10_000...400_000][pick(0...2)]
    fit()
  }

  /// What the special part needs to have a chance.
  package mutating func fit() {
    switch special {
    case .powerLoss:
      // Blocks of several sectors.
      recordsPerSecond = max(recordsPerSecond, 20)
      partitions = min(partitions, 2)
      epochMilliseconds = 1_000
      if faultSeconds == 0 || faultSeconds > 4 { faultSeconds = 2 }
      syncMicroseconds = 10_000...400_000
    case .silentJoiners:
      members = max(members, 2)
      if faultSeconds == 0 || faultSeconds > 4 { faultSeconds = 2 }
    default: break
    }
    // With a slow disk and small epochs the load would never be worked off.
    if syncMicroseconds.upperBound > 30_000 { epochEvents = max(epochEvents, 100) }
  }
}
