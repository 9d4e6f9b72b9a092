// Transactions as the epochs use them. The embedded broker answers OK and commits nothing, so all of these need a real one:
// set TIDEWATCH_TEST_BOOTSTRAP.

import Kafka
import Testing

extension KafkaTests {
  @Suite(.enabled(if: TestBroker.isReal, "needs a real broker")) struct Transactions {
    private let broker: TestBroker
    private let output: String
    private let input: String
    private let group = TestBroker.uniqueName("group")
    private let transactionalID = TestBroker.uniqueName("producer")

    init() throws {
      broker = try TestBroker()
      input = try broker.newTopic("input", partitionCount: 2)
      output = try broker.newTopic("output")
    }

    private func transactionalProducer() throws -> Producer {
      let producer = try broker.producer(.transactional(id: transactionalID))
      try finish { producer.initTransactions(timeoutMilliseconds: 30_000) }
      return producer
    }

    /// Repeats a call as long as it asks for it; anything but done is a failure.
    private func finish(_ call: () -> TransactionOutcome) throws {
      for _ in 0..<10_000 {
        switch call() {
        case .done: return
        case .retry: continue
        case .abort(let error), .fatal(let error): throw error
        }
      }
      throw TestFailure("still not done")
    }

    private func tag(_ epoch: Int) -> [PartitionOffset] {
      (0..<2).map { PartitionOffset(input, $0, offset: Int64(epoch), metadata: "lineage,\(epoch),\($0)") }
    }

    private func committed(_ consumer: Consumer) throws -> [PartitionOffset?] {
      try consumer.committed(for: tag(0).map(\.partition), timeoutMilliseconds: 15_000).map(\.committed)
    }

    @Test func commitMakesRecordsAndTagsVisibleTogether() throws {
      let consumer = try broker.consumer(group: group)
      try consumer.subscribe(to: [input])
      let producer = try transactionalProducer()
      try consumer.join()
      let member = try consumer.groupMetadata()
      #expect(try committed(consumer) == [nil, nil])
      let reader = try broker.consumer()
      let partition = TopicPartition(output, 0)

      #expect(producer.beginTransaction() == .done)
      for value in ["a", "b", "c"] { try producer.send(output, 0, key: "k", value: value) }
      try producer.flush(timeoutMilliseconds: 30_000)
      // Delivered, but not to be seen: neither in the records nor in the end.
      #expect(try reader.readToEnd(partition) == ([], 0))
      try finish { producer.sendOffsets(tag(1), groupMetadata: member, timeoutMilliseconds: 30_000) }
      try finish { producer.commitTransaction(timeoutMilliseconds: 30_000) }
      #expect(producer.takeDeliveryReport() == DeliveryReport(delivered: 3, failed: 0, firstFailure: nil))
      #expect(try committed(consumer) == tag(1))

      // The transaction marker takes an offset: the end is 4, not 3.
      let first = try reader.readToEnd(partition)
      #expect(first.records.map(\.value) == ["a", "b", "c"])
      #expect(first.records.map(\.offset) == [0, 1, 2])
      #expect(first.end == 4)
      #expect(try reader.position(of: partition) == 4)

      // An epoch that only fired timers: the same offsets, a new tag, no records.
      #expect(producer.beginTransaction() == .done)
      let timers = tag(1).map { PartitionOffset($0.partition, offset: $0.offset, metadata: "lineage,2") }
      try finish { producer.sendOffsets(timers, groupMetadata: member, timeoutMilliseconds: 30_000) }
      try finish { producer.commitTransaction(timeoutMilliseconds: 30_000) }
      #expect(try committed(consumer) == timers)
    }

    @Test func abortIsNeverSeen() throws {
      let consumer = try broker.consumer(group: group)
      try consumer.subscribe(to: [input])
      let producer = try transactionalProducer()
      try consumer.join()
      let member = try consumer.groupMetadata()

      for (epoch, values) in [["a", "b"], ["x", "y", "z"], ["c"]].enumerated() {
        #expect(producer.beginTransaction() == .done)
        for value in values { try producer.send(output, 0, key: "k", value: value) }
        try producer.flush(timeoutMilliseconds: 30_000)
        try finish { producer.sendOffsets(tag(epoch + 1), groupMetadata: member, timeoutMilliseconds: 30_000) }
        if epoch == 1 {
          try finish { producer.abortTransaction(timeoutMilliseconds: 30_000) }
          #expect(try committed(consumer) == tag(1))
        } else {
          try finish { producer.commitTransaction(timeoutMilliseconds: 30_000) }
        }
      }
      #expect(try committed(consumer) == tag(3))
      // a b | x y z | c | with the offsets of what is not shown left out.
      let (records, end) = try broker.consumer().readToEnd(TopicPartition(output, 0))
      #expect(records.map(\.value) == ["a", "b", "c"])
      #expect(records.map(\.offset) == [0, 1, 7])
      #expect(end == 9)
    }

    /// What is not yet sent when the abort comes counts as failed.
    @Test func abortPurgesTheQueue() throws {
      let producer = try transactionalProducer()
      #expect(producer.beginTransaction() == .done)
      for index in 0..<1_000 { try producer.send(output, 0, key: "k", value: "\(index)") }
      try finish { producer.abortTransaction(timeoutMilliseconds: 30_000) }
      let report = producer.takeDeliveryReport()
      #expect(report.delivered + report.failed == 1_000)
      if report.failed > 0 {
        let code = report.firstFailure?.error.code
        #expect(code == .purgedFromQueue || code == .purgedInFlight)
      }
      #expect(producer.outstandingCount == 0)
      #expect(try broker.consumer().readToEnd(TopicPartition(output, 0)).records.isEmpty)
    }

    /// A commit that times out is the same call again, and happens once.
    @Test func commitThatTimesOutIsCalledAgain() throws {
      let producer = try transactionalProducer()
      for round in 0..<5 {
        #expect(producer.beginTransaction() == .done)
        for index in 0..<100 { try producer.send(output, 0, key: "k", value: "\(round)-\(index)") }
        try finish { producer.commitTransaction(timeoutMilliseconds: 1) }
      }
      let values = try broker.consumer().readToEnd(TopicPartition(output, 0)).records.compactMap(\.value)
      #expect(values == (0..<5).flatMap { round in (0..<100).map { "\(round)-\($0)" } })
    }

    @Test func secondProducerFencesTheFirst() throws {
      let first = try transactionalProducer()
      #expect(first.beginTransaction() == .done)
      try first.send(output, 0, key: "k", value: "from the first")
      try first.flush(timeoutMilliseconds: 30_000)
      let second = try transactionalProducer()

      let outcome = first.commitTransaction(timeoutMilliseconds: 30_000)
      guard case .fatal(let error) = outcome else {
        Issue.record("not fatal: \(outcome)")
        return
      }
      #expect(error.isFenced)
      #expect(error.isFatal)
      #expect(first.fatalError?.isFenced == true)
      #expect(first.drainEvents().events.contains { if case .fatal(let e) = $0 { e.isFenced } else { false } })

      #expect(second.beginTransaction() == .done)
      try second.send(output, 0, key: "k", value: "from the second")
      try finish { second.commitTransaction(timeoutMilliseconds: 30_000) }
      let values = try broker.consumer().readToEnd(TopicPartition(output, 0)).records.map(\.value)
      #expect(values == ["from the second"])
    }

    @Test func oldGenerationIsRefused() throws {
      let first = try broker.consumer(group: group)
      try first.subscribe(to: [input])
      let producer = try transactionalProducer()
      #expect(try first.join().count == 2)
      let old = try first.groupMetadata()

      // A second member: the first keeps one partition, in a new generation.
      let second = try broker.consumer(group: group)
      try second.subscribe(to: [input])
      var batch = MessageBatch(capacity: 10)
      var owned = 2
      let end = ContinuousClock.now + .seconds(60)
      while owned != 1 {
        try #require(ContinuousClock.now < end)
        for consumer in [first, second] {
          for event in try consumer.poll(into: &batch, timeoutMilliseconds: 50) {
            switch event {
            case .assigned(let partitions):
              if consumer === first { owned = partitions.count }
              try consumer.assign(partitions.map { PartitionOffset($0, offset: 0) })
            case .revoked, .lost: try consumer.unassign()
            }
          }
        }
      }
      let new = try first.groupMetadata()
      #expect(new != old)

      #expect(producer.beginTransaction() == .done)
      try producer.send(output, 0, key: "k", value: "stale")
      let outcome = producer.sendOffsets(tag(1), groupMetadata: old, timeoutMilliseconds: 30_000)
      guard case .abort(let error) = outcome else {
        Issue.record("not abort: \(outcome)")
        return
      }
      #expect(error.requiresAbort)
      #expect(error.code == .illegalGeneration)
      try finish { producer.abortTransaction(timeoutMilliseconds: 30_000) }
      #expect(try committed(first) == [nil, nil])
      #expect(try broker.consumer().readToEnd(TopicPartition(output, 0)).records.isEmpty)

      // With the new one it works, and the broker does not ask who owns the partitions: that is for the caller to know.
      #expect(producer.beginTransaction() == .done)
      try finish { producer.sendOffsets(tag(2), groupMetadata: new, timeoutMilliseconds: 30_000) }
      try finish { producer.commitTransaction(timeoutMilliseconds: 30_000) }
      #expect(try committed(first) == tag(2))
    }

    /// A transaction somebody left open holds the answer back, and the error says to ask again.
    @Test func openTransactionHoldsCommittedBack() throws {
      let consumer = try broker.consumer(group: group)
      try consumer.subscribe(to: [input])
      let producer = try transactionalProducer()
      try consumer.join()
      let member = try consumer.groupMetadata()
      #expect(producer.beginTransaction() == .done)
      try finish { producer.sendOffsets(tag(1), groupMetadata: member, timeoutMilliseconds: 30_000) }
      let error = #expect(throws: KafkaError.self) {
        try consumer.committed(for: tag(0).map(\.partition), timeoutMilliseconds: 1_000)
      }
      #expect(error?.isRetriable == true)
      // A successor with the same id ends it, as init transactions does at every start.
      let successor = try transactionalProducer()
      #expect(try committed(consumer) == [nil, nil])
      #expect(successor.fatalError == nil)
    }
  }
}
