// kill -9 in the middle, on the embedded broker (at_least_once): nothing is lost, repeats carry an id already seen.

import Foundation
import Kafka
import Testing

/// The parent of all crash suites: they run one at a time, for each has processes and a broker.
@Suite(.serialized) struct CrashTests {}

extension CrashTests {
  @Suite(.serialized) struct AtLeastOnce {
    @Test func killedAndStoppedOverAndOver() async throws {
      let scenario = CrashScenario(
        stream: try .shop(customers: 1_200, seed: 11), delivery: .atLeastOnce,
        ends: [.kill(at: 0.25), .terminate(at: 0.5), .kill(at: 0.7)], seed: 5)
      let verdict = try await scenario.run()
      #expect(verdict.problems == [])
    }

    @Test(.enabled(if: CrashData.cdnow != nil, "no CDNOW_master.txt.gz: set TIDEWATCH_TEST_DATA to its directory"))
    func killedHalfWayThroughRealPurchases() async throws {
      let scenario = CrashScenario(
        stream: try CrashData.purchases(), delivery: .atLeastOnce, ends: [.kill(at: 0.5)], seed: 6)
      let verdict = try await scenario.run()
      #expect(verdict.problems == [])
    }
  }
}
