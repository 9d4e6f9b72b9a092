// The features by the names rules give them, with their parameters.

import Customers
import Events

/// What may stand in the parentheses of a feature.
package enum FeatureParameters: Hashable, Sendable {
  /// Nothing, not even parentheses.
  case none
  /// A window `Nd`, or no parentheses at all for all time.
  case window
  /// A window `Nd` of at most so many days.
  case days(most: Int)
  /// An event type, and a window `Nd`.
  case eventAndDays(most: Int)
}

/// One name of the catalogue.
package struct FeatureEntry: Sendable {
  package let name: String
  package let parameters: FeatureParameters
  /// For the parameters that `parameters` allows. The event type is `.activity` where there is none.
  package let make: @Sendable (Window, EventType) -> Feature
  /// An instance of the feature, for its type.
  package var example: Feature { make(.days(1), .activity) }

  init(_ name: String, _ parameters: FeatureParameters, _ make: @escaping @Sendable (Window, EventType) -> Feature) {
    self.name = name
    self.parameters = parameters
    self.make = make
  }
  init(_ name: String, _ feature: Feature) {
    self.init(name, .none) { _, _ in feature }
  }
}

package enum FeatureCatalogue {
  /// Windows of `events.count` for most types, and of `events.total`.
  package static let eventDays = 30
  /// Windows of `events.count(support_ticket, ...)`.
  package static let ticketDays = 90
  /// `orders.growth(Nd)` looks back twice N days.
  package static let growthDays = Window.longestDays / 2

  package static let entries: [FeatureEntry] = [
    FeatureEntry("orders.count", .window) { window, _ in .ordersCount(window) },
    FeatureEntry("orders.paid", .window) { window, _ in .ordersPaid(window) },
    FeatureEntry("orders.revenue", .window) { window, _ in .ordersRevenue(window) },
    FeatureEntry("orders.gross", .window) { window, _ in .ordersGross(window) },
    FeatureEntry("orders.average", .window) { window, _ in .ordersAverage(window) },
    FeatureEntry("orders.days_since_first", .daysSinceFirstOrder),
    FeatureEntry("orders.days_since_last", .daysSinceLastOrder),
    FeatureEntry("orders.mean_gap_days", .ordersMeanGapDays),
    FeatureEntry("orders.last_gap_days", .ordersLastGapDays),
    FeatureEntry("orders.repeat_rate", .repeatRate),
    FeatureEntry("orders.growth", .days(most: growthDays)) { window, _ in .ordersGrowth(days: window.dayCount) },
    FeatureEntry("orders.discount_share", .window) { window, _ in .discountShare(window) },
    FeatureEntry("orders.repeat_days", .repeatDays),
    FeatureEntry("refunds.count", .window) { window, _ in .refundsCount(window) },
    FeatureEntry("refunds.rate", .refundRate),
    FeatureEntry("events.count", .eventAndDays(most: eventDays)) { .eventCount($1, days: $0.dayCount) },
    FeatureEntry("events.total", .days(most: eventDays)) { window, _ in .eventTotal(days: window.dayCount) },
    FeatureEntry("seen.days_since_first", .daysSinceFirstSeen),
    FeatureEntry("seen.days_since_last", .daysSinceLastSeen),
    FeatureEntry("cart.items", .cartItems),
    FeatureEntry("cart.value", .cartValue),
    FeatureEntry("cart.age_hours", .cartAgeHours),
    FeatureEntry("preferences.category", .topCategory),
    FeatureEntry("preferences.category_share", .topCategoryShare),
    FeatureEntry("preferences.category_weight", .categoryWeight),
    FeatureEntry("preferences.channel", .topChannel),
    FeatureEntry("preferences.channel_share", .topChannelShare),
    FeatureEntry("preferences.channel_weight", .channelWeight),
    FeatureEntry("profile.age", .age),
    FeatureEntry("profile.gender", .gender),
    FeatureEntry("profile.region", .region),
    FeatureEntry("profile.occupation", .occupation),
    FeatureEntry("churn.probability", .churnProbability),
    FeatureEntry("churn.lost_probability", .lostProbability),
  ]

  package static let byName: [String: FeatureEntry] = Dictionary(
    entries.map { ($0.name, $0) }, uniquingKeysWith: { first, _ in first })

  package static let eventsByName: [String: EventType] = Dictionary(
    EventType.allCases.map { ($0.name, $0) }, uniquingKeysWith: { first, _ in first })
}

extension Window {
  /// N of `Nd`; 0 for all time.
  package var dayCount: Int {
    switch self {
    case .life: 0
    case .days(let n): n
    }
  }
}

extension Feature {
  /// The feature as a rule writes it, such as `orders.count(90d)`: for outputs and messages.
  public var name: String {
    switch self {
    case .ordersCount(let window): Self.windowed("orders.count", window)
    case .ordersPaid(let window): Self.windowed("orders.paid", window)
    case .ordersRevenue(let window): Self.windowed("orders.revenue", window)
    case .ordersGross(let window): Self.windowed("orders.gross", window)
    case .ordersAverage(let window): Self.windowed("orders.average", window)
    case .daysSinceFirstOrder: "orders.days_since_first"
    case .daysSinceLastOrder: "orders.days_since_last"
    case .ordersMeanGapDays: "orders.mean_gap_days"
    case .ordersLastGapDays: "orders.last_gap_days"
    case .repeatRate: "orders.repeat_rate"
    case .ordersGrowth(let days): "orders.growth(\(days)d)"
    case .discountShare(let window): Self.windowed("orders.discount_share", window)
    case .repeatDays: "orders.repeat_days"
    case .refundsCount(let window): Self.windowed("refunds.count", window)
    case .refundRate: "refunds.rate"
    case .eventCount(let type, let days): "events.count(\(type.name), \(days)d)"
    case .eventTotal(let days): "events.total(\(days)d)"
    case .daysSinceFirstSeen: "seen.days_since_first"
    case .daysSinceLastSeen: "seen.days_since_last"
    case .cartItems: "cart.items"
    case .cartValue: "cart.value"
    case .cartAgeHours: "cart.age_hours"
    case .topCategory: "preferences.category"
    case .topCategoryShare: "preferences.category_share"
    case .categoryWeight: "preferences.category_weight"
    case .topChannel: "preferences.channel"
    case .topChannelShare: "preferences.channel_share"
    case .channelWeight: "preferences.channel_weight"
    case .age: "profile.age"
    case .gender: "profile.gender"
    case .region: "profile.region"
    case .occupation: "profile.occupation"
    case .churnProbability: "churn.probability"
    case .lostProbability: "churn.lost_probability"
    }
  }

  private static func windowed(_ name: String, _ window: Window) -> String {
    switch window {
    case .life: name
    case .days(let days): "\(name)(\(days)d)"
    }
  }

  /// Whether silence can only raise the value, so that the instant it reaches a threshold can be solved for.
  package var isRising: Bool {
    switch self {
    case .daysSinceFirstOrder, .daysSinceLastOrder, .daysSinceFirstSeen, .daysSinceLastSeen, .cartAgeHours, .age,
      .churnProbability, .lostProbability:
      true
    default: false
    }
  }
}
