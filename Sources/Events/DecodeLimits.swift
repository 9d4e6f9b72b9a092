// What a record may at most be. The names in the configuration stand beside each limit.

public struct DecodeLimits: Sendable, Hashable {
  /// `record_bytes`: length of a record's value.
  public var maxRecordBytes = 1 << 20
  /// `customer_id_bytes`: UTF-8 length of a customer id (and of the other id of an `identity_link`).
  public var maxCustomerBytes = 128
  /// `text_bytes`: UTF-8 length of every other field that is kept or hashed.
  public var maxTextBytes = 256
  /// `depth`: nesting of objects and arrays, the top level counted; 1...64.
  public var maxDepth = 16
  /// `fields`: JSON values in a record, containers and array elements counted.
  public var maxFields = 1024
  /// `future`: how far an event may be ahead of the ceiling given with it.
  public var maxAhead = TimeSpan.minutes(5)
  /// `oldest`: events before this instant are refused; 1990-01-01 catches seconds sent as milliseconds.
  public var oldest = Instant(seconds: 631_152_000)
  /// `quantity`: largest quantity of one event, and the most units that its items may come to.
  public var maxQuantity: Int32 = 1_000_000

  public init() {}
}
