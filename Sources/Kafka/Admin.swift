// Questions about the cluster and its topics, and the creation of topics.

import CRdKafka
import Glibc

/// A topic to be created.
public struct TopicSpecification: Hashable, Sendable {
  public var name: String
  /// 1 or more.
  public var partitionCount: Int32
  /// -1 for the cluster's default.
  public var replicationFactor: Int32
  /// Topic properties, such as `cleanup.policy`.
  public var configuration: [String: String]

  public init(
    name: String, partitionCount: Int32, replicationFactor: Int32 = -1, configuration: [String: String] = [:]
  ) {
    self.name = name
    self.partitionCount = partitionCount
    self.replicationFactor = replicationFactor
    self.configuration = configuration
  }
}

/// What became of one topic of a request.
public struct TopicResult: Hashable, Sendable {
  public var name: String
  /// nil on success; `topicAlreadyExists` when there is one of that name.
  public var error: KafkaError?
}

/// Asks about the cluster and creates topics. In no consumer group; creates no topic by asking for it.
///
/// Confined to one thread, like the other clients; its calls block up to their time-out.
public final class Admin {
  private let handle: ClientHandle

  /// Creates the client. Does not wait for the cluster.
  ///
  /// - Throws: an error with code `invalidArgument` when the configuration is not valid.
  public init(_ configuration: KafkaConfiguration) throws(KafkaError) {
    let native = try configuration.makeCommon()
    try configuration.applyProperties(to: native)
    // Of the consumer kind, for only those can be told not to create the topics they ask for.
    try native.set("allow.auto.create.topics", "false")
    try native.set("isolation.level", "read_committed")
    handle = try ClientHandle(.consumer, native)
  }

  /// The topics as the cluster describes them, in the order of the names.
  ///
  /// - Throws: when the cluster does not answer in time; what it says about a single topic is in the result.
  public func topicMetadata(_ names: [String], timeoutMilliseconds: Int32) throws(KafkaError) -> [TopicMetadata] {
    let result = try handle.topicMetadata(names, timeoutMilliseconds: timeoutMilliseconds)
    serveEvents()
    return result
  }

  /// Returns when all partitions of the topics are seen, and their leaders answer for them. A new topic is seen in parts at
  /// first, and a producer that sees a part puts records where their keys do not belong.
  ///
  /// - Throws: `timedOut`, naming the first topic that is not seen whole in time; whatever asking the cluster throws.
  public func waitForTopics(_ names: [String], partitionCount: Int32, timeoutMilliseconds: Int32) throws(KafkaError) {
    let deadline = Deadline(milliseconds: timeoutMilliseconds)
    while true {
      let seen = try topicMetadata(names, timeoutMilliseconds: 20_000)
      guard let missing = seen.first(where: { $0.partitionCount != partitionCount }) else { break }
      if deadline.isOver {
        throw KafkaError(
          .timedOut, during: "wait for topic \(missing.name)",
          reason: "\(missing.partitionCount) of \(partitionCount) partitions are seen; look at the broker's log")
      }
      usleep(50_000)
    }
    // Named as its leader, a broker may still not know of a partition, and refuse the first record.
    let partitions = names.flatMap { name in (0..<partitionCount).map { TopicPartition(name, $0) } }
    while true {
      do throws(KafkaError) {
        _ = try latestOffsets(of: partitions, timeoutMilliseconds: 5_000)
        return
      } catch {
        let isYetToCome = error.isRetriable || error.code == .unknownTopicOrPartition
        if deadline.isOver || !isYetToCome { throw error }
      }
      usleep(50_000)
    }
  }

  /// The cluster's id; nil when the brokers have none.
  ///
  /// - Throws: `timedOut` when no broker has answered in time.
  public func clusterID(timeoutMilliseconds: Int32) throws(KafkaError) -> String? {
    let id = takeString(rd_kafka_clusterid(handle.raw, max(0, timeoutMilliseconds)), of: handle.raw)
    serveEvents()
    guard let id else { throw KafkaError(.timedOut, during: "ask for the cluster's id") }
    return id.isEmpty ? nil : id
  }

  /// The first and the last (stable) offset of a partition.
  public func watermarks(of partition: TopicPartition, timeoutMilliseconds: Int32) throws(KafkaError) -> Watermarks {
    defer { serveEvents() }
    return try handle.watermarks(of: partition, timeoutMilliseconds: max(0, timeoutMilliseconds))
  }

  /// The first offset of each partition that can still be read.
  public func earliestOffsets(of partitions: [TopicPartition], timeoutMilliseconds: Int32) throws(KafkaError)
    -> [PartitionOffset]
  {
    defer { serveEvents() }
    return try handle.offsets(
      of: partitions, at: Int64(RD_KAFKA_OFFSET_BEGINNING), timeoutMilliseconds: max(0, timeoutMilliseconds),
      operation: "ask for the earliest offsets")
  }

  /// The offset after the last stable record of each partition.
  public func latestOffsets(of partitions: [TopicPartition], timeoutMilliseconds: Int32) throws(KafkaError)
    -> [PartitionOffset]
  {
    defer { serveEvents() }
    return try handle.offsets(
      of: partitions, at: Int64(RD_KAFKA_OFFSET_END), timeoutMilliseconds: max(0, timeoutMilliseconds),
      operation: "ask for the latest offsets")
  }

  /// Creates topics. All of them are tried; each has its own result, in the order of the specifications.
  ///
  /// - Throws: `invalidArgument` for a specification that librdkafka refuses to send; or when no broker has answered in time.
  public func createTopics(_ topics: [TopicSpecification], timeoutMilliseconds: Int32) throws(KafkaError)
    -> [TopicResult]
  {
    guard !topics.isEmpty else { return [] }
    var native: [OpaquePointer?] = []
    defer { for topic in native { rd_kafka_NewTopic_destroy(topic) } }
    for topic in topics {
      let (new, text) = withErrorText {
        rd_kafka_NewTopic_new(topic.name, topic.partitionCount, topic.replicationFactor, $0, $1)
      }
      guard let new else { throw KafkaError(.invalidArgument, during: "create topic \(topic.name)", reason: text) }
      native.append(new)
      for (name, value) in topic.configuration.sorted(by: { $0.key < $1.key }) {
        let code = rd_kafka_NewTopic_set_config(new, name, value)
        if code != RD_KAFKA_RESP_ERR_NO_ERROR {
          throw KafkaError(code, during: "set \(name) of topic \(topic.name)")
        }
      }
    }

    let replies = NativeQueue(of: handle.raw)
    let options = NativeAdminOptions(
      for: RD_KAFKA_ADMIN_OP_CREATETOPICS, of: handle.raw, timeoutMilliseconds: timeoutMilliseconds)
    options.with { options in
      replies.with { rd_kafka_CreateTopics(handle.raw, &native, native.count, options, $0) }
    }
    let event = try wait(for: "create topics", on: replies, timeoutMilliseconds: timeoutMilliseconds)
    return event.with { event in
      var count = 0
      let results = rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(event), &count)
      return topicResults(results, count: count, operation: "create topic")
    }
  }

  /// Deletes topics with their records. Each has its own result.
  public func deleteTopics(_ names: [String], timeoutMilliseconds: Int32) throws(KafkaError) -> [TopicResult] {
    guard !names.isEmpty else { return [] }
    var native: [OpaquePointer?] = names.map { rd_kafka_DeleteTopic_new($0) }
    defer { for topic in native { rd_kafka_DeleteTopic_destroy(topic) } }
    let replies = NativeQueue(of: handle.raw)
    let options = NativeAdminOptions(
      for: RD_KAFKA_ADMIN_OP_DELETETOPICS, of: handle.raw, timeoutMilliseconds: timeoutMilliseconds)
    options.with { options in
      replies.with { rd_kafka_DeleteTopics(handle.raw, &native, native.count, options, $0) }
    }
    let event = try wait(for: "delete topics", on: replies, timeoutMilliseconds: timeoutMilliseconds)
    return event.with { event in
      var count = 0
      let results = rd_kafka_DeleteTopics_result_topics(rd_kafka_event_DeleteTopics_result(event), &count)
      return topicResults(results, count: count, operation: "delete topic")
    }
  }

  /// Log lines and errors collected since the last call.
  public func drainEvents() -> DrainedEvents {
    serveEvents()
    return handle.context.drain()
  }

  /// For the other files of this class.
  var client: ClientHandle { handle }

  private func serveEvents() { rd_kafka_poll(handle.raw, 0) }

  func wait(for operation: String, on replies: borrowing NativeQueue, timeoutMilliseconds: Int32)
    throws(KafkaError) -> NativeEvent
  {
    // A little longer than the request itself, so that its own answer "timed out" is the one that is seen.
    let patience = min(Int32.max - 1_000, max(0, timeoutMilliseconds)) + 1_000
    guard let event = replies.wait(milliseconds: patience) else { throw KafkaError(.timedOut, during: operation) }
    serveEvents()
    if let error = event.error(during: operation) { throw error }
    return event
  }

  private func topicResults(_ results: UnsafeMutablePointer<OpaquePointer?>?, count: Int, operation: String)
    -> [TopicResult]
  {
    guard let results else { return [] }
    return (0..<count).compactMap { index in
      guard let result = results[index] else { return nil }
      let name = String(cString: rd_kafka_topic_result_name(result))
      let code = rd_kafka_topic_result_error(result)
      guard code != RD_KAFKA_RESP_ERR_NO_ERROR else { return TopicResult(name: name, error: nil) }
      let reason = rd_kafka_topic_result_error_string(result).map { String(cString: $0) }
      return TopicResult(name: name, error: KafkaError(code, during: "\(operation) \(name)", reason: reason))
    }
  }
}
