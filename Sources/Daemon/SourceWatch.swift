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
  /// Inputs and outputs that the brokers do not know; for a moment that may be so of any topic.
  public var missing: [String]
  public var at: Instant
  /// Why there is nothing to see.
  public var failure: String?
  public init(
    ends: [[Int64]], partitionCounts: [Int32], missing: [String] = [], at: Instant, failure: String? = nil
  ) {
    self.ends = ends
    self.partitionCounts = partitionCounts
    self.missing = missing
    self.at = at
    self.failure = failure
  }
}

/// Which topics have been missing for so long that they are gone. Pure.
struct MissingTopics {
  /// A broker that has just started may not know a topic yet.
  static let patience = TimeSpan.seconds(20)

  private var since: [String: Instant] = [:]

  /// - Returns: those that every look has missed since `patience` ago.
  mutating func see(_ missing: [String], at now: Instant) -> [String] {
    since = since.filter { missing.contains($0.key) }
    return missing.filter { topic in
      let first = since[topic] ?? now
      since[topic] = first
      return now >= first + Self.patience
    }
  }
}

/// The thread's body.
struct SourceWatch: Sendable {
  var kafka: KafkaConfiguration
  /// The inputs.
  var topics: [String]
  var outputs: [String]
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
      let metadata = try admin.topicMetadata(topics + outputs, timeoutMilliseconds: 5_000)
      let missing = metadata.filter(\.isMissing).map(\.name)
      // A topic that a broker does not know for a moment has not changed its count.
      let counts = zip(topics, metadata).map { $1.exists ? $1.partitionCount : partitionCount }
      // There are no end offsets of partitions that have gone.
      guard counts.allSatisfy({ $0 == partitionCount }), !missing.contains(where: topics.contains) else {
        return SourceLook(ends: [], partitionCounts: counts, missing: missing, at: SystemWall().now)
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
      return SourceLook(ends: ends, partitionCounts: counts, missing: missing, at: SystemWall().now)
    } catch {
      return SourceLook(ends: [], partitionCounts: [], at: SystemWall().now, failure: "\(error)")
    }
  }
}
