// The event model: what a decoder hands to the engine. Flat values; no String, no class.

import CXXHash

/// What happened. The raw value is stored in checkpoints and must never be reused for another meaning.
public enum EventType: UInt8, CaseIterable, Sendable {
  case activity = 0  // any type we do not know: counts as plain activity
  case pageView = 1
  case productView = 2
  case search = 3
  case favorite = 4
  case addToCart = 5
  case removeFromCart = 6
  case checkout = 7
  case login = 8
  case share = 9
  case like = 10
  case comment = 11
  case orderPlaced = 12
  case orderPaid = 13
  case orderCancelled = 14
  case orderRefunded = 15
  case review = 16
  case storeVisit = 17
  case supportTicket = 18
  case surveyResponse = 19
  case profileUpdate = 20
  case identityLink = 21
  case alertAck = 22

  /// The name in the native format and in the rule language.
  public var name: String {
    switch self {
    case .activity: "activity"
    case .pageView: "page_view"
    case .productView: "product_view"
    case .search: "search"
    case .favorite: "favorite"
    case .addToCart: "add_to_cart"
    case .removeFromCart: "remove_from_cart"
    case .checkout: "checkout"
    case .login: "login"
    case .share: "share"
    case .like: "like"
    case .comment: "comment"
    case .orderPlaced: "order_placed"
    case .orderPaid: "order_paid"
    case .orderCancelled: "order_cancelled"
    case .orderRefunded: "order_refunded"
    case .review: "review"
    case .storeVisit: "store_visit"
    case .supportTicket: "support_ticket"
    case .surveyResponse: "survey_response"
    case .profileUpdate: "profile_update"
    case .identityLink: "identity_link"
    case .alertAck: "alert_ack"
    }
  }
}

extension EventType {
  /// Whether it is about an order: what such an event changes may change the customer's purchases.
  public var concernsOrders: Bool {
    switch self {
    case .orderPlaced, .orderPaid, .orderCancelled, .orderRefunded: true
    default: false
    }
  }
}

/// Borrowed bytes: valid only while the arena that holds them is. Never stored beyond a batch.
public struct ByteSlice {
  public let base: UnsafePointer<UInt8>?
  public let count: Int

  @inlinable public init(base: UnsafePointer<UInt8>?, count: Int) {
    self.base = base
    self.count = count
  }
  @inlinable public static var empty: ByteSlice { ByteSlice(base: nil, count: 0) }
  @inlinable public var isEmpty: Bool { count == 0 }
  @inlinable public var buffer: UnsafeBufferPointer<UInt8> { UnsafeBufferPointer(start: base, count: count) }
  public var string: String { String(decoding: buffer, as: UTF8.self) }
  /// XXH3 of the bytes under `seed`; 0 is kept for "absent" and never returned.
  @inlinable public func hash(seed: UInt64 = 0) -> UInt64 {
    let h = tw_xxh3_64(base, count, seed)
    return h == 0 ? 1 : h
  }
}

/// An amount in minor units (cents) of the *reporting* currency. |amount| <= 10^13.
public struct Money: Hashable, Comparable, Sendable {
  public var minorUnits: Int64
  @inlinable public init(minorUnits: Int64) { self.minorUnits = minorUnits }
  @inlinable public static func < (a: Money, b: Money) -> Bool { a.minorUnits < b.minorUnits }
  public static let zero = Money(minorUnits: 0)
  /// The largest magnitude an input may carry.
  public static let limit: Int64 = 10_000_000_000_000
}

/// Where a record came from: enough to find it again.
public struct Origin: Hashable, Sendable {
  /// Index into the configured topics (0 for a replayed file).
  public var topic: UInt16
  public var partition: Int32
  /// Kafka offset; in a replayed file, the line number counted from 0.
  public var offset: Int64
  public init(topic: UInt16, partition: Int32, offset: Int64) {
    self.topic = topic
    self.partition = partition
    self.offset = offset
  }
}

/// One clean event. Slices point into the batch's arena; hashes use seed 0 unless said otherwise.
public struct Event {
  public var type: EventType = .activity
  public var time = Instant(microseconds: 0)
  public var origin = Origin(topic: 0, partition: 0, offset: 0)
  public var customer = ByteSlice.empty
  /// The event's own id; empty where the format has none.
  public var id = ByteSlice.empty
  public var idHash: UInt64 = 0
  public var orderHash: UInt64 = 0  // 0: no order id
  /// In the reporting currency; present when `hasAmount`. Never negative.
  public var amount = Money.zero
  public var hasAmount = false
  /// Discount in the reporting currency, 0 when absent.
  public var discount = Money.zero
  public var hasCoupon = false
  public var quantity: Int32 = 1
  public var category = ByteSlice.empty
  public var product = ByteSlice.empty
  public var productHash: UInt64 = 0  // 0: absent
  public var channel = ByteSlice.empty
  public var profile = ProfileFields()
  /// `identityLink`: the other id of the same customer. `alertAck`: the `alert_id` that was answered. Else empty.
  public var reference = ByteSlice.empty
  public init() {}
}

/// Profile attributes carried by `profile_update` (or Segment `identify`); absent fields keep their old value.
public struct ProfileFields {
  /// Days since 1970-01-01 in the proleptic Gregorian calendar (a date, no zone).
  public var birthDate: LocalDay? = nil
  public var gender: Gender? = nil
  /// Standardised: trimmed, lower case, UTF-8.
  public var region = ByteSlice.empty
  public var occupation = ByteSlice.empty
  public init() {}
}

public enum Gender: UInt8, Sendable, CaseIterable {
  case female = 1
  case male = 2
  case other = 3
  public var name: String {
    switch self {
    case .female: "female"
    case .male: "male"
    case .other: "other"
    }
  }
}
