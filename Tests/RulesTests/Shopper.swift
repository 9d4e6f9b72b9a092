// A customer of whom nothing more is heard, with every feature computed slowly from its history. Everything happens on
// whole hours of a zone that is UTC, so a scan by the hour meets every step; churn alone rises at any second.

import Customers
import Events
import Rules

struct Shopper: FeatureSource {
  struct Order {
    var paid: Int64  // seconds
    var amount: Double
    var discounted: Bool
  }

  var now = Instant(seconds: 0)
  var orders: [Order] = []  // ascending
  var events: [(type: EventType, at: Int64)] = []
  var refunds: [Int64] = []
  var cart: [(added: Int64, value: Double)] = []
  var birthDay: Int64?
  var texts: [Feature: UInt64] = [:]
  /// Seconds in which the churn probability approaches 1.
  var churnScale = 1e6

  private static let day: Int64 = 86_400
  private var seconds: Int64 { now.microseconds.quotient(1_000_000) }
  private var today: Int64 { seconds.quotient(Self.day) }

  static func random(_ random: inout Seeded) -> Shopper {
    var shopper = Shopper()
    let hour: Int64 = 3600
    let start: Int64 = 20_000 * day + Int64(random.below(24)) * hour
    shopper.now = Instant(seconds: start)
    func past(_ days: Int) -> Int64 { start - Int64(random.below(days * 24)) * hour }
    for _ in 0..<random.below(7) {
      shopper.orders.append(
        Order(
          paid: past(random.pick([3, 40, 200])), amount: Double(100 * random.below(9)), discounted: random.chance(40)))
    }
    shopper.orders.sort { $0.paid < $1.paid }
    for _ in 0..<random.below(8) {
      shopper.events.append((random.pick([.pageView, .supportTicket]), past(random.pick([2, 60]))))
    }
    for _ in 0..<random.below(3) { shopper.refunds.append(past(60)) }
    for _ in 0..<random.below(3) { shopper.cart.append((past(3), Double(100 * random.below(9)))) }
    if random.chance(80) { shopper.birthDay = 20_000 - Int64(random.below(20)) * 365 + Int64(random.below(60)) }
    for feature in [Feature.gender, .region, .occupation, .topCategory, .topChannel] where random.chance(70) {
      shopper.texts[feature] = textHash(random.pick(ExpressionMaker.texts))
    }
    shopper.churnScale = Double(random.below(90) + 1) * 86_400
    return shopper
  }

  private func inWindow(_ at: Int64, _ window: Window, shifted: Int64 = 0) -> Bool {
    guard case .days(let n) = window else { return true }
    let age = today - at.quotient(Self.day) - shifted
    return age >= 0 && age < Int64(n)
  }
  private func orders(_ window: Window, shifted: Int64 = 0) -> [Order] {
    orders.filter { inWindow($0.paid, window, shifted: shifted) }
  }
  private func wholeDays(since at: Int64?) -> Double {
    at.map { Double((seconds - $0).quotient(Self.day)) } ?? .nan
  }
  private func ratio(_ a: Double, _ b: Double) -> Double { b == 0 ? .nan : a / b }
  private var seen: [Int64] { orders.map(\.paid) + events.map(\.at) + refunds + cart.map(\.added) }
  private var churnStart: Int64? { orders.last?.paid }

  func number(_ feature: Feature) -> Double {
    switch feature {
    case .ordersCount(let w), .ordersPaid(let w): return Double(orders(w).count)
    case .ordersRevenue(let w), .ordersGross(let w): return orders(w).map(\.amount).reduce(0, +)
    case .ordersAverage(let w): return ratio(orders(w).map(\.amount).reduce(0, +), Double(orders(w).count))
    case .daysSinceFirstOrder: return wholeDays(since: orders.first?.paid)
    case .daysSinceLastOrder: return wholeDays(since: orders.last?.paid)
    case .ordersMeanGapDays:
      guard let first = orders.first, let last = orders.last, orders.count > 1 else { return .nan }
      return Double(last.paid - first.paid) / 86_400 / Double(orders.count - 1)
    case .ordersLastGapDays:
      guard orders.count > 1 else { return .nan }
      return Double(orders[orders.count - 1].paid - orders[orders.count - 2].paid) / 86_400
    case .repeatRate: return ratio(Double(orders.count - 1), Double(orders.count))
    case .ordersGrowth(let n):
      let before = orders(.days(n), shifted: Int64(n)).map(\.amount).reduce(0, +)
      return ratio(orders(.days(n)).map(\.amount).reduce(0, +) - before, before)
    case .discountShare(let w): return ratio(Double(orders(w).count { $0.discounted }), Double(orders(w).count))
    case .repeatDays: return Double(max(0, Set(orders.map { $0.paid.quotient(Self.day) }).count - 1))
    case .refundsCount(let w): return Double(refunds.count { inWindow($0, w) })
    case .refundRate: return ratio(Double(refunds.count), Double(orders.count))
    case .eventCount(let type, let n): return Double(events.count { $0.type == type && inWindow($0.at, .days(n)) })
    case .eventTotal(let n): return Double(events.count { inWindow($0.at, .days(n)) })
    case .daysSinceFirstSeen: return wholeDays(since: seen.min())
    case .daysSinceLastSeen: return wholeDays(since: seen.max())
    case .cartItems: return Double(cart.count)
    case .cartValue: return cart.map(\.value).reduce(0, +)
    case .cartAgeHours: return cart.map(\.added).min().map { Double((seconds - $0).quotient(3600)) } ?? .nan
    case .topCategoryShare, .topChannelShare: return orders.isEmpty ? .nan : 0.5
    case .categoryWeight, .channelWeight: return Double(orders.count * 5 + events.count)
    case .age: return birthDay.map { Double((today - $0).quotient(365)) } ?? .nan
    case .churnProbability, .lostProbability:
      guard let start = churnStart else { return .nan }
      return 1 - 0.9 * Self.power(2, -Double(seconds - start) / churnScale)
    case .topCategory, .topChannel, .gender, .region, .occupation: return .nan
    }
  }

  /// 2^x for x <= 0 by halving and a linear piece: monotone, and no Foundation.
  private static func power(_ base: Double, _ x: Double) -> Double {
    let whole = x.rounded(.down)
    if whole < -1000 { return 0 }
    return (1 + (x - whole)) * Double(sign: .plus, exponent: Int(whole), significand: 1)
  }

  func text(_ feature: Feature) -> UInt64 { texts[feature] ?? 0 }

  func at(_ instant: Instant) -> Shopper {
    var later = self
    later.now = instant
    return later
  }

  /// Candidates by hand: what enters or leaves a window does so at a midnight.
  func nextStep(_ feature: Feature) -> Instant {
    var times: [Int64] = []
    func leave(_ at: [Int64], _ days: Int) { times += at.map { ($0.quotient(Self.day) + Int64(days)) * Self.day } }
    switch feature {
    case .ordersCount(.days(let n)), .ordersPaid(.days(let n)), .ordersRevenue(.days(let n)),
      .ordersGross(.days(let n)),
      .ordersAverage(.days(let n)), .discountShare(.days(let n)):
      leave(orders.map(\.paid), n)
    case .ordersGrowth(let n):
      leave(orders.map(\.paid), n)
      leave(orders.map(\.paid), 2 * n)
    case .refundsCount(.days(let n)): leave(refunds, n)
    case .eventCount(_, let n), .eventTotal(let n): leave(events.map(\.at), n)
    case .daysSinceFirstOrder: return next(of: orders.first?.paid, Self.day)
    case .daysSinceLastOrder: return next(of: orders.last?.paid, Self.day)
    case .daysSinceFirstSeen: return next(of: seen.min(), Self.day)
    case .daysSinceLastSeen: return next(of: seen.max(), Self.day)
    case .cartAgeHours: return next(of: cart.map(\.added).min(), 3600)
    case .age: return next(of: birthDay.map { $0 * Self.day }, 365 * Self.day)
    default: break
    }
    return times.filter { $0 > seconds }.min().map { Instant(seconds: $0) } ?? .distantFuture
  }

  private func next(of origin: Int64?, _ period: Int64) -> Instant {
    guard let origin else { return .distantFuture }
    return Instant(seconds: origin + ((seconds - origin).quotient(period) + 1) * period)
  }

  func crossing(_ feature: Feature, threshold: Double) -> Instant {
    let value = number(feature)
    guard value < threshold else { return .distantFuture }
    let origin: Int64?
    var period = Self.day
    switch feature {
    case .daysSinceFirstOrder: origin = orders.first?.paid
    case .daysSinceLastOrder: origin = orders.last?.paid
    case .daysSinceFirstSeen: origin = seen.min()
    case .daysSinceLastSeen: origin = seen.max()
    case .cartAgeHours: (origin, period) = (cart.map(\.added).min(), 3600)
    case .age: (origin, period) = (birthDay.map { $0 * Self.day }, 365 * Self.day)
    default:
      // Halve the seconds until the threshold is met.
      var low = seconds
      var high = seconds + 400 * Self.day
      if at(Instant(seconds: high)).number(feature) < threshold { return .distantFuture }
      while high - low > 1 {
        let middle = (low + high) / 2
        if at(Instant(seconds: middle)).number(feature) >= threshold { high = middle } else { low = middle }
      }
      return Instant(seconds: high)
    }
    guard let origin, threshold < 1e6 else { return .distantFuture }
    return Instant(seconds: origin + Int64(threshold.rounded(.up)) * period)
  }
}

extension Int64 {
  /// Division that rounds down.
  func quotient(_ divisor: Int64) -> Int64 { self >= 0 ? self / divisor : -((-self + divisor - 1) / divisor) }
}
