// What the workload looks like: the constants of the reference workload, and what one event of it holds.

import Events

/// How much of the workload is made, and over what.
public struct LoadOptions: Sendable, Hashable {
  /// 1...1,000,000,000. Each event picks one; with few events some never occur.
  public var customers = 1_000_000
  /// 0 or more.
  public var events = 5_000_000
  /// Over how many days the events are spread, 1...36,500.
  public var days = 60
  /// Equal options and seeds give equal bytes, on every machine.
  public var seed: UInt64 = 1
  /// No event is before this.
  public var start = Instant(seconds: 1_772_323_200)  // 2026-03-01

  public static let customersRange = 1...1_000_000_000
  public static let daysRange = 1...36_500

  public init() {}
}

/// The kinds of events, in the order of their shares.
public enum LoadKind: Int, CaseIterable, Sendable {
  case pageView, productView, search, favorite, addToCart, orderPaid, orderRefunded, supportTicket

  /// Of all events, in percent.
  public var percent: Int {
    switch self {
    case .pageView: 35
    case .productView: 25
    case .search: 12
    case .favorite: 8
    case .addToCart: 10
    case .orderPaid: 8
    case .orderRefunded, .supportTicket: 1
    }
  }

  public var name: StaticString {
    switch self {
    case .pageView: "page_view"
    case .productView: "product_view"
    case .search: "search"
    case .favorite: "favorite"
    case .addToCart: "add_to_cart"
    case .orderPaid: "order_paid"
    case .orderRefunded: "order_refunded"
    case .supportTicket: "support_ticket"
    }
  }

  /// The share as a bound on 32 random bits: below the n-th bound and not below the one before it is kind n.
  static let bounds: [UInt32] = {
    var sum: UInt64 = 0
    return allCases.map { kind in
      sum += UInt64(kind.percent)
      return UInt32(min(UInt64(UInt32.max), (sum << 32) / 100))
    }
  }()
}

enum LoadShape {
  static let categories: [StaticString] = [
    "beauty/skin", "beauty/makeup", "fashion/women", "fashion/men", "home/kitchen", "home/textile", "food/snacks",
    "food/fresh", "baby/care", "digital/phone", "digital/audio", "sports/outdoor", "books/fiction", "pet/food",
    "health/vitamin", "toys/blocks",
  ]
  static let channels: [StaticString] = ["app", "web", "mini_program", "store"]
  /// Of 16 random bits: 45, 20, 30 and 5 percent.
  static let channelBounds: [UInt32] = [29_491, 42_598, 62_259, 65_536]
  static let products = 50_000
  /// Percent of the events that carry a coupon.
  static let couponPercent = 12
  /// Rank r (0 the most active) is as likely as (r + 100)^-0.75: a mild Zipf.
  static let rankOffset = 100.0
  /// Amounts are log-normal about 300.00 with this deviation of the logarithm.
  static let amountLogDeviation = 1.3
  /// The logarithm of 30,000 cents.
  static let amountLogMean = 10.308_952_660_644_293
  /// A refund is of one of so many orders before it.
  static let refundHorizon = 1 << 16
}
