// How a partition stands: the start-up table, what can still be read, and what no command mends. Pure.

import Checkpoint
import Configuration
import Kafka

extension PartitionEvidence {
  /// What the daemon would do with this partition, and what it would meet when it reads.
  public func health(_ delivery: Configuration.Delivery) -> PartitionHealth {
    if let wrong = mismatch { return .unusable(wrong) }
    switch decideStart(committed: committed, disk: disk, delivery: delivery) {
    case .halt(let refusal): return .refused(refusal)
    case .begin: return .new
    case .resume(let epoch, _): return withGaps(epoch, resend: false)
    case .commitFromDisk(let epoch, let resend, _): return withGaps(epoch, resend: resend)
    }
  }

  /// The state is of another partition, or of another number of them.
  private var mismatch: String? {
    guard let header = newest?.header else { return nil }
    if header.partition != partition {
      return
        "the directory of partition \(partition) holds the state of partition \(header.partition): directories were "
        + "mixed up. Give each the name of the partition in it (`tidewatch checkpoint inspect` shows it)"
    }
    if header.partitionCount != partitionCount {
      return
        "the state was built with \(header.partitionCount) partitions and the topics have \(partitionCount): customers "
        + "have moved between partitions, and no command moves their state after them"
    }
    return nil
  }

  private func withGaps(_ epoch: UInt64, resend: Bool) -> PartitionHealth {
    guard let block = block(of: epoch) else { return .sound(epoch: epoch, resend: resend) }
    let gaps = gaps(
      committed.compactMap { topic in block.next(topic.topic).map { TopicOffset(topic: topic.topic, next: $0) } })
    return gaps.isEmpty ? .sound(epoch: epoch, resend: resend) : .gaps(epoch: epoch, resend: resend, gaps)
  }

  /// Which of these offsets cannot be read.
  func gaps(_ offsets: [TopicOffset]) -> [Gap] {
    offsets.compactMap { offset in
      guard let range = available[offset.topic], offset.next < range.earliest || offset.next > range.latest else {
        return nil
      }
      return Gap(topic: offset.topic, next: offset.next, available: range)
    }
  }
}

extension Gap {
  /// What is lost, in one sentence without its end.
  public func text(partition: Int32) -> String {
    if isBeyondEnd {
      return "offset \(next) of \(topic) [\(partition)] is beyond its end: it holds offsets \(available.earliest) to "
        + "\(available.latest - 1), so it was recreated, or its log was cut"
    }
    let lost = available.earliest - next
    return
      "offsets \(next) to \(available.earliest - 1) of \(topic) [\(partition)], \(lost) in all, were deleted before "
      + "they were read"
  }
}

extension PartitionHealth {
  /// One line for a list of partitions, with the command to run where there is one.
  public func text(_ evidence: PartitionEvidence, _ commands: OperatorCommands, directory: String) -> String {
    switch self {
    case .new: "new: nothing is committed and nothing is on disk; the daemon begins it"
    case .sound(let epoch, _): "sound: the daemon goes on from epoch \(epoch)"
    case .unusable(let reason): reason
    case .refused(let refusal):
      refusal.message(commands, newest: evidence.epochs.last, directory: directory)
    case .gaps(_, _, let gaps): Gap.message(gaps, commands, partition: evidence.partition)
    }
  }
}

extension Gap {
  /// What the daemon says when it halts on gaps, and what to run.
  public static func message(_ gaps: [Gap], _ commands: OperatorCommands, partition: Int32) -> String {
    let lost = gaps.map { $0.text(partition: partition) }.joined(separator: "; ")
    guard gaps.contains(where: \.isBeyondEnd) else {
      return "\(lost). To go on without them, and have that recorded, stop the daemon and run "
        + "\(commands.recover(.skipGap)). \(OperatorCommands.afterwards)"
    }
    return "\(lost). Stop the daemon; if the topic was recreated, so that all its records are new, run "
      + "\(commands.recover(.skipGap, more: " --beyond-end earliest")); if its log was cut and its records were read "
      + "before, run \(commands.recover(.skipGap, more: " --beyond-end end")). \(OperatorCommands.afterwards)"
  }
}

extension StartRefusal {
  /// What happened and which command to run, in full.
  ///
  /// - Parameters:
  ///   - newest: the newest epoch of the partition on this disk; nil if there is none.
  ///   - directory: the partition's directory.
  public func message(_ commands: OperatorCommands, newest: EpochTag?, directory: String) -> String {
    "\(self). \(advice(commands, newest: newest, directory: directory))"
  }

  private func advice(_ commands: OperatorCommands, newest: EpochTag?, directory: String) -> String {
    let bring =
      "Bring the checkpoint of the machine that ran this partition last, or a backup of it, to \(directory)"
    switch self {
    case .offsetsMissing:
      return "If \(directory) holds the newest state, stop the daemon and run \(commands.recover(.adoptDisk)). "
        + OperatorCommands.afterwards
    case .stateElsewhere:
      // Epoch 0 is a state without customers.
      guard let newest, newest.epoch > 0 else {
        return
          "\(bring) and start again; if what you bring is older, \(commands.recover(.adoptDisk)) goes on from it. To "
          + "begin with an empty state, set kafka.group to a new name"
      }
      return "\(bring) and start again. If there is none newer than what is here, stop the daemon and run "
        + "\(commands.recover(.adoptDisk)). \(OperatorCommands.afterwards)"
    case .untagged, .offsetsDiffer, .tagsDiffer:
      guard newest != nil else {
        return
          "And there is no state in \(directory): \(bring.lowercasedFirst), or set kafka.group to a new name to begin "
          + "with an empty state at the earliest offsets"
      }
      return
        "To go on from the committed offsets, stop the daemon and run \(commands.recover(.acceptOffsets)); to undo the "
        + "reset and go on from the offsets of the state, \(commands.recover(.adoptDisk)). \(OperatorCommands.afterwards)"
    case .topicNotCommitted(let topic, _):
      return
        "Stop the daemon; if \(topic) is a new topic, so that all its records are new, run "
        + "\(commands.recover(.acceptOffsets)), which reads it from its earliest offset on; if it is the same topic as "
        + "before, run \(commands.recover(.adoptDisk)), which goes on where the state stands. "
        + OperatorCommands.afterwards
    }
  }
}

extension String {
  fileprivate var lowercasedFirst: String { prefix(1).lowercased() + dropFirst() }
}
