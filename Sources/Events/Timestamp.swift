// Times as they stand in events: RFC 3339 text and whole epoch milliseconds.

extension Instant {
  /// An RFC 3339 date-time: any offset, 'T', 't' or a space between, any number of fraction digits (truncated to
  /// microseconds). A leap second, 23:59:60 UTC, is the first second of the next day. Nil when it is anything else, the
  /// date does not exist, or there is no offset.
  public init?(rfc3339 text: UnsafeBufferPointer<UInt8>) {
    if let instant = Instant(milliseconds: text) {
      self = instant
      return
    }
    let count = text.count
    guard count >= 20, let base = text.baseAddress else { return nil }
    func two(_ at: Int) -> Int {
      let tens = Int(base[at]) - 48
      let ones = Int(base[at + 1]) - 48
      return UInt(bitPattern: tens) > 9 || UInt(bitPattern: ones) > 9 ? -1000 : tens * 10 + ones
    }
    let century = two(0)
    let inCentury = two(2)
    let month = two(5)
    let day = two(8)
    let hour = two(11)
    let minute = two(14)
    let second = two(17)
    guard century >= 0, inCentury >= 0, base[4] == UInt8(ascii: "-"), base[7] == UInt8(ascii: "-"),
      base[10] | 0x20 == UInt8(ascii: "t") || base[10] == UInt8(ascii: " "), base[13] == UInt8(ascii: ":"),
      base[16] == UInt8(ascii: ":"), hour >= 0, hour < 24, minute >= 0, minute < 60, second >= 0, second <= 60
    else { return nil }
    let date = CivilDate(year: century * 100 + inCentury, month: month, day: day)
    guard date.isValid else { return nil }
    var i = 19
    var micros = 0
    if base[i] == UInt8(ascii: ".") {
      i += 1
      var digits = 0
      while i < count, base[i] >= UInt8(ascii: "0"), base[i] <= UInt8(ascii: "9") {
        if digits < 6 { micros = micros * 10 + Int(base[i] - UInt8(ascii: "0")) }
        digits += 1
        i += 1
      }
      guard digits > 0 else { return nil }
      while digits < 6 {
        micros *= 10
        digits += 1
      }
    }
    var offset = 0
    guard i < count else { return nil }
    if base[i] | 0x20 == UInt8(ascii: "z") {
      guard i + 1 == count else { return nil }
    } else {
      guard base[i] == UInt8(ascii: "+") || base[i] == UInt8(ascii: "-"), i + 6 == count,
        base[i + 3] == UInt8(ascii: ":")
      else { return nil }
      let offsetHour = two(i + 1)
      let offsetMinute = two(i + 4)
      guard offsetHour >= 0, offsetHour < 24, offsetMinute >= 0, offsetMinute < 60 else { return nil }
      offset = offsetHour * 3600 + offsetMinute * 60
      if base[i] == UInt8(ascii: "-") { offset = -offset }
    }
    let seconds = date.daysSinceEpoch * 86_400 + hour * 3600 + minute * 60 + second - offset
    if second == 60, floorDivide(seconds, 86_400) * 86_400 != seconds { return nil }
    self.init(microseconds: Int64(seconds) * 1_000_000 + Int64(micros))
  }

  /// The one form that most senders write, `2026-03-01T00:00:48.082Z`, eight characters at a time; nil for all others, also
  /// wrong ones and leap seconds.
  @inline(__always)
  private init?(milliseconds text: UnsafeBufferPointer<UInt8>) {
    guard text.count == 24, let base = UnsafeRawPointer(text.baseAddress) else { return nil }
    func word(_ place: Int, like form: StaticString, _ room: UInt64, _ wrong: inout UInt64) -> UInt64 {
      let form = UnsafeRawPointer(form.utf8Start).loadUnaligned(as: UInt64.self)
      // Digits become their values, all else 0. `room` added to what is more sets a byte's highest bit.
      let word = base.loadUnaligned(fromByteOffset: place, as: UInt64.self) ^ form
      wrong |= word | (word &+ room)
      return word
    }
    // A digit is at most 9, and 9 + 0x76 is the last that does not; of other characters 0 + 0x7f.
    var wrong: UInt64 = 0
    let yearMonth = word(0, like: "0000-00-", 0x7f76_767f_7676_7676, &wrong)
    let dayTime = word(8, like: "00T00:00", 0x7676_7f76_767f_7676, &wrong)
    let rest = word(16, like: ":00.000Z", 0x7f76_7676_7f76_767f, &wrong)
    guard wrong & 0x8080_8080_8080_8080 == 0 else { return nil }
    /// At each place the number of two digits that begins there.
    func pairs(_ word: UInt64) -> UInt64 { word &* 10 &+ word >> 8 }
    func at(_ place: UInt64, _ word: UInt64) -> Int { Int(word &>> (place &* 8) & 0xff) }
    let date = CivilDate(
      year: at(0, pairs(yearMonth)) &* 100 &+ at(2, pairs(yearMonth)), month: at(5, pairs(yearMonth)),
      day: at(0, pairs(dayTime)))
    let hour = at(3, pairs(dayTime))
    let minute = at(6, pairs(dayTime))
    let second = at(1, pairs(rest))
    guard date.isValid, hour < 24, minute < 60, second < 60 else { return nil }
    let seconds = date.daysSinceEpoch &* 86_400 &+ hour &* 3600 &+ minute &* 60 &+ second
    let milliseconds = at(4, pairs(rest)) &* 10 &+ at(6, rest)
    self.init(microseconds: Int64(seconds &* 1000 &+ milliseconds) &* 1000)
  }

  /// Whole milliseconds since 1970, in decimal digits with an optional minus; at most 15 digits.
  public init?(epochMilliseconds text: UnsafeBufferPointer<UInt8>) {
    guard let decimal = DecimalToken(text), !decimal.sticky, decimal.exponent == 0,
      decimal.digits < 1_000_000_000_000_000
    else { return nil }
    let micros = Int64(decimal.digits) * 1000
    self.init(microseconds: decimal.isNegative ? -micros : micros)
  }
}

extension LocalDay {
  /// A date YYYY-MM-DD, years 0001 to 9999; nil when it is anything else or does not exist.
  public init?(isoDate text: UnsafeBufferPointer<UInt8>) {
    guard text.count == 10, text[4] == UInt8(ascii: "-"), text[7] == UInt8(ascii: "-") else { return nil }
    func number(_ range: Range<Int>) -> Int? {
      var value = 0
      for i in range {
        guard text[i] >= UInt8(ascii: "0"), text[i] <= UInt8(ascii: "9") else { return nil }
        value = value * 10 + Int(text[i] - UInt8(ascii: "0"))
      }
      return value
    }
    guard let year = number(0..<4), year > 0, let month = number(5..<7), let day = number(8..<10) else { return nil }
    let date = CivilDate(year: year, month: month, day: day)
    guard date.isValid else { return nil }
    self = date.localDay
  }
}
