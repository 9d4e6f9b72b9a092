// The owners of librdkafka's smaller objects: each is freed exactly once, when its owner goes out of scope.

import CRdKafka
import Glibc

// Each gives its pointer to a closure, so that the owner outlives every use of it.

/// Owns a rd_kafka_topic_partition_list_t.
struct PartitionList: ~Copyable {
  private let raw: UnsafeMutablePointer<rd_kafka_topic_partition_list_t>

  init(capacity: Int) { raw = rd_kafka_topic_partition_list_new(Int32(clamping: capacity)) }
  deinit { rd_kafka_topic_partition_list_destroy(raw) }

  borrowing func with<R>(_ body: (UnsafeMutablePointer<rd_kafka_topic_partition_list_t>) -> R) -> R { body(raw) }

  init(_ partitions: some Collection<TopicPartition>, offset: Int64 = Int64(RD_KAFKA_OFFSET_INVALID)) {
    self.init(capacity: partitions.count)
    for item in partitions { add(item, offset: offset, metadata: "") }
  }

  init(_ offsets: some Collection<PartitionOffset>) {
    self.init(capacity: offsets.count)
    for item in offsets { add(item.partition, offset: item.offset, metadata: item.metadata) }
  }

  borrowing func add(_ partition: TopicPartition, offset: Int64, metadata: String) {
    guard let element = rd_kafka_topic_partition_list_add(raw, partition.topic, partition.partition) else { return }
    element.pointee.offset = offset
    guard !metadata.isEmpty else { return }
    var metadata = metadata
    metadata.withUTF8 { bytes in
      // librdkafka frees the metadata with the list, through free().
      guard let source = bytes.baseAddress, let copy = malloc(bytes.count) else { return }
      copy.copyMemory(from: source, byteCount: bytes.count)
      element.pointee.metadata = copy
      element.pointee.metadata_size = bytes.count
    }
  }

  /// For rd_kafka_subscribe, which looks at the topics only.
  borrowing func addTopic(_ topic: String) {
    _ = rd_kafka_topic_partition_list_add(raw, topic, RD_KAFKA_PARTITION_UA)
  }

  /// What `transform` makes of each element; an element may be read only during its call.
  borrowing func map<R>(_ transform: (rd_kafka_topic_partition_t) -> R) -> [R] { raw.pointee.map(transform) }

  /// The first error among the partitions, if there is one.
  borrowing func firstError(during operation: String) -> KafkaError? { raw.pointee.firstError(during: operation) }
}

extension rd_kafka_topic_partition_list_t {
  func map<R>(_ transform: (rd_kafka_topic_partition_t) -> R) -> [R] {
    guard let elems else { return [] }
    return (0..<Int(cnt)).map { transform(elems[$0]) }
  }

  func firstError(during operation: String) -> KafkaError? {
    guard let elems else { return nil }
    for index in 0..<Int(cnt) where elems[index].err != RD_KAFKA_RESP_ERR_NO_ERROR {
      return KafkaError(elems[index].err, during: "\(operation) of \(elems[index].topicPartition)")
    }
    return nil
  }
}

extension rd_kafka_topic_partition_t {
  var topicPartition: TopicPartition { TopicPartition(String(cString: topic), partition) }

  var metadataText: String {
    guard let metadata, metadata_size > 0 else { return "" }
    return String(decoding: UnsafeRawBufferPointer(start: metadata, count: metadata_size), as: UTF8.self)
  }
}

/// Owns a rd_kafka_topic_t: one reference to a topic of a client. Must be gone before the client is destroyed.
struct NativeTopic: ~Copyable {
  private let raw: OpaquePointer

  init(_ name: String, of client: OpaquePointer) throws(KafkaError) {
    guard let raw = rd_kafka_topic_new(client, name, nil) else {
      throw KafkaError(rd_kafka_last_error(), during: "open topic \(name)")
    }
    self.raw = raw
  }
  deinit { rd_kafka_topic_destroy(raw) }

  borrowing func with<R>(_ body: (OpaquePointer) -> R) -> R { body(raw) }
}

/// Owns a rd_kafka_queue_t made for the reply of one request.
struct NativeQueue: ~Copyable {
  private let raw: OpaquePointer

  init(of client: OpaquePointer) { raw = rd_kafka_queue_new(client) }
  deinit { rd_kafka_queue_destroy(raw) }

  borrowing func with<R>(_ body: (OpaquePointer) -> R) -> R { body(raw) }

  /// Waits for the result of a request whose reply goes to this queue; nil when the time is up.
  borrowing func wait(milliseconds: Int32) -> NativeEvent? {
    guard let event = rd_kafka_queue_poll(raw, max(0, milliseconds)) else { return nil }
    return NativeEvent(adopting: event)
  }
}

/// Owns a rd_kafka_event_t.
struct NativeEvent: ~Copyable {
  private let raw: OpaquePointer

  init(adopting raw: OpaquePointer) { self.raw = raw }
  deinit { rd_kafka_event_destroy(raw) }

  borrowing func with<R>(_ body: (OpaquePointer) -> R) -> R { body(raw) }

  borrowing func error(during operation: String) -> KafkaError? {
    let code = rd_kafka_event_error(raw)
    guard code != RD_KAFKA_RESP_ERR_NO_ERROR else { return nil }
    return KafkaError(code, during: operation, reason: rd_kafka_event_error_string(raw).map { String(cString: $0) })
  }
}

/// Owns a rd_kafka_AdminOptions_t.
struct NativeAdminOptions: ~Copyable {
  private let raw: OpaquePointer

  init(for operation: rd_kafka_admin_op_t, of client: OpaquePointer, timeoutMilliseconds: Int32) {
    raw = rd_kafka_AdminOptions_new(client, operation)
    // How long the broker may take to carry the operation out, and how long the client waits for its answer. A value
    // out of range is refused and leaves librdkafka's default, which is what is wanted then.
    _ = rd_kafka_AdminOptions_set_operation_timeout(raw, timeoutMilliseconds, nil, 0)
    _ = rd_kafka_AdminOptions_set_request_timeout(raw, timeoutMilliseconds, nil, 0)
  }
  deinit { rd_kafka_AdminOptions_destroy(raw) }

  borrowing func with<R>(_ body: (OpaquePointer) -> R) -> R { body(raw) }
}

/// Calls a function that writes its error text to a buffer, and returns its result with that text.
func withErrorText<R>(_ body: (UnsafeMutablePointer<CChar>, Int) -> R) -> (result: R, text: String) {
  withUnsafeTemporaryAllocation(of: CChar.self, capacity: 512) { buffer in
    buffer.initialize(repeating: 0)
    // The capacity is not 0, so there is an address.
    let result = body(buffer.baseAddress.unsafelyUnwrapped, buffer.count)
    return (result, String(cString: buffer.baseAddress.unsafelyUnwrapped))
  }
}

/// A string that librdkafka allocated for the caller, copied and freed; nil for NULL.
func takeString(_ string: UnsafeMutablePointer<CChar>?, of client: OpaquePointer?) -> String? {
  guard let string else { return nil }
  defer { rd_kafka_mem_free(client, string) }
  return String(cString: string)
}
