// A reusable batch of polled items: records, ends of partitions, errors. Reading it allocates nothing.

import CRdKafka
import Glibc

/// What a consumer's poll has returned, in place in librdkafka's own buffers.
///
/// The records belong to the batch until `release()`, the next poll into it, or its end; every buffer and `BatchItem`
/// taken from it is dead from then on. A batch may outlive its consumer (it keeps the client alive), and its records may
/// be read from any number of threads at once, but polled into and released by one at a time.
public struct MessageBatch: ~Copyable {
  /// How many items one poll can return at most.
  public let capacity: Int
  /// How many items there are now.
  public private(set) var count = 0

  private let messages: UnsafeMutablePointer<UnsafeMutablePointer<rd_kafka_message_t>?>
  private let topicIndices: UnsafeMutablePointer<Int32>
  /// Keeps the client alive: librdkafka wants every message destroyed before it.
  private var owner: ClientHandle?

  /// - Parameter capacity: at least 1; 10,000 lets a busy consumer run at full speed.
  public init(capacity: Int = 10_000) {
    self.capacity = max(1, capacity)
    messages = .allocate(capacity: self.capacity)
    messages.initialize(repeating: nil, count: self.capacity)
    topicIndices = .allocate(capacity: self.capacity)
    topicIndices.initialize(repeating: -1, count: self.capacity)
  }

  deinit {
    for index in 0..<count { rd_kafka_message_destroy(messages[index]) }
    messages.deallocate()
    topicIndices.deallocate()
  }

  /// Whether there are no items.
  public var isEmpty: Bool { count == 0 }

  /// The item at an index in 0..<count, in the order of arrival. Traps on any other index, as an Array does.
  public subscript(index: Int) -> BatchItem {
    precondition(index >= 0 && index < count, "batch index out of range")
    return BatchItem(message: messages[index].unsafelyUnwrapped, topicIndex: Int(topicIndices[index]))
  }

  /// Asks for the memory of an item that will be looked at soon; nothing happens beyond the last one. They were put together
  /// by another thread, so none of it is near.
  @inline(__always)
  public func prefetch(_ index: Int) {
    guard index < count, let message = messages[index] else { return }
    tidewatch_prefetch(message)
    tidewatch_prefetch(UnsafeRawPointer(message) + Self.cacheLine)
  }

  /// Likewise for its key and the beginning of its value; call `prefetch` some items before.
  @inline(__always)
  public func prefetchContents(_ index: Int) {
    guard index < count, let message = messages[index]?.pointee, message.err == RD_KAFKA_RESP_ERR_NO_ERROR
    else { return }
    if let key = message.key { tidewatch_prefetch(key) }
    guard let value = message.payload else { return }
    for offset in stride(from: 0, to: min(message.len, Self.prefetchedBytes), by: Self.cacheLine) {
      tidewatch_prefetch(value + offset)
    }
  }

  private static let cacheLine = 64
  /// Of a value. What reads on is followed by the processor itself.
  private static let prefetchedBytes = 256

  /// Destroys the records. The storage stays for the next poll.
  public mutating func release() {
    for index in 0..<count { rd_kafka_message_destroy(messages[index]) }
    count = 0
    owner = nil
  }

  /// Fills the free part of the batch from a queue: waits up to `timeoutMilliseconds` for a first item, then takes what is
  /// there. (One call for all would wait out the whole time unless the batch gets full.)
  mutating func fill(
    from owner: ClientHandle, topics: [OpaquePointer], timeoutMilliseconds: Int32
  ) throws(KafkaError) {
    guard let queue = owner.consumerQueue else { throw KafkaError(.wrongState, during: "poll") }
    self.owner = owner
    let first = rd_kafka_consume_batch_queue(queue, timeoutMilliseconds, messages + count, 1)
    if first < 0 { throw KafkaError(rd_kafka_last_error(), during: "poll") }
    guard first > 0 else { return }
    count += 1
    if count < capacity {
      let rest = rd_kafka_consume_batch_queue(queue, 0, messages + count, capacity - count)
      if rest > 0 { count += Int(rest) }
    }
    resolveTopics(topics)
    for index in 0..<count where messages[index]?.pointee.err == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART {
      owner.abandon()
    }
  }

  /// Notes the index of each item's topic, or -1.
  private mutating func resolveTopics(_ topics: [OpaquePointer]) {
    var lastTopic: OpaquePointer?
    var lastIndex: Int32 = -1
    for position in 0..<count {
      let topic = messages[position]?.pointee.rkt
      // Records come in runs of a partition.
      if topic != lastTopic {
        lastTopic = topic
        lastIndex = indexOfTopic(topic, in: topics)
      }
      topicIndices[position] = lastIndex
    }
  }

  private func indexOfTopic(_ topic: OpaquePointer?, in topics: [OpaquePointer]) -> Int32 {
    guard let topic else { return -1 }
    if let index = topics.firstIndex(of: topic) { return Int32(index) }
    // Error items may carry another object for the same topic.
    guard let name = rd_kafka_topic_name(topic) else { return -1 }
    return topics.firstIndex { candidate in rd_kafka_topic_name(candidate).map { strcmp($0, name) == 0 } ?? false }
      .map { Int32($0) } ?? -1
  }
}

/// One item of a batch: a record, or something that happened to a partition or to the consumer.
///
/// A view: valid no longer than the batch it is from.
public struct BatchItem {
  /// What an item is.
  public enum Kind: Sendable {
    case record
    /// The consumer has read all there is (under read_committed: up to the first open transaction); `offset` is where the
    /// next record will be.
    case endOfPartition
    /// `offset` is not there any more, or not yet; the partition is read no further. See
    /// `Consumer.lostRange(from:timeoutMilliseconds:)`. May be left over from an assignment before: it concerns the present
    /// one only if `offset` is the one expected next.
    case outOfRange
    /// See `error`. Without a topic it concerns the consumer as a whole.
    case failure
  }

  let message: UnsafeMutablePointer<rd_kafka_message_t>
  /// The topic's index in the list the consumer subscribed to; -1 when the item is of none of them.
  public let topicIndex: Int

  /// What the item is; for a record, `isRecord` is the quicker question.
  public var kind: Kind {
    let code = message.pointee.err
    if code == RD_KAFKA_RESP_ERR_NO_ERROR { return .record }
    if code == RD_KAFKA_RESP_ERR__PARTITION_EOF { return .endOfPartition }
    if code == RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET { return .outOfRange }
    return .failure
  }

  /// Whether there is a record, with key, value, headers and timestamp.
  public var isRecord: Bool { message.pointee.err == RD_KAFKA_RESP_ERR_NO_ERROR }
  /// -1 where the item is not of one partition.
  public var partition: Int32 { message.pointee.partition }
  /// The record's offset, the end of the partition, or the offset that was asked for in vain.
  public var offset: Int64 { message.pointee.offset }

  /// A record's key; nil when it is null, empty when it is empty.
  public var key: UnsafeRawBufferPointer? {
    guard isRecord, let key = message.pointee.key else { return nil }
    return UnsafeRawBufferPointer(start: key, count: message.pointee.key_len)
  }

  /// A record's value; nil when it is null (a tombstone), empty when it is empty.
  public var value: UnsafeRawBufferPointer? {
    guard isRecord, let payload = message.pointee.payload else { return nil }
    return UnsafeRawBufferPointer(start: payload, count: message.pointee.len)
  }

  /// The time beside the record in the log, in milliseconds since 1970 UTC; nil where there is none (and for items that are
  /// not records). Whether the producer or the broker has set it is the topic's `message.timestamp.type`.
  public var timestampMilliseconds: Int64? {
    let time = rd_kafka_message_timestamp(message, nil)
    return time < 0 ? nil : time
  }

  /// Whether the broker has set the timestamp, at append.
  public var isLogAppendTime: Bool {
    var type = RD_KAFKA_TIMESTAMP_NOT_AVAILABLE
    _ = rd_kafka_message_timestamp(message, &type)
    return type == RD_KAFKA_TIMESTAMP_LOG_APPEND_TIME
  }

  /// Calls `body` with each header of the record in order: name and value (nil for null), valid during the call.
  public func forEachHeader(_ body: (UnsafeRawBufferPointer, UnsafeRawBufferPointer?) -> Void) {
    var headers: OpaquePointer?
    guard isRecord, rd_kafka_message_headers(message, &headers) == RD_KAFKA_RESP_ERR_NO_ERROR, let headers else {
      return
    }
    var index = 0
    var name: UnsafePointer<CChar>?
    var value: UnsafeRawPointer?
    var size = 0
    while rd_kafka_header_get_all(headers, index, &name, &value, &size) == RD_KAFKA_RESP_ERR_NO_ERROR, let found = name
    {
      body(
        UnsafeRawBufferPointer(start: found, count: strlen(found)),
        value.map { UnsafeRawBufferPointer(start: $0, count: size) })
      index += 1
    }
  }

  /// The topic's name. Allocates: for messages to people, not for every record.
  public var topicName: String? { message.pointee.rkt.map { String(cString: rd_kafka_topic_name($0)) } }

  /// The topic and partition; nil where the item has no topic. Allocates.
  public var topicPartition: TopicPartition? { topicName.map { TopicPartition($0, partition) } }

  /// What is wrong, for items of kind `failure` and `outOfRange`; nil for the others. Allocates.
  public var error: KafkaError? {
    let code = message.pointee.err
    guard code != RD_KAFKA_RESP_ERR_NO_ERROR, code != RD_KAFKA_RESP_ERR__PARTITION_EOF else { return nil }
    let place = topicName.map { partition < 0 ? " of \($0)" : " of \($0) [\(partition)] at offset \(offset)" } ?? ""
    let error = KafkaError(
      code, during: "consume\(place)", reason: rd_kafka_message_errstr(message).map { String(cString: $0) })
    guard code == RD_KAFKA_RESP_ERR__FATAL else { return error }
    var fatal = error
    fatal.isFatal = true
    fatal.isRetriable = false
    return fatal
  }
}
