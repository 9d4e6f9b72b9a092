// `recover --adopt-disk` and `recover --accept-offsets`: disk and group disagree, and the operator says who is right.

import Checkpoint
import Configuration

extension RecoveryPlanner {
  // MARK: The disk is right

  func adoptDisk(_ refusal: StartRefusal) -> RecoveryDecision {
    let matter = "\(refusal)."
    switch refusal {
    case .offsetsMissing, .stateElsewhere: break
    case .untagged, .offsetsDiffer, .tagsDiffer, .topicNotCommitted:
      guard isChosen else {
        return .refuse(
          refusal.message(commands, newest: evidence.epochs.last, directory: directory) + ".",
          "To adopt the disk here too, name the partition: \(commands.recover(.adoptDisk)).")
      }
    }
    guard let newest = evidence.newest, newest.tag.epoch > 0 else {
      let none = evidence.epochs.isEmpty ? "There is nothing on disk to adopt." : "The state on disk is empty."
      return .refuse(
        "\(refusal.message(commands, newest: nil, directory: directory)).", none)
    }
    let (block, why) = adoptable(newest)
    if let strange = evidence.committed.first(where: { $0.offset != nil && block.next($0.topic) == nil }) {
      return .refuse(
        matter,
        "Epoch \(block.tag.epoch) knows nothing of \(strange.topic), for which an offset is committed: go on from that with "
          + "\(commands.recover(.acceptOffsets)), or remove it with `kafka-consumer-groups.sh --delete-offsets`.")
    }
    var sentences = [matter, "Epoch \(block.tag.epoch) of lineage \(block.tag.lineage) becomes the truth: \(why)."]
    sentences += consequences(of: block)
    if let warning = warning(about: configured(block.header.offsets)) { sentences.append(warning) }
    return RecoveryDecision(
      kind: .apply(
        steps(
          from: block, to: block.header.offsets, [intervention(.adoptedDisk)], resend: true, isHalted: true)),
      sentences: sentences)
  }

  /// The newest epoch of which nothing can be lost, and why it is.
  private func adoptable(_ newest: BlockFacts) -> (BlockFacts, String) {
    if delivery == .atLeastOnce {
      return (
        newest,
        newest.hasOutbox
          ? "it is the newest on disk, and what it may not have sent is sent when the daemon starts"
          : "it is the newest on disk"
      )
    }
    if let proved = evidence.proved { return (proved, "its tag is committed for one of the topics") }
    if newest.header.cleanShutdown { return (newest, "it is the newest on disk, and the last run ended in good order") }
    if newest.isBase {
      return (newest, "it is the newest on disk, and held as a base, which only committed epochs are")
    }
    guard let previous = evidence.block(of: newest.tag.epoch - 1) else { return (newest, "it is the only one on disk") }
    return (
      previous,
      "the newest on disk, epoch \(newest.tag.epoch), may never have been committed, and then its outputs were never seen; "
        + "the one before it was committed"
    )
  }

  private func consequences(of block: BlockFacts) -> [String] {
    var sentences: [String] = []
    for topic in evidence.committed {
      guard let next = block.next(topic.topic) else { continue }
      let name = "\(topic.topic) [\(evidence.partition)]"
      guard let committed = topic.offset else {
        sentences.append("\(name) is read from offset \(next) on.")
        continue
      }
      if committed > next {
        sentences.append(
          "\(name) is read from offset \(next) on: offsets \(next) to \(committed - 1) again, which the state of this disk "
            + "does not hold; what they lead to is sent again, with the same ce_id where it says the same.")
      } else if committed < next {
        sentences.append(
          "\(name) is read from offset \(next) on; offsets \(committed) to \(next - 1) are in the state of this disk.")
      } else {
        sentences.append("\(name) is read from offset \(next) on, as committed.")
      }
    }
    if delivery == .exactlyOnce, let newest = evidence.newest, newest.tag != block.tag {
      sentences.append(
        "Epoch \(newest.tag.epoch) is cut off; its input is read again, and if it had been committed, its outputs come again "
          + "with the same ce_id.")
    }
    return sentences
  }

  // MARK: The offsets are right

  func acceptOffsets(_ refusal: StartRefusal) -> RecoveryDecision {
    switch refusal {
    case .offsetsMissing:
      return .refuse(
        "\(refusal.message(commands, newest: evidence.epochs.last, directory: directory)).",
        "There are no offsets to accept.")
    case .stateElsewhere:
      guard isChosen else {
        return .refuse(
          "\(refusal.message(commands, newest: evidence.epochs.last, directory: directory)).",
          "To go on from the committed offsets with this older or other state all the same, name the partition: "
            + "\(commands.recover(.acceptOffsets)).")
      }
    case .untagged, .offsetsDiffer, .tagsDiffer, .topicNotCommitted: break
    }
    guard let newest = evidence.newest else {
      return .refuse(
        "\(refusal.message(commands, newest: nil, directory: directory)).",
        "There is no state on disk that could go on from these offsets.")
    }
    let (block, why) = continuable(newest)
    let unknown = evidence.committed.filter { topic in
      topic.offset == nil && evidence.available[topic.topic] == nil && block.next(topic.topic) != nil
    }
    guard unknown.isEmpty else {
      return .refuse(
        "\(refusal).",
        "The brokers have not said where \(unknown.map(\.topic).joined(separator: ", ")) begins; run this again.")
    }
    let offsets = accepted(by: block)
    var interventions: [Intervention] = []
    var sentences = [
      "\(refusal).", "The state of epoch \(block.tag.epoch) goes on from the committed offsets: \(why).",
    ]
    for offset in configured(offsets) {
      let before = block.next(offset.topic)
      sentences.append(move(offset.topic, from: before, to: offset.next))
      if before != offset.next {
        interventions.append(
          intervention(.acceptedOffsets, offset.topic, from: before ?? -1, to: offset.next))
      }
    }
    if interventions.isEmpty { interventions = [intervention(.acceptedOffsets)] }
    if delivery == .exactlyOnce, newest.tag != block.tag {
      sentences.append(
        "Epoch \(newest.tag.epoch), which may never have been committed, is cut off: all of its input is read again.")
    }
    if let warning = warning(about: configured(offsets)) { sentences.append(warning) }
    return RecoveryDecision(
      kind: .apply(steps(from: block, to: offsets, interventions, resend: true, isHalted: true)), sentences: sentences)
  }

  /// The epoch whose state goes on from the committed offsets, and why it is.
  ///
  /// Without a proof the newest epoch may have been committed or not. The one before it is taken only if all that the newest
  /// holds is read again: else a customer's sequence numbers would be given twice, to different changes.
  private func continuable(_ newest: BlockFacts) -> (BlockFacts, String) {
    if delivery == .atLeastOnce { return (newest, "it is the newest on disk") }
    if let proved = evidence.proved { return (proved, "its tag is committed for one of the topics") }
    if newest.header.cleanShutdown { return (newest, "it is the newest on disk, and the last run ended in good order") }
    if newest.isBase {
      return (newest, "it is the newest on disk, and held as a base, which only committed epochs are")
    }
    let previous = newest.tag.epoch == 0 ? nil : evidence.block(of: newest.tag.epoch - 1)
    let isReadAgain = previous.map { previous in
      evidence.committed.allSatisfy { topic in
        guard let offset = topic.offset, let next = previous.next(topic.topic) else { return true }
        return offset <= next
      }
    }
    if let previous, isReadAgain == true {
      return (previous, "it is the newest that has certainly been committed")
    }
    return (
      newest,
      "it is the newest on disk; if the last run died before it was committed, the outputs of this one epoch were never seen"
    )
  }

  /// The committed offsets, the earliest where nothing is committed, and the block's for topics that are not configured.
  private func accepted(by block: BlockFacts) -> [TopicOffset] {
    var offsets = block.header.offsets.map { offset in
      guard let topic = evidence.committed.first(where: { $0.topic == offset.topic }) else { return offset }
      let next = topic.offset ?? evidence.available[offset.topic]?.earliest ?? offset.next
      return TopicOffset(topic: offset.topic, next: next)
    }
    for topic in evidence.committed where block.next(topic.topic) == nil {
      if let offset = topic.offset { offsets.append(TopicOffset(topic: topic.topic, next: offset)) }
    }
    return offsets
  }
}
