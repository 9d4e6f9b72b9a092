// One partition, one topic and ports that do exactly what a test wants of them, under the simulator's clock.

import Checkpoint
import CheckpointTesting
import Configuration
import Daemon
import Engine
import Events
import Handoff
import Kafka
import Simulation
import Synchronization

/// A process with a data plane, and the thread of the test beside it.
final class PipelineBench {
  let scheduler = Scheduler(seed: 1)
  let consumer: ScriptedConsumer
  let producer: ScriptedProducer
  let factory = CountedFactory()
  let disk = ModelDisk(seed: 1)
  let stop = StopRequest()
  var finishBound: TimeSpan { configuration.epoch.finishWithin }
  private(set) var end: DataPlaneEnd?
  private var configuration: Configuration

  /// - Parameter bounds: of an epoch.
  init(
    records: Int, delivery: Configuration.Delivery = .exactlyOnce, bounds: String = "max_events: 10"
  ) throws {
    let cluster = ScriptedCluster()
    consumer = ScriptedConsumer(cluster, scheduler)
    producer = ScriptedProducer(cluster, scheduler)
    configuration = try Configuration.load(
      text: """
        kafka: { bootstrap: 'x:1', group: g }
        inputs: [{ topic: a }]
        delivery: \(delivery.rawValue)
        epoch: { interval: 100ms, \(bounds) }
        state: { dir: /state }
        """, file: "t.yaml")
    consumer.append(records)
  }

  private func settings(_ process: SimulatedProcess) -> DataPlaneSettings {
    var settings = DataPlaneSettings(
      configuration: configuration, factory: factory, log: Log(level: .error, sink: { _, _ in }))
    settings.disk = disk
    settings.threads = process
    return settings
  }

  /// Runs the data plane, and `script` beside it. The script has to stop it.
  func run(_ script: @escaping (PipelineBench) throws -> Void) throws {
    let process = SimulatedProcess(scheduler)
    _ = try scheduler.start("data", of: process) {
      self.end = DataPlane(
        self.settings(process), consumer: self.consumer, producer: self.producer, wall: process, stop: self.stop,
        looks: Mailbox(), published: Shared(DaemonSnapshot()), notifier: nil
      ).run(partitionCount: 1)
    }
    var failure: (any Error)?
    _ = try scheduler.start("test") {
      do { try script(self) } catch {
        failure = error
        self.stop.stop()
      }
    }
    scheduler.run()
    if let failure { throw failure }
  }

  /// Runs the data plane on real threads until `count` outputs are committed.
  /// - Parameter directory: on a real disk, because the sanitizer does not see through the model's lock.
  func runOnSystemThreads(until count: Int, stateIn directory: String) {
    let stop = stop
    producer.onCommit = { if $0 >= count { stop.stop() } }
    var settings = settings(SimulatedProcess(scheduler))
    settings.threads = SystemThreads()
    settings.disk = PosixDisk()
    settings.configuration.state.directory = directory
    // So small that bases are rewritten all the time, by a third thread.
    settings.configuration.state.rewriteMinimumBytes = 600
    end = DataPlane(
      settings, consumer: consumer, producer: producer, wall: SystemWall(), stop: stop, looks: Mailbox(),
      published: Shared(DaemonSnapshot()), notifier: nil
    ).run(partitionCount: 1)
  }

  /// For an hour of simulated time at most.
  func waitUntil(_ condition: () -> Bool) {
    let deadline = scheduler.now + 3_600_000_000
    while !condition(), scheduler.now < deadline, end == nil { scheduler.sleep(microseconds: 10_000) }
  }

  /// Another member of the group takes the partition, processes `count` more records, and gives it back.
  func processElsewhere(_ count: Int) throws {
    consumer.append(count)
    let other = ScriptedConsumer(consumer.cluster, scheduler)
    other.next = [.assigned(other.all)]
    let process = SimulatedProcess(scheduler)
    let stop = StopRequest()
    let thread = try scheduler.start("other", of: process) {
      _ = DataPlane(
        self.settings(process), consumer: other, producer: self.producer, wall: process, stop: stop,
        looks: Mailbox(), published: Shared(DaemonSnapshot()), notifier: nil
      ).run(partitionCount: 1)
    }
    let before = producer.committed.count
    waitUntil { producer.committed.count == before + count }
    stop.stop()
    thread.join()
  }
}

/// The one partition and what is committed for it; behind locks, for tests with real threads.
final class ScriptedCluster: Sendable {
  private let state = Mutex<(values: [[UInt8]], committed: PartitionOffset?)>(([], nil))
  var count: Int { state.withLock { $0.values.count } }
  subscript(offset: Int64) -> [UInt8] { state.withLock { $0.values[Int(offset)] } }
  func append(_ value: [UInt8]) { state.withLock { $0.values.append(value) } }
  var committed: PartitionOffset? {
    get { state.withLock { $0.committed } }
    set { state.withLock { $0.committed = newValue } }
  }
}

final class ScriptedConsumer: ConsumerPort {
  struct Membership: GroupMembership {}
  let cluster: ScriptedCluster
  private let scheduler: Scheduler
  let all = [TopicPartition("a", 0)]
  /// Rebalances to come, one a poll.
  var next: [RebalanceEvent]
  private(set) var isAssigned = false
  private(set) var applied: [Int64] = []
  private(set) var polls = 0
  /// Of how many the records are, in turn; at most 256.
  var customers: Int64 = 1
  private var position: Int64?

  init(_ cluster: ScriptedCluster, _ scheduler: Scheduler) {
    self.cluster = cluster
    self.scheduler = scheduler
    next = [.assigned(all)]
  }

  func append(_ count: Int) {
    for number in cluster.count..<cluster.count + count { cluster.append(Array("\(number)".utf8)) }
  }

  func subscribe(to topics: [String], timeoutMilliseconds: Int32) throws(KafkaError) -> [TopicMetadata] { [] }
  func poll(timeoutMilliseconds: Int32, _ body: (InputItem) -> Void) throws(KafkaError) -> [RebalanceEvent] {
    polls += 1
    scheduler.sleep(microseconds: 1_000)
    if let start = position {
      let end = min(Int64(cluster.count), start + 3)
      position = end
      for offset in start..<end {
        applied.append(offset)
        cluster[offset].withUnsafeBytes { value in
          [UInt8(truncatingIfNeeded: offset % customers)].withUnsafeBytes { key in
            body(InputItem(kind: .record, topic: 0, partition: 0, offset: offset, key: key, value: value))
          }
        }
      }
    }
    return next.isEmpty ? [] : [next.removeFirst()]
  }
  func assign(_ offsets: [PartitionOffset]) throws(KafkaError) {
    position = offsets.first?.offset
    isAssigned = true
  }
  func unassign() throws(KafkaError) {
    position = nil
    isAssigned = false
  }
  func captureMembership() throws(KafkaError) -> any GroupMembership { Membership() }
  func committed(for partitions: [TopicPartition], timeoutMilliseconds: Int32) throws(KafkaError) -> [CommittedOffset] {
    partitions.map { CommittedOffset(partition: $0, committed: cluster.committed) }
  }
  func commitSync(_ offsets: [PartitionOffset], timeoutMilliseconds: Int32) throws(KafkaError) {
    cluster.committed = offsets.last ?? cluster.committed
  }
  func earliestOffsets(of partitions: [TopicPartition], timeoutMilliseconds: Int32) throws(KafkaError)
    -> [PartitionOffset]
  {
    partitions.map { PartitionOffset($0, offset: 0) }
  }
  func watermarks(of partition: TopicPartition, timeoutMilliseconds: Int32) throws(KafkaError) -> Watermarks {
    Watermarks(earliest: 0, latest: Int64(cluster.count))
  }
  func drainEvents() -> [ClientEvent] { [] }
  func close() throws(KafkaError) {}
}

final class ScriptedProducer: ProducerPort {
  private let cluster: ScriptedCluster
  private let scheduler: Scheduler
  /// Commits of anything but the start are not answered.
  var isBlocked = false
  /// Offsets are not answered either.
  var isBlockedAtOffsets = false
  /// Without transactions: nothing is acknowledged.
  var isBlockedAtFlush = false
  var discardFailure: KafkaError?
  /// Without transactions: ids of outputs by what became of them.
  private(set) var delivered: [String] = []
  private(set) var discarded: [String] = []
  /// Ids of outputs that were committed, in order.
  private(set) var committed: [String] = []
  private(set) var lastValue = ""
  private(set) var aborts = 0
  /// Every so many commits are aborted; 0 for none.
  var abortEvery = 0
  private var commits = 0
  /// Called by the committer's thread after each commit.
  var onCommit: ((Int) -> Void)?
  private var isInTransaction = false
  private var open: [(id: String, value: String)] = []
  private var offsets: [PartitionOffset] = []

  init(_ cluster: ScriptedCluster, _ scheduler: Scheduler) {
    self.cluster = cluster
    self.scheduler = scheduler
  }

  private func late(_ operation: String) -> TransactionOutcome {
    scheduler.sleep(microseconds: 2_000_000)
    return .retry(KafkaError(.timedOut, during: operation, isRetriable: true))
  }

  func initTransactions(timeoutMilliseconds: Int32) -> TransactionOutcome { .done }
  func beginTransaction() -> TransactionOutcome {
    isInTransaction = true
    open = []
    offsets = []
    return .done
  }
  func produce(_ record: OutputRecord) throws(KafkaError) {
    let id = record.headers.first { "\($0.name)" == "ce_id" }.map { String(decoding: $0.value, as: UTF8.self) } ?? ""
    hasProduced = true
    open.append((id, record.value.map { String(decoding: $0, as: UTF8.self) } ?? ""))
  }
  func sendOffsets(_ offsets: [PartitionOffset], membership: any GroupMembership, timeoutMilliseconds: Int32)
    -> TransactionOutcome
  {
    if isBlockedAtOffsets, !open.isEmpty { return late("send offsets") }
    self.offsets = offsets
    return .done
  }
  func commitTransaction(timeoutMilliseconds: Int32) -> TransactionOutcome {
    if isBlocked, !open.isEmpty { return late("commit") }
    commits += 1
    if abortEvery > 0, commits % abortEvery == 0 {
      return .abort(KafkaError(.messageTimedOut, during: "commit", requiresAbort: true))
    }
    scheduler.sleep(microseconds: 5_000)
    committed += open.map(\.id)
    if let last = open.last { lastValue = last.value }
    cluster.committed = offsets.last ?? cluster.committed
    onCommit?(committed.count)
    return .done
  }
  func abortTransaction(timeoutMilliseconds: Int32) -> TransactionOutcome {
    aborts += 1
    failure = purged ?? failure
    return .done
  }
  func flush(timeoutMilliseconds: Int32) throws(KafkaError) {
    if isBlockedAtFlush, !open.isEmpty {
      scheduler.sleep(microseconds: Int64(timeoutMilliseconds) * 1_000)
      throw KafkaError(.timedOut, during: "flush", isRetriable: true)
    }
    // In a transaction they are invisible until its end.
    if isInTransaction { return }
    delivered += open.map(\.id)
    open = []
  }
  func discardUnacknowledged() throws(KafkaError) {
    if let discardFailure { throw discardFailure }
    discarded += open.map(\.id)
    open = []
  }
  /// What became of a record.
  var failure: DeliveryFailure?
  /// What an abort adds.
  var purged: DeliveryFailure?
  /// Of the first records, once: later ones were taken, and these may not have been.
  var unconfirmed = 0
  private var hasProduced = false
  func takeDeliveryReport() -> DeliveryReport {
    let unconfirmed = hasProduced ? self.unconfirmed : 0
    self.unconfirmed -= unconfirmed
    return DeliveryReport(
      delivered: 0, failed: failure == nil ? 0 : 1, firstFailure: failure, unconfirmed: unconfirmed,
      firstUnconfirmed: unconfirmed > 0 ? TopicPartition("tag-changes", 0) : nil)
  }
  var fatalError: KafkaError? { nil }
  func drainEvents() -> [ClientEvent] { [] }
}

/// Counts how many states it was asked for.
final class CountedFactory: TaskFactory {
  private let count = Mutex(0)
  var made: Int { count.withLock { $0 } }
  var versions: TaskVersions { TaskVersions() }
  func makeTask(partition: Int32, partitionCount: Int32, seed: UInt64) throws -> any TaskLogic {
    count.withLock { $0 += 1 }
    return CountingLogic(topics: 1, mode: .wall)
  }
}
