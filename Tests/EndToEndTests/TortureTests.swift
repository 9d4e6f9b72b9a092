// Torture at the level of processes: a few cycles of each kind in CI, a hundred with `make torture CYCLES=100`.

import Foundation
import Kafka
import Testing

extension CrashTests {
  /// Every promise at once; a failure prints the seed (TIDEWATCH_TEST_TORTURE_SEED).
  @Suite(.serialized) struct Torture {
    @Test("embedded broker, at_least_once", arguments: [1, 2])
    func embedded(members: Int) async throws {
      let report = try await TortureScenario(
        delivery: .atLeastOnce, realBroker: nil, members: members, clock: .event
      ).run()
      #expect(report.problems == [], "\(report.text)")
    }

    @Test("embedded broker, under the wall's clock") func embeddedByTheWall() async throws {
      let report = try await TortureScenario(
        delivery: .atLeastOnce, realBroker: nil, members: 1, clock: .wall
      ).run()
      #expect(report.problems == [], "\(report.text)")
    }

    @Test("the system's clock is set back: said, and nothing lost") func clockSetBack() async throws {
      let report = try await TortureScenario(
        delivery: TestBroker.isReal ? .exactlyOnce : .atLeastOnce, realBroker: TestBroker.realBootstrap, members: 1,
        clock: .wall, cycles: 3, kinds: [.clock]
      ).run()
      #expect(report.problems == [], "\(report.text)")
    }

    @Test("real broker, exactly_once", .enabled(if: TestBroker.isReal, needsRealBroker), arguments: [1, 2])
    func exactlyOnce(members: Int) async throws {
      let report = try await TortureScenario(
        delivery: .exactlyOnce, realBroker: TestBroker.realBootstrap, members: members, clock: .event
      ).run()
      #expect(report.problems == [], "\(report.text)")
    }

    @Test(
      "real broker, exactly_once, under the wall's clock", .enabled(if: TestBroker.isReal, needsRealBroker),
      arguments: [1, 2])
    func exactlyOnceByTheWall(members: Int) async throws {
      let report = try await TortureScenario(
        delivery: .exactlyOnce, realBroker: TestBroker.realBootstrap, members: members, clock: .wall
      ).run()
      #expect(report.problems == [], "\(report.text)")
    }

    @Test(
      .disabled(
        if: TestBroker.isReal && TortureSettings.broker == nil,
        "TIDEWATCH_TEST_BROKER_STOP and TIDEWATCH_TEST_BROKER_START name no commands: no cycle stops the broker"))
    func brokerCyclesAreAskedFor() {}
  }
}
