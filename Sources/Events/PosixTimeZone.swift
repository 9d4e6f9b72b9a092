// The POSIX TZ string at the end of a TZif file ("CST6CDT,M3.2.0,M11.1.0"): the rule for all later years.

/// A parsed POSIX TZ string, with the extensions of RFC 8536 (hours from -167 to 167, `<...>` names).
struct PosixTimeZone {
  /// Seconds east of UTC.
  var standardOffset: Int
  var daylight: Daylight?

  struct Daylight {
    /// Seconds east of UTC.
    var offset: Int
    var start: Rule
    var end: Rule
  }

  struct Rule {
    enum Day {
      /// Week 1...5 (5: the last) of a month, weekday 0 = Sunday.
      case month(Int, week: Int, weekday: Int)
      /// 1...365, 29 February never counted.
      case julian(Int)
      /// 0...365, 29 February counted.
      case zeroBased(Int)
    }
    var day: Day
    /// Seconds after local midnight, -167 h ... 167 h.
    var time: Int
  }

  /// Nil when the string is not well formed.
  init?(_ text: some Collection<UInt8>) {
    var scanner = Scanner(bytes: Array(text))
    guard scanner.name(), let west = scanner.clock(signed: true) else { return nil }
    standardOffset = -west
    if scanner.atEnd { return }
    guard scanner.name() else { return nil }
    var offset = standardOffset + 3600
    if let next = scanner.peek, next != UInt8(ascii: ",") {
      guard let west = scanner.clock(signed: true) else { return nil }
      offset = -west
    }
    guard let start = scanner.rule(), let end = scanner.rule(), scanner.atEnd else { return nil }
    daylight = Daylight(offset: offset, start: start, end: end)
  }

  /// The two transitions of a year as (UTC seconds, offset from then on), in no particular order.
  func transitions(year: Int) -> [(seconds: Int64, offset: Int)] {
    guard let daylight else { return [] }
    return [
      (daylight.start.local(year: year) - Int64(standardOffset), daylight.offset),
      (daylight.end.local(year: year) - Int64(daylight.offset), standardOffset),
    ]
  }
}

extension PosixTimeZone.Rule {
  /// Local seconds since 1970 at which the rule strikes in `year`.
  func local(year: Int) -> Int64 {
    let firstDay = CivilDate(year: year, month: 1, day: 1).daysSinceEpoch
    let dayNumber: Int
    switch day {
    case .julian(let n):
      dayNumber = firstDay + n - 1 + (CivilDate.isLeap(year) && n >= 60 ? 1 : 0)
    case .zeroBased(let n):
      dayNumber = firstDay + n
    case .month(let month, let week, let weekday):
      let first = CivilDate(year: year, month: month, day: 1).daysSinceEpoch
      let firstWeekday = ((first + 4) % 7 + 7) % 7  // 1970-01-01 was a Thursday
      var inMonth = (weekday - firstWeekday + 7) % 7 + (week - 1) * 7
      if inMonth >= CivilDate.daysInMonth(month, year: year) { inMonth -= 7 }
      dayNumber = first + inMonth
    }
    return Int64(dayNumber) * 86_400 + Int64(time)
  }
}

private struct Scanner {
  let bytes: [UInt8]
  var position = 0

  init(bytes: [UInt8]) { self.bytes = bytes }

  var atEnd: Bool { position == bytes.count }
  var peek: UInt8? { position < bytes.count ? bytes[position] : nil }

  mutating func take(_ character: Unicode.Scalar) -> Bool {
    guard peek == UInt8(ascii: character) else { return false }
    position += 1
    return true
  }

  mutating func name() -> Bool {
    if take("<") {
      while let next = peek {
        position += 1
        if next == UInt8(ascii: ">") { return true }
      }
      return false
    }
    let start = position
    while let next = peek, next | 0x20 >= UInt8(ascii: "a"), next | 0x20 <= UInt8(ascii: "z") { position += 1 }
    return position - start >= 3
  }

  mutating func number() -> Int? {
    let start = position
    var value = 0
    while let next = peek, next >= UInt8(ascii: "0"), next <= UInt8(ascii: "9"), position - start < 4 {
      value = value * 10 + Int(next - UInt8(ascii: "0"))
      position += 1
    }
    return position > start ? value : nil
  }

  /// hh[:mm[:ss]] in seconds.
  mutating func clock(signed: Bool) -> Int? {
    var sign = 1
    if signed {
      if take("-") { sign = -1 } else { _ = take("+") }
    }
    guard let hours = number(), hours <= 167 else { return nil }
    var total = hours * 3600
    if take(":") {
      guard let minutes = number(), minutes < 60 else { return nil }
      total += minutes * 60
      if take(":") {
        guard let seconds = number(), seconds < 60 else { return nil }
        total += seconds
      }
    }
    return sign * total
  }

  mutating func rule() -> PosixTimeZone.Rule? {
    guard take(",") else { return nil }
    let day: PosixTimeZone.Rule.Day
    if take("M") {
      guard let month = number(), (1...12).contains(month), take("."), let week = number(), (1...5).contains(week),
        take("."), let weekday = number(), (0...6).contains(weekday)
      else { return nil }
      day = .month(month, week: week, weekday: weekday)
    } else if take("J") {
      guard let n = number(), (1...365).contains(n) else { return nil }
      day = .julian(n)
    } else {
      guard let n = number(), (0...365).contains(n) else { return nil }
      day = .zeroBased(n)
    }
    var time = 7200
    if take("/") {
      guard let given = clock(signed: true) else { return nil }
      time = given
    }
    return PosixTimeZone.Rule(day: day, time: time)
  }
}
