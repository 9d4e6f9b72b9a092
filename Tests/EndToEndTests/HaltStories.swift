// Every halt of the start-up table from outside: the daemon says which command to run, the command is run as it stands, and
// what comes out in the end is what a replay says.

import Foundation
import Kafka
import Testing

/// One halt: how it comes about, what is to be said, and what is right afterwards.
private struct HaltStory: Sendable, CustomTestStringConvertible {
  var name: String
  var delivery: CrashDelivery
  /// How the run before it ends.
  var signal: Int32
  var harm: @Sendable (CrashBench, CrashStream) throws -> Void
  /// In the message.
  var says: String
  var command: [String]
  var repeats: CrashExpectation.Repeats
  /// What `checkpoint inspect` shows afterwards.
  var leaves: String
  var testDescription: String { "\(delivery.rawValue): \(name)" }
}

private func resetOffsets(by shift: Int64, metadata: Bool) -> @Sendable (CrashBench, CrashStream) throws -> Void {
  { bench, _ in
    let moved = try bench.committed().compactMap(\.committed).map {
      PartitionOffset($0.partition, offset: max(0, $0.offset + shift), metadata: metadata ? $0.metadata : "")
    }
    try bench.commitWhenEmpty(moved)
  }
}

/// Last week's state in place of today's.
private func oldBackup(_ bench: CrashBench, _ stream: CrashStream) throws {
  let aside = bench.scratch.path("aside")
  try FileManager.default.copyItem(atPath: bench.stateDirectory, toPath: aside)
  try bench.run(stream, until: stream.records.count * 2 / 3, then: SIGKILL)
  try FileManager.default.removeItem(atPath: bench.stateDirectory)
  try FileManager.default.moveItem(atPath: aside, toPath: bench.stateDirectory)
}

private func anotherGroup(_ bench: CrashBench, _ stream: CrashStream) throws {
  try bench.editConfiguration("group: '\(bench.name)'", "group: '\(bench.name)-2'")
  try FileManager.default.moveItem(
    atPath: "\(bench.stateDirectory)/\(bench.name)", toPath: "\(bench.stateDirectory)/\(bench.name)-2")
}

private let stories: [HaltStory] = [CrashDelivery.exactlyOnce, .atLeastOnce].flatMap { delivery in
  [
    HaltStory(
      name: "the group has forgotten its offsets", delivery: delivery, signal: SIGKILL, harm: anotherGroup,
      says: "the group has committed nothing", command: ["--adopt-disk"], repeats: .identical, leaves: "adopted_disk"),
    HaltStory(
      name: "an old backup was restored", delivery: delivery, signal: SIGKILL, harm: oldBackup,
      says: "the state is elsewhere", command: ["--adopt-disk"], repeats: .identical, leaves: "adopted_disk"),
    HaltStory(
      name: "offsets were set by Kafka's tools to where they were", delivery: delivery, signal: SIGTERM,
      harm: resetOffsets(by: 0, metadata: false), says: "carry no tag", command: ["--accept-offsets"],
      repeats: .identical,
      leaves: "accepted_offsets"),
    HaltStory(
      name: "offsets were set back a little", delivery: delivery, signal: SIGKILL,
      harm: resetOffsets(by: -3, metadata: true), says: "an operator has reset the group",
      command: ["--accept-offsets"],
      repeats: .identical, leaves: "accepted_offsets"),
    HaltStory(
      name: "offsets were set to the beginning, by mistake", delivery: delivery, signal: SIGKILL,
      harm: resetOffsets(by: -1_000_000, metadata: false), says: "carry no tag", command: ["--adopt-disk"],
      repeats: .identical, leaves: "adopted_disk"),
  ]
}

extension CrashTests {
  @Suite(.serialized, .enabled(if: TestBroker.isReal, needsRealBroker)) struct HaltsAndRecovery {
    @Test(arguments: stories) fileprivate func followingTheMessageGoesOnRight(_ story: HaltStory) async throws {
      let stream = try CrashStream.shop(customers: 250, seed: 21)
      let expectation = try await CrashExpectation.replaying(stream, partitions: 2)
      let (told, problems) = try await onThread {
        let bench = try CrashBench(
          realBroker: TestBroker.realBootstrap, stream, delivery: story.delivery, partitions: 2)
        try bench.produce(stream.records)
        try bench.run(stream, until: stream.records.count / 3, then: story.signal)
        try story.harm(bench, stream)
        let told = try bench.recover(stream, status: 79, with: story.command)
        // Nothing is left to recover.
        let after = try bench.tidewatch(["recover", "--config", bench.configurationPath])
        guard after.status == 0 else { throw BinaryError(description: "recover says: \(after.all)") }
        return (told, try bench.differences(from: expectation, story.repeats))
      }
      #expect(told.first?.contains(story.says) == true, "\(told)")
      #expect(told.contains { $0.contains(story.leaves) }, "\(told.joined(separator: "\n"))")
      #expect(problems == [], "\(told.joined(separator: "\n"))")
    }
  }
}
