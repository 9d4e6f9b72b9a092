// Exact decimal arithmetic for money in CSV files: never through a Double.

/// digits * 10^-scale, as written in a file.
struct Decimal: Equatable, Sendable {
  var digits: Int64
  /// 0...9
  var scale: Int

  static let zero = Decimal(digits: 0, scale: 0)

  init(digits: Int64, scale: Int) {
    self.digits = digits
    self.scale = scale
  }

  /// An optional sign, digits with an optional point; thousands separators are not accepted. At most 15 digits, 9 of
  /// them after the point.
  init?(_ text: some Collection<UInt8>) {
    var value: Int64 = 0
    var places = 0
    var count = 0
    var negative = false
    var seenPoint = false
    for (position, byte) in text.enumerated() {
      switch byte {
      case UInt8(ascii: "-") where position == 0: negative = true
      case UInt8(ascii: "+") where position == 0: break
      case UInt8(ascii: ".") where !seenPoint: seenPoint = true
      case UInt8(ascii: "0")...UInt8(ascii: "9"):
        count += 1
        if seenPoint { places += 1 }
        guard count <= 15, places <= 9 else { return nil }
        value = value * 10 + Int64(byte - 48)
      default: return nil
      }
    }
    guard count > 0 else { return nil }
    digits = negative ? -value : value
    scale = places
  }

  var isNegative: Bool { digits < 0 }
  var magnitude: Decimal { Decimal(digits: abs(digits), scale: scale) }

  private static func power(_ n: Int) -> Int64 { (0..<n).reduce(1) { value, _ in value * 10 } }

  /// nil when the result does not fit.
  static func + (a: Decimal, b: Decimal) -> Decimal? {
    let scale = max(a.scale, b.scale)
    let (left, o1) = a.digits.multipliedReportingOverflow(by: power(scale - a.scale))
    let (right, o2) = b.digits.multipliedReportingOverflow(by: power(scale - b.scale))
    let (sum, o3) = left.addingReportingOverflow(right)
    return o1 || o2 || o3 ? nil : Decimal(digits: sum, scale: scale)
  }

  static func * (a: Decimal, b: Decimal) -> Decimal? {
    let (product, overflow) = a.digits.multipliedReportingOverflow(by: b.digits)
    if overflow { return nil }
    var result = Decimal(digits: product, scale: a.scale + b.scale)
    while result.scale > 9 || result.scale > 0 && result.digits % 10 == 0 {
      if result.digits % 10 != 0 { return nil }
      result.digits /= 10
      result.scale -= 1
    }
    return result
  }

  static func < (a: Decimal, b: Decimal) -> Bool {
    let scale = max(a.scale, b.scale)
    let left = a.digits.multipliedFullWidth(by: power(scale - a.scale))
    let right = b.digits.multipliedFullWidth(by: power(scale - b.scale))
    return (left.high, left.low) < (right.high, right.low)
  }

  /// As a JSON number: `-12.50`.
  var text: String {
    if scale == 0 { return "\(digits)" }
    let unit = Self.power(scale)
    let fraction = String(abs(digits) % unit)
    return (digits < 0 ? "-" : "") + "\(abs(digits) / unit)." + String(repeating: "0", count: scale - fraction.count)
      + fraction
  }
}
