// What a task says to the outside: records for the output topics, encoded once into flat buffers.

import Events

/// Which output topic (or file, in a replay) a record belongs to.
public enum OutputTopic: UInt8, CaseIterable, Sendable {
  case tagChanges = 0
  case churnAlerts = 1
  case profiles = 2
  case deadLetters = 3

  /// The default topic name and, with `.ndjson`, the name of the replay's file.
  public var name: String {
    switch self {
    case .tagChanges: "tag-changes"
    case .churnAlerts: "churn-alerts"
    case .profiles: "customer-profiles"
    case .deadLetters: "dead-letters"
    }
  }
  /// The CloudEvents type, header `ce_type`.
  public var cloudEventType: StaticString {
    switch self {
    case .tagChanges: "tidewatch.tag.changed.v1"
    case .churnAlerts: "tidewatch.churn.alert.v1"
    case .profiles: "tidewatch.customer.profile.v1"
    case .deadLetters: "tidewatch.dead-letter.v1"
    }
  }
}

/// Output records in the order in which they became true. Reused from epoch to epoch: `removeAll` keeps the memory.
public struct OutputBuffer: Sendable {
  /// One record: ranges into `bytes`.
  public struct Entry: Sendable {
    public var topic: OutputTopic
    /// Kafka key: the customer id (for a dead letter: the original key, possibly empty).
    public var key: Range<Int>
    /// Deterministic CloudEvents id, ASCII.
    public var id: Range<Int>
    /// JSON, without a line end; empty: of a profile that there is none any more.
    public var value: Range<Int>
    /// The task's clock at emission, header `ce_time`.
    public var emittedAt: Instant
    public init(topic: OutputTopic, key: Range<Int>, id: Range<Int>, value: Range<Int>, emittedAt: Instant) {
      self.topic = topic
      self.key = key
      self.id = id
      self.value = value
      self.emittedAt = emittedAt
    }
  }
  public var bytes: [UInt8] = []
  public var entries: [Entry] = []
  public init() {}
  public var isEmpty: Bool { entries.isEmpty }
  public mutating func removeAll() {
    bytes.removeAll(keepingCapacity: true)
    entries.removeAll(keepingCapacity: true)
  }
}
