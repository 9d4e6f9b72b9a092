// What to do about a halted partition: pure decisions, from what was read to the steps and the sentences about them.
//
// Two rules stand above all: no output may be lost that nobody knows of, and a crash in the middle of the steps leaves the
// partition either halted as before or right.

import Checkpoint
import Configuration

/// Decides about one partition.
public struct RecoveryPlanner: Sendable {
  public var delivery: Configuration.Delivery
  public var evidence: PartitionEvidence
  public var commands: OperatorCommands
  /// The partition's directory, for messages.
  public var directory: String
  /// The operator has named this partition.
  public var isChosen: Bool
  /// Wall clock, microseconds since 1970 UTC: when the interventions are said to have happened.
  public var wall: Int64

  public init(
    delivery: Configuration.Delivery, evidence: PartitionEvidence, commands: OperatorCommands, directory: String,
    isChosen: Bool, wall: Int64
  ) {
    self.delivery = delivery
    self.evidence = evidence
    self.commands = commands
    self.directory = directory
    self.isChosen = isChosen
    self.wall = wall
  }

  public func decide(_ action: RecoveryAction) -> RecoveryDecision {
    let health = evidence.health(delivery)
    switch (action, health) {
    case (.adoptDisk, .refused(let refusal)): return adoptDisk(refusal)
    case (.acceptOffsets, .refused(let refusal)): return acceptOffsets(refusal)
    case (.skipGap(let beyondEnd), .gaps(let epoch, let resend, let gaps)):
      return skipGaps(gaps, epoch: epoch, resend: resend, beyondEnd)
    case (.skip(let records), .sound(let epoch, let resend)): return skip(records, epoch: epoch, resend: resend)
    case (.skip, .new):
      return .refuse("There is no state yet. Start the daemon once, so that it begins the partition, then skip.")
    case (_, .new), (_, .sound): return .leave(text(health))
    default: return .refuse(text(health))
    }
  }

  private func text(_ health: PartitionHealth) -> String {
    "\(health.text(evidence, commands, directory: directory))."
  }

  // MARK: Helpers of all decisions

  func intervention(_ kind: Intervention.Kind, _ topic: String = "", from: Int64 = -1, to: Int64 = -1) -> Intervention {
    Intervention(kind: kind, topic: topic, from: from, to: to, wallMicroseconds: wall)
  }

  /// What is committed of a block's offsets: those of the configured topics.
  func configured(_ offsets: [TopicOffset]) -> [TopicOffset] {
    offsets.filter { offset in evidence.committed.contains { $0.topic == offset.topic } }
  }

  /// The steps that put `offsets` in place of those of `base`.
  ///
  /// - exactly_once: the group's tag decides, so the new block's tag is committed. `mark` first proves `base`.
  /// - at_least_once: the newest block decides, and its outbox is sent before its tag is committed. So the tag that is
  ///   committed here is of the block before it, with the same offsets; or none, where the one that is committed leads to the
  ///   new block already.
  func steps(
    from base: BlockFacts, to offsets: [TopicOffset], _ interventions: [Intervention], skips: [SkippedOffset] = [],
    resend: Bool, isHalted: Bool
  ) -> RecoverySteps {
    let block = RecoverySteps.Block(
      offsets: offsets, skips: (base.header.skips + skips).ahead(of: offsets), interventions: interventions,
      carriesOutbox: delivery == .atLeastOnce && resend && base.hasOutbox)
    let commits = configured(offsets)
    var result = RecoverySteps(base: base.tag, mark: nil, blocks: [block], commit: .first, offsets: commits)
    switch delivery {
    case .exactlyOnce:
      if isHalted { result.mark = commits }
    case .atLeastOnce:
      if !isHalted {
        result.commit = .none
      } else if offsets == base.header.offsets {
        result.commit = .existing(base.tag)
      } else if block.carriesOutbox {
        result.blocks.append(block)
        result.blocks[1].interventions = []
      }
    }
    return result
  }

  /// What it means that reading goes on at `to` with a state that stands at `from`.
  func move(_ topic: String, from: Int64?, to: Int64) -> String {
    let name = "\(topic) [\(evidence.partition)]"
    guard let from else { return "\(name) is new to this state and is read from offset \(to) on." }
    if from == to { return "\(name) is read from offset \(to) on, where the state stands." }
    if from < to { return "\(name) is read from offset \(to) on; offsets \(from) to \(to - 1) are never read." }
    return
      "\(name) is read from offset \(to) on; offsets \(to) to \(from - 1), which the state already holds, are read "
      + "again: an event whose id is among its customer's last 64 within 24 hours counts once, an older one twice."
  }

  /// A sentence about offsets that cannot be read; nil when all can.
  func warning(about offsets: [TopicOffset]) -> String? {
    let gaps = evidence.gaps(offsets)
    if gaps.isEmpty { return nil }
    let lost = gaps.map { $0.text(partition: evidence.partition) }.joined(separator: "; ")
    return "But \(lost): the daemon will halt on that, and \(commands.recover(.skipGap)) comes next."
  }
}
