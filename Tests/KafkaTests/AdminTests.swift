// What the admin client says about topics, and the topics it creates.

import Kafka
import Testing

extension KafkaTests {
  @Suite struct AdminClient {
    @Test func describesTopicsAndCluster() throws {
      let broker = try TestBroker()
      let three = try broker.newTopic("three", partitionCount: 3)
      let missing = TestBroker.uniqueName("missing")
      let admin = try Admin(broker.configuration())
      for _ in 0..<2 {  // Asking must not create.
        let found = try admin.topicMetadata([three, missing], timeoutMilliseconds: 10_000)
        #expect(found.map(\.name) == [three, missing])
        #expect(found.map(\.partitionCount) == [3, 0])
        #expect(found.map(\.exists) == [true, false])
        #expect(found[1].isMissing)
        #expect(found[1].error?.code == .unknownTopicOrPartition)
      }
      #expect(try admin.clusterID(timeoutMilliseconds: 10_000)?.isEmpty == false)
      try broker.producer().sendAll(three, 1, ["a", "b"])
      let partitions = (0..<3).map { TopicPartition(three, $0) }
      #expect(
        Set(try admin.latestOffsets(of: partitions, timeoutMilliseconds: 10_000))
          == Set([0, 2, 0].enumerated().map { PartitionOffset(three, Int32($0), offset: $1) }))
      #expect(
        Set(try admin.earliestOffsets(of: partitions, timeoutMilliseconds: 10_000))
          == Set(partitions.map { PartitionOffset($0, offset: 0) }))
      #expect(
        try admin.watermarks(of: partitions[1], timeoutMilliseconds: 10_000) == Watermarks(earliest: 0, latest: 2))
    }

    /// The embedded broker creates no topics on request, and says so.
    @Test(.enabled(if: !TestBroker.isReal)) func embeddedBrokerRefusesCreation() throws {
      let admin = try Admin(TestBroker().configuration())
      let specification = TopicSpecification(name: "t", partitionCount: 1)
      let error = #expect(throws: KafkaError.self) {
        let results = try admin.createTopics([specification], timeoutMilliseconds: 2_000)
        if let error = results.first?.error { throw error }
      }
      #expect(error?.isFatal == false)
    }

    /// Needs a real broker: the embedded one has no such request. Set TIDEWATCH_TEST_BOOTSTRAP.
    @Test(.enabled(if: TestBroker.isReal, "needs a real broker")) func createsAndDeletesTopics() throws {
      let admin = try Admin(TestBroker().configuration())
      let compacted = TestBroker.uniqueName("compacted")
      let wrong = TestBroker.uniqueName("wrong")
      let specifications = [
        TopicSpecification(
          name: compacted, partitionCount: 5, replicationFactor: 1, configuration: ["cleanup.policy": "compact"]),
        TopicSpecification(
          name: wrong, partitionCount: 1, replicationFactor: 1, configuration: ["cleanup.policy": "nonsense"]),
      ]
      let results = try admin.createTopics(specifications, timeoutMilliseconds: 30_000)
      #expect(results.map(\.name) == [compacted, wrong])
      #expect(results[0].error == nil)
      #expect(results[1].error?.reason.contains("nonsense") == true)
      // Created is not yet known to every part of the broker.
      try admin.waitForTopics([compacted], partitionCount: 5, timeoutMilliseconds: 10_000)
      #expect(try admin.topicMetadata([compacted], timeoutMilliseconds: 10_000).first?.partitionCount == 5)
      let again = try admin.createTopics([specifications[0]], timeoutMilliseconds: 30_000)
      #expect(again.first?.error?.code == .topicAlreadyExists)
      let empty = TopicSpecification(name: TestBroker.uniqueName("empty"), partitionCount: 0)
      #expect(try admin.createTopics([empty], timeoutMilliseconds: 30_000).first?.error != nil)

      #expect(try admin.deleteTopics([compacted], timeoutMilliseconds: 30_000).first?.error == nil)
      let gone = try admin.deleteTopics([wrong], timeoutMilliseconds: 30_000)
      #expect(gone.first?.error?.code == .unknownTopicOrPartition)
    }
  }
}
