// The one owner of a librdkafka client, and the callbacks librdkafka makes while its owner polls it.
//
// No callback of this module runs on a thread of librdkafka: logs, errors, statistics, delivery reports and rebalances
// are all operations on queues, served inside the caller's own poll, flush, commit or close. So the state they write
// needs no lock, and nothing calls upward: the caller reads what was collected when its call has returned.

import CRdKafka

/// What callbacks collect. Reached through the client's opaque pointer; touched only by the thread that polls.
final class CallbackContext {
  /// More events than this are dropped, and counted.
  static let capacity = 1_024

  var events: [ClientEvent] = []
  var droppedEvents = 0
  var rebalances: [RebalanceEvent] = []
  /// The queue that a rebalance interrupts, so that a poll does not wait out its time with an event in hand.
  var queueToInterrupt: OpaquePointer?
  /// Nobody is left to answer a rebalance: answer it here.
  var isClosing = false
  var firstFailure: DeliveryFailure?
  var firstUnconfirmed: TopicPartition?

  func append(_ event: ClientEvent) {
    if case .statistics = event, let index = events.lastIndex(where: { $0.isStatistics }) { events.remove(at: index) }
    guard events.count < Self.capacity else {
      droppedEvents += 1
      return
    }
    events.append(event)
  }

  func drain() -> DrainedEvents {
    defer {
      events = []
      droppedEvents = 0
    }
    return DrainedEvents(events: events, dropped: droppedEvents)
  }
}

extension ClientEvent {
  fileprivate var isStatistics: Bool {
    if case .statistics = self { true } else { false }
  }
}

/// What the opaque pointer points to. The counts stand here and not in the class so that a delivery report, of which
/// there is one for every record produced, costs an addition and no reference counting.
struct CallbackState {
  var delivered = 0
  var failed = 0
  var unconfirmed = 0
  let context: Unmanaged<CallbackContext>
}

/// Owns a rd_kafka_t, its callback state, and what librdkafka wants destroyed before the client is: its topics and its
/// queue. Shared by the client and the batches of records it has handed out, for these must go before it too.
final class ClientHandle {
  enum Role {
    case consumer
    case producer
  }

  let raw: OpaquePointer
  let state: UnsafeMutablePointer<CallbackState>
  let context: CallbackContext
  /// The queue that poll reads; of consumers only.
  private(set) var consumerQueue: OpaquePointer?
  private var topics: [String: OpaquePointer] = [:]
  /// The client's threads will not end, or not soon: leaving the group did not come to an end, which can take as long as a
  /// session; or a topic vanished while it was being read, after which rd_kafka_destroy of librdkafka 2.0 waits for ever.
  private var isAbandoned = false

  /// - Throws: what librdkafka does not like in the combination of properties (a key file that is not there, a timeout
  ///   above another).
  init(_ role: Role, _ configuration: consuming NativeConfiguration) throws(KafkaError) {
    let context = CallbackContext()
    let state = UnsafeMutablePointer<CallbackState>.allocate(capacity: 1)
    // Unretained: this object holds the context and outlives the client whose callbacks use it.
    state.initialize(to: CallbackState(context: .passUnretained(context)))
    configuration.install { Self.installCallbacks($0, role: role, state: state) }

    let native = configuration.relinquish()
    let (client, text) = withErrorText {
      rd_kafka_new(role == .consumer ? RD_KAFKA_CONSUMER : RD_KAFKA_PRODUCER, native, $0, $1)
    }
    guard let client else {
      let code = rd_kafka_last_error()
      // Only a client that was made has taken the configuration over.
      rd_kafka_conf_destroy(native)
      state.deallocate()
      throw KafkaError(code, during: role == .consumer ? "create consumer" : "create producer", reason: text)
    }
    self.raw = client
    self.state = state
    self.context = context
    // Logs to the main queue, which the owner polls.
    let error = rd_kafka_set_log_queue(client, nil)
    if error != RD_KAFKA_RESP_ERR_NO_ERROR { throw KafkaError(error, during: "redirect the client's log") }
  }

  deinit {
    context.isClosing = true
    context.queueToInterrupt = nil
    if isAbandoned {
      // Left to the end of the process, with the context its callbacks would use.
      _ = Unmanaged.passRetained(context)
      return
    }
    for topic in topics.values { rd_kafka_topic_destroy(topic) }
    if let consumerQueue { rd_kafka_queue_destroy(consumerQueue) }
    rd_kafka_destroy(raw)
    state.deallocate()
  }

  /// Opens a topic and keeps it open as long as the client lives: its address then identifies it in messages.
  func openTopic(_ name: String) throws(KafkaError) -> OpaquePointer {
    if let topic = topics[name] { return topic }
    guard let topic = rd_kafka_topic_new(raw, name, nil) else {
      throw KafkaError(rd_kafka_last_error(), during: "open topic \(name)")
    }
    topics[name] = topic
    return topic
  }

  /// Makes the consumer's queue the one place where everything arrives: records, rebalances, logs, errors, statistics.
  func openConsumerQueue() throws(KafkaError) {
    let redirected = rd_kafka_poll_set_consumer(raw)
    if redirected != RD_KAFKA_RESP_ERR_NO_ERROR { throw KafkaError(redirected, during: "open the consumer's queue") }
    consumerQueue = rd_kafka_queue_get_consumer(raw)
    context.queueToInterrupt = consumerQueue
  }

  /// Leaves the client's threads and memory to the end of the process; see `isAbandoned`.
  func abandon() { isAbandoned = true }

  /// Leaves the group, answering what rebalances there are with an empty assignment; returns what went wrong.
  func leaveGroup(timeoutMilliseconds: Int32) -> KafkaError? {
    context.isClosing = true
    context.queueToInterrupt = nil
    context.rebalances = []
    let deadline = Deadline(milliseconds: timeoutMilliseconds)
    let closing = NativeQueue(of: raw)
    if let error = closing.with({ rd_kafka_consumer_close_queue(raw, $0) }) {
      return KafkaError(consuming: error, during: "leave the group")
    }
    // The batch function, because it is the one that takes every kind of operation; the records are of no use any more.
    withUnsafeTemporaryAllocation(of: UnsafeMutablePointer<rd_kafka_message_t>?.self, capacity: 100) { messages in
      repeat {
        let wait = min(100, deadline.remainingMilliseconds)
        let count = closing.with { rd_kafka_consume_batch_queue($0, wait, messages.baseAddress, messages.count) }
        for index in 0..<max(0, Int(count)) { rd_kafka_message_destroy(messages[index]) }
      } while rd_kafka_consumer_closed(raw) == 0 && !deadline.isOver
    }
    if rd_kafka_consumer_closed(raw) != 0 { return nil }
    abandon()
    return KafkaError(
      .timedOut, during: "leave the group", reason: "the brokers do not answer; the group will notice by itself",
      isRetriable: false)
  }

  /// The error that made the client unusable, if there is one.
  var fatalError: KafkaError? {
    var code = RD_KAFKA_RESP_ERR_NO_ERROR
    let text = withErrorText { buffer, size in code = rd_kafka_fatal_error(raw, buffer, size) }.text
    guard code != RD_KAFKA_RESP_ERR_NO_ERROR else { return nil }
    return KafkaError(KafkaErrorCode(code), during: "use \(name)", reason: text, isRetriable: false, isFatal: true)
  }

  /// librdkafka's name of this client instance, as in its log.
  var name: String { String(cString: rd_kafka_name(raw)) }

  private static func installCallbacks(
    _ conf: OpaquePointer, role: Role, state: UnsafeMutablePointer<CallbackState>
  ) {
    rd_kafka_conf_set_opaque(conf, state)
    rd_kafka_conf_set_log_cb(conf) { client, level, facility, text in
      guard let client, let context = collector(rd_kafka_opaque(client)) else { return }
      context.append(
        .log(
          level: level, facility: facility.map { String(cString: $0) } ?? "",
          text: text.map { String(cString: $0) } ?? ""))
    }
    rd_kafka_conf_set_error_cb(conf) { client, code, reason, opaque in
      guard let client, let context = collector(opaque) else { return }
      let code = rd_kafka_resp_err_t(rawValue: code)
      let operation = "client \(String(cString: rd_kafka_name(client)))"
      if code == RD_KAFKA_RESP_ERR__FATAL {
        var cause = RD_KAFKA_RESP_ERR_NO_ERROR
        let text = withErrorText { buffer, size in cause = rd_kafka_fatal_error(client, buffer, size) }.text
        context.append(
          .fatal(
            KafkaError(KafkaErrorCode(cause), during: operation, reason: text, isRetriable: false, isFatal: true)))
        return
      }
      let error = KafkaError(code, during: operation, reason: reason.map { String(cString: $0) })
      context.append(code == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN ? .allBrokersDown(error) : .brokerError(error))
    }
    rd_kafka_conf_set_stats_cb(conf) { _, json, length, opaque in
      guard let json, let context = collector(opaque) else { return 0 }
      let bytes = UnsafeRawBufferPointer(start: json, count: length)
      context.append(.statistics(json: String(decoding: bytes, as: UTF8.self)))
      return 0  // librdkafka frees the text.
    }
    switch role {
    case .consumer: rd_kafka_conf_set_rebalance_cb(conf, rebalance)
    case .producer: rd_kafka_conf_set_dr_msg_cb(conf, deliveryReport)
    }
  }
}

private func collector(_ opaque: UnsafeMutableRawPointer?) -> CallbackContext? {
  opaque?.assumingMemoryBound(to: CallbackState.self).pointee.context.takeUnretainedValue()
}

/// Records a rebalance for the caller of poll, who answers it with `assign` or `unassign`.
///
/// It must not call rd_kafka_yield: the batch functions of librdkafka 2.0 drop the record they hold when the yield flag
/// of the thread is set. rd_kafka_queue_yield only ends the wait.
private func rebalance(
  client: OpaquePointer?, code: rd_kafka_resp_err_t,
  partitions: UnsafeMutablePointer<rd_kafka_topic_partition_list_t>?, opaque: UnsafeMutableRawPointer?
) {
  guard let client, let context = collector(opaque) else { return }
  if context.isClosing {
    rd_kafka_assign(client, nil)
    return
  }
  let list = partitions?.pointee.map(\.topicPartition) ?? []
  switch code {
  case RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS:
    context.rebalances.append(.assigned(list))
  case RD_KAFKA_RESP_ERR__REVOKE_PARTITIONS:
    context.rebalances.append(rd_kafka_assignment_lost(client) != 0 ? .lost(list) : .revoked(list))
  default:
    // The group could not be joined; librdkafka asks for an empty assignment and tries again.
    context.append(.brokerError(KafkaError(code, during: "rebalance")))
    rd_kafka_assign(client, nil)
    return
  }
  if let queue = context.queueToInterrupt { rd_kafka_queue_yield(queue) }
}

private func deliveryReport(
  client: OpaquePointer?, message: UnsafePointer<rd_kafka_message_t>?, opaque: UnsafeMutableRawPointer?
) {
  guard let message, let opaque else { return }
  let state = opaque.assumingMemoryBound(to: CallbackState.self)
  let hasError = message.pointee.err != RD_KAFKA_RESP_ERR_NO_ERROR
  // Whatever a broker has acknowledged has its offset.
  if !hasError, message.pointee.offset >= 0 {
    state.pointee.delivered &+= 1
    return
  }
  let context = state.pointee.context.takeUnretainedValue()
  var partition: TopicPartition {
    TopicPartition(
      message.pointee.rkt.map { String(cString: rd_kafka_topic_name($0)) } ?? "", message.pointee.partition)
  }
  if hasError {
    state.pointee.failed &+= 1
    if context.firstFailure == nil {
      context.firstFailure = DeliveryFailure(
        partition: partition, error: KafkaError(message.pointee.err, during: "deliver a record to \(partition)"))
    }
  } else {
    state.pointee.unconfirmed &+= 1
    if context.firstUnconfirmed == nil { context.firstUnconfirmed = partition }
  }
}
