// The workload into a Kafka topic: keyed by customer, partitioned as Java clients do.

import Events
import Glibc
import Kafka

/// Where the workload goes.
public struct KafkaLoadOptions: Sendable {
  public var bootstrap: String
  public var topic: String
  /// Of a topic that has to be created; one that is there must have as many.
  public var partitions: Int32 = 4
  /// -1 for the cluster's default.
  public var replication: Int32 = -1
  /// Events a second; nil for as many as the broker takes.
  public var rate: Double?
  /// Any other librdkafka properties.
  public var properties: [String: String] = [:]

  public init(bootstrap: String, topic: String) {
    self.bootstrap = bootstrap
    self.topic = topic
  }
}

/// Why the workload could not be produced.
public struct LoadError: Error, CustomStringConvertible {
  public let description: String
  public init(_ description: String) { self.description = description }
}

/// Produces lines. Confined to one thread, for its calls block.
public final class KafkaLoad {
  private let producer: Producer
  private let topic: ProducerTopic
  private let line = UnsafeMutablePointer<UInt8>.allocate(capacity: LoadGenerator.maxLineBytes)
  private var delivered = 0
  private let name: String

  /// Connects, and creates the topic if it is missing.
  /// - Throws: `LoadError` when the topic has another number of partitions, `KafkaError`.
  public init(_ options: KafkaLoadOptions) throws {
    name = options.topic
    let kafka = try KafkaConfiguration(
      bootstrapServers: options.bootstrap, clientID: "tidewatch-loadgen", properties: options.properties)
    try Self.makeTopic(kafka, options)
    var settings = ProducerOptions(.idempotent)
    settings.lingerMilliseconds = options.rate == nil ? 50 : 5
    producer = try Producer(kafka, settings)
    topic = try producer.topic(options.topic)
  }

  deinit { line.deallocate() }

  private static func makeTopic(_ kafka: KafkaConfiguration, _ options: KafkaLoadOptions) throws {
    let admin = try Admin(kafka)
    func found() throws(KafkaError) -> Int32? {
      guard let topic = try admin.topicMetadata([options.topic], timeoutMilliseconds: 10_000).first, topic.exists else {
        return nil
      }
      return topic.partitionCount
    }
    if try found() == nil {
      let wanted = TopicSpecification(
        name: options.topic, partitionCount: options.partitions, replicationFactor: options.replication)
      for result in try admin.createTopics([wanted], timeoutMilliseconds: 30_000) {
        if let error = result.error, error.code != .topicAlreadyExists { throw error }
      }
    }
    // More than were asked for will not become fewer; fewer may still be on their way.
    let mayComplete = try (found() ?? 0) <= options.partitions
    do throws(KafkaError) {
      try admin.waitForTopics(
        [options.topic], partitionCount: options.partitions, timeoutMilliseconds: mayComplete ? 30_000 : 0)
    } catch {
      guard error.code == .timedOut, let seen = try found() else { throw error }
      throw LoadError(
        "topic \(options.topic) has \(seen) partitions and --partitions says \(options.partitions); "
          + "give --partitions \(seen), or another --topic")
    }
  }

  /// Produces the rest of a workload, at the pace asked for.
  /// - Parameter progress: called now and then with the number of lines made; false stops.
  public func produce(
    _ generator: inout LoadGenerator, rate: Double?, progress: (Int) -> Bool
  ) throws {
    var pace = Pace(perSecond: rate, now: monotonicSeconds())
    var sinceReport = 0
    while !generator.isAtEnd {
      let count = pace.take(limit: 512, now: monotonicSeconds())
      if count == 0 {
        producer.poll(timeoutMilliseconds: 1)
        continue
      }
      for _ in 0..<count where !generator.isAtEnd {
        let made = generator.next(into: line)
        try produce(UnsafeRawBufferPointer(start: line, count: made.length), key: made.key)
      }
      producer.poll()
      sinceReport += count
      if sinceReport >= 8_192 {
        sinceReport = 0
        try checkDelivery()
        if !progress(generator.made) { break }
      }
    }
    try finish()
  }

  /// Hands one line to the client.
  public func produce(_ line: UnsafeRawBufferPointer, key: Range<Int>) throws(KafkaError) {
    try producer.produce(to: topic, key: UnsafeRawBufferPointer(rebasing: line[key]), value: line)
  }

  /// Serves the client.
  public func poll(milliseconds: Int32 = 0) { producer.poll(timeoutMilliseconds: milliseconds) }

  /// Waits until the broker has everything.
  /// - Throws: `LoadError` when it has refused some.
  public func finish() throws {
    try producer.flush(timeoutMilliseconds: 120_000)
    try checkDelivery()
  }

  private func checkDelivery() throws {
    let report = producer.takeDeliveryReport()
    delivered += report.delivered
    if let place = report.firstUnconfirmed {
      throw LoadError(
        "\(report.unconfirmed) events may not have been delivered to \(place): the broker took later ones before it was ready "
          + "for these, as a new topic's may. Send everything again to another topic")
    }
    guard report.failed > 0 else { return }
    let reason = report.firstFailure.map { "\($0.partition): \($0.error)" } ?? "no reason was given"
    throw LoadError("\(report.failed) events were not delivered to \(name): \(reason)")
  }
}

/// Seconds of the monotonic clock.
public func monotonicSeconds() -> Double {
  var time = timespec()
  clock_gettime(CLOCK_MONOTONIC, &time)
  return Double(time.tv_sec) + Double(time.tv_nsec) * 1e-9
}
