// Dates of the proleptic Gregorian calendar and whole years between them: arithmetic only, no zone and no clock.

/// A date of the proleptic Gregorian calendar. Year 0 is 1 BC.
public struct CivilDate: Hashable, Comparable, Sendable {
  public var year: Int
  /// 1...12.
  public var month: Int
  /// 1...31.
  public var day: Int

  /// The date as given; see `isValid`.
  @inlinable public init(year: Int, month: Int, day: Int) {
    self.year = year
    self.month = month
    self.day = day
  }

  /// The date of a local day. Every `LocalDay` has one.
  @inlinable public init(_ localDay: LocalDay) {
    // Years are counted from 1 March, so that the leap day is the last of its year (Hinnant's days_from_civil).
    let z = Int(localDay.number) + 719_468
    let era = floorDivide(z, 146_097)
    let dayOfEra = z - era * 146_097
    let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
    let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
    let shifted = (5 * dayOfYear + 2) / 153
    day = dayOfYear - (153 * shifted + 2) / 5 + 1
    month = shifted < 10 ? shifted + 3 : shifted - 9
    year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
  }

  /// The local day of this date, which must be valid. Years beyond about +-5,800,000 saturate.
  @inlinable public var localDay: LocalDay {
    LocalDay(number: Int32(clamping: daysSinceEpoch))
  }

  /// Days since 1970-01-01; meaningful for valid dates with |year| < 10^9.
  @inlinable public var daysSinceEpoch: Int {
    // Years are counted from 1 March here too. Shifts round down, also below the year 0.
    let shiftedYear = month <= 2 ? year - 1 : year
    let century = floorDivide(shiftedYear, 100)
    let dayOfYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1
    return 365 * shiftedYear + shiftedYear >> 2 - century + century >> 2 + dayOfYear - 719_468
  }

  /// Whether the calendar has this date.
  @inlinable public var isValid: Bool {
    month >= 1 && month <= 12 && day >= 1 && day <= CivilDate.daysInMonth(month, year: year)
  }

  @inlinable public static func isLeap(_ year: Int) -> Bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
  }

  /// Days in `month` (1...12) of `year`.
  @inlinable public static func daysInMonth(_ month: Int, year: Int) -> Int {
    switch month {
    case 2: isLeap(year) ? 29 : 28
    case 4, 6, 9, 11: 30
    default: 31
    }
  }

  @inlinable public static func < (a: CivilDate, b: CivilDate) -> Bool {
    (a.year, a.month, a.day) < (b.year, b.month, b.day)
  }
}

extension LocalDay {
  /// Age in whole years on `day` of someone born on this day; negative before the birth.
  ///
  /// Someone born on 29 February becomes a year older on 29 February in leap years and on 1 March in others.
  public func age(on day: LocalDay) -> Int {
    let birth = CivilDate(self)
    let today = CivilDate(day)
    let hadBirthday = (today.month, today.day) >= (birth.month, birth.day)
    return today.year - birth.year - (hadBirthday ? 0 : 1)
  }

  /// The first birthday strictly after `day` of someone born on this day (1 March for 29 February in common years):
  /// the first local day after `day` on which `age(on:)` is larger. Before the birth this is the day of birth itself.
  public func nextBirthday(after day: LocalDay) -> LocalDay {
    if day < self { return self }
    let birth = CivilDate(self)
    let year = CivilDate(day).year
    let thisYear = LocalDay.birthday(of: birth, in: year)
    return thisYear > day ? thisYear : LocalDay.birthday(of: birth, in: year + 1)
  }

  private static func birthday(of birth: CivilDate, in year: Int) -> LocalDay {
    let date = CivilDate(year: year, month: birth.month, day: birth.day)
    return date.isValid ? date.localDay : CivilDate(year: year, month: 3, day: 1).localDay
  }
}

/// Division rounded towards negative infinity; `divisor` > 0.
@inlinable package func floorDivide<T: FixedWidthInteger & SignedInteger>(_ value: T, _ divisor: T) -> T {
  let quotient = value / divisor
  return value % divisor < 0 ? quotient - 1 : quotient
}
