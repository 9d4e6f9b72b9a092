// Which partition a key belongs to, computed as the usual Kafka clients compute it.

import CRdKafka

/// A rule that maps keys to partitions. The raw value is librdkafka's name of it.
public enum Partitioner: String, Sendable, Hashable, CaseIterable {
  /// The default of the Java client; records without a key all go to one partition.
  case murmur2
  /// The default of the Java client; records without a key go to random partitions.
  case murmur2Random = "murmur2_random"
  /// librdkafka's own: CRC32 of the key.
  case consistent
  /// The default of librdkafka; records without a key go to random partitions.
  case consistentRandom = "consistent_random"
  /// The default of Sarama.
  case fnv1a
  case fnv1aRandom = "fnv1a_random"

  /// The partition of a key, 0..<count.
  ///
  /// - Parameters:
  ///   - key: not null; an empty one is a key to `murmur2`, but means a random partition to the random ones of
  ///     `consistentRandom` only, so nil is returned for that.
  ///   - count: the topic's number of partitions.
  /// - Returns: nil when no partition follows from the key: `count` is below 1, or any partition is right.
  public func partition(forKey key: UnsafeRawBufferPointer, count: Int32) -> Int32? {
    guard count > 0 else { return nil }
    if key.isEmpty, self == .consistentRandom { return nil }
    // librdkafka's partitioners look at a null key only by its address.
    return withUnsafeTemporaryAllocation(byteCount: 1, alignment: 1) { nothing in
      let bytes = key.baseAddress ?? UnsafeRawPointer(nothing.baseAddress.unsafelyUnwrapped)
      return switch self {
      case .murmur2, .murmur2Random:
        rd_kafka_msg_partitioner_murmur2(nil, bytes, key.count, count, nil, nil)
      case .consistent, .consistentRandom:
        rd_kafka_msg_partitioner_consistent(nil, bytes, key.count, count, nil, nil)
      case .fnv1a, .fnv1aRandom:
        rd_kafka_msg_partitioner_fnv1a(nil, bytes, key.count, count, nil, nil)
      }
    }
  }
}
