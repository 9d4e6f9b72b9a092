// Groups: rebalances as events, commits with metadata, missing topics.

import Glibc
import Kafka
import Testing

extension KafkaTests {
  @Suite struct Groups {
    /// One member of a group under test, which answers every rebalance.
    private final class Member {
      let consumer: Consumer
      var batch = MessageBatch(capacity: 100)
      var owned: Set<TopicPartition> = []
      var history: [RebalanceEvent] = []
      /// Takes nothing of what it is assigned.
      var declines = false

      init(_ consumer: Consumer) { self.consumer = consumer }

      func poll() throws {
        for event in try consumer.poll(into: &batch, timeoutMilliseconds: 50) {
          history.append(event)
          switch event {
          case .assigned(let partitions):
            owned = declines ? [] : Set(partitions)
            try consumer.assign(owned.map { PartitionOffset($0, offset: 0) })
          case .revoked, .lost:
            owned = []
            try consumer.unassign()
          }
        }
      }
    }

    private func poll(_ members: [Member], until condition: () -> Bool) throws {
      let end = ContinuousClock.now + .seconds(60)
      while !condition() {
        guard .now < end else { throw TestFailure("not reached; \(members.map(\.history))") }
        for member in members { try member.poll() }
      }
    }

    @Test func twoMembersShareAndTakeOver() throws {
      let broker = try TestBroker()
      let topic = try broker.newTopic("shared", partitionCount: 4)
      let group = TestBroker.uniqueName("group")
      let first = Member(try broker.consumer(group: group))
      try first.consumer.subscribe(to: [topic])
      try poll([first]) { first.owned.count == 4 }
      let generation1 = try first.consumer.groupMetadata()
      #expect(generation1 == (try first.consumer.groupMetadata()))

      let second = Member(try broker.consumer(group: group))
      try second.consumer.subscribe(to: [topic])
      try poll([first, second]) { first.owned.count == 2 && second.owned.count == 2 }
      #expect(first.owned.isDisjoint(with: second.owned))
      // Range gives each member a run of partitions.
      for member in [first, second] {
        let numbers = member.owned.map(\.partition).sorted()
        #expect(numbers == [0, 1] || numbers == [2, 3])
      }
      // Eager: all is taken back before anything is given.
      let all = Set((0..<4).map { TopicPartition(topic, $0) })
      var given: Set<TopicPartition> = []
      for event in first.history {
        switch event {
        case .assigned(let partitions):
          #expect(given.isEmpty)
          given = Set(partitions)
        case .revoked(let partitions):
          #expect(Set(partitions) == given)
          given = []
        case .lost: Issue.record("lost: \(first.history)")
        }
      }
      #expect(first.history.count >= 3)
      #expect(try first.consumer.groupMetadata() != generation1)

      try second.consumer.close()
      try poll([first]) { first.owned == all }
      try first.consumer.close()
    }

    /// Not so after an `unassign`: librdkafka would go on waiting for the answer.
    @Test func whoDeclinesAnAssignmentHearsOfTheNext() throws {
      let broker = try TestBroker()
      let topic = try broker.newTopic("declined", partitionCount: 4)
      let group = TestBroker.uniqueName("group")
      let first = Member(try broker.consumer(group: group))
      first.declines = true
      try first.consumer.subscribe(to: [topic])
      try poll([first]) { first.history.count == 1 }
      first.declines = false
      let second = Member(try broker.consumer(group: group))
      try second.consumer.subscribe(to: [topic])
      try poll([first, second]) { first.owned.count == 2 && second.owned.count == 2 }
    }

    /// Co-partitioned topics stay together, which is why the assignor is range.
    @Test func rangeKeepsTopicsTogether() throws {
      let broker = try TestBroker()
      let topics = try (0..<3).map { _ in try broker.newTopic("together", partitionCount: 4) }
      let group = TestBroker.uniqueName("group")
      let members = try (0..<2).map { _ in Member(try broker.consumer(group: group)) }
      for member in members { try member.consumer.subscribe(to: topics) }
      try poll(members) { members.allSatisfy { $0.owned.count == 6 } }
      for member in members {
        for topic in topics {
          #expect(member.owned.filter { $0.topic == topic }.count == 2)
        }
        #expect(Set(member.owned.map(\.partition)).count == 2)
      }
    }

    @Test func silenceLosesTheAssignment() throws {
      let broker = try TestBroker()
      let topic = try broker.newTopic("silent")
      // Real brokers take no session time-out below 6 s by default; the embedded one needs it longer than its joins.
      let milliseconds = 6_000
      var options = ConsumerOptions(groupID: TestBroker.uniqueName("group"))
      options.sessionTimeoutMilliseconds = milliseconds
      options.maxPollIntervalMilliseconds = milliseconds
      let consumer = try Consumer(broker.configuration(), options)
      try consumer.subscribe(to: [topic])
      try consumer.join()
      usleep(UInt32(milliseconds + 1_500) * 1_000)
      var codes: [KafkaErrorCode] = []
      try consumer.pollUntil("loss") { item in
        if let error = item.error { codes.append(error.code) }
        return false
      } rebalance: { event in
        #expect(event == .lost([TopicPartition(topic, 0)]))
        #expect(consumer.isAssignmentLost)
        try consumer.unassign()
        return true
      }
      #expect(codes.contains(.maxPollExceeded))
      // And it comes back.
      #expect(try consumer.join() == [TopicPartition(topic, 0)])
    }

    @Test func commitsCarryTheirMetadata() throws {
      let broker = try TestBroker()
      let topics = [try broker.newTopic("tagged", partitionCount: 2), try broker.newTopic("tagged", partitionCount: 2)]
      let group = TestBroker.uniqueName("group")
      let consumer = try broker.consumer(group: group)
      try consumer.subscribe(to: topics)
      let partitions = try consumer.join()
      #expect(partitions.count == 4)
      #expect(
        try consumer.committed(for: partitions, timeoutMilliseconds: 10_000).allSatisfy { $0.committed == nil })

      // A topic without input commits offset 0 with the tag like any other.
      let offsets = partitions.sorted().map {
        PartitionOffset($0, offset: Int64($0.partition), metadata: "lineage=7f3a epoch=12 chain=\($0.partition) é")
      }
      try consumer.commitSync(Array(offsets.dropLast()), timeoutMilliseconds: 10_000)
      let found = try consumer.committed(for: partitions.sorted(), timeoutMilliseconds: 10_000)
      #expect(found.map(\.committed) == offsets.dropLast().map { $0 } + [nil])
      try consumer.close()

      // A successor reads the same.
      let successor = try broker.consumer(group: group)
      try successor.subscribe(to: topics)
      try successor.join()
      let read = try successor.committed(for: partitions.sorted(), timeoutMilliseconds: 10_000)
      #expect(read == found)
    }

    @Test func missingTopicsAreNamedBeforeConsuming() throws {
      let broker = try TestBroker()
      let present = try broker.newTopic("present")
      let missing = [TestBroker.uniqueName("missing"), TestBroker.uniqueName("missing")]
      let consumer = try broker.consumer()
      for _ in 0..<2 {  // Asking must not have created them.
        let error = #expect(throws: KafkaError.self) { try consumer.subscribe(to: [missing[0], present, missing[1]]) }
        #expect(error?.code == .unknownTopicOrPartition)
        for name in missing { #expect(error?.reason.contains(name) == true) }
        #expect(error?.reason.contains(present) == false)
      }
      try consumer.subscribe(to: [present])
      #expect(try consumer.join() == [TopicPartition(present, 0)])
    }

    /// A topic deleted under a running consumer must be an item: not a crash, and no hang at the end.
    @Test(.enabled(if: !TestBroker.isReal)) func topicErrorWhileConsumingIsAnItem() throws {
      let broker = try TestBroker()
      let embedded = try #require(broker.embedded)
      let topic = try broker.newTopic("vanishing")
      let configuration = try broker.configuration(properties: ["topic.metadata.refresh.interval.ms": "500"])
      let consumer = try Consumer(configuration, ConsumerOptions(groupID: "g"))
      try consumer.subscribe(to: [topic])
      try consumer.join()
      embedded.setError(.unknownTopicOrPartition, ofTopic: topic)
      try consumer.pollUntil("the error") { item in
        guard item.kind == .failure else { return false }
        #expect(item.error?.code == .unknownTopicOrPartition)
        #expect(item.topicName == topic)
        #expect(item.topicIndex == 0)
        return true
      } rebalance: { _ in
        try consumer.unassign()
        return false
      }
    }
  }
}
