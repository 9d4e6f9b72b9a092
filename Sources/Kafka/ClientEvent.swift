// What a client has to tell besides records: log lines, statistics, errors. Collected, and read by the caller.

/// Something librdkafka reported while it was polled.
public enum ClientEvent: Sendable, Hashable {
  /// A log line; the level is syslog's (3 error, 4 warning, 5 notice, 6 info, 7 debug).
  case log(level: Int32, facility: String, text: String)
  /// One broker is down, could not be resolved, refused our credentials, ...; librdkafka keeps trying by itself.
  case brokerError(KafkaError)
  /// No broker can be reached; librdkafka keeps trying by itself.
  case allBrokersDown(KafkaError)
  /// The client cannot go on (fenced, for example).
  case fatal(KafkaError)
  /// librdkafka's statistics as one JSON object. Only the newest unread one is kept.
  case statistics(json: String)
}

/// What was collected since the last look.
public struct DrainedEvents: Sendable {
  /// In the order of their arrival.
  public var events: [ClientEvent]
  /// How many were thrown away because nobody looked.
  public var dropped: Int
}
