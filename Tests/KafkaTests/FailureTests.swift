// Brokers that are away, slow or refuse: errors with a code and advice, never a crash or a hang.
// Failures are injected into the embedded broker, so these tests use it even where a real one is at hand.

import Kafka
import Testing

extension KafkaTests {
  @Suite struct Failures {
    /// Nothing listens on port 1 of the loopback interface.
    private let nowhere = "127.0.0.1:1"

    private func embedded() throws -> (EmbeddedBroker, KafkaConfiguration) {
      let broker = try EmbeddedBroker()
      return (broker, try KafkaConfiguration(bootstrapServers: broker.bootstrapServers))
    }

    @Test func nobodyThere() throws {
      let configuration = try KafkaConfiguration(bootstrapServers: nowhere)
      let consumer = try Consumer(configuration, ConsumerOptions(groupID: "g"))
      var error = #expect(throws: KafkaError.self) { try consumer.subscribe(to: ["t"], timeoutMilliseconds: 500) }
      #expect(error?.isRetriable == true)
      error = #expect(throws: KafkaError.self) {
        try consumer.committed(for: [TopicPartition("t", 0)], timeoutMilliseconds: 200)
      }
      #expect(error?.isRetriable == true)
      error = #expect(throws: KafkaError.self) {
        try consumer.commitSync([PartitionOffset("t", 0, offset: 1)], timeoutMilliseconds: 200)
      }
      #expect(error?.isRetriable == true)
      error = #expect(throws: KafkaError.self) {
        try consumer.earliestOffsets(of: [TopicPartition("t", 0)], timeoutMilliseconds: 200)
      }
      #expect(error?.isRetriable == true)
      var events: [ClientEvent] = []
      try consumer.pollUntil("all brokers down") { _ in
        false
      } orEvents: {
        events += $0
        return events.contains { if case .allBrokersDown(let e) = $0 { e.code == .allBrokersDown } else { false } }
      }
      #expect(events.contains { if case .brokerError(let e) = $0 { e.code == .transport } else { false } })
      #expect(consumer.fatalError == nil)
      // The commit still pending holds the leaving back: it is given up, and nothing waits for it at the end.
      error = #expect(throws: KafkaError.self) { try consumer.close(timeoutMilliseconds: 200) }
      #expect(error?.code == .timedOut)

      let admin = try Admin(configuration)
      #expect(throws: KafkaError.self) { try admin.topicMetadata(["t"], timeoutMilliseconds: 300) }
      #expect(throws: KafkaError.self) { try admin.clusterID(timeoutMilliseconds: 300) }
      #expect(throws: KafkaError.self) {
        try admin.createTopics([TopicSpecification(name: "t", partitionCount: 1)], timeoutMilliseconds: 300)
      }
    }

    @Test func producerWaitsAndReports() throws {
      let configuration = try KafkaConfiguration(
        bootstrapServers: nowhere, properties: ["message.timeout.ms": "2000"])
      var options = ProducerOptions(.idempotent)
      options.queuedMaxMessages = 10
      let producer = try Producer(configuration, options)
      let topic = try producer.topic("t")
      for _ in 0..<10 { try producer.produce(to: topic, key: nil, value: nil, queueTimeoutMilliseconds: 50) }
      var error = #expect(throws: KafkaError.self) {
        try producer.produce(to: topic, key: nil, value: nil, queueTimeoutMilliseconds: 50)
      }
      #expect(error?.code == .queueFull)
      #expect(error?.isRetriable == true)
      error = #expect(throws: KafkaError.self) { try producer.flush(timeoutMilliseconds: 50) }
      #expect(error?.code == .timedOut)
      #expect(error?.isRetriable == true)
      #expect(producer.outstandingCount == 10)
      // In the end the records are given up, and said to be.
      try producer.flush(timeoutMilliseconds: 30_000)
      let report = producer.takeDeliveryReport()
      #expect(report.delivered == 0)
      #expect(report.failed == 10)
      #expect(report.firstFailure?.error.code == .messageTimedOut)
      #expect(report.firstFailure?.partition.topic == "t")
      #expect(producer.takeDeliveryReport() == DeliveryReport(delivered: 0, failed: 0, firstFailure: nil))
    }

    @Test func transactionalCallsSayTryAgain() throws {
      let producer = try Producer(
        try KafkaConfiguration(bootstrapServers: nowhere), ProducerOptions(.transactional(id: "t-1")))
      let outcome = producer.initTransactions(timeoutMilliseconds: 300)
      guard case .retry(let error) = outcome else {
        Issue.record("not retry: \(outcome)")
        return
      }
      #expect(error.code == .timedOut)
      #expect(!error.requiresAbort && !error.isFatal)
    }

    @Test func brokerComesBack() throws {
      let (broker, configuration) = try embedded()
      try broker.createTopic("t", partitionCount: 1)
      let producer = try Producer(configuration, ProducerOptions(.idempotent))
      try producer.sendAll("t", 0, ["a"])
      let consumer = try Consumer(configuration, ConsumerOptions(groupID: "g"))
      #expect(try consumer.readToEnd(TopicPartition("t", 0)).records.map(\.value) == ["a"])

      try broker.setDown(broker: 1)
      try producer.send("t", 0, key: nil, value: "b")
      #expect(throws: KafkaError.self) { try producer.flush(timeoutMilliseconds: 500) }
      try broker.setUp(broker: 1)
      try producer.flush(timeoutMilliseconds: 30_000)
      #expect(producer.takeDeliveryReport() == DeliveryReport(delivered: 1, failed: 0, firstFailure: nil))
      // The assignment has held: the record arrives without another.
      var values: [String?] = []
      try consumer.pollUntil("b") { item in
        if item.isRecord { values.append(item.value.text) }
        return !values.isEmpty
      }
      #expect(values == ["b"])
    }

    @Test func closesWhileTheBrokerIsDown() throws {
      let (broker, configuration) = try embedded()
      try broker.createTopic("t", partitionCount: 1)
      let consumer = try Consumer(configuration, ConsumerOptions(groupID: "g"))
      try consumer.subscribe(to: ["t"])
      try consumer.join()
      try broker.setDown(broker: 1)
      try? consumer.close()  // That it returns is what is tested.
      #expect(consumer.fatalError == nil)
    }

    @Test func injectedProduceErrors() throws {
      let (broker, configuration) = try embedded()
      try broker.createTopic("t", partitionCount: 1)
      let producer = try Producer(configuration, ProducerOptions(.idempotent))
      try producer.sendAll("t", 0, ["a"])
      broker.failNext(.produce, with: [.notLeader, KafkaErrorCode(rawValue: 7)])
      try producer.sendAll("t", 0, ["b"])  // Not leader, request timed out: tried again without anybody noticing.
      broker.failNext(.produce, with: [.topicAuthorizationFailed])
      try producer.send("t", 0, key: nil, value: "c")
      try producer.flush(timeoutMilliseconds: 30_000)
      let report = producer.takeDeliveryReport()
      #expect(report.failed == 1)
      #expect(report.firstFailure?.error.code == .topicAuthorizationFailed)
      #expect(report.firstFailure?.error.advice.contains("kafka-acls") == true)
      #expect(report.firstFailure?.partition == TopicPartition("t", 0))
    }

    /// The broker refuses a batch and takes the next: librdkafka calls both delivered. (In a transaction the embedded
    /// broker, like a newer real one, does not take the next.)
    @Test func overtakenRecordsAreUnconfirmed() throws {
      let broker = try EmbeddedBroker()
      let configuration = try KafkaConfiguration(
        bootstrapServers: broker.bootstrapServers, properties: ["batch.num.messages": "1", "linger.ms": "0"])
      try broker.createTopic("t", partitionCount: 1)
      let producer = try Producer(configuration, ProducerOptions(.idempotent))
      // The connection is there, so that both requests are under way before the first is answered.
      try producer.sendAll("t", 0, ["a"])
      _ = producer.takeDeliveryReport()
      try broker.setRoundTrip(milliseconds: 300, broker: 1)
      broker.failNext(.produce, with: [.notLeader])
      try producer.send("t", 0, key: nil, value: "b")
      try producer.send("t", 0, key: nil, value: "c")
      try producer.flush(timeoutMilliseconds: 30_000)
      let report = producer.takeDeliveryReport()
      #expect(
        report
          == DeliveryReport(
            delivered: 1, failed: 0, firstFailure: nil, unconfirmed: 1, firstUnconfirmed: TopicPartition("t", 0)))
      try broker.setRoundTrip(milliseconds: 0, broker: 1)
      let consumer = try Consumer(configuration, ConsumerOptions(groupID: "g"))
      #expect(try consumer.readToEnd(TopicPartition("t", 0)).records.map(\.value) == ["a", "c"])
    }

    @Test func recordsThatAreTooLarge() throws {
      let (broker, configuration) = try embedded()
      try broker.createTopic("t", partitionCount: 1)
      let producer = try Producer(configuration, ProducerOptions(.idempotent))
      let topic = try producer.topic("t")
      let payload = [UInt8](repeating: 1, count: 1_100_000)
      let error = #expect(throws: KafkaError.self) {
        try payload.withUnsafeBytes { try producer.produce(to: topic, key: nil, value: $0) }
      }
      #expect(error?.code == .messageTooLarge)
      #expect(error?.isRetriable == false)
      #expect(producer.outstandingCount == 0)
    }

    /// The order of the outcomes: abort before retry before fatal.
    @Test func injectedTransactionErrors() throws {
      let (broker, configuration) = try embedded()
      try broker.createTopic("t", partitionCount: 1)
      let consumer = try Consumer(configuration, ConsumerOptions(groupID: "g"))
      try consumer.subscribe(to: ["t"])
      try consumer.join()
      let group = try consumer.groupMetadata()
      let producer = try Producer(configuration, ProducerOptions(.transactional(id: "t-1")))
      #expect(producer.initTransactions(timeoutMilliseconds: 10_000) == .done)
      let offsets = [PartitionOffset("t", 0, offset: 1, metadata: "tag")]

      // The generation is gone: abort, after which the next transaction works.
      #expect(producer.beginTransaction() == .done)
      try producer.send("t", 0, key: nil, value: "x")
      broker.failNext(.transactionalOffsetCommit, with: [.illegalGeneration])
      var outcome = producer.sendOffsets(offsets, groupMetadata: group, timeoutMilliseconds: 10_000)
      guard case .abort(let error) = outcome else {
        Issue.record("not abort: \(outcome)")
        return
      }
      #expect(error.code == .illegalGeneration)
      #expect(error.requiresAbort)
      // Until then nothing but an abort is of use.
      let refused = #expect(throws: KafkaError.self) { try producer.send("t", 0, key: nil, value: "y") }
      #expect(refused?.requiresAbort == true)
      guard case .abort = producer.commitTransaction(timeoutMilliseconds: 10_000) else {
        Issue.record("a failed transaction was committed")
        return
      }
      #expect(producer.abortTransaction(timeoutMilliseconds: 10_000) == .done)
      _ = producer.takeDeliveryReport()

      #expect(producer.beginTransaction() == .done)
      try producer.send("t", 0, key: nil, value: "z")
      #expect(producer.sendOffsets(offsets, groupMetadata: group, timeoutMilliseconds: 10_000) == .done)
      #expect(producer.commitTransaction(timeoutMilliseconds: 10_000) == .done)
      #expect(producer.takeDeliveryReport() == DeliveryReport(delivered: 1, failed: 0, firstFailure: nil))

      // Fenced: nothing works any more, and it says so.
      #expect(producer.beginTransaction() == .done)
      try producer.send("t", 0, key: nil, value: "w")
      try producer.flush(timeoutMilliseconds: 10_000)
      broker.failNext(.endTransaction, with: [.producerFenced])
      outcome = producer.commitTransaction(timeoutMilliseconds: 10_000)
      guard case .fatal(let fatal) = outcome else {
        Issue.record("not fatal: \(outcome)")
        return
      }
      #expect(fatal.isFatal)
      #expect(fatal.isFenced)
      #expect(producer.fatalError?.isFenced == true)
      guard case .fatal = producer.beginTransaction() else {
        Issue.record("a fenced producer has begun a transaction")
        return
      }
      let error2 = #expect(throws: KafkaError.self) { try producer.send("t", 0, key: nil, value: "v") }
      #expect(error2?.isFatal == true)
    }

    @Test func statisticsAndLogsAreCollectedAndBounded() throws {
      let broker = try EmbeddedBroker()
      try broker.createTopic("t", partitionCount: 1)
      let configuration = try KafkaConfiguration(
        bootstrapServers: broker.bootstrapServers, properties: ["debug": "all"], statisticsIntervalMilliseconds: 100)
      let producer = try Producer(configuration, ProducerOptions(.idempotent))
      var events: [ClientEvent] = []
      let end = ContinuousClock.now + .seconds(30)
      func isThere() -> Bool {
        let hasLog = events.contains { if case .log(7, _, let text) = $0 { !text.isEmpty } else { false } }
        let hasStatistics = events.contains {
          if case .statistics(let json) = $0 { json.hasPrefix("{") } else { false }
        }
        return hasLog && hasStatistics
      }
      _ = producer.takeDeliveryReport()
      while !isThere(), .now < end {
        producer.poll(timeoutMilliseconds: 100)
        let drained = producer.drainEvents()
        #expect(drained.events.count <= 1_024)
        events += drained.events
      }
      #expect(isThere())
      // Nobody looks: the queue stays bounded, and what is lost is counted.
      var dropped = 0
      while dropped == 0, .now < end {
        for _ in 0..<300 {
          try producer.sendAll("t", 0, ["v"])  // A request, with several lines of log each.
        }
        let drained = producer.drainEvents()
        #expect(drained.events.count <= 1_024)
        #expect(drained.events.count { if case .statistics = $0 { true } else { false } } <= 1)
        dropped = drained.dropped
      }
      #expect(dropped > 0)
    }
  }
}

extension Consumer {
  /// As `pollUntil`, but looking at what the client reports.
  func pollUntil(_ what: String, visit: (BatchItem) throws -> Bool, orEvents look: ([ClientEvent]) -> Bool) throws {
    var batch = MessageBatch(capacity: 100)
    let end = ContinuousClock.now + .seconds(60)
    while true {
      guard .now < end else { throw TestFailure("no \(what) within a minute") }
      _ = try poll(into: &batch, timeoutMilliseconds: 100)
      for index in 0..<batch.count where try visit(batch[index]) { return }
      if look(drainEvents().events) { return }
    }
  }
}
