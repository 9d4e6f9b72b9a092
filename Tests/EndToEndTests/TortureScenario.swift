// Cycle after cycle a member is killed, stopped, frozen or loses its broker, under load. In the end everything was said
// once, in order, and the state is right.

import Foundation
import Kafka
import ReferenceTesting
import Testing

/// What the environment asks of the torture tests.
enum TortureSettings {
  private static func variable(_ name: String) -> String? {
    ProcessInfo.processInfo.environment[name].flatMap { $0.isEmpty ? nil : $0 }
  }
  /// `make torture CYCLES=100`.
  static let cycles = variable("TIDEWATCH_TEST_CYCLES").flatMap { Int($0) } ?? 4
  static let seed = variable("TIDEWATCH_TEST_TORTURE_SEED").flatMap { UInt64($0) } ?? UInt64.random(in: 0..<1_000_000)
  /// Shell commands; both or none.
  static let broker: (stop: String, start: String)? = {
    guard let stop = variable("TIDEWATCH_TEST_BROKER_STOP"), let start = variable("TIDEWATCH_TEST_BROKER_START") else {
      return nil
    }
    return (stop, start)
  }()
}

struct TortureScenario: Sendable {
  enum Clock: String, Sendable { case event, wall }
  enum Kind: String, CaseIterable, Sendable { case kill, terminate, freeze, broker, clock }

  var delivery: CrashDelivery
  /// nil for the embedded one.
  var realBroker: String?
  var members: Int
  var clock: Clock
  var cycles = TortureSettings.cycles
  var seed = TortureSettings.seed
  /// What may be done; as far as it makes sense with this broker and clock.
  var kinds = Kind.allCases
  var recordsPerCycle = 300
  var partitions: Int32 = 4

  /// What happened, for the log, and what is wrong.
  struct Report: Sendable {
    var problems: [String]
    var text: String
  }

  func run() async throws -> Report {
    // The allowance of the last cycle too, and what is sent after it.
    let total = (cycles + 2) * recordsPerCycle
    var stream = try CrashStream.shop(customers: total / 3 + 100, seed: seed)
    guard stream.records.count >= total else { throw BinaryError(description: "the shop is too small") }
    stream.records.removeLast(stream.records.count - total)
    if clock == .wall {
      stream.configuration = """
        churn: { preset: cdnow, horizon: 60d }
        alerts: { silent_after: 1d, backfill_per_second: 1000 }
        currency: { reporting: CNY, default: CNY }
        """
    }
    let final = stream
    // Known before: it depends on the records alone.
    let expectation = clock == .event ? try await CrashExpectation.replaying(final, partitions: partitions) : nil
    return try await onThread {
      let run = try TortureRun(self, final)
      try run.torment()
      if clock == .event { try run.finishByEvents() }
      return try run.compare(expectation, try run.replayJournal())
    }
  }
}
