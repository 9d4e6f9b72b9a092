// What the cluster says about topics: asked by the consumer before it subscribes, and by the admin client.

import CRdKafka

/// One topic as the cluster describes it.
public struct TopicMetadata: Hashable, Sendable {
  public var name: String
  /// 0 when the topic does not exist.
  public var partitionCount: Int32
  /// What the cluster has against the topic (unknown, not authorised); nil when it is fine.
  public var error: KafkaError?

  public var exists: Bool { error == nil && partitionCount > 0 }
  /// The cluster has answered, and has no such topic. (Right after a topic is created, some broker may still say so.)
  public var isMissing: Bool { error?.code == .unknownTopicOrPartition }
}

extension ClientHandle {
  /// Asks a broker for each of the topics. Never creates one: all clients that ask are of the consumer kind, with
  /// automatic creation off.
  ///
  /// - Throws: when the cluster does not answer in time; what it says about a single topic is in the result.
  func topicMetadata(_ names: [String], timeoutMilliseconds: Int32) throws(KafkaError) -> [TopicMetadata] {
    let deadline = Deadline(milliseconds: timeoutMilliseconds)
    var result: [TopicMetadata] = []
    for name in names {
      let topic = try NativeTopic(name, of: raw)
      var answer: UnsafePointer<rd_kafka_metadata>?
      let code = topic.with { rd_kafka_metadata(raw, 0, $0, &answer, deadline.remainingMilliseconds) }
      guard code == RD_KAFKA_RESP_ERR_NO_ERROR, let answer else {
        throw KafkaError(code, during: "ask for the metadata of topic \(name)")
      }
      defer { rd_kafka_metadata_destroy(answer) }
      guard answer.pointee.topic_cnt > 0, let found = answer.pointee.topics?.pointee else {
        let error = KafkaError(.unknownTopicOrPartition, during: "topic \(name)")
        result.append(TopicMetadata(name: name, partitionCount: 0, error: error))
        continue
      }
      let problem = found.err == RD_KAFKA_RESP_ERR_NO_ERROR ? nil : KafkaError(found.err, during: "topic \(name)")
      result.append(TopicMetadata(name: name, partitionCount: found.partition_cnt, error: problem))
    }
    return result
  }

  /// The offsets at a time, or at the start or end, of many partitions: one request for each broker.
  func offsets(
    of partitions: some Collection<TopicPartition>, at time: Int64, timeoutMilliseconds: Int32, operation: String
  ) throws(KafkaError) -> [PartitionOffset] {
    guard !partitions.isEmpty else { return [] }
    let list = PartitionList(partitions, offset: time)
    let code = list.with { rd_kafka_offsets_for_times(raw, $0, timeoutMilliseconds) }
    if code != RD_KAFKA_RESP_ERR_NO_ERROR { throw KafkaError(code, during: operation) }
    if let error = list.firstError(during: operation) { throw error }
    return list.map { PartitionOffset($0.topicPartition, offset: $0.offset) }
  }

  /// Asks the broker for the first and the last offset of a partition.
  func watermarks(of partition: TopicPartition, timeoutMilliseconds: Int32) throws(KafkaError) -> Watermarks {
    var earliest: Int64 = 0
    var latest: Int64 = 0
    let code = rd_kafka_query_watermark_offsets(
      raw, partition.topic, partition.partition, &earliest, &latest, timeoutMilliseconds)
    if code != RD_KAFKA_RESP_ERR_NO_ERROR { throw KafkaError(code, during: "ask for the offsets of \(partition)") }
    return Watermarks(earliest: earliest, latest: latest)
  }
}

/// A point on the monotonic clock, for calls that are made of several.
struct Deadline {
  private let end: ContinuousClock.Instant

  /// Negative counts as 0: no call of this module waits for ever.
  init(milliseconds: Int32) { end = .now + .milliseconds(max(0, milliseconds)) }

  var remainingMilliseconds: Int32 {
    let (seconds, attoseconds) = (end - .now).components
    guard seconds >= 0, attoseconds >= 0 else { return 0 }
    return Int32(clamping: seconds * 1_000 + attoseconds / 1_000_000_000_000_000)
  }
  var isOver: Bool { .now >= end }
}
