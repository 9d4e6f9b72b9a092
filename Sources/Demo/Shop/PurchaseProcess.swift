// When a customer comes, buys and leaves: the truth of the synthetic shop, a pure function of seed and customer.

import Events

/// The moments at which customers come, in order. Most come early, as in a shop that opens; then a steady stream.
struct ShopArrivals: Sendable {
  private var random: ShopRandom
  private var now: Double = 0
  private let early: Double
  private let steady: Double
  private let earlyDays: Double
  private let opening: Instant

  init(_ settings: ShopSettings) {
    random = ShopRandom(seed: settings.seed, customer: -1, stream: 1)
    let days = max(1, Double(settings.growth.microseconds) / ShopTime.day)
    earlyDays = days / 3
    early = 0.6 * Double(max(1, settings.customers)) / earlyDays
    steady = 0.4 * Double(max(1, settings.customers)) / (days - earlyDays)
    opening = settings.opening
  }

  /// The next customer's first visit.
  mutating func next() -> Instant {
    now += random.exponential(rate: now < earlyDays ? early : steady)
    return opening + ShopTime.span(days: now)
  }
}

/// One customer's purchases, in order, drawn one by one.
struct PurchaseProcess: Sendable {
  private var random: ShopRandom
  /// Purchases a day while alive.
  let rate: Double
  /// Probability of leaving after a purchase.
  let dropout: Double
  /// The next purchase; nil when the customer has left (after the last one) or never buys.
  private(set) var upcoming: Instant?
  /// The purchase before it: once `upcoming` is nil, the moment of leaving.
  private(set) var last: Instant?

  init(_ settings: ShopSettings, customer: Int, arrival: Instant) {
    random = ShopRandom(seed: settings.seed, customer: customer, stream: 2)
    rate = max(1e-6, random.gamma(shape: settings.r) / settings.alphaDays)
    dropout = random.beta(settings.a, settings.b)
    upcoming = random.chance(settings.visitorShare) ? nil : arrival + .minutes(20)
  }

  /// Goes on to the purchase after `upcoming`, if there is one.
  mutating func advance() {
    guard let purchase = upcoming else { return }
    last = purchase
    upcoming =
      random.chance(dropout) ? nil : purchase + ShopTime.span(days: random.exponential(rate: rate)) + .seconds(1)
  }
}

enum ShopTime {
  /// Microseconds of 24 hours.
  static let day = 86_400_000_000.0

  /// Whole milliseconds: what a timestamp in an event can carry. Bounded, so that a customer with hardly any rate does not
  /// leave the range of dates.
  static func span(days: Double) -> TimeSpan {
    TimeSpan(microseconds: Int64(min(days, 365_000) * 86_400_000) * 1_000)
  }
}
