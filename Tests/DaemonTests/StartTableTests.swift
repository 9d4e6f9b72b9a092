// The start-up table of the design, row by row, for both kinds of delivery.

import Checkpoint
import Configuration
import Daemon
import Testing

private let lineage = Lineage(high: 1, low: 2)
private let stranger = Lineage(high: 9, low: 9)

private func tag(_ epoch: UInt64, _ lineage: Lineage = lineage, chain: UInt64? = nil) -> EpochTag {
  EpochTag(lineage: lineage, epoch: epoch, chain: chain ?? epoch &* 31 &+ lineage.low)
}

/// Epoch n stands at offset 10 n of `a` and n of `b`.
private func disk(_ epochs: ClosedRange<UInt64>, clean: Bool = false, topics: [String] = ["a", "b"]) -> DiskState {
  DiskState(
    epochs: epochs.map { epoch in
      DiskState.Epoch(
        tag: tag(epoch),
        offsets: topics.map { TopicOffset(topic: $0, next: $0 == "a" ? Int64(epoch) * 10 : Int64(epoch)) })
    }, endsCleanly: clean)
}

private func committed(_ epoch: UInt64, _ lineage: Lineage = lineage, chain: UInt64? = nil) -> [CommittedTopic] {
  let text = tag(epoch, lineage, chain: chain).description
  return [
    CommittedTopic(topic: "a", offset: Int64(epoch) * 10, metadata: text),
    CommittedTopic(topic: "b", offset: Int64(epoch), metadata: text),
  ]
}

private let nothing = [CommittedTopic(topic: "a", offset: nil), CommittedTopic(topic: "b", offset: nil)]

private struct Row: Sendable, CustomTestStringConvertible {
  var name: String
  var committed: [CommittedTopic]
  var disk = DiskState()
  var exactlyOnce: StartDecision
  var atLeastOnce: StartDecision?
  var testDescription: String { name }
}

private func resume(_ epoch: UInt64, _ fresh: [String] = []) -> StartDecision {
  .resume(epoch: epoch, fromEarliest: fresh)
}

private let rows: [Row] = [
  Row(
    name: "nothing committed, nothing on disk: epoch 0 from the earliest offsets", committed: nothing,
    exactlyOnce: .begin),
  Row(
    name: "nothing committed, only epoch 0 on disk: it died before its first commit, and is empty", committed: nothing,
    disk: disk(0...0), exactlyOnce: .begin),
  Row(
    name: "nothing committed, epoch 0 on disk as a base: it was committed once, and is again", committed: nothing,
    disk: DiskState(epochs: disk(0...0).epochs, hasBase: true),
    exactlyOnce: .commitFromDisk(epoch: 0, resendOutbox: false, fromEarliest: [])),
  Row(
    name: "nothing committed, state on disk: halt", committed: nothing, disk: disk(0...7),
    exactlyOnce: .halt(.offsetsMissing(newest: tag(7)))),
  Row(
    name: "nothing committed, a single later epoch on disk (a base): halt", committed: nothing, disk: disk(5...5),
    exactlyOnce: .halt(.offsetsMissing(newest: tag(5)))),
  Row(
    name: "nothing committed, the log ends in a clean-shutdown mark: go on from disk", committed: nothing,
    disk: disk(3...7, clean: true),
    exactlyOnce: .commitFromDisk(epoch: 7, resendOutbox: false, fromEarliest: []),
    // The mark is written before the outputs are sent.
    atLeastOnce: .commitFromDisk(epoch: 7, resendOutbox: true, fromEarliest: [])),
  Row(
    name: "tag, exact match with the newest block", committed: committed(7), disk: disk(3...7), exactlyOnce: resume(7)),
  Row(
    name: "tag, exact match with an earlier block: exactly_once cuts, at_least_once rolls forward",
    committed: committed(6),
    disk: disk(3...7), exactlyOnce: resume(6),
    atLeastOnce: .commitFromDisk(epoch: 7, resendOutbox: true, fromEarliest: [])),
  Row(
    name: "tag, nothing on disk: the state is elsewhere", committed: committed(7),
    exactlyOnce: .halt(.stateElsewhere(committed: tag(7), newestOnDisk: nil))),
  Row(
    name: "tag, the disk is older: the state is elsewhere", committed: committed(9), disk: disk(3...7),
    exactlyOnce: .halt(.stateElsewhere(committed: tag(9), newestOnDisk: tag(7)))),
  Row(
    name: "tag, the disk has moved its base beyond it: the state is elsewhere", committed: committed(2),
    disk: disk(3...7),
    exactlyOnce: .halt(.stateElsewhere(committed: tag(2), newestOnDisk: tag(7)))),
  Row(
    name: "tag of the same epoch, other chain: the state is elsewhere", committed: committed(7, chain: 5),
    disk: disk(3...7),
    exactlyOnce: .halt(.stateElsewhere(committed: tag(7, chain: 5), newestOnDisk: tag(7)))),
  Row(
    name: "tag of another lineage: the state is elsewhere", committed: committed(7, stranger), disk: disk(3...7),
    exactlyOnce: .halt(.stateElsewhere(committed: tag(7, stranger), newestOnDisk: tag(7)))),
  Row(
    name: "no tag: an operator reset the group",
    committed: [
      CommittedTopic(topic: "a", offset: 70, metadata: ""),
      CommittedTopic(topic: "b", offset: 7, metadata: tag(7).description),
    ], disk: disk(3...7), exactlyOnce: .halt(.untagged(topics: ["a"]))),
  Row(
    name: "no tag and nothing on disk: never start empty",
    committed: [CommittedTopic(topic: "a", offset: 70, metadata: "other"), CommittedTopic(topic: "b", offset: nil)],
    exactlyOnce: .halt(.untagged(topics: ["a"]))),
  Row(
    name: "offsets differ from the block: an operator reset the group",
    committed: [
      CommittedTopic(topic: "a", offset: 71, metadata: tag(7).description),
      CommittedTopic(topic: "b", offset: 7, metadata: tag(7).description),
    ], disk: disk(3...7), exactlyOnce: .halt(.offsetsDiffer(topic: "a", committed: 71, onDisk: 70))),
  Row(
    name: "the topics carry different tags", committed: [committed(7)[0], committed(6)[1]], disk: disk(3...7),
    exactlyOnce: .halt(.tagsDiffer(topics: ["a", "b"]))),
  Row(
    name: "one topic of the block is not committed any more", committed: [committed(7)[0], nothing[1]],
    disk: disk(3...7),
    exactlyOnce: .halt(.topicNotCommitted(topic: "b", onDisk: 7))),
  Row(
    name: "a topic that is new in the configuration begins at its earliest offset",
    committed: committed(7) + [CommittedTopic(topic: "c", offset: nil)], disk: disk(3...7),
    exactlyOnce: resume(7, ["c"])),
]

@Suite struct StartTableTests {
  @Test(arguments: rows) fileprivate func decides(_ row: Row) {
    #expect(decideStart(committed: row.committed, disk: row.disk, delivery: .exactlyOnce) == row.exactlyOnce)
    #expect(
      decideStart(committed: row.committed, disk: row.disk, delivery: .atLeastOnce) == row.atLeastOnce
        ?? row.exactlyOnce)
  }

  @Test("every refusal says what an operator can do", arguments: rows) fileprivate func refusalsAdvise(_ row: Row) {
    guard case .halt(let refusal) = row.exactlyOnce else { return }
    let commands = OperatorCommands(configurationFile: "/etc/tidewatch.yaml", partition: 3)
    let text = refusal.message(commands, newest: row.disk.epochs.last?.tag, directory: "/state/g/p3")
    let command: RecoveryOption? =
      switch refusal {
      case .offsetsMissing: .adoptDisk
      case .stateElsewhere: .adoptDisk
      case .untagged, .offsetsDiffer, .tagsDiffer, .topicNotCommitted: row.disk.epochs.isEmpty ? nil : .acceptOffsets
      }
    if let command {
      #expect(
        text.contains("`tidewatch recover \(command.rawValue) --partition 3 --config /etc/tidewatch.yaml`"), "\(text)")
    }
    if row.disk.epochs.isEmpty { #expect(text.contains("/state/g/p3") && text.contains("kafka.group"), "\(text)") }
  }

  @Test("never starts empty while anything is known of a state", arguments: rows) fileprivate func neverEmpty(
    _ row: Row
  ) {
    for delivery in Configuration.Delivery.allCases {
      guard decideStart(committed: row.committed, disk: row.disk, delivery: delivery) == .begin else { continue }
      #expect(row.committed.allSatisfy { $0.offset == nil })
      #expect(row.disk.epochs.allSatisfy { $0.tag.epoch == 0 })
    }
  }
}
