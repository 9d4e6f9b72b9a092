// Reads Tidewatch's output topics back through a consumer of its own, from the first record on.

import Engine
import Kafka

/// Confined to one thread. Reads its partitions without joining a group: the view needs no offsets of its own.
final class OutputReader {
  static let topics: [OutputTopic] = [.tagChanges, .churnAlerts, .deadLetters]

  private let consumer: Consumer
  private var batch = MessageBatch(capacity: 2_000)
  private var next: [TopicPartition: Int64] = [:]
  private var atEnd: Set<TopicPartition> = []
  /// Records read.
  private(set) var count = 0
  /// Records that the broker dropped before they were read.
  private(set) var missed = 0

  init(_ kafka: KafkaConfiguration, partitions: Int32) throws(KafkaError) {
    consumer = try Consumer(kafka, ConsumerOptions(groupID: "tidewatch-demo-view"))
    for topic in Self.topics {
      for partition in 0..<partitions { next[TopicPartition(topic.name, partition)] = 0 }
    }
    try assign()
  }

  private func assign() throws(KafkaError) {
    try consumer.assign(next.map { PartitionOffset($0.key, offset: $0.value) })
  }

  /// True when the last poll found every partition at its end.
  var hasReadAll: Bool { atEnd.count == next.count }

  /// Hands what there is to `take`; waits up to the given time for a first record.
  func poll(timeoutMilliseconds: Int32, _ take: (OutputTopic, UnsafeRawBufferPointer) -> Void) throws(KafkaError) {
    _ = try consumer.poll(into: &batch, timeoutMilliseconds: timeoutMilliseconds)
    var lost: [TopicPartition] = []
    for index in 0..<batch.count {
      let item = batch[index]
      guard let partition = item.topicPartition, let topic = Self.topics.first(where: { $0.name == partition.topic })
      else { continue }
      switch item.kind {
      case .record:
        guard item.offset >= next[partition, default: 0] else { continue }
        next[partition] = item.offset + 1
        atEnd.remove(partition)
        count += 1
        if let value = item.value { take(topic, value) }
      case .endOfPartition: atEnd.insert(partition)
      case .outOfRange: lost.append(partition)
      case .failure: continue
      }
    }
    batch.release()
    _ = consumer.drainEvents()
    if lost.isEmpty { return }
    for partition in lost {
      let earliest = try consumer.watermarks(of: partition, timeoutMilliseconds: 2_000).earliest
      missed += Int(max(0, earliest - next[partition, default: 0]))
      next[partition] = earliest
    }
    try assign()
  }

  func close() { try? consumer.close() }
}
