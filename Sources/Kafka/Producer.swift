// Records out: idempotent, with or without transactions.

import CRdKafka

/// The first record of an epoch that could not be delivered.
public struct DeliveryFailure: Hashable, Sendable {
  public var partition: TopicPartition
  public var error: KafkaError

  public init(partition: TopicPartition, error: KafkaError) {
    self.partition = partition
    self.error = error
  }
}

/// What became of the records produced since the last report was taken.
public struct DeliveryReport: Hashable, Sendable {
  /// Acknowledged by the broker. In a transaction they are invisible until it is committed.
  public var delivered: Int
  /// Given up: refused by the broker, timed out, or purged by an abort.
  public var failed: Int
  /// The first failure; nil when `failed` is 0.
  public var firstFailure: DeliveryFailure?
  /// Taken for delivered by the client because a later batch was, without the broker's word: they may be there, and they may
  /// be lost.
  ///
  /// A broker that knows nothing of a producer yet takes any batch for its first one. When it refuses the first (the
  /// partition is new, or its leader moves) and then takes the second, librdkafka holds the refused one for delivered, up
  /// to 2.15 at least: github.com/confluentinc/confluent-kafka-go/issues/921, KAFKA-15591. What gives them away is that
  /// they have no offset.
  public var unconfirmed: Int
  /// Where the first of them belongs; nil when `unconfirmed` is 0.
  public var firstUnconfirmed: TopicPartition?

  public init(
    delivered: Int, failed: Int, firstFailure: DeliveryFailure?, unconfirmed: Int = 0,
    firstUnconfirmed: TopicPartition? = nil
  ) {
    self.delivered = delivered
    self.failed = failed
    self.firstFailure = firstFailure
    self.unconfirmed = unconfirmed
    self.firstUnconfirmed = firstUnconfirmed
  }
}

/// A topic opened by a producer; only good with that producer.
public struct ProducerTopic: Hashable, Sendable {
  fileprivate let index: Int
}

/// Produces records: always idempotent, and transactional when the options say so.
///
/// Confined to one thread: created, used and let go by the same one, which must be a thread of its own, for its calls block.
/// It is a class, and not Sendable, so that the compiler keeps it there.
///
/// Delivery reports arrive while a call of this producer runs (`poll`, `flush`, `commitTransaction`, ...), so call `poll`
/// now and then while only producing.
public final class Producer {
  private let handle: ClientHandle
  private var topics: [OpaquePointer] = []
  private var topicIndices: [String: Int] = [:]
  /// The topic asked for last: mostly the next one's too, and its name is compared sooner than hashed.
  private var lastTopic: (name: String, topic: ProducerTopic)?
  /// Between `beginTransaction` and the end of commit or abort.
  var isInTransaction = false

  /// Creates the client. Does not wait for the cluster.
  ///
  /// - Throws: an error with code `invalidArgument` when the options or their combination are not valid.
  public init(_ configuration: KafkaConfiguration, _ options: ProducerOptions) throws(KafkaError) {
    handle = try ClientHandle(.producer, try options.makeNative(configuration))
  }

  /// Opens a topic for producing. Asking again returns the same.
  public func topic(_ name: String) throws(KafkaError) -> ProducerTopic {
    if let lastTopic, lastTopic.name == name { return lastTopic.topic }
    let index: Int
    if let known = topicIndices[name] {
      index = known
    } else {
      topics.append(try handle.openTopic(name))
      index = topics.count - 1
      topicIndices[name] = index
    }
    lastTopic = (name, ProducerTopic(index: index))
    return ProducerTopic(index: index)
  }

  /// Hands a record to the client, which copies it and sends it in the background.
  ///
  /// When the client's queue is full it serves delivery reports and waits for room, up to `queueTimeoutMilliseconds`.
  ///
  /// - Parameters:
  ///   - partition: nil to let the partitioner decide by the key.
  ///   - key: nil for a null key.
  ///   - value: nil for a null value, a tombstone.
  ///   - timestampMilliseconds: milliseconds since 1970 UTC; nil for now.
  /// - Throws: `queueFull` (retriable) when there was no room in time; `messageTooLarge`; `unknownPartition` and
  ///   `unknownTopicOrPartition`; an error with `requiresAbort` when the transaction has failed, or none has begun;
  ///   an error with `isFatal`.
  public func produce(
    to topic: ProducerTopic, partition: Int32? = nil, key: UnsafeRawBufferPointer?, value: UnsafeRawBufferPointer?,
    headers: borrowing RecordHeaders, timestampMilliseconds: Int64? = nil, queueTimeoutMilliseconds: Int32 = 30_000
  ) throws(KafkaError) {
    try produce(
      to: topic, partition: partition, key: key, value: value, headers: headers.encoded, headerCount: headers.count,
      timestampMilliseconds: timestampMilliseconds, queueTimeoutMilliseconds: queueTimeoutMilliseconds)
  }

  /// As above, for a record without headers.
  public func produce(
    to topic: ProducerTopic, partition: Int32? = nil, key: UnsafeRawBufferPointer?, value: UnsafeRawBufferPointer?,
    timestampMilliseconds: Int64? = nil, queueTimeoutMilliseconds: Int32 = 30_000
  ) throws(KafkaError) {
    try produce(
      to: topic, partition: partition, key: key, value: value, headers: nil, headerCount: 0,
      timestampMilliseconds: timestampMilliseconds, queueTimeoutMilliseconds: queueTimeoutMilliseconds)
  }

  private func produce(
    to topic: ProducerTopic, partition: Int32?, key: UnsafeRawBufferPointer?, value: UnsafeRawBufferPointer?,
    headers: UnsafePointer<UInt8>?, headerCount: Int, timestampMilliseconds: Int64?, queueTimeoutMilliseconds: Int32
  ) throws(KafkaError) {
    guard topic.index < topics.count else {
      throw KafkaError(.invalidArgument, during: "produce", reason: "the topic is of another producer")
    }
    let native = topics[topic.index]
    var deadline: Deadline?
    while true {
      let code = tidewatch_produce(
        handle.raw, native, partition ?? RD_KAFKA_PARTITION_UA, key?.baseAddress, key?.count ?? -1, value?.baseAddress,
        value?.count ?? -1, timestampMilliseconds ?? 0, headers, headerCount)
      if code == RD_KAFKA_RESP_ERR_NO_ERROR { return }
      guard code == RD_KAFKA_RESP_ERR__QUEUE_FULL else { throw produceError(code, topic: native) }
      // Back-pressure: serving delivery reports is what makes room.
      if let deadline, deadline.isOver { throw produceError(code, topic: native) }
      if deadline == nil { deadline = Deadline(milliseconds: queueTimeoutMilliseconds) }
      rd_kafka_poll(handle.raw, 10)
    }
  }

  private func produceError(_ code: rd_kafka_resp_err_t, topic: OpaquePointer) -> KafkaError {
    if let fatal = handle.fatalError { return fatal }
    var error = KafkaError(code, during: "produce to \(String(cString: rd_kafka_topic_name(topic)))")
    // Within a transaction "wrong state" says that it has failed and waits for its abort.
    error.requiresAbort = code == RD_KAFKA_RESP_ERR__STATE && isInTransaction
    return error
  }

  /// Serves delivery reports and collects events; waits up to the given time for a first one.
  public func poll(timeoutMilliseconds: Int32 = 0) { rd_kafka_poll(handle.raw, max(0, timeoutMilliseconds)) }

  /// Waits until it is known of every record produced so far what became of it; see `takeDeliveryReport`.
  ///
  /// - Throws: `timedOut` (retriable) when some are still under way.
  public func flush(timeoutMilliseconds: Int32) throws(KafkaError) {
    let code = rd_kafka_flush(handle.raw, max(0, timeoutMilliseconds))
    guard code != RD_KAFKA_RESP_ERR_NO_ERROR else { return }
    throw KafkaError(code, during: "flush", reason: "\(outstandingCount) records are not yet acknowledged")
  }

  /// Gives up every record that is not acknowledged; those that are on their way may arrive all the same. An idempotent
  /// producer is not to be used any more afterwards: its count of records has a gap.
  package func purge() { rd_kafka_purge(handle.raw, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT) }

  /// How many records are queued or under way, delivery reports not yet served among them.
  public var outstandingCount: Int { Int(rd_kafka_outq_len(handle.raw)) }

  /// What became of the records since the last call, as far as it is known; begins a new report.
  public func takeDeliveryReport() -> DeliveryReport {
    let report = DeliveryReport(
      delivered: handle.state.pointee.delivered, failed: handle.state.pointee.failed,
      firstFailure: handle.context.firstFailure, unconfirmed: handle.state.pointee.unconfirmed,
      firstUnconfirmed: handle.context.firstUnconfirmed)
    handle.state.pointee.delivered = 0
    handle.state.pointee.failed = 0
    handle.state.pointee.unconfirmed = 0
    handle.context.firstFailure = nil
    handle.context.firstUnconfirmed = nil
    return report
  }

  /// The error after which this producer is unusable (fenced, for example); nil as long as it is fine.
  public var fatalError: KafkaError? { handle.fatalError }

  /// Log lines, statistics and errors since the last call. Serves delivery reports too.
  public func drainEvents() -> DrainedEvents {
    rd_kafka_poll(handle.raw, 0)
    return handle.context.drain()
  }

  /// For the other files of this class.
  var client: ClientHandle { handle }
}
