// A Kafka cluster in memory: topics, one consumer group with its committed offsets, transactions. What the brokers know;
// the clients are `ModelConsumer` and `ModelProducer`. After Apache Kafka 4.0 as far as Tidewatch can tell the difference.

import CheckpointTesting
import Daemon
import Events
import Kafka

/// The brokers. Not thread-safe: guarded by the scheduler's token.
package final class ModelKafka {
  package struct Record {
    package var offset: Int64
    package var key: [UInt8]?
    package var value: [UInt8]
    package var timestamp: Instant
  }

  /// One partition of an input topic. Offsets have gaps where transaction markers lie.
  package struct Log {
    package var records: [Record] = []
    package var end: Int64 = 0
    /// Below this, records were deleted by retention.
    package var earliest: Int64 = 0

    /// Index of the first record at or after `offset`.
    package func index(of offset: Int64) -> Int {
      var low = 0
      var high = records.count
      while low < high {
        let middle = (low + high) / 2
        if records[middle].offset < offset { low = middle + 1 } else { high = middle }
      }
      return low
    }
  }

  /// One record of an output topic.
  package struct Output: Hashable {
    package var topic: String
    package var key: [UInt8]
    package var value: [UInt8]
    /// `ce_id`
    package var id: String
    package var headers: [[UInt8]]
  }

  enum Visibility {
    case pending, visible, aborted
  }

  package let topics: [String]
  package let partitions: Int32
  package let journal: Journal
  var random: SeededGenerator

  package var logs: [TopicPartition: Log] = [:]
  private(set) var outputs: [(output: Output, visibility: Visibility)] = []
  package internal(set) var committed: [TopicPartition: PartitionOffset] = [:]
  var transactions: [String: ModelTransactions] = [:]
  private(set) lazy var group = ModelGroup(self)

  package var faults = NetworkFaults()
  /// No broker can be reached.
  package var isAway = false
  package var coordinatorAwayUntil: Int64 = .min
  /// Of the topics that are written; the others can be read.
  package var outputsAwayUntil: Int64 = .min
  /// Called with the offsets of each commit at the moment it is decided.
  package var onCommit: ([PartitionOffset], Membership) -> Void = { _, _ in }

  private let clock: () -> Int64
  private(set) var now: Int64 = 0
  private var events = EventQueue()
  private var producers = 0

  /// - Parameter clock: the simulated time in microseconds.
  package init(
    topics: [String], partitions: Int32, seed: UInt64, journal: Journal, clock: @escaping () -> Int64
  ) {
    self.topics = topics
    self.partitions = partitions
    self.journal = journal
    self.clock = clock
    random = SeededGenerator(seed: seed ^ 0x6B61_666B_61)
    now = clock()
    for partition in all { logs[partition] = Log() }
  }

  /// Every partition of every input topic.
  package var all: [TopicPartition] { topics.flatMap { topic in (0..<partitions).map { TopicPartition(topic, $0) } } }

  // MARK: Time

  func draw(_ range: ClosedRange<Int64>) -> Int64 { Int64.random(in: range, using: &random) }
  func chance(permille: Int) -> Bool { permille > 0 && Int.random(in: 0..<1_000, using: &random) < permille }

  /// Something that happens in the cluster at a simulated instant.
  package func at(_ time: Int64, _ body: @escaping () -> Void) { events.push(max(time, now), body) }

  /// When something happens next.
  package var nextEvent: Int64? { events.first }

  /// Carries out what has become due. Called at the beginning of every call of a client.
  package func advance() {
    let end = clock()
    while let time = events.first, time <= end, let body = events.pop() {
      now = max(now, time)
      body()
    }
    now = end
  }

  /// At the end of a run: what was still to happen never does. It knows the brokers and those who asked, and would keep them
  /// all, with everything they hold, for as long as the process lives.
  func dissolve() {
    onCommit = { _, _ in }
    events = EventQueue()
    group.dissolve()
  }

  // MARK: Inputs

  /// Appends a record, after a gap of `markers` offsets.
  package func append(_ partition: TopicPartition, key: [UInt8]?, value: [UInt8], timestamp: Instant, markers: Int64) {
    guard var log = logs.removeValue(forKey: partition) else { return }
    let offset = log.end + markers
    log.records.append(Record(offset: offset, key: key, value: value, timestamp: timestamp))
    log.end = offset + 1
    logs[partition] = log
  }

  /// A transaction marker at the end: the next offset moves, there is nothing to read.
  package func appendMarker(_ partition: TopicPartition) { logs[partition]?.end += 1 }

  /// Retention deletes everything below `offset`.
  package func expire(_ partition: TopicPartition, below offset: Int64) {
    guard let log = logs[partition], offset > log.earliest, offset <= log.end else { return }
    journal.note("fault: retention")
    logs[partition]?.earliest = offset
  }

  // MARK: Outputs

  /// Returns the place of the new record.
  func append(_ output: Output, _ visibility: Visibility) -> Int {
    outputs.append((output, visibility))
    return outputs.count - 1
  }

  func show(_ places: [Int], _ visibility: Visibility) {
    for place in places { outputs[place].visibility = visibility }
  }

  /// What a reader under read_committed gets in the end, in the order of the topics' logs.
  package var visibleOutputs: [Output] { outputs.lazy.filter { $0.visibility == .visible }.map(\.output) }

  /// Records of transactions that have not ended.
  package var hasPendingOutputs: Bool {
    transactions.values.contains { transaction in
      if case .ended = transaction.state { false } else { true }
    }
  }

  func newProducerID() -> Int {
    producers += 1
    return producers
  }

  // MARK: Offsets

  /// Who commits, in which generation.
  package struct Membership: GroupMembership, Hashable {
    package var member: String
    package var generation: Int
  }

  /// Everything that was ever written is committed by the group, and nothing is under way.
  package var isAllCommitted: Bool {
    !hasPendingOutputs && all.allSatisfy { committed[$0]?.offset == logs[$0]?.end }
  }
}

/// Closures by time, first come first served at the same time.
private struct EventQueue {
  private var heap: [(time: Int64, number: Int, body: () -> Void)] = []
  private var count = 0

  var first: Int64? { heap.first?.time }

  mutating func push(_ time: Int64, _ body: @escaping () -> Void) {
    count += 1
    heap.append((time, count, body))
    var child = heap.count - 1
    while child > 0 {
      let parent = (child - 1) / 2
      guard isBefore(child, parent) else { return }
      heap.swapAt(child, parent)
      child = parent
    }
  }

  mutating func pop() -> (() -> Void)? {
    guard let first = heap.first else { return nil }
    heap.swapAt(0, heap.count - 1)
    heap.removeLast()
    var parent = 0
    while true {
      var least = parent
      for child in [2 * parent + 1, 2 * parent + 2] where child < heap.count && isBefore(child, least) { least = child }
      if least == parent { break }
      heap.swapAt(parent, least)
      parent = least
    }
    return first.body
  }

  private func isBefore(_ a: Int, _ b: Int) -> Bool {
    (heap[a].time, heap[a].number) < (heap[b].time, heap[b].number)
  }
}
