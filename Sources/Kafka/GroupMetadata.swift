// A consumer's membership at one moment, as bytes: group, generation, member.

import CRdKafka
import Glibc

/// Which member of which generation of a group a consumer was when this was captured.
///
/// Capture it when an assignment is accepted and send it with every transaction of that assignment. Never with offsets
/// of an older one: the broker checks member and generation, not who owns the partition, so fresh metadata would let a
/// member that has lost a partition overwrite its successor's offsets.
///
/// A plain value, safe to keep, compare and hand to another thread.
public struct GroupMetadata: Sendable, Hashable {
  /// librdkafka's own serialisation, good within this process and version of it.
  private let bytes: [UInt8]

  /// Captures the present membership of a consumer.
  init(of client: OpaquePointer) throws(KafkaError) {
    guard let native = rd_kafka_consumer_group_metadata(client) else {
      throw KafkaError(.wrongState, during: "capture group metadata", reason: "the consumer has no group")
    }
    defer { rd_kafka_consumer_group_metadata_destroy(native) }
    var buffer: UnsafeMutableRawPointer?
    var size = 0
    if let error = rd_kafka_consumer_group_metadata_write(native, &buffer, &size) {
      throw KafkaError(consuming: error, during: "capture group metadata")
    }
    defer { rd_kafka_mem_free(nil, buffer) }
    bytes = Array(UnsafeRawBufferPointer(start: buffer, count: buffer == nil ? 0 : size))
  }

  /// Rebuilds librdkafka's object for one call.
  func withNative<R>(_ body: (OpaquePointer) -> R) throws(KafkaError) -> R {
    var native: OpaquePointer?
    let error = bytes.withUnsafeBytes { buffer -> OpaquePointer? in
      rd_kafka_consumer_group_metadata_read(&native, buffer.baseAddress, buffer.count)
    }
    if let error { throw KafkaError(consuming: error, during: "use group metadata") }
    guard let native else { throw KafkaError(.wrongState, during: "use group metadata") }
    defer { rd_kafka_consumer_group_metadata_destroy(native) }
    return body(native)
  }
}
