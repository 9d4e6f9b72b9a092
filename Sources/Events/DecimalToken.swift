// A decimal number read from its characters, exactly: never through a binary fraction.

/// `digits` * 10^`exponent`, plus a little more when `sticky`, of either sign.
struct DecimalToken {
  var isNegative = false
  /// The first 18 significant digits.
  var digits: UInt64 = 0
  var exponent = 0
  /// Whether a digit other than 0 follows those kept.
  var sticky = false

  /// By the number grammar of RFC 8259 over the whole token, else nil.
  init?(_ token: UnsafeBufferPointer<UInt8>) {
    if !takeShort(token) {
      guard takeAny(token) else { return nil }
    }
  }

  /// Digits, with a point between them or not, that are all kept: as nearly all amounts are written. False, and nothing is
  /// taken, when it is anything else.
  private mutating func takeShort(_ token: UnsafeBufferPointer<UInt8>) -> Bool {
    let count = token.count
    guard count > 0, count <= 18, let start = token.baseAddress else { return false }
    var value: UInt64 = 0
    var point = count
    for i in 0..<count {
      let digit = start[i] &- UInt8(ascii: "0")
      if digit <= 9 {
        value = value &* 10 &+ UInt64(digit)
      } else {
        guard start[i] == UInt8(ascii: "."), point == count else { return false }
        point = i
      }
    }
    guard point > 0, point != count - 1 else { return false }
    if start[0] == UInt8(ascii: "0"), point > 1 { return false }
    digits = value
    if point < count { exponent = point &+ 1 &- count }
    return true
  }

  private mutating func takeAny(_ token: UnsafeBufferPointer<UInt8>) -> Bool {
    let count = token.count
    var i = 0
    func isDigit(_ i: Int) -> Bool { i < count && token[i] >= UInt8(ascii: "0") && token[i] <= UInt8(ascii: "9") }
    if i < count, token[i] == UInt8(ascii: "-") {
      isNegative = true
      i += 1
    }
    guard isDigit(i) else { return false }
    if token[i] == UInt8(ascii: "0"), isDigit(i + 1) { return false }
    while isDigit(i) {
      push(token[i], fraction: false)
      i += 1
    }
    if i < count, token[i] == UInt8(ascii: ".") {
      i += 1
      guard isDigit(i) else { return false }
      while isDigit(i) {
        push(token[i], fraction: true)
        i += 1
      }
    }
    if i < count, token[i] | 0x20 == UInt8(ascii: "e") {
      i += 1
      var negative = false
      if i < count, token[i] == UInt8(ascii: "-") || token[i] == UInt8(ascii: "+") {
        negative = token[i] == UInt8(ascii: "-")
        i += 1
      }
      guard isDigit(i) else { return false }
      var value = 0
      while isDigit(i) {
        // Beyond this the value is 0 or too large whatever the digits: a token is far shorter than 10^9.
        if value < 1_000_000_000 { value = value * 10 + Int(token[i] - UInt8(ascii: "0")) }
        i += 1
      }
      exponent += negative ? -value : value
    }
    return i == count
  }

  private mutating func push(_ character: UInt8, fraction: Bool) {
    let digit = UInt64(character - UInt8(ascii: "0"))
    if digits < 100_000_000_000_000_000 {
      digits = digits * 10 + digit
      if fraction { exponent -= 1 }
    } else {
      if digit != 0 { sticky = true }
      if !fraction { exponent += 1 }
    }
  }

  /// |value| * 10^`power`, rounded half to even; nil when above `limit` (< 10^18).
  func scaled(byPowerOfTen power: Int, limit: UInt64) -> UInt64? {
    if digits == 0 { return 0 }
    let shift = exponent + power
    if shift >= 0 {
      guard shift < 19, !sticky else { return nil }  // sticky: 18 digits and more, above any limit
      let (value, overflow) = digits.multipliedReportingOverflow(by: powersOfTen[shift])
      return overflow || value > limit ? nil : value
    }
    guard -shift < 19 else { return 0 }  // digits < 10^18, below half of 10^19
    let divisor = powersOfTen[-shift]
    var (quotient, remainder) = digits.quotientAndRemainder(dividingBy: divisor)
    let half = divisor / 2
    if remainder > half || (remainder == half && (sticky || quotient & 1 == 1)) { quotient += 1 }
    return quotient > limit ? nil : quotient
  }

  /// The value when it is a whole number of at most `limit` (< 10^18) and not negative; "2.0" and "1e3" are whole.
  func whole(limit: UInt64) -> UInt64? {
    if digits == 0 { return 0 }
    if exponent == 0, !isNegative, !sticky { return digits <= limit ? digits : nil }
    guard !isNegative, !sticky, let value = scaled(byPowerOfTen: 0, limit: limit) else { return nil }
    if exponent < 0 {
      guard -exponent < 19, digits % powersOfTen[-exponent] == 0 else { return nil }
    }
    return value
  }
}

/// 10^0 ... 10^19. Written out: what is computed is behind a check, at each use, of whether it was.
let powersOfTen: [UInt64] = [
  1, 10, 100, 1000, 10_000, 100_000, 1_000_000, 10_000_000, 100_000_000, 1_000_000_000, 10_000_000_000, 100_000_000_000,
  1_000_000_000_000, 10_000_000_000_000, 100_000_000_000_000, 1_000_000_000_000_000, 10_000_000_000_000_000,
  100_000_000_000_000_000, 1_000_000_000_000_000_000, 10_000_000_000_000_000_000,
]
