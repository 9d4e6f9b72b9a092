// A broker inside the process, for demos and for tests of connections and errors: librdkafka's mock cluster.

import CRdKafka

/// A Kafka cluster in this process, reached through TCP on the loopback interface like any other.
///
/// It stands in for a real one only so far: transactions and `sendOffsets` answer success and mean nothing, records of
/// aborted transactions are visible, nobody is fenced, a partition keeps about 5 MB or 100,000 records, topics cannot be
/// created through `Admin` (nor by naming them), and joining a group takes 3 to 5 seconds. Use delivery `idempotent` and commit offsets with
/// `Consumer.commitSync`.
///
/// Lives until the last reference goes. Not Sendable; what other threads need is `bootstrapServers`.
public final class EmbeddedBroker {
  /// Requests that can be made to fail, by their number in the Kafka protocol.
  public enum Request: Int16, Sendable {
    case produce = 0
    case fetch = 1
    case listOffsets = 2
    case metadata = 3
    case offsetCommit = 8
    case offsetFetch = 9
    case findCoordinator = 10
    case joinGroup = 11
    case heartbeat = 12
    case initProducerID = 22
    case addPartitionsToTransaction = 24
    case addOffsetsToTransaction = 25
    case endTransaction = 26
    case transactionalOffsetCommit = 28
  }

  private let client: ClientHandle
  private let cluster: OpaquePointer
  public let brokerCount: Int32
  /// `host:port` of each broker, comma-separated.
  public let bootstrapServers: String

  /// Starts the cluster on free ports of the loopback interface.
  public init(brokerCount: Int32 = 1) throws(KafkaError) {
    let native = NativeConfiguration()
    try native.set("client.id", "embedded-broker")
    try native.set("log.queue", "true")
    // The mock needs a client to live in; it never connects anywhere.
    client = try ClientHandle(.producer, native)
    guard let cluster = rd_kafka_mock_cluster_new(client.raw, max(1, brokerCount)) else {
      throw KafkaError(rd_kafka_last_error(), during: "start the embedded broker")
    }
    self.cluster = cluster
    self.brokerCount = max(1, brokerCount)
    bootstrapServers = rd_kafka_mock_cluster_bootstraps(cluster).map { String(cString: $0) } ?? ""
    // The first version of the metadata request that lets a client say "do not create what I ask for". librdkafka 2.0
    // understands it but does not offer it, and would create every topic anybody names.
    _ = rd_kafka_mock_set_apiversion(cluster, Request.metadata.rawValue, 0, 4)
  }

  deinit { rd_kafka_mock_cluster_destroy(cluster) }

  /// Creates a topic; `topicAlreadyExists` when there is one of that name.
  public func createTopic(_ name: String, partitionCount: Int32) throws(KafkaError) {
    try check(
      rd_kafka_mock_topic_create(cluster, name, partitionCount, 1), "create topic \(name) on the embedded broker")
  }

  /// Lets the next requests of a kind fail, one for each code, in order; `KafkaErrorCode(rawValue: 0)` lets one pass.
  public func failNext(_ request: Request, with codes: [KafkaErrorCode]) {
    let native = codes.map(\.native)
    rd_kafka_mock_push_request_errors_array(cluster, request.rawValue, native.count, native)
  }

  /// Forgets the failures of a kind that have not happened yet.
  public func clearFailures(of request: Request) { rd_kafka_mock_clear_request_errors(cluster, request.rawValue) }

  /// Makes the cluster report an error for a topic from now on; nil ends it.
  public func setError(_ code: KafkaErrorCode?, ofTopic name: String) {
    rd_kafka_mock_topic_set_error(cluster, name, code?.native ?? RD_KAFKA_RESP_ERR_NO_ERROR)
  }

  /// Takes a broker down, with all its connections. Brokers count from 1.
  public func setDown(broker: Int32) throws(KafkaError) {
    try check(rd_kafka_mock_broker_set_down(cluster, broker), "take broker \(broker) down")
  }

  /// Brings a broker back up.
  public func setUp(broker: Int32) throws(KafkaError) {
    try check(rd_kafka_mock_broker_set_up(cluster, broker), "bring broker \(broker) up")
  }

  /// Delays every answer of a broker.
  public func setRoundTrip(milliseconds: Int32, broker: Int32) throws(KafkaError) {
    try check(rd_kafka_mock_broker_set_rtt(cluster, broker, milliseconds), "set the round trip of broker \(broker)")
  }

  /// Moves the leadership of a partition to another broker.
  public func setLeader(of partition: TopicPartition, broker: Int32) throws(KafkaError) {
    try check(
      rd_kafka_mock_partition_set_leader(cluster, partition.topic, partition.partition, broker),
      "move \(partition) to broker \(broker)")
  }

  private func check(_ code: rd_kafka_resp_err_t, _ operation: String) throws(KafkaError) {
    if code != RD_KAFKA_RESP_ERR_NO_ERROR { throw KafkaError(code, during: operation) }
  }
}
