// Bounds and constants of a customer record. Every per-customer list has one.

import Events

/// What a record keeps at most, and for how long. Constant while a task runs.
public struct RecordLimits: Sendable, Equatable {
  /// Orders older than this leave the list for the life-long sums. At least `Window.longestDays` plus the lateness horizon.
  public var orderRetention = TimeSpan.days(400)
  /// Orders kept one by one; beyond it the oldest leave early (counted in `RecordCounters.ordersOverflow`). 1...65535.
  public var maxOrders = 1024
  /// Entries of an open cart; beyond it the oldest goes. 1...1000.
  public var maxCartItems = 64
  /// Event ids remembered for 24 h (DESIGN: dedupe). 0...255.
  public var maxRecentEvents = 64
  public var recentEventSpan = TimeSpan.hours(24)
  /// Names kept in each preference sketch. 2...64.
  public var preferenceSlots = 8
  /// The time in which a preference loses half its weight.
  public var preferenceHalfLife = TimeSpan.days(30)
  /// How far behind the clock an event may be; older ones are dead letters (`too_late`).
  public var lateness = TimeSpan.days(7)
  /// Distinct categories, channels, regions and occupations of a task.
  public var maxSymbols = 65_536
  public init() {}
}

/// Things that were bounded away: shown as metrics.
public struct RecordCounters: Sendable, Hashable {
  /// Orders that are in the sums only, because there are too many to keep each.
  public var ordersOverflow = 0
  public var cartOverflow = 0
  /// Ids of events forgotten before their time: a repeat would count.
  public var recentOverflow = 0
  /// Refunds whose order never came within the horizon.
  public var refundsUnmatched = 0
  public init() {}

  /// With the names they have in metrics and documents.
  public var named: KeyValuePairs<String, Int> {
    [
      "orders": ordersOverflow, "cart_items": cartOverflow, "event_ids": recentOverflow,
      "unmatched_refunds": refundsUnmatched,
    ]
  }

  public mutating func add(_ other: RecordCounters) {
    ordersOverflow += other.ordersOverflow
    cartOverflow += other.cartOverflow
    recentOverflow += other.recentOverflow
    refundsUnmatched += other.refundsUnmatched
  }

  /// What was counted since `earlier`.
  public func since(_ earlier: RecordCounters) -> RecordCounters {
    var result = self
    result.ordersOverflow -= earlier.ordersOverflow
    result.cartOverflow -= earlier.cartOverflow
    result.recentOverflow -= earlier.recentOverflow
    result.refundsUnmatched -= earlier.refundsUnmatched
    return result
  }
}

/// Read-only things that every record operation needs.
public final class RecordContext: Sendable {
  public let calendar: ZonedCalendar
  public let limits: RecordLimits
  public init(calendar: ZonedCalendar, limits: RecordLimits) {
    self.calendar = calendar
    self.limits = limits
  }
}
