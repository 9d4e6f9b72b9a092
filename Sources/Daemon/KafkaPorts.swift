// The real ports: librdkafka's clients and the system's clocks.

import Customers
import Engine
import Events
import Glibc
import Kafka

/// A consumer and its one reusable batch.
final class KafkaConsumerPort: ConsumerPort {
  private let consumer: Consumer
  private var batch = MessageBatch(capacity: 10_000)

  private var isAssigned = false
  /// When an assignment took the place of another, monotonic microseconds.
  private var replacedAt = Int64.min / 2

  init(_ consumer: Consumer) { self.consumer = consumer }

  /// librdkafka (2.0.2, at least) aborts the process, `rd_kafka_assignment_partition_stopped: Assertion
  /// rktp->rktp_started`, when partitions are taken away again before those of a replaced assignment have stopped. It does
  /// not tell when they have; its main thread needs milliseconds. An abort followed by a revoke came to this.
  private func letPartitionsStop() {
    let left = replacedAt + 300_000 - SystemWall.microseconds(CLOCK_MONOTONIC)
    if left > 0 { usleep(UInt32(left)) }
  }

  func subscribe(to topics: [String], timeoutMilliseconds: Int32) throws(KafkaError) -> [TopicMetadata] {
    try consumer.subscribe(to: topics, timeoutMilliseconds: timeoutMilliseconds)
  }

  func poll(timeoutMilliseconds: Int32, _ body: (InputItem) -> Void) throws(KafkaError) -> [RebalanceEvent] {
    try poll(timeoutMilliseconds: timeoutMilliseconds, ahead: { _, _, _, _ in }, body)
  }

  /// Records from one step to the next, and to the record's turn: at some hundred nanoseconds a record more than memory
  /// needs to answer, and few enough to stay in the nearest cache.
  private static let stride = 6

  func poll(timeoutMilliseconds: Int32, ahead: LookAhead, _ body: (InputItem) -> Void) throws(KafkaError)
    -> [RebalanceEvent]
  {
    let events = try consumer.poll(into: &batch, timeoutMilliseconds: timeoutMilliseconds)
    // Of the records between their first step and their turn, by their place in the batch modulo the capacity.
    withUnsafeTemporaryAllocation(of: CustomerHash?.self, capacity: 4 * Self.stride) { hashes in
      hashes.initialize(repeating: nil)
      visit(ahead, hashes, body)
    }
    batch.release()
    return events
  }

  private func visit(
    _ ahead: LookAhead, _ hashes: UnsafeMutableBufferPointer<CustomerHash?>, _ body: (InputItem) -> Void
  ) {
    func look(_ place: Int, _ step: PrefetchStep) {
      guard place < batch.count else { return }
      if step == .index { hashes[place % hashes.count] = nil }
      if let key = batch[place].key { ahead(batch[place].partition, key, step, &hashes[place % hashes.count]) }
    }
    for place in 0..<3 * Self.stride { look(place, .index) }
    for index in 0..<batch.count {
      batch.prefetch(index + 5 * Self.stride)
      batch.prefetchContents(index + 4 * Self.stride)
      look(index + 3 * Self.stride, .index)
      look(index + 2 * Self.stride, .place)
      look(index + Self.stride, .record)
      let item = batch[index]
      if item.isRecord {
        body(
          InputItem(
            kind: .record, topic: item.topicIndex, partition: item.partition, offset: item.offset, key: item.key,
            value: item.value, hash: hashes[index % hashes.count],
            timestamp: item.timestampMilliseconds.map { Instant(microseconds: $0 &* 1_000) }))
      } else {
        let kind: InputItem.Kind =
          switch item.kind {
          case .endOfPartition: .end
          case .outOfRange: .outOfRange
          default: .failure
          }
        body(
          InputItem(
            kind: kind, topic: item.topicIndex, partition: item.partition, offset: item.offset, failure: item.error))
      }
    }
  }

  func assign(_ offsets: [PartitionOffset]) throws(KafkaError) {
    letPartitionsStop()
    if isAssigned { replacedAt = SystemWall.microseconds(CLOCK_MONOTONIC) }
    isAssigned = true
    try consumer.assign(offsets)
  }
  func unassign() throws(KafkaError) {
    letPartitionsStop()
    isAssigned = false
    try consumer.unassign()
  }
  func captureMembership() throws(KafkaError) -> any GroupMembership { try consumer.groupMetadata() }
  func committed(for partitions: [TopicPartition], timeoutMilliseconds: Int32) throws(KafkaError) -> [CommittedOffset] {
    try consumer.committed(for: partitions, timeoutMilliseconds: timeoutMilliseconds)
  }
  func commitSync(_ offsets: [PartitionOffset], timeoutMilliseconds: Int32) throws(KafkaError) {
    try consumer.commitSync(offsets, timeoutMilliseconds: timeoutMilliseconds)
  }
  func earliestOffsets(of partitions: [TopicPartition], timeoutMilliseconds: Int32) throws(KafkaError)
    -> [PartitionOffset]
  { try consumer.earliestOffsets(of: partitions, timeoutMilliseconds: timeoutMilliseconds) }
  func watermarks(of partition: TopicPartition, timeoutMilliseconds: Int32) throws(KafkaError) -> Watermarks {
    try consumer.watermarks(of: partition, timeoutMilliseconds: timeoutMilliseconds)
  }
  func drainEvents() -> [ClientEvent] { consumer.drainEvents().events }
  func close() throws(KafkaError) {
    letPartitionsStop()
    try consumer.close()
  }
}

/// A producer, its opened topics and its one reusable list of headers.
package final class KafkaProducerPort: ProducerPort {
  private let makeProducer: () throws(KafkaError) -> Producer
  private var producer: Producer
  private var headers = RecordHeaders(capacity: 1_024)
  /// Of producers that were replaced.
  private var earlierEvents: [ClientEvent] = []

  /// - Parameter makeProducer: called at once, and for each producer that takes another's place.
  package init(_ makeProducer: @escaping () throws(KafkaError) -> Producer) throws(KafkaError) {
    self.makeProducer = makeProducer
    producer = try makeProducer()
  }

  package func initTransactions(timeoutMilliseconds: Int32) -> TransactionOutcome {
    producer.initTransactions(timeoutMilliseconds: timeoutMilliseconds)
  }
  package func beginTransaction() -> TransactionOutcome { producer.beginTransaction() }

  package func produce(_ record: OutputRecord) throws(KafkaError) {
    let topic = try producer.topic(record.topic)
    headers.removeAll()
    for header in record.headers { headers.append(header.name, header.value) }
    // Short: the caller retries, and feeds the watchdog in between.
    try producer.produce(
      to: topic, key: record.key, value: record.value, headers: headers, queueTimeoutMilliseconds: 1_000)
  }

  package func sendOffsets(_ offsets: [PartitionOffset], membership: any GroupMembership, timeoutMilliseconds: Int32)
    -> TransactionOutcome
  {
    guard let group = membership as? GroupMetadata else {
      return .fatal(
        KafkaError(.invalidArgument, during: "send offsets", reason: "membership of another kind of client"))
    }
    return producer.sendOffsets(offsets, groupMetadata: group, timeoutMilliseconds: timeoutMilliseconds)
  }
  package func commitTransaction(timeoutMilliseconds: Int32) -> TransactionOutcome {
    producer.commitTransaction(timeoutMilliseconds: timeoutMilliseconds)
  }
  package func abortTransaction(timeoutMilliseconds: Int32) -> TransactionOutcome {
    producer.abortTransaction(timeoutMilliseconds: timeoutMilliseconds)
  }
  package func flush(timeoutMilliseconds: Int32) throws(KafkaError) {
    try producer.flush(timeoutMilliseconds: timeoutMilliseconds)
  }
  /// By a new producer in the old one's place. librdkafka's purge alone would not do: an idempotent producer counts its
  /// records, and those taken out of the queue leave a gap in the count that the broker does not accept.
  package func discardUnacknowledged() throws(KafkaError) {
    guard producer.outstandingCount > 0 else { return }
    let new = try makeProducer()
    producer.purge()
    earlierEvents = drainEvents()
    producer = new
  }
  package func takeDeliveryReport() -> DeliveryReport { producer.takeDeliveryReport() }
  package var fatalError: KafkaError? { producer.fatalError }
  package func drainEvents() -> [ClientEvent] {
    producer.poll()
    defer { earlierEvents = [] }
    return earlierEvents + producer.drainEvents().events
  }
}

/// The system's clocks.
package final class SystemWall: Wall {
  package init() {}
  package var now: Instant { Instant(microseconds: Self.microseconds(CLOCK_REALTIME)) }
  package var monotonicMicroseconds: Int64 { Self.microseconds(CLOCK_MONOTONIC) }
  package func sleep(milliseconds: Int32) { usleep(UInt32(max(0, milliseconds)) * 1_000) }

  static func microseconds(_ clock: clockid_t) -> Int64 {
    var time = timespec()
    clock_gettime(clock, &time)
    return Int64(time.tv_sec) * 1_000_000 + Int64(time.tv_nsec) / 1_000
  }
}
