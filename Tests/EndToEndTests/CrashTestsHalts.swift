// Where the daemon must refuse to go on, on a real broker: lost state, reset offsets, a second process of the same name.

import Foundation
import Kafka
import Testing

extension CrashTests {
  @Suite(.serialized, .enabled(if: TestBroker.isReal, needsRealBroker)) struct Halts {
    /// How a run ended, and what it said.
    struct End: Sendable {
      var status: Int32
      var log: String
    }

    /// Runs a small shop to its end, lets `change` do its harm, and runs again.
    private func secondRun(_ change: @escaping @Sendable (CrashBench) throws -> Void) async throws -> End {
      let stream = try CrashStream.shop(customers: 20, seed: 3)
      return try await onThread {
        let bench = try CrashBench(realBroker: TestBroker.realBootstrap, stream, delivery: .exactlyOnce, partitions: 2)
        try bench.produce(stream.records)
        let first = try bench.start(["--stop-at-end", "--until", stream.until])
        guard try first.wait(limitSeconds: 120) == 0 else { throw BinaryError(description: first.log) }
        try change(bench)
        let second = try bench.start(["--stop-at-end", "--until", stream.until])
        return End(status: try second.wait(limitSeconds: 120), log: second.log)
      }
    }

    @Test func nothingChangedIsNoReasonToHalt() async throws {
      let end = try await secondRun { _ in }
      #expect(end.status == 0, "\(end.log)")
    }

    @Test func lostStateIsNeverBegunAnew() async throws {
      let end = try await secondRun { bench in
        try FileManager.default.removeItem(atPath: bench.stateDirectory)
      }
      #expect(end.status == 79, "\(end.log)")
      #expect(end.log.contains("the state is elsewhere"), "\(end.log)")
    }

    @Test func offsetsResetByAnOperatorAreNotFollowed() async throws {
      let end = try await secondRun { bench in
        // What the tools of Kafka write: an offset, no metadata.
        try bench.commit((0..<2).map { PartitionOffset(bench.input, $0, offset: 5) })
      }
      #expect(end.status == 79, "\(end.log)")
      #expect(end.log.contains("tidewatch recover --accept-offsets"), "\(end.log)")
    }

    @Test func offsetsThatDifferFromTheStateAreNotFollowed() async throws {
      let end = try await secondRun { bench in
        let moved = try bench.committed().compactMap(\.committed).map {
          PartitionOffset($0.partition, offset: $0.offset - 1, metadata: $0.metadata)
        }
        try bench.commit(moved)
      }
      #expect(end.status == 79, "\(end.log)")
      #expect(end.log.contains("tidewatch recover --accept-offsets"), "\(end.log)")
    }

    @Test func oldStateIsNotTakenForNew() async throws {
      let end = try await secondRun { bench in
        let stream = try CrashStream.shop(customers: 20, seed: 4)
        let aside = bench.scratch.path("aside")
        try FileManager.default.copyItem(atPath: bench.stateDirectory, toPath: aside)
        try bench.produce(stream.records)
        let more = try bench.start(["--stop-at-end", "--until", stream.until])
        guard try more.wait(limitSeconds: 120) == 0 else { throw BinaryError(description: more.log) }
        // Last week's backup.
        try FileManager.default.removeItem(atPath: bench.stateDirectory)
        try FileManager.default.moveItem(atPath: aside, toPath: bench.stateDirectory)
      }
      #expect(end.status == 79, "\(end.log)")
      #expect(end.log.contains("the state is elsewhere"), "\(end.log)")
    }

    @Test func secondProcessOfTheSameNameFencesTheFirst() async throws {
      let stream = try CrashStream.shop(customers: 300, seed: 5)
      let (first, second) = try await onThread {
        let bench = try CrashBench(realBroker: TestBroker.realBootstrap, stream, delivery: .exactlyOnce, partitions: 2)
        let third = stream.records.count / 3
        try bench.produce(stream.records[..<third])
        let first = try bench.start([])
        try first.wait(until: "a commit") { (bench.committedRecords() ?? 0) >= Int64(third) }
        let second = try bench.start([])
        try second.wait(until: "the second has its id") {
          // Something to commit for both, until one has noticed.
          !first.isRunning || second.log.contains("assigned")
        }
        try bench.produce(stream.records[third..<(2 * third)])
        let firstStatus = try first.wait(limitSeconds: 120)
        // Who is left goes on alone.
        try bench.produce(stream.records[(2 * third)...])
        try second.wait(until: "the second to read all") {
          (bench.committedRecords() ?? 0) >= Int64(stream.records.count)
        }
        second.send(SIGTERM)
        let ends = (
          End(status: firstStatus, log: first.log), End(status: try second.wait(limitSeconds: 60), log: second.log)
        )
        return ends
      }
      #expect(first.status == 75, "\(first.log)")
      #expect(first.log.contains("fenced"), "\(first.log)")
      #expect(second.status == 0, "\(second.log)")
    }
  }
}
