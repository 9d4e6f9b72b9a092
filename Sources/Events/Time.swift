// Instants, spans and local days: the only notions of time in the data plane.
// Foundation's Date and Calendar stay out: see `ZonedCalendar` for local days.

/// A point in time: microseconds since 1970-01-01T00:00:00Z.
public struct Instant: Hashable, Comparable, Sendable {
  public var microseconds: Int64

  @inlinable public init(microseconds: Int64) { self.microseconds = microseconds }
  /// Whole seconds since 1970; saturates rather than traps.
  @inlinable public init(seconds: Int64) {
    let (value, overflow) = seconds.multipliedReportingOverflow(by: 1_000_000)
    microseconds = overflow ? (seconds < 0 ? Int64.min : Int64.max) : value
  }

  // Not stored: a stored one is behind a check, at each use, of whether it was made.
  @inlinable public static var distantPast: Instant { Instant(microseconds: .min) }
  @inlinable public static var distantFuture: Instant { Instant(microseconds: .max) }

  @inlinable public static func < (a: Instant, b: Instant) -> Bool { a.microseconds < b.microseconds }
  /// Saturates at the ends of the range.
  @inlinable public static func + (a: Instant, b: TimeSpan) -> Instant {
    let (value, overflow) = a.microseconds.addingReportingOverflow(b.microseconds)
    return Instant(microseconds: overflow ? (b.microseconds < 0 ? .min : .max) : value)
  }
  @inlinable public static func - (a: Instant, b: TimeSpan) -> Instant {
    let (value, overflow) = a.microseconds.subtractingReportingOverflow(b.microseconds)
    return Instant(microseconds: overflow ? (b.microseconds < 0 ? .max : .min) : value)
  }
  /// The span from `b` to `a`; saturates.
  @inlinable public static func - (a: Instant, b: Instant) -> TimeSpan {
    let (value, overflow) = a.microseconds.subtractingReportingOverflow(b.microseconds)
    return TimeSpan(microseconds: overflow ? (a.microseconds < b.microseconds ? .min : .max) : value)
  }
  /// The first whole second at or after this instant.
  @inlinable public var roundedUpToSecond: Instant {
    if self == .distantFuture || self == .distantPast { return self }
    let remainder = microseconds % 1_000_000
    if remainder == 0 { return self }
    return remainder > 0
      ? self + TimeSpan(microseconds: 1_000_000 - remainder) : Instant(microseconds: microseconds - remainder)
  }
}

/// A length of time in microseconds; negative when it runs backwards.
public struct TimeSpan: Hashable, Comparable, Sendable {
  public var microseconds: Int64

  @inlinable public init(microseconds: Int64) { self.microseconds = microseconds }
  @inlinable public static func seconds(_ n: Int64) -> TimeSpan { TimeSpan(microseconds: n &* 1_000_000) }
  @inlinable public static func minutes(_ n: Int64) -> TimeSpan { seconds(n &* 60) }
  @inlinable public static func hours(_ n: Int64) -> TimeSpan { seconds(n &* 3600) }
  /// Elapsed 24-hour periods, not calendar days.
  @inlinable public static func days(_ n: Int64) -> TimeSpan { seconds(n &* 86_400) }
  @inlinable public static func < (a: TimeSpan, b: TimeSpan) -> Bool { a.microseconds < b.microseconds }
  /// Whole 24-hour periods in this span, rounded down (towards negative infinity).
  @inlinable public var wholeDays: Int64 {
    let day: Int64 = 86_400_000_000
    let quotient = microseconds / day
    return microseconds % day < 0 ? quotient - 1 : quotient
  }
}

/// A calendar day in the configured time zone, counted from 1970-01-01 (day 0).
public struct LocalDay: Hashable, Comparable, Sendable {
  public var number: Int32

  @inlinable public init(number: Int32) { self.number = number }
  @inlinable public static func < (a: LocalDay, b: LocalDay) -> Bool { a.number < b.number }
  @inlinable public static func + (a: LocalDay, n: Int32) -> LocalDay { LocalDay(number: a.number &+ n) }
  @inlinable public static func - (a: LocalDay, n: Int32) -> LocalDay { LocalDay(number: a.number &- n) }
}
