// What operators decide about a partition, as blocks carry it: records still to be skipped, and what was done by hand.

/// One record that an operator told us to pass over, not reached yet.
public struct SkippedOffset: Hashable, Sendable {
  /// One of the topics of the header that carries this.
  public var topic: String
  /// The record's offset, from 0.
  public var offset: Int64

  public init(topic: String, offset: Int64) {
    self.topic = topic
    self.offset = offset
  }
}

extension [SkippedOffset] {
  /// Those that reading from `offsets` on will still come to: what the next block has to carry. One of a topic that is
  /// not read any more is dropped with it.
  public func ahead(of offsets: [TopicOffset]) -> [SkippedOffset] {
    filter { skip in offsets.contains { $0.topic == skip.topic && $0.next <= skip.offset } }
  }
}

/// What an operator did to a partition, recorded in the block from which on it holds.
public struct Intervention: Hashable, Sendable {
  /// The raw values are those of the format: never change one, never use one again.
  public enum Kind: UInt16, Hashable, Sendable, CaseIterable {
    /// The state on disk was declared the truth although the group had committed something else or nothing.
    case adoptedDisk = 1
    /// Offsets that the group was set to by hand were taken over, with the state as it was.
    case acceptedOffsets = 2
    /// Records that the broker had deleted before they were read were given up.
    case skippedGap = 3
    /// One record was passed over.
    case skippedRecord = 4
    /// Damaged files were set aside and the state cut back to its last intact epoch.
    case repaired = 5
    /// A topic that ends before the offset that was to come (recreated, or its log was cut) is read from another offset on.
    case restartedTopic = 6
  }

  public var kind: Kind
  /// The topic concerned; empty for what concerns the partition as a whole.
  public var topic: String
  /// The next offset before it; -1 for none.
  public var from: Int64
  /// The next offset after it; -1 for none. Not before `from` for what was skipped.
  public var to: Int64
  /// Wall clock when the operator gave the command, microseconds since 1970 UTC.
  public var wallMicroseconds: Int64

  public init(kind: Kind, topic: String = "", from: Int64 = -1, to: Int64 = -1, wallMicroseconds: Int64) {
    self.kind = kind
    self.topic = topic
    self.from = from
    self.to = to
    self.wallMicroseconds = wallMicroseconds
  }
}

extension EpochHeader {
  /// What is wrong with the lists of operators' decisions; nil if nothing is.
  var faultOfOperatorRecords: String? {
    if skips.count > CheckpointLimits.skipsMax { return "\(skips.count) records to be skipped" }
    if interventions.count > CheckpointLimits.interventionsMax { return "\(interventions.count) interventions" }
    for skip in skips {
      if skip.offset < 0 { return "a record to be skipped at offset \(skip.offset)" }
      if !offsets.contains(where: { $0.topic == skip.topic }) {
        return "a record to be skipped of \(skip.topic), which is none of the topics"
      }
    }
    if Set(skips).count != skips.count { return "a record to be skipped twice" }
    for intervention in interventions {
      if intervention.from < -1 || intervention.to < -1 {
        return "an intervention from offset \(intervention.from) to \(intervention.to)"
      }
      switch intervention.kind {
      case .skippedGap, .skippedRecord:
        if intervention.from < 0 || intervention.to < intervention.from {
          return "records skipped from offset \(intervention.from) to \(intervention.to)"
        }
      case .adoptedDisk, .acceptedOffsets, .repaired, .restartedTopic: break
      }
    }
    return nil
  }
}
