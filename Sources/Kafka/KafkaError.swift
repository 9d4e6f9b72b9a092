// The one error type of this module: what failed, where, what the broker said, and what to do about it.

import CRdKafka

/// An error of librdkafka or of a broker.
///
/// The flags must be asked in this order: `requiresAbort`, then `isRetriable`; whatever is neither cannot be mended by
/// the caller.
public struct KafkaError: Error, Hashable, Sendable, CustomStringConvertible {
  /// What went wrong, as librdkafka numbers it.
  public var code: KafkaErrorCode
  /// What was being done, with the topic, partition or property concerned: `commit transaction`, `create topic orders`.
  public var operation: String
  /// The text of the broker or of librdkafka. Never holds the value of a secret property.
  public var reason: String
  /// The same call with the same arguments may succeed.
  public var isRetriable: Bool
  /// The client instance is unusable from now on.
  public var isFatal: Bool
  /// The current transaction must be aborted before anything else is done with the producer.
  public var requiresAbort: Bool

  /// An error with librdkafka's own text and the usual flags of its code where none are given.
  public init(
    _ code: KafkaErrorCode, during operation: String, reason: String? = nil, isRetriable: Bool? = nil,
    isFatal: Bool = false, requiresAbort: Bool = false
  ) {
    self.code = code
    self.operation = operation
    self.reason = reason ?? code.text
    self.isRetriable = isRetriable ?? (code.isUsuallyRetriable && !isFatal)
    self.isFatal = isFatal
    self.requiresAbort = requiresAbort
  }

  /// From a bare code of librdkafka, its flags by what is usual for that code.
  init(_ code: rd_kafka_resp_err_t, during operation: String, reason: String? = nil) {
    self.init(KafkaErrorCode(code), during: operation, reason: reason)
  }

  /// Takes over an error object of librdkafka and destroys it.
  init(consuming error: OpaquePointer, during operation: String) {
    defer { rd_kafka_error_destroy(error) }
    self.init(
      KafkaErrorCode(rd_kafka_error_code(error)), during: operation,
      reason: rd_kafka_error_string(error).map { String(cString: $0) },
      isRetriable: rd_kafka_error_is_retriable(error) != 0, isFatal: rd_kafka_error_is_fatal(error) != 0,
      requiresAbort: rd_kafka_error_txn_requires_abort(error) != 0)
  }

  /// Another producer with the same transactional id has taken over, or the broker has expired this one.
  public var isFenced: Bool {
    code == .fenced || code == .producerFenced || code == .invalidProducerEpoch || code == .fencedInstanceID
  }

  /// What the reader of the message can do.
  public var advice: String {
    if requiresAbort { return "abort the transaction and reload the state that was part of it" }
    if isFenced {
      return "another process runs with this kafka.group and kafka.instance: give each an instance of its own; if "
        + "there is none, this one stood still for longer than a transaction may last: start it again"
    }
    switch code {
    case .transport, .allBrokersDown, .resolve:
      return "check that the brokers are up and that bootstrap and advertised addresses can be reached from here"
    case .timedOut, .waitingForCoordinator, .unstableOffsetCommit:
      return isRetriable ? "call again" : "see whether the brokers are up"
    case .authentication: return "check sasl.mechanism, sasl.username and sasl.password"
    case .tls: return "check security.protocol, ssl.ca.location and the broker's certificate"
    case .topicAuthorizationFailed, .groupAuthorizationFailed, .clusterAuthorizationFailed,
      .transactionalIDAuthorizationFailed:
      return "grant this principal the missing right with kafka-acls"
    case .unknownTopicOrPartition, .unknownTopicLocally, .unknownPartition:
      return "create the topic, or correct its name"
    case .messageTooLarge:
      return "raise message.max.bytes here and max.message.bytes of the topic, or send less"
    case .queueFull: return "the brokers take less than is produced: wait and call again"
    case .outOfRange: return "the records were deleted before they were read: decide explicitly where to go on"
    case .illegalGeneration, .unknownMember: return "the assignment is gone: abort what belongs to it"
    case .rebalanceInProgress: return "poll, answer the rebalance, then see whether the partition is still owned"
    case .maxPollExceeded: return "poll more often or raise max.poll.interval.ms"
    case .invalidArgument: return "correct the configuration"
    case .unsupportedFeature: return "use a broker that supports this request"
    default:
      if isFatal { return "restart the process" }
      return isRetriable ? "call again" : "see the broker's log"
    }
  }

  /// What happened, where, and what to do, in one line.
  public var description: String {
    let kind = isFatal ? " (fatal)" : ""
    return "\(operation): \(code.name)\(kind): \(reason); \(advice)"
  }
}
