// Partitions, and offsets with their commit metadata, as plain values.

/// One partition of a topic.
public struct TopicPartition: Hashable, Sendable, Comparable, CustomStringConvertible {
  public var topic: String
  /// 0 or more.
  public var partition: Int32

  public init(_ topic: String, _ partition: Int32) {
    self.topic = topic
    self.partition = partition
  }

  public var description: String { "\(topic) [\(partition)]" }

  public static func < (a: Self, b: Self) -> Bool {
    a.topic == b.topic ? a.partition < b.partition : a.topic < b.topic
  }
}

/// An offset of a partition: the next one to be read, with the metadata that is committed beside it.
public struct PartitionOffset: Hashable, Sendable, CustomStringConvertible {
  public var partition: TopicPartition
  /// 0 or more.
  public var offset: Int64
  /// Stored beside a committed offset and read back with it; brokers take 4096 bytes by default
  /// (`offset.metadata.max.bytes`). Empty where there is none.
  public var metadata: String

  public init(_ partition: TopicPartition, offset: Int64, metadata: String = "") {
    self.partition = partition
    self.offset = offset
    self.metadata = metadata
  }

  public init(_ topic: String, _ partition: Int32, offset: Int64, metadata: String = "") {
    self.init(TopicPartition(topic, partition), offset: offset, metadata: metadata)
  }

  public var description: String {
    "\(partition) @ \(offset)" + (metadata.isEmpty ? "" : " \"\(metadata)\"")
  }
}

/// What the group has committed for a partition.
public struct CommittedOffset: Hashable, Sendable {
  public var partition: TopicPartition
  /// The offset and metadata; nil where nothing was ever committed or the commit has expired.
  public var committed: PartitionOffset?

  public init(partition: TopicPartition, committed: PartitionOffset?) {
    self.partition = partition
    self.committed = committed
  }
}

/// The first offset that can be read and the one after the last.
public struct Watermarks: Hashable, Sendable {
  public var earliest: Int64
  public var latest: Int64

  public init(earliest: Int64, latest: Int64) {
    self.earliest = earliest
    self.latest = latest
  }
}
