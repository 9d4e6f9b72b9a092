// A broker with topics of our own, a daemon configuration for them, and what one can see of both from outside.

import Foundation
import Kafka

/// One record of an output topic.
struct CrashOutput: Sendable {
  var id: String
  var key: String
  var value: String
}

enum CrashDelivery: String, Sendable {
  case exactlyOnce = "exactly_once"
  case atLeastOnce = "at_least_once"
}

/// What differs between the kinds of crash tests.
struct CrashOptions: Sendable {
  /// Processes of one group; each has a configuration of its own and all have the same `state.dir`.
  var members = 1
  var clock = "event"
  /// How long the group waits for a silent member; nil: short, but what any broker allows.
  var sessionMilliseconds: Int?
  /// About how many epochs the stream should have.
  var epochs = 80
  /// Lines below `limits:` and the like, for all members.
  var more = ""
  /// Address of the admin server.
  var admin = "off"
  /// More of the section `state`, after a comma.
  var state = ""

  /// The session timeout that tests of a real broker use: what `TIDEWATCH_TEST_SESSION_MS` says, or Kafka's least.
  static let realSession =
    ProcessInfo.processInfo.environment["TIDEWATCH_TEST_SESSION_MS"].flatMap { Int($0) } ?? 6_000
}

/// Confined to the thread that makes it.
final class CrashBench {
  enum Output: String, CaseIterable {
    case tags, alerts, profiles, dead
  }

  let scratch: ScratchDirectory
  let name = TestBroker.uniqueName("crash")
  let partitions: Int32
  private let embedded: EmbeddedBroker?
  private let bootstrap: String
  let options: CrashOptions
  private var watcher: Consumer?
  private(set) var produced = 0

  var input: String { "\(name)-events" }
  var stateDirectory: String { scratch.path("state") }
  var journalDirectory: String { scratch.path("journal") }
  var configurationPath: String { configurationPath(0) }
  func configurationPath(_ member: Int) -> String { scratch.path("tidewatch-\(member).yaml") }
  var sessionMilliseconds: Int {
    options.sessionMilliseconds ?? (embedded == nil ? CrashOptions.realSession : 3_000)
  }
  /// The embedded broker keeps 5 MB of a partition: outputs are spread over more of them.
  private var outputPartitions: Int32 { embedded == nil ? partitions : 24 }
  /// See `addQuietInput`.
  var quietInput: String?
  private var topics: [String] { [input] + Output.allCases.map(topic) + (quietInput.map { [$0] } ?? []) }
  func topic(_ output: Output) -> String { "\(name)-\(output.rawValue)" }

  /// - Parameter realBroker: nil for the embedded one.
  init(
    realBroker: String?, _ stream: CrashStream, delivery: CrashDelivery, partitions: Int32 = 4,
    options: CrashOptions = CrashOptions()
  ) throws {
    self.options = options
    scratch = try ScratchDirectory()
    self.partitions = partitions
    if let realBroker {
      embedded = nil
      bootstrap = realBroker
    } else {
      let broker = try EmbeddedBroker()
      embedded = broker
      bootstrap = broker.bootstrapServers
    }
    try scratch.write("tags.yaml", stream.rules)
    for member in 0..<options.members { try writeConfiguration(stream, delivery, member) }
    try createTopics()
    watcher = try Consumer(client(), ConsumerOptions(groupID: name))
  }

  /// Removes what was made on a real broker.
  deinit {
    watcher = nil
    guard embedded == nil, let admin = try? Admin(client()) else { return }
    _ = try? admin.deleteTopics(topics, timeoutMilliseconds: 20_000)
  }

  func client(_ properties: [String: String] = [:]) throws -> KafkaConfiguration {
    try KafkaConfiguration(bootstrapServers: bootstrap, clientID: "crash-test", properties: properties)
  }

  /// Fetches are kept small and slow, so that a run has many epochs and there is a middle to be killed in.
  private func writeConfiguration(_ stream: CrashStream, _ delivery: CrashDelivery, _ member: Int) throws {
    try scratch.write(
      "tidewatch-\(member).yaml",
      """
      kafka:
        bootstrap: '\(bootstrap)'
        group: '\(name)'
        instance: crash-\(member)
        properties:
          session.timeout.ms: \(sessionMilliseconds)
          heartbeat.interval.ms: 500
          fetch.message.max.bytes: \(max(1_024, stream.records.count / 2))
          fetch.min.bytes: 1000000
          fetch.wait.max.ms: 60
      inputs: [{ topic: '\(input)' }]
      outputs:
        tag_changes: { topic: '\(topic(.tags))' }
        churn_alerts: { topic: '\(topic(.alerts))' }
        customer_profiles: { topic: '\(topic(.profiles))', enabled: true }
        dead_letters: { topic: '\(topic(.dead))' }
      delivery: \(delivery.rawValue)
      clock: \(options.clock)
      epoch: { interval: 50ms, max_events: \(max(1, stream.records.count / options.epochs)) }
      state: { dir: '\(stateDirectory)', rewrite_min: 64KiB, rewrite_ratio: 1.5\(options.state) }
      admin: { listen: \(options.admin) }
      rules: tags.yaml
      \(stream.configuration)
      \(options.more)
      """)
  }

  private func createTopics() throws {
    if let embedded {
      for topic in topics {
        try embedded.createTopic(topic, partitionCount: topic == input ? partitions : outputPartitions)
      }
      return
    }
    let admin = try Admin(client())
    let results = try admin.createTopics(
      topics.map { TopicSpecification(name: $0, partitionCount: partitions, replicationFactor: 1) },
      timeoutMilliseconds: 60_000)
    for result in results { if let error = result.error { throw error } }
    try admin.waitForTopics(topics, partitionCount: partitions, timeoutMilliseconds: 60_000)
  }

  /// Produces in order; small batches, for a broker returns whole ones. The embedded broker is slow only afterwards: it
  /// does not keep fetches waiting as the real one does, and a run must have a middle.
  ///
  /// Each goes where its key belongs by hand, and where they are is checked: a producer that has seen but some partitions
  /// of a new topic puts records elsewhere.
  ///
  /// - Parameter partitionCount: of the topic, when that was changed.
  func produce(_ records: some Collection<CrashRecord>, partitionCount: Int32? = nil) throws {
    let partitionCount = partitionCount ?? partitions
    let before = try logEnds(partitionCount)
    try embedded?.setRoundTrip(milliseconds: 0, broker: 1)
    defer { try? embedded?.setRoundTrip(milliseconds: 5, broker: 1) }
    let producer = try Producer(
      client(["batch.num.messages": String(max(1, records.count / 600))]), ProducerOptions(.idempotent))
    let topic = try producer.topic(input)
    var expected = before
    let deadline = Date() + 60
    for record in records {
      let partition = record.partition(of: partitionCount)
      expected[Int(partition)] += 1
      func send(_ key: UnsafeRawBufferPointer?, _ value: UnsafeRawBufferPointer) throws {
        while true {
          do throws(KafkaError) {
            return try producer.produce(to: topic, partition: partition, key: key, value: value)
          } catch {
            guard error.code == .unknownPartition, Date() < deadline else { throw error }
            producer.poll(timeoutMilliseconds: 50)
          }
        }
      }
      try Array(record.value.utf8).withUnsafeBytes { value in
        guard let key = record.key else { return try send(nil, value) }
        try Array(key.utf8).withUnsafeBytes { try send($0, value) }
      }
    }
    try producer.flush(timeoutMilliseconds: 120_000)
    let report = producer.takeDeliveryReport()
    guard report.failed == 0, report.delivered == records.count else {
      throw BinaryError(description: "not all records were produced: \(report)")
    }
    let ends = try logEnds(partitionCount)
    guard ends == expected else {
      throw BinaryError(description: "\(input) ends at \(ends) and not at \(expected) after all was acknowledged")
    }
    produced += records.count
  }

  /// The end offset of each partition of the input.
  func logEnds(_ partitionCount: Int32) throws -> [Int64] {
    let deadline = Date() + 60
    func end(_ partition: Int32) throws -> Int64 {
      while true {
        do throws(KafkaError) {
          return try watcher?.watermarks(of: TopicPartition(input, partition), timeoutMilliseconds: 20_000).latest ?? 0
        } catch {
          guard error.isRetriable || error.code == .unknownPartition, Date() < deadline else { throw error }
          // Partitions that were added: the client knows the topic as it was until it asks again.
          _ = try? watcher?.topicMetadata([input], timeoutMilliseconds: 5_000)
          usleep(100_000)
        }
      }
    }
    return try (0..<partitionCount).map { try end($0) }
  }

  /// One record, however large; the broker sees it compressed.
  func produceLarge(key: String, byte: UInt8, count: Int) throws {
    let producer = try Producer(
      client(["message.max.bytes": String(count + 100_000), "compression.type": "lz4"]), ProducerOptions(.idempotent))
    let topic = try producer.topic(input)
    try [UInt8](repeating: byte, count: count).withUnsafeBytes { value in
      try Array(key.utf8).withUnsafeBytes { try producer.produce(to: topic, key: $0, value: value) }
    }
    try producer.flush(timeoutMilliseconds: 60_000)
    let report = producer.takeDeliveryReport()
    guard report.delivered == 1 else { throw BinaryError(description: "not produced: \(report)") }
    produced += 1
  }

  func start(_ arguments: [String], member: Int = 0, clock: SettableClock? = nil) throws -> DaemonProcess {
    try DaemonProcess(
      ["run", "--config", configurationPath(member)] + arguments, logs: scratch, environment: clock?.environment ?? [:])
  }

  /// The committed offset of each partition, 0 where there is none; nil while the broker does not say.
  func committedByPartition() -> [Int64]? {
    let all = (0..<partitions).map { TopicPartition(input, $0) }
    guard let found = try? watcher?.committed(for: all, timeoutMilliseconds: 150) else { return nil }
    return all.map { partition in found.first { $0.partition == partition }?.committed?.offset ?? 0 }
  }

  /// How many input records are behind the committed offsets; nil while the broker does not say, as between the offsets and
  /// the commit of a transaction.
  func committedRecords() -> Int64? {
    let all = (0..<partitions).map { TopicPartition(input, $0) }
    guard let committed = try? watcher?.committed(for: all, timeoutMilliseconds: 150) else { return nil }
    return committed.reduce(0) { $0 + ($1.committed?.offset ?? 0) }
  }

  /// Commits offsets as an operator's tool would, while nobody is in the group.
  func commit(_ offsets: [PartitionOffset]) throws { try watcher?.commitSync(offsets, timeoutMilliseconds: 20_000) }
  func committed() throws -> [CommittedOffset] {
    try watcher?.committed(for: (0..<partitions).map { TopicPartition(input, $0) }, timeoutMilliseconds: 20_000) ?? []
  }

  /// Everything in an output topic, each partition in order, under read_committed.
  func read(_ output: Output) throws -> [CrashOutput] { try read(topic(output), partitionCount: outputPartitions) }
  func readInput() throws -> [CrashOutput] { try read(input, partitionCount: partitions) }

  private func read(_ topic: String, partitionCount: Int32) throws -> [CrashOutput] {
    let consumer = try Consumer(client(), ConsumerOptions(groupID: name + "-reader"))
    let all = (0..<partitionCount).map { TopicPartition(topic, $0) }
    let earliest = try consumer.earliestOffsets(of: all, timeoutMilliseconds: 20_000)
    guard earliest.allSatisfy({ $0.offset == 0 }) else {
      throw BinaryError(description: "the broker has dropped records of \(topic) before they were compared")
    }
    try consumer.assign(earliest)
    var batch = MessageBatch()
    var outputs: [CrashOutput] = []
    var ended = Set<Int32>()
    let deadline = Date() + 120
    while ended.count < all.count {
      guard Date() < deadline else { throw BinaryError(description: "\(topic) could not be read within two minutes") }
      _ = try consumer.poll(into: &batch, timeoutMilliseconds: 200)
      for index in 0..<batch.count {
        let item = batch[index]
        if item.kind == .endOfPartition { ended.insert(item.partition) }
        guard item.isRecord else { continue }
        var id = ""
        item.forEachHeader { name, value in if name.elementsEqual("ce_id".utf8) { id = text(value) } }
        outputs.append(CrashOutput(id: id, key: text(item.key), value: text(item.value)))
      }
    }
    batch.release()
    try consumer.close()
    return outputs
  }

  private func text(_ bytes: UnsafeRawBufferPointer?) -> String {
    bytes.map { String(decoding: $0, as: UTF8.self) } ?? ""
  }
}
