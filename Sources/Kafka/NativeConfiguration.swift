// The owner of a librdkafka configuration until a client takes it over.

import CRdKafka

/// Owns a rd_kafka_conf_t.
struct NativeConfiguration: ~Copyable {
  private let raw: OpaquePointer

  init() { raw = rd_kafka_conf_new() }
  deinit { rd_kafka_conf_destroy(raw) }

  /// Sets a property; returns what is wrong with it instead, without the value where that is a secret.
  borrowing func trySet(_ name: String, _ value: String) -> String? {
    let (result, text) = withErrorText { rd_kafka_conf_set(raw, name, value, $0, $1) }
    switch result {
    case RD_KAFKA_CONF_OK: return nil
    case RD_KAFKA_CONF_UNKNOWN: return "librdkafka \(librdkafkaVersion) knows no property \(name)"
    default:
      // librdkafka quotes the value it does not like.
      return "property \(name): \(ReservedProperties.isSecret(name) ? text.replacing(value, with: "***") : text)"
    }
  }

  borrowing func set(_ name: String, _ value: String) throws(KafkaError) {
    if let problem = trySet(name, value) { throw .invalidConfiguration([problem]) }
  }

  /// Hands the callbacks and their context to the client that will be made of this.
  borrowing func install(_ callbacks: (OpaquePointer) -> Void) { callbacks(raw) }

  /// Gives the configuration up to the caller, who must destroy it or hand it to rd_kafka_new.
  consuming func relinquish() -> OpaquePointer {
    let raw = raw
    discard self
    return raw
  }
}

/// The version of the librdkafka this process runs with, such as `2.0.2`.
public var librdkafkaVersion: String { String(cString: rd_kafka_version_str()) }
