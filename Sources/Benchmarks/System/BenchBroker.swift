// The broker of a benchmark: one that is given, or the embedded one, and the topics made on it.

import Foundation
import Kafka

/// Confined to the thread that makes it. Removes the topics it has made.
final class BenchBroker {
  let bootstrap: String
  let embedded: EmbeddedBroker?
  private(set) var topics: [String] = []

  /// The embedded broker keeps this much of a partition and drops what is older.
  static let embeddedBytesPerPartition = 5_000_000

  init(bootstrap: String?) throws {
    if let bootstrap {
      self.bootstrap = bootstrap
      embedded = nil
    } else {
      let broker = try EmbeddedBroker()
      self.bootstrap = broker.bootstrapServers
      embedded = broker
    }
  }

  deinit { deleteTopics(topics) }

  func client(_ properties: [String: String] = [:]) throws(KafkaError) -> KafkaConfiguration {
    try KafkaConfiguration(bootstrapServers: bootstrap, clientID: "tidewatch-bench", properties: properties)
  }

  static func uniqueName(_ prefix: String) -> String { "\(prefix)-\(String(UInt64.random(in: 0 ... .max), radix: 36))" }

  /// Creates topics, and returns when all their partitions are seen.
  func createTopics(_ names: [String], partitions: Int32) throws {
    topics += names
    if let embedded {
      for name in names { try embedded.createTopic(name, partitionCount: partitions) }
      return
    }
    let admin = try Admin(client())
    let wanted = names.map { TopicSpecification(name: $0, partitionCount: partitions) }
    for result in try admin.createTopics(wanted, timeoutMilliseconds: 60_000) {
      if let error = result.error { throw error }
    }
    try admin.waitForTopics(names, partitionCount: partitions, timeoutMilliseconds: 60_000)
  }

  /// Best effort: what is left on the broker says its name.
  func deleteTopics(_ names: [String]) {
    topics.removeAll { names.contains($0) }
    guard embedded == nil, !names.isEmpty, let configuration = try? client(), let admin = try? Admin(configuration)
    else { return }
    _ = try? admin.deleteTopics(names, timeoutMilliseconds: 20_000)
  }
}

/// The offsets a group has committed, as an outsider sees them. Confined to the thread that makes it.
final class CommitWatch {
  private let consumer: Consumer
  private let partitions: [TopicPartition]

  init(_ broker: BenchBroker, group: String, topic: String, partitions: Int32) throws {
    consumer = try Consumer(broker.client(), ConsumerOptions(groupID: group))
    self.partitions = (0..<partitions).map { TopicPartition(topic, $0) }
  }

  /// How many records are behind the committed offsets of all partitions; nil while some have none, or while the broker does
  /// not say, as in the middle of a commit.
  var records: Int64? {
    guard let all = try? consumer.committed(for: partitions, timeoutMilliseconds: 150) else { return nil }
    var sum: Int64 = 0
    for one in all {
      guard let committed = one.committed else { return nil }
      sum += committed.offset
    }
    return sum
  }
}
