// The catalogue of features: what rules may ask of a customer, with its type and how it behaves in silence.

import Events

/// The span a windowed feature looks back on.
public enum Window: Hashable, Sendable {
  /// Everything ever seen.
  case life
  /// Today and the `n - 1` local days before it, in the configured zone. 1 <= n <= `Window.longestDays`.
  case days(Int)

  /// Orders are kept one by one this far back (and a little longer, for late events).
  public static let longestDays = 365
}

/// What a feature's value is.
public enum FeatureType: Hashable, Sendable {
  /// A plain number: counts, ages in years, scores.
  case number
  /// Minor units of the reporting currency; rules write major units.
  case money
  /// A share or rate, usually 0...1 (growth may exceed it).
  case ratio
  /// Elapsed days (whole 24-hour periods) where the feature's name says `days`.
  case days
  /// A short text, compared by its hash.
  case text
}

/// How a feature's value moves when nothing more happens.
public enum SilenceBehaviour: Hashable, Sendable {
  /// Never moves.
  case constant
  /// Moves in steps at instants that `nextStep` names.
  case step
  /// Moves at every instant (and rises): rules may only compare it with a constant.
  case continuous
}

/// Parts of a record: an event marks those it touched, a rule names those it reads.
public struct FeatureGroups: OptionSet, Hashable, Sendable {
  public var rawValue: UInt64
  @inlinable public init(rawValue: UInt64) { self.rawValue = rawValue }
  public static let orders = FeatureGroups(rawValue: 1 << 32)
  public static let seen = FeatureGroups(rawValue: 1 << 33)
  public static let cart = FeatureGroups(rawValue: 1 << 34)
  public static let categories = FeatureGroups(rawValue: 1 << 35)
  public static let channels = FeatureGroups(rawValue: 1 << 36)
  public static let profile = FeatureGroups(rawValue: 1 << 37)
  /// The counts of one event type.
  @inlinable public static func events(_ type: EventType) -> FeatureGroups {
    FeatureGroups(rawValue: 1 << type.rawValue)
  }
  /// The counts of all event types.
  public static let allEvents = FeatureGroups(rawValue: 0xffff_ffff)
  public static let all = FeatureGroups(rawValue: .max)
}

/// One feature with its parameters. An undefined value (an average over no orders) is NaN, an absent text 0:
/// every comparison with either is false.
public enum Feature: Hashable, Sendable {
  /// `orders.count(W)`: purchases (paid, neither cancelled nor wholly refunded), dated by payment.
  case ordersCount(Window)
  /// `orders.paid(W)`: paid orders, also those cancelled or refunded later.
  case ordersPaid(Window)
  /// `orders.revenue(W)`: money of purchases, net of refunds; refunds without an order count at their own date.
  case ordersRevenue(Window)
  /// `orders.gross(W)`: money of all paid orders, nothing subtracted.
  case ordersGross(Window)
  /// `orders.average(W)`: revenue / count.
  case ordersAverage(Window)
  /// `orders.days_since_first`, `orders.days_since_last`: elapsed 24-hour periods since the first, last purchase.
  case daysSinceFirstOrder, daysSinceLastOrder
  /// `orders.mean_gap_days`: (last - first purchase) / (count - 1), in days with a fraction.
  case ordersMeanGapDays
  /// `orders.last_gap_days`: between the last two purchases, in days with a fraction.
  case ordersLastGapDays
  /// `orders.repeat_rate`: (count - 1) / count over life.
  case repeatRate
  /// `orders.growth(Nd)`: revenue of the last N days against the N before: (now - before) / before.
  case ordersGrowth(days: Int)
  /// `orders.discount_share(W)`: share of purchases with a coupon or a discount.
  case discountShare(Window)
  /// `orders.repeat_days`: x, the number of days with a purchase after the first such day.
  case repeatDays
  /// `refunds.count(W)`: refund events, dated by themselves.
  case refundsCount(Window)
  /// `refunds.rate`: paid orders with any refund / paid orders, over life.
  case refundRate
  /// `events.count(type, Nd)`: N <= 30 (support tickets: N <= 90).
  case eventCount(EventType, days: Int)
  /// `events.total(Nd)`: all types together, N <= 30.
  case eventTotal(days: Int)
  /// `seen.days_since_first`, `seen.days_since_last`: elapsed 24-hour periods since the first, last event.
  case daysSinceFirstSeen, daysSinceLastSeen
  /// `cart.items`: entries in the open cart; `cart.value`: their amounts; `cart.age_hours`: whole hours since the oldest.
  case cartItems, cartValue, cartAgeHours
  /// `preferences.category` with the largest decayed weight, its share of all weight, and
  /// `preferences.category_weight`: all weight, as of the latest event that brought some.
  case topCategory, topCategoryShare, categoryWeight
  /// `preferences.channel`, likewise.
  case topChannel, topChannelShare, channelWeight
  /// `profile.age`: whole years at today's local date.
  case age
  /// `profile.gender` (`female`, `male`, `other`), `profile.region`, `profile.occupation`.
  case gender, region, occupation
  /// `churn.probability`: no purchase in the model's next H days; `churn.lost_probability`: 1 - P(alive).
  case churnProbability, lostProbability

  public var type: FeatureType {
    switch self {
    case .ordersCount, .ordersPaid, .refundsCount, .eventCount, .eventTotal, .cartItems, .cartAgeHours, .age,
      .repeatDays, .categoryWeight, .channelWeight:
      .number
    case .ordersRevenue, .ordersGross, .ordersAverage, .cartValue: .money
    case .daysSinceFirstOrder, .daysSinceLastOrder, .ordersMeanGapDays, .ordersLastGapDays, .daysSinceFirstSeen,
      .daysSinceLastSeen:
      .days
    case .repeatRate, .ordersGrowth, .discountShare, .refundRate, .topCategoryShare, .topChannelShare,
      .churnProbability,
      .lostProbability:
      .ratio
    case .topCategory, .topChannel, .gender, .region, .occupation: .text
    }
  }

  public var behaviour: SilenceBehaviour {
    switch self {
    case .ordersCount(.days), .ordersPaid(.days), .ordersRevenue(.days), .ordersGross(.days), .ordersAverage(.days),
      .discountShare(.days), .refundsCount(.days), .ordersGrowth, .eventCount, .eventTotal, .daysSinceFirstOrder,
      .daysSinceLastOrder, .daysSinceFirstSeen, .daysSinceLastSeen, .cartAgeHours, .age:
      .step
    case .churnProbability, .lostProbability: .continuous
    default: .constant
    }
  }

  /// The parts of a record that this feature reads.
  public var groups: FeatureGroups {
    switch self {
    case .ordersCount, .ordersPaid, .ordersRevenue, .ordersGross, .ordersAverage, .daysSinceFirstOrder,
      .daysSinceLastOrder,
      .ordersMeanGapDays, .ordersLastGapDays, .repeatRate, .ordersGrowth, .discountShare, .refundsCount, .refundRate,
      .repeatDays, .churnProbability, .lostProbability:
      .orders
    case .eventCount(let type, _): .events(type)
    case .eventTotal: .allEvents
    case .daysSinceFirstSeen, .daysSinceLastSeen: .seen
    case .cartItems, .cartValue, .cartAgeHours: .cart
    case .topCategory, .topCategoryShare, .categoryWeight: .categories
    case .topChannel, .topChannelShare, .channelWeight: .channels
    case .age, .gender, .region, .occupation: .profile
    }
  }
}

/// What a rule evaluator needs of one customer at one instant. The engine's record view conforms; so do test doubles.
/// Used as a generic constraint only, so that calls are direct.
public protocol FeatureSource {
  /// The instant at which features are read.
  var now: Instant { get }
  /// The value now of any feature that is not `.text`; NaN when undefined. Money in minor units.
  func number(_ feature: Feature) -> Double
  /// The hash (XXH3, seed 0) of a `.text` feature's value; 0 when absent.
  func text(_ feature: Feature) -> UInt64
  /// The same source read at a later instant, nothing having happened in between.
  func at(_ instant: Instant) -> Self
  /// For `.step` features: the first instant after `now` at which the value can change in silence;
  /// `.distantFuture` when it cannot.
  func nextStep(_ feature: Feature) -> Instant
  /// Likewise; where that is at or after `limit`, any instant there will do.
  func nextStep(_ feature: Feature, before limit: Instant) -> Instant
  /// For rising features (days since, cart age, age, `.continuous` ones): the first whole second after `now` from which
  /// `number(feature) >= threshold` holds while it does not hold now; `.distantFuture` when never or when it holds now.
  func crossing(_ feature: Feature, threshold: Double) -> Instant
}

extension FeatureSource {
  public func nextStep(_ feature: Feature, before limit: Instant) -> Instant { nextStep(feature) }
}
