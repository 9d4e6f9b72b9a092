// How to reach the cluster, and the settings of its three kinds of client.

import CRdKafka

/// How to reach a Kafka cluster: the bootstrap servers, and any librdkafka property that is not reserved.
public struct KafkaConfiguration: Sendable, Hashable, CustomStringConvertible, CustomDebugStringConvertible {
  /// `host:port`, comma-separated.
  public let bootstrapServers: String
  /// The name that shows in the brokers' logs and quotas.
  public let clientID: String
  /// librdkafka properties passed through: `security.protocol`, `sasl.*`, `ssl.*` and any other that is not reserved.
  public let properties: [String: String]
  /// How often each client emits its statistics, in milliseconds, 0...86,400,000; 0 is never.
  public let statisticsIntervalMilliseconds: Int32

  /// - Throws: an error with code `invalidArgument` that names every property which is reserved, unknown or has a value
  ///   librdkafka does not take. Values of secret properties are not in its text.
  public init(
    bootstrapServers: String, clientID: String = "tidewatch", properties: [String: String] = [:],
    statisticsIntervalMilliseconds: Int32 = 0
  ) throws(KafkaError) {
    self.bootstrapServers = bootstrapServers
    self.clientID = clientID
    self.properties = properties
    self.statisticsIntervalMilliseconds = statisticsIntervalMilliseconds

    var problems: [String] = []
    if bootstrapServers.isEmpty { problems.append("no bootstrap servers are given") }
    if !isPrintableASCII(clientID) { problems.append("the client id must be printable ASCII") }
    let scratch = NativeConfiguration()
    for (name, value) in properties.sorted(by: { $0.key < $1.key }) {
      if let refusal = ReservedProperties.refusal(of: name, value: value) {
        problems.append("property \(name) cannot be set: \(refusal)")
      } else if let problem = scratch.trySet(name, value) {
        problems.append(problem)
      }
    }
    if !problems.isEmpty { throw .invalidConfiguration(problems) }
  }

  /// The configuration with every secret value replaced by `***`.
  public var description: String {
    let list = properties.sorted(by: { $0.key < $1.key })
      .map { "\($0.key)=\(ReservedProperties.isSecret($0.key) ? "***" : $0.value)" }
    return "bootstrap.servers=\(bootstrapServers) client.id=\(clientID)"
      + list.map { " " + $0 }.joined()
  }
  public var debugDescription: String { description }

  /// What is common to all clients. Reserved settings are applied by the callers, after this.
  func makeCommon() throws(KafkaError) -> NativeConfiguration {
    let native = NativeConfiguration()
    try native.set("bootstrap.servers", bootstrapServers)
    try native.set("client.id", clientID)
    try native.set("statistics.interval.ms", String(statisticsIntervalMilliseconds))
    // Logs go through the queue that the owner of the client polls, so that no callback runs on a foreign thread.
    try native.set("log.queue", "true")
    // Find a broker that has come back within seconds.
    try native.set("reconnect.backoff.max.ms", "2000")
    try native.set("socket.keepalive.enable", "true")
    return native
  }

  func applyProperties(to native: borrowing NativeConfiguration) throws(KafkaError) {
    for (name, value) in properties { try native.set(name, value) }
  }
}

extension KafkaError {
  static func invalidConfiguration(_ problems: [String]) -> KafkaError {
    KafkaError(.invalidArgument, during: "Kafka configuration", reason: problems.joined(separator: "; "))
  }
}

/// Group, member and client ids travel in forms that only take these bytes.
func isPrintableASCII(_ text: String) -> Bool { !text.isEmpty && text.utf8.allSatisfy { (0x20...0x7E).contains($0) } }

/// The settings of a consumer.
public struct ConsumerOptions: Sendable, Hashable {
  /// Below this (64 MiB) a full queue makes librdkafka 2.0 sleep for a second.
  public static let leastQueuedKilobytes = 65_536

  /// Printable ASCII, not empty.
  public var groupID: String
  /// Makes the member static: it may be away for the session timeout without a rebalance. Must be unique in the group.
  public var groupInstanceID: String?
  /// The bytes of records fetched but not yet polled, in KiB: 65,536...2,097,151. librdkafka's own part of a small record
  /// takes about twice as much memory again.
  public var queuedMaxKilobytes: Int = 131_072
  /// How long a broker may hold a fetch that has nothing to return, in milliseconds.
  public var fetchWaitMaxMilliseconds: Int = 100
  /// How much one fetch takes of one partition, in bytes. Records come in runs of a partition that long while a backlog is
  /// read, and an epoch of fewer partitions has fewer customers to write: with 1 MiB a checkpoint has a quarter more bytes.
  /// The price is memory, for responses lie beside the queue: 200 MiB at the peak.
  public var partitionFetchBytes: Int = 4_194_304
  /// How much one fetch takes of all partitions of a broker, in bytes.
  public var fetchMaxBytes: Int = 52_428_800
  /// How long the group waits for a silent member, in milliseconds.
  public var sessionTimeoutMilliseconds: Int = 45_000
  /// How long the member may go without polling before it is taken out of the group, in milliseconds.
  public var maxPollIntervalMilliseconds: Int = 300_000

  /// The defaults, for a group.
  public init(groupID: String, groupInstanceID: String? = nil) {
    self.groupID = groupID
    self.groupInstanceID = groupInstanceID
  }

  func makeNative(_ configuration: KafkaConfiguration) throws(KafkaError) -> NativeConfiguration {
    var problems: [String] = []
    if !isPrintableASCII(groupID) { problems.append("the group id must be printable ASCII") }
    if let groupInstanceID, !isPrintableASCII(groupInstanceID) {
      problems.append("the group instance id must be printable ASCII")
    }
    if queuedMaxKilobytes < Self.leastQueuedKilobytes {
      problems.append("the consumer's queue must hold at least \(Self.leastQueuedKilobytes) KiB")
    }
    if !problems.isEmpty { throw .invalidConfiguration(problems) }

    let native = try configuration.makeCommon()
    try native.set("queued.min.messages", "1000000")
    try native.set("queued.max.messages.kbytes", String(queuedMaxKilobytes))
    try native.set("fetch.wait.max.ms", String(fetchWaitMaxMilliseconds))
    try native.set("fetch.message.max.bytes", String(partitionFetchBytes))
    try native.set("fetch.max.bytes", String(fetchMaxBytes))
    try native.set("session.timeout.ms", String(sessionTimeoutMilliseconds))
    try native.set("max.poll.interval.ms", String(maxPollIntervalMilliseconds))
    // A changed partition count must be seen within a minute.
    try native.set("topic.metadata.refresh.interval.ms", "60000")
    try configuration.applyProperties(to: native)

    try native.set("group.id", groupID)
    if let groupInstanceID { try native.set("group.instance.id", groupInstanceID) }
    try native.set("partition.assignment.strategy", "range")
    try native.set("isolation.level", "read_committed")
    try native.set("enable.auto.commit", "false")
    try native.set("enable.auto.offset.store", "false")
    try native.set("auto.offset.reset", "error")
    try native.set("enable.partition.eof", "true")
    try native.set("allow.auto.create.topics", "false")
    return native
  }
}

/// The settings of a producer.
public struct ProducerOptions: Sendable, Hashable {
  /// What is guaranteed of the records produced.
  public enum Delivery: Sendable, Hashable {
    /// Outputs and offsets of a transaction become visible together or not at all. The id must be unique to this
    /// process and stable over its restarts: a second producer with the same id fences the first.
    case transactional(id: String, timeoutMilliseconds: Int = 10_000)
    /// Each record once and in order as long as this producer lives; no transactions.
    case idempotent
  }

  /// What is guaranteed of the records produced.
  public var delivery: Delivery
  /// How long records wait for others to share a batch with, in milliseconds.
  public var lingerMilliseconds: Int = 5
  /// The most bytes of records in a batch.
  public var batchBytes: Int = 1_000_000
  /// `none`, `gzip`, `snappy`, `lz4` or `zstd`.
  public var compression: String = "lz4"
  /// How long to wait before a request is tried again, in milliseconds.
  public var retryBackoffMilliseconds: Int = 10
  /// How many records may wait for their acknowledgement.
  public var queuedMaxMessages: Int = 1_000_000
  /// The memory of the records that wait for their acknowledgement, in KiB.
  public var queuedMaxKilobytes: Int = 262_144
  /// How keyed records are spread where no partition is given.
  public var partitioner: Partitioner = .murmur2Random

  /// The defaults, for a kind of delivery.
  public init(_ delivery: Delivery) { self.delivery = delivery }

  func makeNative(_ configuration: KafkaConfiguration) throws(KafkaError) -> NativeConfiguration {
    let native = try configuration.makeCommon()
    try native.set("linger.ms", String(lingerMilliseconds))
    try native.set("batch.size", String(batchBytes))
    try native.set("compression.codec", compression)
    try native.set("retry.backoff.ms", String(retryBackoffMilliseconds))
    try native.set("queue.buffering.max.messages", String(queuedMaxMessages))
    try native.set("queue.buffering.max.kbytes", String(queuedMaxKilobytes))
    try configuration.applyProperties(to: native)

    // A success that is none can be told only where successes are reported: see `DeliveryReport.unconfirmed`.
    try native.set("delivery.report.only.error", "false")
    try native.set("enable.idempotence", "true")
    try native.set("allow.auto.create.topics", "false")
    try native.set("partitioner", partitioner.rawValue)
    if case .transactional(let id, let timeoutMilliseconds) = delivery {
      if !isPrintableASCII(id) { throw .invalidConfiguration(["the transactional id must be printable ASCII"]) }
      try native.set("transactional.id", id)
      try native.set("transaction.timeout.ms", String(timeoutMilliseconds))
    }
    return native
  }
}
