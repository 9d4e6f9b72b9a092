// What `tidewatch recover` and `tidewatch skip` look at and what they decide on: plain values. The decisions are in
// RecoveryDecision*.swift, what is done about them in Recovery.swift.

import Checkpoint
import Configuration
import Kafka

/// What an operator wants done.
public enum RecoveryAction: Hashable, Sendable {
  /// The disk is the truth: commit the offsets of an epoch on it.
  case adoptDisk
  /// The committed offsets are the truth: go on from them with the state on disk.
  case acceptOffsets
  /// What cannot be read any more is given up. `beyondEnd`: where to go on in a topic that ends before the offset that was
  /// to come; nil as long as nobody has said.
  case skipGap(beyondEnd: RestartPoint?)
  /// These records become dead letters when they come.
  case skip([RecordAddress])
}

/// Where to go on in a topic that ends before the offset that was to come.
public enum RestartPoint: String, Hashable, Sendable, CaseIterable {
  /// The topic was recreated: all its records are new.
  case earliest
  /// Its log was cut (an unclean leader election): what was cut had been read.
  case end
}

/// One record of an input, as `tidewatch skip` is given it.
public struct RecordAddress: Hashable, Sendable, CustomStringConvertible {
  public var topic: String
  public var partition: Int32
  public var offset: Int64

  public init(topic: String, partition: Int32, offset: Int64) {
    self.topic = topic
    self.partition = partition
    self.offset = offset
  }

  /// Reads `TOPIC:PARTITION:OFFSET`; nil if it is anything else.
  public init?(_ text: String) {
    let parts = text.split(separator: ":", omittingEmptySubsequences: false)
    guard parts.count == 3, !parts[0].isEmpty, let partition = Int32(parts[1]), let offset = Int64(parts[2]),
      partition >= 0, offset >= 0
    else { return nil }
    self.init(topic: String(parts[0]), partition: partition, offset: offset)
  }

  public var description: String { "\(topic):\(partition):\(offset)" }
}

/// What one block on disk says of itself.
public struct BlockFacts: Hashable, Sendable {
  public var tag: EpochTag
  public var header: EpochHeader
  public var hasOutbox: Bool
  /// Held as a base: bases are made of committed epochs only.
  public var isBase: Bool

  public init(tag: EpochTag, header: EpochHeader, hasOutbox: Bool = false, isBase: Bool = false) {
    self.tag = tag
    self.header = header
    self.hasOutbox = hasOutbox
    self.isBase = isBase
  }

  public init(_ block: EpochBlock) {
    self.init(tag: block.tag, header: block.header, hasOutbox: block.hasOutbox, isBase: block.isBase)
  }

  public func next(_ topic: String) -> Int64? { header.offsets.first { $0.topic == topic }?.next }
}

/// Everything that was read about a partition before anything is decided.
public struct PartitionEvidence: Hashable, Sendable {
  public var partition: Int32
  /// Of the topics, now.
  public var partitionCount: Int32
  /// One for each configured topic, in their order.
  public var committed: [CommittedTopic]
  /// All epochs on disk, oldest first.
  public var epochs: [EpochTag]
  /// The newest epochs on disk and every one that is committed for a topic, oldest first.
  public var blocks: [BlockFacts]
  /// By topic: what can be read. Only topics the broker has answered for.
  public var available: [String: Watermarks]

  public init(
    partition: Int32, partitionCount: Int32, committed: [CommittedTopic], epochs: [EpochTag] = [],
    blocks: [BlockFacts] = [], available: [String: Watermarks] = [:]
  ) {
    self.partition = partition
    self.partitionCount = partitionCount
    self.committed = committed
    self.epochs = epochs
    self.blocks = blocks
    self.available = available
  }

  public var newest: BlockFacts? { blocks.last { $0.tag == epochs.last } }

  func block(of epoch: UInt64) -> BlockFacts? { blocks.last { $0.tag.epoch == epoch } }

  /// As the start-up table looks at it.
  public var disk: DiskState {
    DiskState(
      epochs: epochs.map { tag in
        DiskState.Epoch(tag: tag, offsets: blocks.last { $0.tag == tag }?.header.offsets ?? [])
      }, endsCleanly: newest?.header.cleanShutdown ?? false, hasBase: blocks.contains(where: \.isBase))
  }

  /// The newest block whose tag is committed for any topic: its epoch has been committed, whatever came later.
  var proved: BlockFacts? {
    let tags = Set(committed.compactMap { $0.offset == nil ? nil : EpochTag($0.metadata) })
    return blocks.last { tags.contains($0.tag) }
  }
}

/// Records that were to be read and are not there.
public struct Gap: Hashable, Sendable {
  public var topic: String
  /// The offset that was to be read next.
  public var next: Int64
  public var available: Watermarks

  /// The topic ends before the offset that was to come.
  public var isBeyondEnd: Bool { next > available.latest }
}

/// How a partition stands, before anything is done.
public enum PartitionHealth: Hashable, Sendable {
  /// Nothing is committed and nothing is on disk: the daemon will begin it.
  case new
  /// The daemon will start it from this epoch. `resend`: with what it may not have sent.
  case sound(epoch: UInt64, resend: Bool)
  /// The daemon would start it from this epoch and halt when it reads.
  case gaps(epoch: UInt64, resend: Bool, [Gap])
  /// The start-up table refuses it.
  case refused(StartRefusal)
  /// It cannot be mended by any of these commands.
  case unusable(String)
}

/// What is done to one partition, in this order: `mark`, then `blocks`, then `commit`.
public struct RecoverySteps: Hashable, Sendable {
  public struct Block: Hashable, Sendable {
    public var offsets: [TopicOffset]
    public var skips: [SkippedOffset]
    public var interventions: [Intervention]
    /// Carries the outbox of the block it continues.
    public var carriesOutbox: Bool
  }

  public enum Commit: Hashable, Sendable {
    /// Nothing: the tag that is committed leads to the blocks, as it does after a crash (at_least_once).
    case none
    /// The tag of an epoch that was on disk before.
    case existing(EpochTag)
    /// The tag of the first of the blocks.
    case first
  }

  /// The state that goes on: the blocks follow it, and what lies behind it on disk is cut.
  public var base: EpochTag
  /// Committed before anything is cut, with the tag of `base`: from then on it is proved that `base` was chosen, and a crash
  /// in the middle does not lead to another choice.
  public var mark: [TopicOffset]?
  public var blocks: [Block]
  public var commit: Commit
  /// What `commit` commits.
  public var offsets: [TopicOffset]
}

/// What becomes of one partition.
public struct RecoveryDecision: Hashable, Sendable {
  public enum Kind: Hashable, Sendable {
    /// There is nothing for this command to do.
    case leave
    /// It is halted, and this command cannot or may not help.
    case refuse
    case apply(RecoverySteps)
  }
  public var kind: Kind
  /// In full sentences, one a line: what is the matter, what will be done and what that means.
  public var sentences: [String]

  static func leave(_ sentences: String...) -> RecoveryDecision { RecoveryDecision(kind: .leave, sentences: sentences) }
  static func refuse(_ sentences: String...) -> RecoveryDecision {
    RecoveryDecision(kind: .refuse, sentences: sentences)
  }
}
