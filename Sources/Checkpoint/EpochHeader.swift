// What a block says about its epoch, apart from the entries.

/// The next offset to read of one topic's partition.
public struct TopicOffset: Hashable, Sendable {
  public var topic: String
  /// From 0.
  public var next: Int64

  public init(topic: String, next: Int64) {
    self.topic = topic
    self.next = next
  }
}

/// The header of one epoch block, as the owner of the partition states it. The store adds chain, counts and checksums.
public struct EpochHeader: Hashable, Sendable {
  public var lineage: Lineage
  /// Grows by exactly one from block to block.
  public var epoch: UInt64
  /// The task's clock at the end of the epoch, microseconds since 1970 UTC.
  public var clock: Int64
  public var partition: Int32
  public var partitionCount: Int32
  /// One a topic, also of topics without input. At most `CheckpointLimits.topicsMax`; order is kept.
  public var offsets: [TopicOffset]
  public var rulesRevision: UInt64
  /// Names below: at most `CheckpointLimits.nameBytesMax` bytes of UTF-8.
  public var rulesFingerprint: String
  public var modelVersion: String
  public var engineVersion: String
  public var timeZoneVersion: String
  /// The process ended in good order after this epoch.
  public var cleanShutdown: Bool
  /// Records that an operator told us to pass over and that are not reached yet: each of one of the topics, none twice,
  /// at most `CheckpointLimits.skipsMax`. Each block carries what of them is still `ahead(of:)` its offsets. In blocks
  /// of format 1 there are none.
  public var skips: [SkippedOffset]
  /// What an operator did, in the one block from which on it holds. At most `CheckpointLimits.interventionsMax`.
  public var interventions: [Intervention]

  public init(
    lineage: Lineage, epoch: UInt64, clock: Int64, partition: Int32, partitionCount: Int32, offsets: [TopicOffset],
    rulesRevision: UInt64 = 0, rulesFingerprint: String = "", modelVersion: String = "", engineVersion: String = "",
    timeZoneVersion: String = "", cleanShutdown: Bool = false, skips: [SkippedOffset] = [],
    interventions: [Intervention] = []
  ) {
    self.lineage = lineage
    self.epoch = epoch
    self.clock = clock
    self.partition = partition
    self.partitionCount = partitionCount
    self.offsets = offsets
    self.rulesRevision = rulesRevision
    self.rulesFingerprint = rulesFingerprint
    self.modelVersion = modelVersion
    self.engineVersion = engineVersion
    self.timeZoneVersion = timeZoneVersion
    self.cleanShutdown = cleanShutdown
    self.skips = skips
    self.interventions = interventions
  }
}

extension EpochHeader {
  /// What it says that cannot be; nil if there is nothing. Asked of what is to be written, and of what was read: what is
  /// read is written again, by a repair for one.
  var fault: String? {
    if let offset = offsets.first(where: { $0.next < 0 }) { return "offset \(offset.next) of \(offset.topic)" }
    return faultOfOperatorRecords
  }
}

/// One epoch as found on disk.
public struct EpochBlock: Hashable, Sendable {
  public var header: EpochHeader
  public var tag: EpochTag
  /// Name of the file within the partition's directory.
  public var file: String
  /// Byte at which the block starts in that file.
  public var offset: UInt64
  /// Format version of the block.
  public var formatVersion: UInt32
  /// Bytes of the block; for a base, of its head only.
  public var bytes: Int
  /// Entries in the block, tombstones included; for a base, its live keys.
  public var entryCount: UInt64
  public var tombstoneCount: UInt64
  public var outboxBytes: Int
  public var hasOutbox: Bool
  /// True when the epoch is held as a base (its whole state), false when it is a block of the log.
  public var isBase: Bool
}
