// What the data plane says when it halts: what happened, where, and which command to run.

import Checkpoint
import Configuration
import Kafka

extension DataPlane {
  /// The partition stands still; the others go on. When none is left there is nothing to run for.
  func halt(_ partition: Int32, _ reason: String) {
    settings.log.error("partition \(partition) is halted: \(reason)")
    halted[partition] = reason
    tasks[partition]?.halted = reason
    let running = orderedTasks.contains { $0.halted == nil }
    if case .running = ownership.state, !running, locked.isEmpty { end = endOfHalted }
  }

  /// Topics were deleted under the daemon. Nothing goes on without an input; without an output every epoch is aborted.
  func topicsGone(_ names: [String]) -> DataPlaneEnd {
    let lost = names.filter(topics.contains)
    let inputs =
      lost.isEmpty
      ? ""
      : " If \(lost.joined(separator: ", ")) comes back empty, a start says what to do about the offsets that the state has."
    return DataPlaneEnd(
      .badTopics,
      "the brokers do not know \(names.joined(separator: ", ")) any more: deleted? Create what is missing with "
        + "\(partitionCount) partitions (kafka.create_topics: true does it at a start), then start again; nothing of what was "
        + "committed is lost.\(inputs)")
  }

  func commands(for partition: Int32?) -> OperatorCommands {
    OperatorCommands(settings.configuration, partition: partition)
  }

  /// The start-up table refuses.
  func text(of refusal: StartRefusal, partition: Int32, _ store: PartitionStore) -> String {
    let newest = store.newestEpoch.flatMap { store.tag(of: $0) }
    return refusal.message(commands(for: partition), newest: newest, directory: store.directory)
  }

  /// An offset cannot be read.
  func textOfGap(_ topic: String, _ partition: Int32, offset: Int64) -> String {
    guard let range = try? consumer.watermarks(of: TopicPartition(topic, partition), timeoutMilliseconds: 5_000) else {
      return
        "offset \(offset) of \(topic) [\(partition)] cannot be read, and the broker does not say what there is. Stop "
        + "the daemon and run \(commands(for: partition).recover(.skipGap)). \(OperatorCommands.afterwards)"
    }
    return Gap.message(
      [Gap(topic: topic, next: offset, available: range)], commands(for: partition), partition: partition)
  }

  // MARK: States that are not of this partition

  /// Before anything is made of a state: it is of this partition, of as many as there are now, and of no newer rules.
  func check(_ header: EpochHeader, _ partition: Int32, _ directory: String) throws {
    if header.partition != partition {
      throw HaltPartition(
        "\(directory) holds the state of partition \(header.partition), not of \(partition): directories were mixed up. Stop "
          + "the daemon and give each directory the name of the partition in it; `tidewatch checkpoint inspect "
          + "\(OperatorCommands.quoted(CheckpointLayout.parent(of: directory)))` shows which that is")
    }
    try check(count: header.partitionCount, in: directory)
    let revision = settings.factory.versions.rulesRevision
    if header.rulesRevision > revision {
      throw HaltPartition(
        "the state in \(directory) was made with revision \(header.rulesRevision) of the rules, and this member has revision "
          + "\(revision): bring the newer rules to \(settings.configuration.rulesPath), see with "
          + "\(commands(for: nil).check) that they are there, and start again")
    }
  }

  /// A partition without state may be one that was added: then the states beside it were built with fewer of them.
  func checkSiblings(of partition: Int32, _ directory: String) throws {
    let group = CheckpointLayout.parent(of: directory)
    let names = (try? settings.disk.list(group)) ?? []
    let others = names.compactMap { CheckpointLayout.partition(named: $0) }.filter { $0 != partition }
      .sorted()
    for other in others {
      let place = "\(group)/p\(other)"
      guard let report = try? PartitionReport.inspect(place, on: settings.disk, blockLimit: 1),
        let header = report.blocks.last?.header
      else { continue }
      // One tells: they are all of one group.
      return try check(count: header.partitionCount, in: place)
    }
  }

  /// With another number of partitions no partition is right any more, not even a new one: the process ends.
  private func check(count: Int32, in directory: String) throws {
    guard count != partitionCount else { return }
    let text =
      "the state in \(directory) was built with \(count) partitions, and the topics have \(partitionCount): "
      + textOfMovedCustomers(before: count)
    end = DataPlaneEnd(.halted, text)
    throw HaltPartition(text)
  }

  func textOfMovedCustomers(before count: Int32) -> String {
    "customers have moved between partitions, and their state cannot follow. Either copy the records into topics with "
      + "\(count) partitions and name those under inputs, or begin anew: set kafka.group to a new name in "
      + "\(settings.configuration.file) and run \(commands(for: nil).run); then records from before the change that lie in a "
      + "partition their key no longer belongs to become dead letters (wrong_partition)"
  }

}
