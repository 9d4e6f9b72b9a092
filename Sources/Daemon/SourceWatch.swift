// Looks at the end offsets of the inputs now and then, on a thread of its own: growth for the clocks, lag for the metrics.

import Events
import Glibc
import Handoff
import Kafka

/// One look at the inputs, topic-wide.
public struct SourceLook: Sendable {
  /// End offsets by topic and partition.
  public var ends: [[Int64]]
  public var partitionCounts: [Int32]
  public var at: Instant
  /// Why there is nothing to see.
  public var failure: String?
  public init(ends: [[Int64]], partitionCounts: [Int32], at: Instant, failure: String? = nil) {
    self.ends = ends
    self.partitionCounts = partitionCounts
    self.at = at
    self.failure = failure
  }
}

/// The thread's body.
struct SourceWatch: Sendable {
  var kafka: KafkaConfiguration
  var topics: [String]
  var partitionCount: Int32
  var intervalMilliseconds: Int
  var looks: Mailbox<SourceLook>
  var ended: StopRequest

  func run() {
    do throws(KafkaError) {
      let admin = try Admin(kafka)
      while !ended.isStopping {
        looks.post(look(admin))
        _ = admin.drainEvents()
        var slept = 0
        while slept < intervalMilliseconds, !ended.isStopping {
          usleep(50_000)
          slept += 50
        }
      }
    } catch {
      looks.post(SourceLook(ends: [], partitionCounts: [], at: SystemWall().now, failure: "\(error)"))
    }
  }

  private func look(_ admin: Admin) -> SourceLook {
    do throws(KafkaError) {
      let metadata = try admin.topicMetadata(topics, timeoutMilliseconds: 5_000)
      // A topic that a broker does not know for a moment has not changed its count.
      let counts = zip(topics, metadata).map { $1.exists ? $1.partitionCount : partitionCount }
      // There are no end offsets of partitions that have gone.
      guard counts.allSatisfy({ $0 == partitionCount }) else {
        return SourceLook(ends: [], partitionCounts: counts, at: SystemWall().now)
      }
      var partitions: [TopicPartition] = []
      for topic in topics {
        for partition in 0..<partitionCount { partitions.append(TopicPartition(topic, partition)) }
      }
      let latest = try admin.latestOffsets(of: partitions, timeoutMilliseconds: 5_000)
      var ends = [[Int64]](repeating: [Int64](repeating: 0, count: Int(partitionCount)), count: topics.count)
      for found in latest {
        guard let topic = topics.firstIndex(of: found.partition.topic) else { continue }
        ends[topic][Int(found.partition.partition)] = found.offset
      }
      return SourceLook(ends: ends, partitionCounts: counts, at: SystemWall().now)
    } catch {
      return SourceLook(ends: [], partitionCounts: [], at: SystemWall().now, failure: "\(error)")
    }
  }
}
