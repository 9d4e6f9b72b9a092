// What the Kafka tests share. They run one after the other: each blocks, and brokers dislike being hurried.

import Kafka
import Testing

/// The parent of all suites here, so that they run one at a time.
@Suite(.serialized) struct KafkaTests {}

struct TestFailure: Error, CustomStringConvertible {
  var description: String
  init(_ description: String) { self.description = description }
}

/// A record as plain values.
struct Record: Hashable {
  var partition: Int32
  var offset: Int64
  var key: String?
  var value: String?
}

extension BatchItem {
  var record: Record { Record(partition: partition, offset: offset, key: key.text, value: value.text) }
}

extension UnsafeRawBufferPointer? {
  var text: String? { self.map { String(decoding: $0, as: UTF8.self) } }
}

extension String {
  func withBytes<R, E: Error>(_ body: (UnsafeRawBufferPointer) throws(E) -> R) throws(E) -> R {
    var result: Result<R, E>?
    var copy = self
    copy.withUTF8 { bytes in
      do throws(E) { result = .success(try body(UnsafeRawBufferPointer(bytes))) } catch { result = .failure(error) }
    }
    return try result.unsafelyUnwrapped.get()
  }
}

extension Producer {
  func send(_ topic: String, _ partition: Int32? = nil, key: String?, value: String) throws(KafkaError) {
    let opened = try self.topic(topic)
    try value.withBytes { (value) throws(KafkaError) in
      guard let key else { return try produce(to: opened, partition: partition, key: nil, value: value) }
      try key.withBytes { (key) throws(KafkaError) in
        try produce(to: opened, partition: partition, key: key, value: value)
      }
    }
  }

  /// Produces values, and returns when they are delivered.
  func sendAll(_ topic: String, _ partition: Int32, _ values: [String]) throws {
    for value in values { try send(topic, partition, key: value, value: value) }
    try flush(timeoutMilliseconds: 30_000)
    let report = takeDeliveryReport()
    guard report.failed == 0, report.delivered == values.count else { throw TestFailure("not delivered: \(report)") }
  }
}

extension Consumer {
  /// Polls until `visit` says that it has seen enough; throws when that takes longer than a minute.
  func pollUntil(
    _ what: String, visit: (BatchItem) throws -> Bool, rebalance: (RebalanceEvent) throws -> Bool = { _ in false }
  ) throws {
    var batch = MessageBatch()
    let end = ContinuousClock.now + .seconds(60)
    var isDone = false
    while !isDone {
      guard .now < end else { throw TestFailure("no \(what) within a minute; events: \(drainEvents().events)") }
      let events = try poll(into: &batch, timeoutMilliseconds: 100)
      for index in 0..<batch.count where try visit(batch[index]) { isDone = true }
      for event in events where try rebalance(event) { isDone = true }
    }
  }

  /// Reads one partition from an offset to its end: the records, and the end offset that was reported.
  func readToEnd(_ partition: TopicPartition, from offset: Int64 = 0) throws -> (records: [Record], end: Int64) {
    try assign([PartitionOffset(partition, offset: offset)])
    var records: [Record] = []
    var end: Int64 = -1
    try pollUntil("end of \(partition)") { item in
      switch item.kind {
      case .record: records.append(item.record)
      case .endOfPartition:
        end = item.offset
        return true
      case .outOfRange, .failure:
        if let error = item.error, !error.isRetriable { throw error }
      }
      return false
    }
    return (records, end)
  }

  /// Polls until the group has assigned partitions, and accepts them at offset 0 of each.
  @discardableResult
  func join() throws -> [TopicPartition] {
    var mine: [TopicPartition] = []
    try pollUntil("assignment") { _ in
      false
    } rebalance: { event in
      switch event {
      case .assigned(let partitions):
        mine = partitions
        try assign(partitions.map { PartitionOffset($0, offset: 0) })
        return true
      case .revoked, .lost:
        try unassign()
        return false
      }
    }
    return mine
  }
}

extension TestBroker {
  func consumer(group: String? = nil, instance: String? = nil, sessionTimeoutMilliseconds: Int = 6_000) throws
    -> Consumer
  {
    var options = ConsumerOptions(groupID: group ?? Self.uniqueName("group"), groupInstanceID: instance)
    options.sessionTimeoutMilliseconds = sessionTimeoutMilliseconds
    return try Consumer(configuration(), options)
  }

  func producer(_ delivery: ProducerOptions.Delivery = .idempotent) throws -> Producer {
    try Producer(configuration(), ProducerOptions(delivery))
  }

  /// A new topic with a name of its own.
  func newTopic(_ prefix: String, partitionCount: Int32 = 1) throws -> String {
    let name = Self.uniqueName(prefix)
    try createTopic(name, partitionCount: partitionCount)
    return name
  }
}
