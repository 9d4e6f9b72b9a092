// One member of the modelled group, as librdkafka 2.0.2 shows it: rebalances are events of a poll, repeats around
// assignments are legal, heartbeats are sent in the background.

import CheckpointTesting
import Daemon
import Events
import Kafka

package final class ModelConsumer: ConsumerPort {
  /// Where librdkafka is with the group.
  private enum Phase {
    case idle
    case joining
    /// `assigned` waits for the answer of the program; what the group says meanwhile is not heard.
    case awaitingAssign
    case stable
    /// `revoked` or `lost` waits for the answer of the program.
    case awaitingUnassign
    case closed
  }

  let client: ModelClient
  private let kafka: ModelKafka
  private var phase = Phase.idle
  private var memberID: String?
  /// The membership as of the newest assignment.
  private var membership: ModelKafka.Membership?
  private var rebalances: [RebalanceEvent] = []
  private var positions: [TopicPartition: Int64] = [:]
  private var announcedEnd: [TopicPartition: Int64] = [:]
  /// Counts the assignments: a batch is fetched under one of them.
  private var assignments = 0
  /// Number of the newest request to join; answers to older ones are not waited for.
  private var joins = 0
  private var isListening = false
  private var hasSaidAway = false

  package init(_ kafka: ModelKafka, _ client: ModelClient) {
    self.kafka = kafka
    self.client = client
  }

  private static func death(_ operation: String) -> KafkaError { KafkaError(.fatal, during: operation, isFatal: true) }
  static func late(_ operation: String) -> KafkaError { KafkaError(.timedOut, during: operation, isRetriable: true) }

  /// At the beginning of each call: others may run, and what has happened in the cluster is caught up with.
  private func enter(_ operation: String) throws(KafkaError) {
    client.process.scheduler.yield()
    if client.isDead { throw Self.death(operation) }
    kafka.advance()
  }

  private var now: Int64 { kafka.now }

  // MARK: The group, in the background

  private func join() {
    phase = .joining
    joins += 1
    let number = joins
    let isWanted = { self.phase == .joining && self.joins == number }
    kafka.send(
      "join", from: client, to: .coordinator, isWanted: isWanted,
      serve: { () -> String? in
        // A request of the past: the member has joined again, or closed, since.
        guard isWanted() else { return nil }
        return self.kafka.group.join(self, as: self.memberID)
      },
      answered: { _ in })
  }

  /// The group was formed: what comes with the answer to join and sync.
  func receive(_ partitions: [TopicPartition], _ membership: ModelKafka.Membership) {
    guard phase == .joining else { return }
    memberID = membership.member
    deliver(partitions, membership)
  }

  private func deliver(_ partitions: [TopicPartition], _ membership: ModelKafka.Membership) {
    kafka.at(now + kafka.draw(500...30_000)) {
      guard !self.client.isDead, self.phase == .joining, self.memberID == membership.member else { return }
      if let until = self.client.silentUntil(self.now) {
        return self.kafka.at(until) { self.deliver(partitions, membership) }
      }
      // The group went on without us: join again.
      guard self.kafka.group.refusal(of: membership) == nil, !self.kafka.group.isPreparing else {
        self.kafka.journal.note("consumer: assignment outdated on arrival")
        if self.kafka.group.refusal(of: membership) == .unknownMember { self.memberID = nil }
        return self.join()
      }
      self.membership = membership
      self.phase = .awaitingAssign
      self.rebalances.append(.assigned(partitions))
    }
  }

  /// A heartbeat will tell soon: something has changed in the group.
  func listen() {
    guard !isListening else { return }
    isListening = true
    let isSlow = kafka.chance(permille: 100)
    kafka.at(now + kafka.draw(isSlow ? 1_000_000...6_000_000 : 1_000...1_000_000)) {
      self.isListening = false
      self.heartbeat()
    }
  }

  private func heartbeat() {
    guard !client.isDead, phase != .closed, phase != .idle else { return }
    if client.silentUntil(now) != nil || kafka.isAway || kafka.coordinatorAwayUntil > now { return listen() }
    guard let membership else {
      // Joining for the first time: put out before the group was formed.
      if phase == .joining { join() }
      return
    }
    switch (phase, kafka.group.heartbeat(membership)) {
    case (.awaitingAssign, .fine): break
    case (.awaitingAssign, _):
      // librdkafka hears nothing of a rebalance until the assignment is answered.
      kafka.journal.note("consumer: group changed while an assignment is being taken up")
      listen()
    case (.stable, .rebalance): ask(.revoked(positionsOrAll))
    case (.stable, .gone):
      if kafka.group.refusal(of: membership) == .unknownMember { memberID = nil }
      ask(.lost(positionsOrAll))
    case (.joining, .gone) where memberID != nil && kafka.group.refusal(of: membership) == .unknownMember:
      memberID = nil
      join()
    default: break
    }
  }

  private var positionsOrAll: [TopicPartition] { positions.keys.sorted() }

  private func ask(_ event: RebalanceEvent) {
    switch event {
    case .lost: kafka.journal.note("consumer: lost")
    default: kafka.journal.note("consumer: revoked")
    }
    phase = .awaitingUnassign
    rebalances.append(event)
  }

  // MARK: ConsumerPort

  package func subscribe(to topics: [String], timeoutMilliseconds: Int32) throws(KafkaError) -> [TopicMetadata] {
    try ask("subscribe", timeoutMilliseconds) { () }
    join()
    return []
  }

  package func poll(timeoutMilliseconds: Int32, _ body: (InputItem) -> Void) throws(KafkaError) -> [RebalanceEvent] {
    try enter("poll")
    if rebalances.isEmpty, !hasSomething, timeoutMilliseconds > 0 {
      client.process.scheduler.sleep(microseconds: kafka.draw(1_000...Int64(timeoutMilliseconds) * 1_000))
      try enter("poll")
    }
    if kafka.chance(permille: kafka.faults.queueFull) {
      kafka.journal.note("fault: error in a batch")
      body(
        InputItem(
          kind: .failure, topic: -1, partition: -1, offset: 0,
          failure: KafkaError(.transport, during: "poll", isRetriable: true)))
    }
    if !kafka.isAway, client.silentUntil(now) == nil { deliver(body) }
    defer { rebalances = [] }
    return rebalances
  }

  private var hasSomething: Bool {
    guard !kafka.isAway, client.silentUntil(now) == nil else { return false }
    return positions.contains { partition, position in
      guard let log = kafka.logs[partition] else { return false }
      return position < log.end || announcedEnd[partition] != position
    }
  }

  private func deliver(_ body: (InputItem) -> Void) {
    // A batch is fetched as a whole: when it is assigned anew meanwhile, the rest of it still comes.
    let assignment = assignments
    let batch = positions
    for partition in batch.keys.sorted().shuffled(using: &kafka.random) {
      guard let topic = kafka.topics.firstIndex(of: partition.topic), var position = batch[partition],
        let log = kafka.logs[partition]
      else { continue }
      if position < log.earliest {
        kafka.journal.note("consumer: out of range")
        body(InputItem(kind: .outOfRange, topic: topic, partition: partition.partition, offset: position))
        if assignment == assignments { positions[partition] = nil }
        continue
      }
      // Now and then something is delivered again, as the batch functions may around an assignment.
      if position > log.earliest, kafka.chance(permille: 30) {
        kafka.journal.note("consumer: records repeated")
        position -= 1
      }
      var index = log.index(of: position)
      let wanted = Int.random(in: 0...40, using: &kafka.random)
      let last = min(log.records.count, index + wanted)
      while index < last {
        let record = log.records[index]
        index += 1
        position = record.offset + 1
        record.key.withBytes { key in
          record.value.withUnsafeBytes { value in
            body(
              InputItem(
                kind: .record, topic: topic, partition: partition.partition, offset: record.offset, key: key,
                value: value, timestamp: record.timestamp))
          }
        }
      }
      guard assignment == assignments else { continue }
      if index == log.records.count { position = max(position, log.end) }
      positions[partition] = max(position, positions[partition] ?? 0)
      if position == log.end, announcedEnd[partition] != position {
        announcedEnd[partition] = position
        body(InputItem(kind: .end, topic: topic, partition: partition.partition, offset: position))
      }
    }
  }

  package func assign(_ offsets: [PartitionOffset]) throws(KafkaError) {
    try enter("assign")
    assignments += 1
    positions = Dictionary(offsets.map { ($0.partition, $0.offset) }, uniquingKeysWith: { $1 })
    announcedEnd = [:]
    if phase == .awaitingAssign {
      phase = .stable
      // Whatever happened in the group meanwhile is heard with the next heartbeat.
      listen()
    }
  }

  package func unassign() throws(KafkaError) {
    try enter("unassign")
    if let producer = client.producer, producer.unacknowledged > 0 {
      kafka.journal.violate(
        "calls", "\(client.name) gives its partitions back with \(producer.unacknowledged) records still to be sent")
    }
    assignments += 1
    positions = [:]
    announcedEnd = [:]
    switch phase {
    case .awaitingUnassign: join()
    case .awaitingAssign:
      // No answer: `rd_kafka_cgrp_unassign` leaves the join state as it is, and the member hears nothing more of its group.
      kafka.journal.violate(
        "calls", "\(client.name) unassigns where an assignment waits for its answer: it will never be asked for another"
      )
    default: break
    }
  }

  package func captureMembership() throws(KafkaError) -> any GroupMembership {
    try enter("capture membership")
    // As librdkafka: whatever it is now, also before the group was joined.
    return membership ?? ModelKafka.Membership(member: memberID ?? "", generation: -1)
  }

  /// Asks the cluster and waits for the answer.
  private func ask<Answer>(
    _ operation: String, _ timeoutMilliseconds: Int32, from destination: ModelKafka.Destination = .leader,
    _ serve: @escaping () -> Answer?
  ) throws(KafkaError) -> Answer {
    try enter(operation)
    var answer: Answer?
    var isWaiting = true
    kafka.send(
      operation, from: client, to: destination, isWanted: { isWaiting }, serve: serve, answered: { answer = $0 })
    let deadline = now + Int64(timeoutMilliseconds) * 1_000
    _ = client.wait(kafka, until: deadline) { answer != nil }
    isWaiting = false
    if client.isDead { throw Self.death(operation) }
    guard let answer else { throw Self.late(operation) }
    return answer
  }

  package func committed(for partitions: [TopicPartition], timeoutMilliseconds: Int32) throws(KafkaError)
    -> [CommittedOffset]
  {
    try ask("read committed offsets", timeoutMilliseconds, from: .coordinator) { () -> [CommittedOffset]? in
      if self.kafka.isUnstable(partitions) {
        self.kafka.journal.note("committed: held back by an open transaction")
        return nil
      }
      return partitions.map { CommittedOffset(partition: $0, committed: self.kafka.committed[$0]) }
    }
  }

  package func commitSync(_ offsets: [PartitionOffset], timeoutMilliseconds: Int32) throws(KafkaError) {
    try enter("commit offsets")
    let membership = membership ?? ModelKafka.Membership(member: memberID ?? "", generation: -1)
    commits += 1
    let number = commits
    var answer: KafkaErrorCode??
    kafka.send(
      "commit offsets", from: client, to: .coordinator, isRepeated: false,
      serve: { () -> KafkaErrorCode?? in
        // Requests of one client come in order: one that was overtaken by a newer one is void.
        guard number >= self.commitsServed else { return .some(nil) }
        self.commitsServed = number
        if let error = self.kafka.group.refusal(of: membership) {
          self.kafka.journal.note("commit: refused, \(error)")
          return .some(error)
        }
        self.kafka.commit(offsets, membership)
        return .some(nil)
      }, answered: { answer = $0 })
    _ = client.wait(kafka, until: now + Int64(timeoutMilliseconds) * 1_000) { answer != nil }
    if client.isDead { throw Self.death("commit offsets") }
    guard let answer else { throw Self.late("commit offsets") }
    if let error = answer { throw KafkaError(error, during: "commit offsets", isRetriable: false) }
  }
  private var commits = 0
  private var commitsServed = 0

  package func earliestOffsets(of partitions: [TopicPartition], timeoutMilliseconds: Int32) throws(KafkaError)
    -> [PartitionOffset]
  {
    try ask("ask for the earliest offsets", timeoutMilliseconds) {
      partitions.map { PartitionOffset($0, offset: self.kafka.logs[$0]?.earliest ?? 0) }
    }
  }

  package func watermarks(of partition: TopicPartition, timeoutMilliseconds: Int32) throws(KafkaError) -> Watermarks {
    try ask("ask for the watermarks", timeoutMilliseconds) {
      Watermarks(earliest: self.kafka.logs[partition]?.earliest ?? 0, latest: self.kafka.logs[partition]?.end ?? 0)
    }
  }

  package func drainEvents() -> [ClientEvent] {
    if client.isDead { return [] }
    let isAway = kafka.isAway || client.cutOffUntil > now
    defer { hasSaidAway = isAway }
    return isAway && !hasSaidAway ? [.allBrokersDown(KafkaError(.allBrokersDown, during: "connect"))] : []
  }

  package func close() throws(KafkaError) {
    try enter("close")
    guard phase != .closed else { return }
    phase = .closed
    positions = [:]
    guard let memberID else { return }
    var isDone = false
    kafka.send(
      "leave", from: client, to: .coordinator,
      serve: { self.kafka.group.leave(memberID) }, answered: { isDone = true })
    guard client.wait(kafka, until: now + 5_000_000, { isDone }) || client.isDead else { throw Self.late("close") }
  }
}

extension [UInt8]? {
  fileprivate func withBytes(_ body: (UnsafeRawBufferPointer?) -> Void) {
    if let self { self.withUnsafeBytes { body($0) } } else { body(nil) }
  }
}

extension ModelKafka {
  /// A commit outside of transactions.
  func commit(_ offsets: [PartitionOffset], _ membership: Membership) {
    onCommit(offsets, membership)
    for offset in offsets { committed[offset.partition] = offset }
    journal.note("commit: done")
  }
}
