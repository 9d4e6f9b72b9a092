// A customer as the definitions say it: the full list of its events, and every feature recomputed from all of them.
// Slow and plain on purpose. It shares no code with the record but the calendar and the catalogue of features.

import Customers
import Events
import Foundation

/// All that happened to one customer, in order of arrival.
public struct ReferenceCustomer: Sendable {
  public let calendar: ZonedCalendar
  public let halfLife: TimeSpan
  public private(set) var events: [SampleEvent] = []
  private var seenIDs: Set<String> = []

  public init(calendar: ZonedCalendar, halfLife: TimeSpan = RecordLimits().preferenceHalfLife) {
    self.calendar = calendar
    self.halfLife = halfLife
  }

  /// False for an event id seen before: no effect then.
  @discardableResult
  public mutating func apply(_ event: SampleEvent) -> Bool {
    if let id = event.id, !seenIDs.insert(id).inserted { return false }
    events.append(event)
    return true
  }

  /// The features at one instant, no event being later than it.
  public func snapshot(at now: Instant) -> ReferenceSnapshot { ReferenceSnapshot(customer: self, now: now) }
}

/// One customer read at one instant.
public struct ReferenceSnapshot: Sendable {
  public let customer: ReferenceCustomer
  public let now: Instant
  let today: LocalDay
  public let orders: ReferenceOrders
  public let cart: [SampleEvent]
  /// The local day of each event.
  let days: [Int32]

  init(customer: ReferenceCustomer, now: Instant) {
    self.customer = customer
    self.now = now
    today = customer.calendar.day(of: now)
    orders = ReferenceOrders(customer.events, calendar: customer.calendar)
    cart = ReferenceSnapshot.cart(customer.events)
    days = customer.events.map { customer.calendar.day(of: $0.time).number }
  }

  private init(_ other: ReferenceSnapshot, now: Instant) {
    customer = other.customer
    self.now = now
    today = customer.calendar.day(of: now)
    orders = other.orders
    cart = other.cart
    days = other.days
  }

  /// The same history at another instant.
  public func at(_ instant: Instant) -> ReferenceSnapshot { ReferenceSnapshot(self, now: instant) }

  private func day(_ instant: Instant) -> Int32 { customer.calendar.day(of: instant).number }

  /// Whether an instant lies in a window that ends today, or so many days before today.
  private func isWithin(_ instant: Instant, _ window: Window, daysAgo: Int = 0) -> Bool {
    isWithin(day: day(instant), window, daysAgo: daysAgo)
  }
  private func isWithin(day: Int32, _ window: Window, daysAgo: Int = 0) -> Bool {
    switch window {
    case .life: true
    case .days(let n): day > today.number - Int32(daysAgo + n) && day <= today.number - Int32(daysAgo)
    }
  }

  private func paid(_ window: Window) -> [ReferenceOrder] { orders.paid.filter { isWithin(day: $0.day, window) } }
  private func purchases(_ window: Window) -> [ReferenceOrder] { paid(window).filter(\.isPurchase) }
  private func revenue(_ window: Window, daysAgo: Int = 0) -> Int64 {
    orders.paid.filter { isWithin(day: $0.day, window, daysAgo: daysAgo) }.reduce(0) { $0 + $1.net }
      - orders.unlinkedRefunds.filter { isWithin($0.time, window, daysAgo: daysAgo) }.reduce(0) {
        $0 + ($1.amount ?? 0)
      }
  }

  private func divided(_ a: Int64, _ b: Int64) -> Double { b > 0 ? Double(a) / Double(b) : .nan }

  /// Whole 24-hour periods since the first or last of `instants`.
  private func daysSince(_ instant: Instant?) -> Double {
    instant.map { (Double(now.microseconds - $0.microseconds) / 86_400e6).rounded(.down) } ?? .nan
  }

  /// Instants from which whole periods are counted, with the period.
  public var periods: [(since: Instant, period: TimeSpan)] {
    let bought = orders.purchases.compactMap(\.paidAt)
    let seen = customer.events.map(\.time)
    let days = [bought.first, bought.last, seen.min(), seen.max()].compactMap { $0 }.map { ($0, TimeSpan.days(1)) }
    guard let oldest = cart.map(\.time).min() else { return days }
    return days + [(oldest, .hours(1))]
  }

  // MARK: Features

  /// The value of a feature that is no text; NaN when undefined. Sketches: see `preference`.
  public func number(_ feature: Feature) -> Double {
    let bought = orders.purchases.compactMap(\.paidAt)
    switch feature {
    case .ordersCount(let window): return Double(purchases(window).count)
    case .ordersPaid(let window): return Double(paid(window).count)
    case .ordersRevenue(let window): return Double(revenue(window))
    case .ordersGross(let window): return Double(paid(window).reduce(0) { $0 + $1.gross })
    case .ordersAverage(let window): return divided(revenue(window), Int64(purchases(window).count))
    case .daysSinceFirstOrder: return daysSince(bought.first)
    case .daysSinceLastOrder: return daysSince(bought.last)
    case .ordersMeanGapDays:
      guard bought.count > 1, let first = bought.first, let last = bought.last else { return .nan }
      return Double(last.microseconds - first.microseconds) / 86_400e6 / Double(bought.count - 1)
    case .ordersLastGapDays:
      guard bought.count > 1 else { return .nan }
      return Double(bought[bought.count - 1].microseconds - bought[bought.count - 2].microseconds) / 86_400e6
    case .repeatRate: return divided(Int64(bought.count) - 1, Int64(bought.count))
    case .ordersGrowth(let n):
      let before = revenue(.days(n), daysAgo: n)
      return before > 0 ? Double(revenue(.days(n)) - before) / Double(before) : .nan
    case .discountShare(let window):
      return divided(Int64(purchases(window).filter(\.hasDiscount).count), Int64(purchases(window).count))
    case .repeatDays: return Double(max(1, Set(bought.map(day)).count) - 1)
    case .refundsCount(let window): return Double(orders.refundEvents.filter { isWithin($0.time, window) }.count)
    case .refundRate:
      return divided(Int64(orders.paid.filter { !$0.refunds.isEmpty }.count), Int64(orders.paid.count))
    case .eventCount(let type, let n): return Double(count(days: n) { $0.type == type })
    case .eventTotal(let n): return Double(count(days: n) { _ in true })
    case .daysSinceFirstSeen: return daysSince(customer.events.map(\.time).min())
    case .daysSinceLastSeen: return daysSince(customer.events.map(\.time).max())
    case .cartItems: return Double(cart.count)
    case .cartValue: return Double(cart.reduce(0) { $0 + ($1.amount ?? 0) })
    case .cartAgeHours:
      guard let oldest = cart.map(\.time).min() else { return .nan }
      return (Double(now.microseconds - oldest.microseconds) / 3600e6).rounded(.down)
    case .age:
      guard let birth = said(\.birthDate, order: { Int64($0.number) }) else { return .nan }
      let (born, date) = (CivilDate(birth), CivilDate(today))
      return Double(date.year - born.year - ((date.month, date.day) < (born.month, born.day) ? 1 : 0))
    case .categoryWeight: return weightAtLatest(\.category)
    case .channelWeight: return weightAtLatest(\.channel)
    case .topCategoryShare, .topChannelShare, .churnProbability, .lostProbability: return .nan
    case .topCategory, .topChannel, .gender, .region, .occupation: return .nan
    }
  }

  private func count(days n: Int, _ isCounted: (SampleEvent) -> Bool) -> Int {
    zip(customer.events, days).filter { event, day in
      day > today.number - Int32(n) && day <= today.number && isCounted(event)
    }.count
  }

  /// The text of a profile feature; nil when absent.
  public func text(_ feature: Feature) -> String? {
    switch feature {
    case .gender: said(\.gender, order: { Int64($0.rawValue) })?.name
    case .region: said(\.region, order: { Int64(bitPattern: textHash($0) ^ 1 << 63) })
    case .occupation: said(\.occupation, order: { Int64(bitPattern: textHash($0) ^ 1 << 63) })
    default: nil
    }
  }

  /// The latest word; of several in one second the largest.
  private func said<Value>(_ field: KeyPath<SampleEvent, Value?>, order: (Value) -> Int64) -> Value? {
    customer.events.compactMap { event in
      event[keyPath: field].map { (event.time.microseconds / 1_000_000, order($0), $0) }
    }.max { ($0.0, $0.1) < ($1.0, $1.1) }?.2
  }

  /// What was added after the last order (placed or paid) and whose product was not removed at or after that.
  private static func cart(_ events: [SampleEvent]) -> [SampleEvent] {
    let ordered = events.filter { $0.type == .orderPlaced || $0.type == .orderPaid }.map(\.time).max() ?? .distantPast
    return events.filter { added in
      added.type == .addToCart && added.time > ordered
        && !events.contains {
          $0.type == .removeFromCart && $0.product != nil && $0.product == added.product && $0.time >= added.time
        }
    }
  }

  // MARK: Preferences

  /// Exact decayed weights at `now` by name, and their total.
  public func preferences(_ name: KeyPath<SampleEvent, String?>) -> (weights: [String: Double], total: Double) {
    var weights: [String: Double] = [:]
    var total = 0.0
    for event in customer.events {
      let weight = ReferenceSnapshot.weight(event.type)
      guard weight > 0, let text = event[keyPath: name] else { continue }
      let halfLives = Double(now.microseconds - event.time.microseconds) / Double(customer.halfLife.microseconds)
      weights[text, default: 0] += weight * pow(0.5, halfLives)
      total += weight * pow(0.5, halfLives)
    }
    return (weights, total)
  }

  /// The total as of the latest event that has any weight, for categories or for channels.
  private func weightAtLatest(_ name: KeyPath<SampleEvent, String?>) -> Double {
    let latest = customer.events.filter {
      ReferenceSnapshot.weight($0.type) > 0 && ($0.category != nil || $0.channel != nil)
    }.map(\.time).max()
    guard let latest else { return 0 }
    let halfLives = Double(now.microseconds - latest.microseconds) / Double(customer.halfLife.microseconds)
    return preferences(name).total * pow(2, halfLives)
  }

  private static func weight(_ type: EventType) -> Double {
    switch type {
    case .favorite, .share, .like, .review, .comment: 2
    case .addToCart, .checkout: 3
    case .orderPaid: 5
    case .orderCancelled, .orderRefunded, .removeFromCart, .supportTicket, .profileUpdate, .identityLink, .alertAck: 0
    case .activity, .pageView, .productView, .search, .login, .orderPlaced, .storeVisit, .surveyResponse: 1
    }
  }
}
