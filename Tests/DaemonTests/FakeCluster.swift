// A Kafka cluster in memory for one group: what the shell's guarantees are tested against, with faults from a seed.

import CheckpointTesting
import Configuration
import Daemon
import Events
import Handoff
import Kafka
import Simulation
import Testing

/// Inputs, committed offsets and visible outputs; outlives the processes that use it.
final class FakeCluster {
  struct Record {
    var key: [UInt8]
    var value: [UInt8]
  }
  struct Output: Hashable {
    var topic: String
    var key: [UInt8]
    var value: [UInt8]
    var id: String
  }
  struct Membership: GroupMembership, Hashable {
    var generation: Int
  }

  let topics: [String]
  let partitions: Int32
  /// By topic and partition.
  var inputs: [[[Record]]]
  var committed: [TopicPartition: PartitionOffset] = [:]
  /// Records below have been deleted.
  var earliest: [TopicPartition: Int64] = [:]
  var outputs: [Output] = []
  var generation = 0
  /// The partitions that the group gives to its one member.
  var assigned: [Int32]
  /// The group is about to give out its partitions again.
  var isRebalanceDue = false

  init(topics: [String], partitions: Int32) {
    self.topics = topics
    self.partitions = partitions
    assigned = Array(0..<partitions)
    inputs = topics.map { _ in Array(repeating: [], count: Int(partitions)) }
  }

  /// The assigned partitions of every topic.
  var all: [TopicPartition] { topics.flatMap { topic in assigned.map { TopicPartition(topic, $0) } } }
}

extension FakeCluster {
  /// Reads both topics, in epochs of a few records; `state` is more for the section of that name.
  func configuration(_ delivery: Configuration.Delivery, state: String = "") throws -> Configuration {
    let inputs = topics.map { "{ topic: \($0) }" }.joined(separator: ", ")
    return try Configuration.load(
      text: """
        kafka: { bootstrap: 'x:1', group: g }
        inputs: [\(inputs)]
        delivery: \(delivery.rawValue)
        epoch: { interval: 10ms, max_events: 7 }
        state: { dir: /state\(state.isEmpty ? "" : ", " + state) }
        """, file: "t.yaml")
  }

  /// What somebody beside a running daemon sees and does.
  struct Bystander {
    var scheduler: Scheduler
    var stop = StopRequest()
    var looks = Mailbox<SourceLook>()
    var published = Shared(DaemonSnapshot())
  }

  /// One process life, on the scheduler of its faults; it ends by itself when everything is read, or dies. With a
  /// bystander, a thread of its own, it does not end until it is told to, or dies.
  func run(
    _ settings: DataPlaneSettings, _ faults: FakeFaults, beside bystander: ((Bystander) -> Void)? = nil
  ) throws -> DataPlaneEnd {
    let process = SimulatedProcess(faults.scheduler, wallOffset: 1_000_000_000)
    let view = Bystander(scheduler: faults.scheduler)
    var settings = settings
    settings.stopAtEnd = bystander == nil
    settings.threads = process
    // The same on every machine.
    settings.restoreThreads = 2
    settings.copying = CopyingAhead(leaving: 1, atOnce: 1)
    let final = settings
    var end: DataPlaneEnd?
    _ = try faults.scheduler.start("data", of: process) { [self] in
      let dataPlane = DataPlane(
        final, consumer: FakeConsumer(self, faults),
        producer: FakeProducer(self, faults, isTransactional: final.configuration.delivery == .exactlyOnce),
        wall: process, stop: view.stop, looks: view.looks, published: view.published, notifier: nil)
      end = dataPlane.run(partitionCount: partitions)
    }
    if let bystander { _ = try faults.scheduler.start("bystander", of: process) { bystander(view) } }
    faults.scheduler.run()
    return try #require(end)
  }
}

/// The faults of one process life.
final class FakeFaults {
  var random: SeededGenerator
  /// The process dies at this many port calls from now.
  var callsLeft: Int
  /// In percent of the calls where it can happen.
  var retryPercent = 0
  var abortPercent = 0
  var rebalancePercent = 0
  var isDead = false
  let scheduler: Scheduler

  init(seed: UInt64, callsLeft: Int = .max) {
    random = SeededGenerator(seed: seed)
    scheduler = Scheduler(seed: seed)
    self.callsLeft = callsLeft
  }

  func chance(_ percent: Int) -> Bool { percent > 0 && Int.random(in: 0..<100, using: &random) < percent }

  /// Counts a call; true when the process is dead.
  func call() -> Bool {
    scheduler.yield()
    if isDead { return true }
    callsLeft -= 1
    if callsLeft <= 0 { isDead = true }
    return isDead
  }

  static func death(_ operation: String) -> KafkaError { KafkaError(.fatal, during: operation, isFatal: true) }
  static func late(_ operation: String) -> KafkaError { KafkaError(.timedOut, during: operation, isRetriable: true) }
}

final class FakeConsumer: ConsumerPort {
  private let cluster: FakeCluster
  private let faults: FakeFaults
  private var positions: [TopicPartition: Int64] = [:]
  private var announcedEnd: [TopicPartition: Int64] = [:]
  private var isMember = false
  /// As of the newest assignment.
  private var held: [TopicPartition] = []
  private var assignments = 0

  init(_ cluster: FakeCluster, _ faults: FakeFaults) {
    self.cluster = cluster
    self.faults = faults
  }

  func subscribe(to topics: [String], timeoutMilliseconds: Int32) throws(KafkaError) -> [TopicMetadata] { [] }

  func poll(timeoutMilliseconds: Int32, _ body: (InputItem) -> Void) throws(KafkaError) -> [RebalanceEvent] {
    if faults.call() { throw FakeFaults.death("poll") }
    faults.scheduler.sleep(microseconds: 1_000)
    if !isMember {
      isMember = true
      cluster.generation += 1
      held = cluster.all
      return [.assigned(held)]
    }
    deliver(body)
    if faults.chance(faults.rebalancePercent) || cluster.isRebalanceDue {
      cluster.isRebalanceDue = false
      isMember = false
      let isLost = faults.chance(40)
      // A lost generation is gone before we hear of it.
      if isLost { cluster.generation += 1 }
      return [isLost ? .lost(held) : .revoked(held)]
    }
    return []
  }

  private func deliver(_ body: (InputItem) -> Void) {
    // A batch is fetched as a whole: when it is assigned anew meanwhile, the rest of it still comes.
    let assignment = assignments
    let batch = positions
    for partition in batch.keys.sorted().shuffled(using: &faults.random) {
      guard let topic = cluster.topics.firstIndex(of: partition.topic), var position = batch[partition] else {
        continue
      }
      let log = cluster.inputs[topic][Int(partition.partition)]
      if position < cluster.earliest[partition] ?? 0 || position > log.count {
        positions[partition] = nil
        body(InputItem(kind: .outOfRange, topic: topic, partition: partition.partition, offset: position))
        continue
      }
      // Now and then something is delivered again, as the batch functions may around an assignment.
      if position > cluster.earliest[partition] ?? 0, faults.chance(5) { position -= 1 }
      let end = min(log.count, Int(position) + Int.random(in: 0...4, using: &faults.random))
      while position < end {
        let record = log[Int(position)]
        record.key.withUnsafeBytes { key in
          record.value.withUnsafeBytes { value in
            body(
              InputItem(
                kind: .record, topic: topic, partition: partition.partition, offset: position, key: key, value: value,
                timestamp: Instant(seconds: 1_000)))
          }
        }
        position += 1
      }
      guard assignment == assignments else { continue }
      positions[partition] = max(position, positions[partition] ?? 0)
      if position == log.count, announcedEnd[partition] != position {
        announcedEnd[partition] = position
        body(InputItem(kind: .end, topic: topic, partition: partition.partition, offset: position))
      }
    }
  }

  func assign(_ offsets: [PartitionOffset]) throws(KafkaError) {
    assignments += 1
    positions = Dictionary(uniqueKeysWithValues: offsets.map { ($0.partition, $0.offset) })
    announcedEnd = [:]
  }
  func unassign() throws(KafkaError) {
    assignments += 1
    positions = [:]
  }
  func captureMembership() throws(KafkaError) -> any GroupMembership {
    FakeCluster.Membership(generation: cluster.generation)
  }
  func committed(for partitions: [TopicPartition], timeoutMilliseconds: Int32) throws(KafkaError) -> [CommittedOffset] {
    if faults.call() { throw FakeFaults.death("committed") }
    if faults.chance(faults.retryPercent) { throw FakeFaults.late("committed") }
    return partitions.map { CommittedOffset(partition: $0, committed: cluster.committed[$0]) }
  }
  func commitSync(_ offsets: [PartitionOffset], timeoutMilliseconds: Int32) throws(KafkaError) {
    if faults.call() {
      if faults.chance(50) { commit(offsets) }
      throw FakeFaults.death("commit")
    }
    if faults.chance(faults.abortPercent) { throw KafkaError(.illegalGeneration, during: "commit", isRetriable: false) }
    if faults.chance(faults.retryPercent) {
      if faults.chance(50) { commit(offsets) }
      throw FakeFaults.late("commit")
    }
    commit(offsets)
  }
  private func commit(_ offsets: [PartitionOffset]) {
    for offset in offsets { cluster.committed[offset.partition] = offset }
  }
  func earliestOffsets(of partitions: [TopicPartition], timeoutMilliseconds: Int32) throws(KafkaError)
    -> [PartitionOffset]
  {
    partitions.map { PartitionOffset($0, offset: cluster.earliest[$0] ?? 0) }
  }
  func watermarks(of partition: TopicPartition, timeoutMilliseconds: Int32) throws(KafkaError) -> Watermarks {
    let topic = cluster.topics.firstIndex(of: partition.topic) ?? 0
    return Watermarks(
      earliest: cluster.earliest[partition] ?? 0,
      latest: Int64(cluster.inputs[topic][Int(partition.partition)].count))
  }
  func drainEvents() -> [ClientEvent] { [] }
  func close() throws(KafkaError) {}
}

final class FakeProducer: ProducerPort {
  private let cluster: FakeCluster
  private let faults: FakeFaults
  private let isTransactional: Bool
  private var pending: [FakeCluster.Output] = []
  private var pendingOffsets: [PartitionOffset] = []
  private var isOpen = false
  /// A commit that was sent and not answered: its outcome is settled.
  private var unanswered: Bool?
  private var failed = 0

  init(_ cluster: FakeCluster, _ faults: FakeFaults, isTransactional: Bool) {
    self.cluster = cluster
    self.faults = faults
    self.isTransactional = isTransactional
  }

  var fatalError: KafkaError? { faults.isDead ? FakeFaults.death("producer") : nil }

  func initTransactions(timeoutMilliseconds: Int32) -> TransactionOutcome { .done }

  func beginTransaction() -> TransactionOutcome {
    if faults.call() { return .fatal(FakeFaults.death("begin")) }
    precondition(!isOpen, "a transaction is open already")
    isOpen = true
    pending = []
    pendingOffsets = []
    return .done
  }

  func produce(_ record: OutputRecord) throws(KafkaError) {
    if faults.call() { throw FakeFaults.death("produce") }
    if faults.chance(faults.retryPercent) { throw KafkaError(.queueFull, during: "produce", isRetriable: true) }
    var id = ""
    for header in record.headers where "\(header.name)" == "ce_id" {
      id = String(decoding: header.value, as: UTF8.self)
    }
    let output = FakeCluster.Output(
      topic: record.topic, key: record.key.map { Array($0) } ?? [], value: record.value.map { Array($0) } ?? [], id: id)
    guard isTransactional else {
      if faults.chance(faults.abortPercent) { failed += 1 } else { cluster.outputs.append(output) }
      return
    }
    guard isOpen else { throw KafkaError(.wrongState, during: "produce") }
    if faults.chance(faults.abortPercent) { throw KafkaError(.wrongState, during: "produce", requiresAbort: true) }
    pending.append(output)
  }

  func sendOffsets(_ offsets: [PartitionOffset], membership: any GroupMembership, timeoutMilliseconds: Int32)
    -> TransactionOutcome
  {
    if faults.call() { return .fatal(FakeFaults.death("send offsets")) }
    if faults.chance(faults.retryPercent) { return .retry(FakeFaults.late("send offsets")) }
    guard (membership as? FakeCluster.Membership)?.generation == cluster.generation else {
      return .abort(KafkaError(.illegalGeneration, during: "send offsets", requiresAbort: true))
    }
    pendingOffsets = offsets
    return .done
  }

  func commitTransaction(timeoutMilliseconds: Int32) -> TransactionOutcome {
    if let settled = unanswered {
      unanswered = nil
      return settled ? finish() : .abort(KafkaError(.timedOut, during: "commit", requiresAbort: true))
    }
    if faults.call() {
      if faults.chance(50) { apply() }
      return .fatal(FakeFaults.death("commit"))
    }
    if faults.chance(faults.retryPercent) {
      unanswered = faults.chance(70)
      if unanswered == true { apply() }
      return .retry(FakeFaults.late("commit"))
    }
    if faults.chance(faults.abortPercent) {
      return .abort(KafkaError(.messageTimedOut, during: "commit", requiresAbort: true))
    }
    apply()
    return finish()
  }

  private func apply() {
    cluster.outputs += pending
    for offset in pendingOffsets { cluster.committed[offset.partition] = offset }
  }
  private func finish() -> TransactionOutcome {
    isOpen = false
    pending = []
    return .done
  }

  func abortTransaction(timeoutMilliseconds: Int32) -> TransactionOutcome {
    if faults.call() { return .fatal(FakeFaults.death("abort")) }
    if faults.chance(faults.retryPercent) { return .retry(FakeFaults.late("abort")) }
    return finish()
  }

  func flush(timeoutMilliseconds: Int32) throws(KafkaError) {
    if faults.call() { throw FakeFaults.death("flush") }
  }
  func discardUnacknowledged() throws(KafkaError) {
    if faults.call() { throw FakeFaults.death("discard") }
    precondition(!isTransactional, "a transaction is aborted instead")
    failed = 0
  }
  func takeDeliveryReport() -> DeliveryReport {
    defer { failed = 0 }
    let failure = DeliveryFailure(
      partition: TopicPartition("out", 0), error: KafkaError(.messageTimedOut, during: "deliver"))
    return DeliveryReport(delivered: 0, failed: failed, firstFailure: failed > 0 ? failure : nil)
  }
  func drainEvents() -> [ClientEvent] { [] }
}
