// kill -9 in the middle, on a real broker (exactly_once): under read_committed nothing is lost and nothing repeats.

import Foundation
import Kafka
import Testing

/// Why the tests of exactly-once are skipped: the embedded broker has no transactions.
let needsRealBroker: Comment =
  "set TIDEWATCH_TEST_BOOTSTRAP=host:port to a real Kafka: the embedded broker has no transactions"

extension CrashTests {
  @Suite(.serialized, .enabled(if: TestBroker.isReal, needsRealBroker)) struct ExactlyOnce {
    @Test func killedAndStoppedOverAndOver() async throws {
      let seed = UInt64.random(in: 0..<1_000)
      let scenario = CrashScenario(
        stream: try .shop(customers: 1_200, seed: 12), delivery: .exactlyOnce, realBroker: TestBroker.realBootstrap,
        ends: [.kill(at: 0.15), .kill(at: 0.4), .terminate(at: 0.6), .kill(at: 0.62), .kill(at: 0.9)], seed: seed)
      let verdict = try await scenario.run()
      #expect(verdict.problems == [], "seed \(seed)")
    }

    @Test(.enabled(if: CrashData.cdnow != nil, "no CDNOW_master.txt.gz: set TIDEWATCH_TEST_DATA to its directory"))
    func killedOnTheWayThroughRealPurchases() async throws {
      let scenario = CrashScenario(
        stream: try CrashData.purchases(), delivery: .exactlyOnce, realBroker: TestBroker.realBootstrap,
        ends: [.kill(at: 0.25), .kill(at: 0.5), .terminate(at: 0.6), .kill(at: 0.8)], seed: 7)
      let verdict = try await scenario.run()
      #expect(verdict.problems == [])
    }

    /// The disk is the truth there, and a real broker keeps what it was told: the same scenario, resent outboxes and all.
    @Test func atLeastOnceOnTheSameBroker() async throws {
      let scenario = CrashScenario(
        stream: try .shop(customers: 600, seed: 13), delivery: .atLeastOnce, realBroker: TestBroker.realBootstrap,
        ends: [.kill(at: 0.3), .kill(at: 0.5), .kill(at: 0.7)], seed: 8)
      let verdict = try await scenario.run()
      #expect(verdict.problems == [])
    }
  }
}
