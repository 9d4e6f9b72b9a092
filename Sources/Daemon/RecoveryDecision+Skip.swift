// `recover --skip-gap` and `tidewatch skip`: disk and group agree, but there is input that cannot or must not be read.

import Checkpoint

extension RecoveryPlanner {
  func skipGaps(_ gaps: [Gap], epoch: UInt64, resend: Bool, _ beyondEnd: RestartPoint?) -> RecoveryDecision {
    guard let base = evidence.block(of: epoch) else { return .refuse("Epoch \(epoch) cannot be found on disk.") }
    if beyondEnd == nil, gaps.contains(where: \.isBeyondEnd) {
      return .refuse("\(Gap.message(gaps, commands, partition: evidence.partition)).")
    }
    var offsets = base.header.offsets
    var interventions: [Intervention] = []
    var sentences: [String] = []
    for gap in gaps {
      let next = gap.isBeyondEnd && beyondEnd == .end ? gap.available.latest : gap.available.earliest
      for index in offsets.indices where offsets[index].topic == gap.topic { offsets[index].next = next }
      let kind = gap.isBeyondEnd ? Intervention.Kind.restartedTopic : .skippedGap
      interventions.append(intervention(kind, gap.topic, from: gap.next, to: next))
      let lost = gap.text(partition: evidence.partition)
      sentences.append("\(lost.prefix(1).uppercased())\(lost.dropFirst()).")
      sentences.append(
        "\(gap.topic) [\(evidence.partition)] is read from offset \(next) on, with the state of epoch \(epoch).")
    }
    sentences.append("The lost range is recorded in the checkpoint.")
    return RecoveryDecision(
      kind: .apply(steps(from: base, to: offsets, interventions, resend: resend, isHalted: false)),
      sentences: sentences)
  }

  func skip(_ records: [RecordAddress], epoch: UInt64, resend: Bool) -> RecoveryDecision {
    guard let base = evidence.block(of: epoch) else { return .refuse("Epoch \(epoch) cannot be found on disk.") }
    var added: [SkippedOffset] = []
    var sentences: [String] = []
    for record in records where record.partition == evidence.partition {
      let skip = SkippedOffset(topic: record.topic, offset: record.offset)
      if base.header.skips.contains(skip) || added.contains(skip) {
        sentences.append("\(record) is to be skipped already.")
        continue
      }
      if let fault = fault(of: record, base) { return .refuse(fault) }
      added.append(skip)
      sentences.append(
        "\(record) becomes a dead letter with the reason `skipped` when it comes, its bytes unread.")
    }
    if added.isEmpty { return RecoveryDecision(kind: .leave, sentences: sentences) }
    let all = base.header.skips.count + added.count
    guard all <= CheckpointLimits.skipsMax else {
      return .refuse("\(all) records would wait to be skipped; \(CheckpointLimits.skipsMax) is the limit.")
    }
    let interventions = added.map { intervention(.skippedRecord, $0.topic, from: $0.offset, to: $0.offset + 1) }
    return RecoveryDecision(
      kind: .apply(
        steps(from: base, to: base.header.offsets, interventions, skips: added, resend: resend, isHalted: false)),
      sentences: sentences)
  }

  /// Why a record cannot be skipped; nil if it can.
  private func fault(of record: RecordAddress, _ base: BlockFacts) -> String? {
    guard evidence.committed.contains(where: { $0.topic == record.topic }), let next = base.next(record.topic) else {
      let names = evidence.committed.map(\.topic).joined(separator: ", ")
      return "\(record.topic) is no input of this state; the inputs are \(names)."
    }
    if record.offset < next {
      return
        "\(record) has been read already: the state of epoch \(base.tag.epoch) stands at offset \(next). Nothing can be "
        + "taken out of a state."
    }
    guard let range = evidence.available[record.topic] else { return nil }
    if record.offset < range.earliest {
      return "\(record) was deleted: \(record.topic) [\(record.partition)] begins at offset \(range.earliest)."
    }
    if record.offset >= range.latest {
      return "\(record) does not exist: \(record.topic) [\(record.partition)] ends before offset \(range.latest)."
    }
    return nil
  }
}
