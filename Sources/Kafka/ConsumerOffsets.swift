// The consumer's questions about offsets, and the commit that needs no transaction.

import CRdKafka

/// The records between what was to be read next and what there is.
public struct LostRange: Hashable, Sendable, CustomStringConvertible {
  public var partition: TopicPartition
  /// The offset that was asked for.
  public var requested: Int64
  /// What the partition holds now.
  public var available: Watermarks

  /// The offsets lost to deletion, requested..<earliest; nil when the request is beyond the end instead (the topic was
  /// recreated, or its log was cut).
  public var deleted: Range<Int64>? {
    requested < available.earliest ? requested..<available.earliest : nil
  }

  public var description: String {
    if let deleted {
      return
        "\(partition): offsets \(deleted.lowerBound) to \(deleted.upperBound - 1) were deleted before they were read"
        + " (available: \(available.earliest) to \(available.latest))"
    }
    return "\(partition): offset \(requested) is beyond the end of the partition"
      + " (available: \(available.earliest) to \(available.latest)); the topic may have been recreated"
  }
}

extension Consumer {
  /// What the group has committed for the partitions.
  ///
  /// While a member that died has a transaction open on one of them, the broker does not answer until that transaction
  /// has timed out: on a retriable error, call again.
  ///
  /// - Throws: when the coordinator cannot be asked, or has an error for one of the partitions.
  public func committed(for partitions: [TopicPartition], timeoutMilliseconds: Int32) throws(KafkaError)
    -> [CommittedOffset]
  {
    guard !partitions.isEmpty else { return [] }
    let list = PartitionList(partitions)
    let code = list.with { rd_kafka_committed(client.raw, $0, max(0, timeoutMilliseconds)) }
    if code != RD_KAFKA_RESP_ERR_NO_ERROR { throw KafkaError(code, during: "read committed offsets") }
    if let error = list.firstError(during: "read committed offset") { throw error }
    return list.map { element in
      let partition = element.topicPartition
      guard element.offset >= 0 else { return CommittedOffset(partition: partition, committed: nil) }
      return CommittedOffset(
        partition: partition,
        committed: PartitionOffset(partition, offset: element.offset, metadata: element.metadataText))
    }
  }

  /// Commits offsets with their metadata outside any transaction, as the present member of the group.
  ///
  /// - Throws: `timedOut` when no answer has come in time; the commit may or may not have happened, and may be repeated.
  public func commitSync(_ offsets: [PartitionOffset], timeoutMilliseconds: Int32) throws(KafkaError) {
    guard !offsets.isEmpty else { return }
    let list = PartitionList(offsets)
    let replies = NativeQueue(of: client.raw)
    let code = list.with { list in
      replies.with { replies in rd_kafka_commit_queue(client.raw, list, replies, nil, nil) }
    }
    if code != RD_KAFKA_RESP_ERR_NO_ERROR { throw KafkaError(code, during: "commit offsets") }
    guard let event = replies.wait(milliseconds: timeoutMilliseconds) else {
      throw KafkaError(.timedOut, during: "commit offsets")
    }
    if let error = event.error(during: "commit offsets") { throw error }
    let error = event.with { rd_kafka_event_topic_partition_list($0)?.pointee.firstError(during: "commit offset") }
    if let error { throw error }
  }

  /// The offset after the last record that `poll` has returned (or the transaction marker behind it); nil for a partition of
  /// which none has been returned since it was assigned.
  public func position(of partition: TopicPartition) throws(KafkaError) -> Int64? {
    let list = PartitionList([partition])
    let code = list.with { rd_kafka_position(client.raw, $0) }
    if code != RD_KAFKA_RESP_ERR_NO_ERROR { throw KafkaError(code, during: "read the position of \(partition)") }
    if let error = list.firstError(during: "read the position") { throw error }
    guard let offset = list.map(\.offset).first, offset >= 0 else { return nil }
    return offset
  }

  /// Asks the broker for the first and the last offset of a partition. Under read_committed the last is the last stable
  /// one: it stands still while a transaction is open.
  public func watermarks(of partition: TopicPartition, timeoutMilliseconds: Int32) throws(KafkaError) -> Watermarks {
    try client.watermarks(of: partition, timeoutMilliseconds: max(0, timeoutMilliseconds))
  }

  /// The first and the last offset as of the last fetch, without asking; nil before one. The last is the high watermark:
  /// it counts records of open transactions and transaction markers, so it is no end to wait for.
  public func cachedWatermarks(of partition: TopicPartition) -> Watermarks? {
    var earliest: Int64 = 0
    var latest: Int64 = 0
    let code = rd_kafka_get_watermark_offsets(client.raw, partition.topic, partition.partition, &earliest, &latest)
    guard code == RD_KAFKA_RESP_ERR_NO_ERROR, latest >= 0 else { return nil }
    return Watermarks(earliest: max(0, earliest), latest: latest)
  }

  /// The first offset of each partition that can still be read: where to start when nothing was ever committed.
  public func earliestOffsets(of partitions: [TopicPartition], timeoutMilliseconds: Int32) throws(KafkaError)
    -> [PartitionOffset]
  {
    try client.offsets(
      of: partitions, at: Int64(RD_KAFKA_OFFSET_BEGINNING), timeoutMilliseconds: max(0, timeoutMilliseconds),
      operation: "ask for the earliest offsets")
  }

  /// The offset after the last of each partition; under read_committed the last stable one.
  public func latestOffsets(of partitions: [TopicPartition], timeoutMilliseconds: Int32) throws(KafkaError)
    -> [PartitionOffset]
  {
    try client.offsets(
      of: partitions, at: Int64(RD_KAFKA_OFFSET_END), timeoutMilliseconds: max(0, timeoutMilliseconds),
      operation: "ask for the latest offsets")
  }

  /// The topics as the cluster describes them now; a changed partition count shows here.
  public func topicMetadata(_ names: [String], timeoutMilliseconds: Int32) throws(KafkaError) -> [TopicMetadata] {
    try client.topicMetadata(names, timeoutMilliseconds: timeoutMilliseconds)
  }

  /// Which records are lost, for an item of kind `outOfRange`; asks the broker what there is. nil for an item without a
  /// topic.
  public func lostRange(from item: BatchItem, timeoutMilliseconds: Int32) throws(KafkaError) -> LostRange? {
    guard let partition = item.topicPartition else { return nil }
    let available = try watermarks(of: partition, timeoutMilliseconds: timeoutMilliseconds)
    return LostRange(partition: partition, requested: item.offset, available: available)
  }
}
