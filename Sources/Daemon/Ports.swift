// What the shell needs of the outside: Kafka and the wall. Behind protocols, at batch and epoch granularity, so that a
// simulator can stand in for both. (The disk's own is `Checkpoint.Disk`.)

import Customers
import Engine
import Events
import Handoff
import Kafka

/// Called for a record that is some records ahead.
public typealias LookAhead = (
  _ partition: Int32, _ key: UnsafeRawBufferPointer, PrefetchStep, _ hash: inout CustomerHash?
) -> Void

/// One item of a poll; its buffers are valid during the callback only.
public struct InputItem {
  public enum Kind: Sendable {
    case record
    /// Everything has been read; `offset` is where the next record will be.
    case end
    /// `offset` is not there any more.
    case outOfRange
    /// See `failure`. Without a topic (`topic` is -1) it concerns the consumer as a whole.
    case failure
  }
  public var kind: Kind
  /// Index into the subscribed topics.
  public var topic: Int
  public var partition: Int32
  public var offset: Int64
  public var key: UnsafeRawBufferPointer?
  public var value: UnsafeRawBufferPointer?
  /// Of the key, where it was made ahead of the record's turn.
  public var hash: CustomerHash?
  /// The broker's (or producer's) time of the record.
  public var timestamp: Instant?
  public var failure: KafkaError?
  /// Of a record: an operator has told us to pass over it, so it becomes a dead letter with its bytes unread.
  public var isSkipped = false

  public init(
    kind: Kind, topic: Int, partition: Int32, offset: Int64, key: UnsafeRawBufferPointer? = nil,
    value: UnsafeRawBufferPointer? = nil, hash: CustomerHash? = nil, timestamp: Instant? = nil,
    failure: KafkaError? = nil
  ) {
    self.kind = kind
    self.topic = topic
    self.partition = partition
    self.offset = offset
    self.key = key
    self.value = value
    self.hash = hash
    self.timestamp = timestamp
    self.failure = failure
  }
}

/// Which member of which generation we were when an assignment was accepted; opaque to the shell.
public protocol GroupMembership: Sendable {}
extension GroupMetadata: GroupMembership {}

/// Commits offsets outside of a transaction. Called by the committer's thread while the data plane's polls the same consumer:
/// librdkafka takes that call from any thread.
public protocol OffsetCommitPort: AnyObject {
  func commitSync(_ offsets: [PartitionOffset], timeoutMilliseconds: Int32) throws(KafkaError)
}

/// One member of a consumer group; but for `commitSync`, confined to the data-plane thread.
public protocol ConsumerPort: OffsetCommitPort {
  func subscribe(to topics: [String], timeoutMilliseconds: Int32) throws(KafkaError) -> [TopicMetadata]
  /// Calls `body` for each item, then returns the rebalances to answer, in order. The items belong to the assignment that
  /// was in force before them.
  func poll(timeoutMilliseconds: Int32, _ body: (InputItem) -> Void) throws(KafkaError) -> [RebalanceEvent]
  /// Likewise, and shows each record's key some records before its turn, so that what it needs can be asked for: once for
  /// each `PrefetchStep`, in that order. The hash is nil at first, kept from step to step, and given to `body`.
  func poll(timeoutMilliseconds: Int32, ahead: LookAhead, _ body: (InputItem) -> Void) throws(KafkaError)
    -> [RebalanceEvent]
  func assign(_ offsets: [PartitionOffset]) throws(KafkaError)
  func unassign() throws(KafkaError)
  func captureMembership() throws(KafkaError) -> any GroupMembership
  func committed(for partitions: [TopicPartition], timeoutMilliseconds: Int32) throws(KafkaError) -> [CommittedOffset]
  func earliestOffsets(of partitions: [TopicPartition], timeoutMilliseconds: Int32) throws(KafkaError)
    -> [PartitionOffset]
  func watermarks(of partition: TopicPartition, timeoutMilliseconds: Int32) throws(KafkaError) -> Watermarks
  func drainEvents() -> [ClientEvent]
  func close() throws(KafkaError)
}

/// One record to be produced; buffers are copied by the call.
public struct OutputRecord {
  public var topic: String
  public var key: UnsafeRawBufferPointer?
  /// nil: in a compacted topic the key is to be forgotten.
  public var value: UnsafeRawBufferPointer?
  /// Name and value of each header.
  public var headers: [(name: StaticString, value: UnsafeRawBufferPointer)]

  package init(
    topic: String, key: UnsafeRawBufferPointer?, value: UnsafeRawBufferPointer?,
    headers: [(name: StaticString, value: UnsafeRawBufferPointer)]
  ) {
    self.topic = topic
    self.key = key
    self.value = value
    self.headers = headers
  }
}

/// The one producer of the process; confined to the committer's thread.
public protocol ProducerPort: AnyObject {
  func initTransactions(timeoutMilliseconds: Int32) -> TransactionOutcome
  func beginTransaction() -> TransactionOutcome
  func produce(_ record: OutputRecord) throws(KafkaError)
  func sendOffsets(_ offsets: [PartitionOffset], membership: any GroupMembership, timeoutMilliseconds: Int32)
    -> TransactionOutcome
  func commitTransaction(timeoutMilliseconds: Int32) -> TransactionOutcome
  func abortTransaction(timeoutMilliseconds: Int32) -> TransactionOutcome
  func flush(timeoutMilliseconds: Int32) throws(KafkaError)
  /// Without transactions (an abort does it there): what was produced and is not acknowledged is given up. What was not
  /// sent yet never will be; what is on its way may still arrive.
  /// - Throws: when the producer cannot be made ready for what comes next: end the process.
  func discardUnacknowledged() throws(KafkaError)
  func takeDeliveryReport() -> DeliveryReport
  var fatalError: KafkaError? { get }
  func drainEvents() -> [ClientEvent]
}

/// Starts the threads of one process and lets them wait for each other: the system's threads, or those of a simulator that
/// decides which one runs.
public protocol Threads: Sendable {
  /// - Parameter name: for the message when it cannot be started.
  /// - Throws: when the system has no thread left.
  func start(_ name: String, _ body: @escaping @Sendable () -> Void) throws(ThreadError) -> any RunningThread
  func makeSignal() -> any Signal
}

/// A thread that was started; to be joined exactly once.
public protocol RunningThread: Sendable {
  /// Waits for its end.
  func join()
}

/// What one thread waits for and others ring. It remembers one ring, so one that comes before the wait is not missed.
public protocol Signal: Sendable {
  func notify()
  /// Returns after a ring, or when the time is over.
  func wait(milliseconds: Int32)
}

/// The clocks and the waiting of a process; for all its threads.
public protocol Wall: AnyObject, Sendable {
  var now: Instant { get }
  /// Microseconds that only rise, for deadlines.
  var monotonicMicroseconds: Int64 { get }
  func sleep(milliseconds: Int32)
}

extension ConsumerPort {
  /// Where nothing is gained by it.
  public func poll(timeoutMilliseconds: Int32, ahead: LookAhead, _ body: (InputItem) -> Void) throws(KafkaError)
    -> [RebalanceEvent]
  { try poll(timeoutMilliseconds: timeoutMilliseconds, body) }
}
