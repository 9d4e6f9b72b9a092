// Currencies and their exact conversion into the reporting currency. No Double anywhere: an amount is parsed from its
// decimal digits into minor units, a rate is a ratio of integers.

/// An ISO 4217 code, packed. Three ASCII letters, upper case.
public struct Currency: Hashable, Sendable, CustomStringConvertible {
  /// The letters, first in the highest of the three low bytes.
  public let packed: UInt32

  /// Nil unless `code` is three ASCII letters, in either case.
  public init?(_ code: String) {
    var code = code
    guard let currency = code.withUTF8({ Currency(bytes: $0) }) else { return nil }
    self = currency
  }

  /// Nil unless `bytes` are three ASCII letters, in either case.
  @inlinable public init?(bytes: UnsafeBufferPointer<UInt8>) {
    guard bytes.count == 3 else { return nil }
    var packed: UInt32 = 0
    for byte in bytes {
      let upper = byte & 0xdf
      guard upper >= UInt8(ascii: "A"), upper <= UInt8(ascii: "Z"), byte >= UInt8(ascii: "A") else { return nil }
      packed = packed << 8 | UInt32(upper)
    }
    self.packed = packed
  }

  public var code: String {
    String(decoding: [UInt8(packed >> 16), UInt8(packed >> 8 & 0xff), UInt8(packed & 0xff)], as: UTF8.self)
  }
  public var description: String { code }

  /// Digits of the minor unit by ISO 4217: 0 for JPY, 3 for KWD, 2 for most.
  public var exponent: Int {
    switch code {
    case "BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "UYI", "VND", "VUV", "XAF", "XOF",
      "XPF":
      0
    case "BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND": 3
    case "CLF", "UYW": 4
    default: 2
    }
  }
}

/// What one unit of a currency is worth in the reporting currency: `digits` / 10^`scale`.
public struct ExchangeRate: Hashable, Sendable {
  public var currency: Currency
  public var digits: Int64
  public var scale: Int

  /// The range is checked by `CurrencyTable`.
  public init(currency: Currency, digits: Int64, scale: Int) {
    self.currency = currency
    self.digits = digits
    self.scale = scale
  }

  /// From a decimal such as "7.2513"; nil when it is not one or has more than 12 digits.
  public init?(currency: Currency, parsing text: String) {
    var text = text
    guard
      let decimal = text.withUTF8({ DecimalToken($0) }), !decimal.isNegative, !decimal.sticky, decimal.digits > 0,
      decimal.exponent >= -12, decimal.exponent <= 0
    else { return nil }
    self.init(currency: currency, digits: Int64(decimal.digits), scale: -decimal.exponent)
  }
}

public enum CurrencyError: Error, Equatable, CustomStringConvertible {
  case badRate(Currency)
  case badExponent(Int)
  case duplicate(Currency)
  case noRate(Currency)

  public var description: String {
    switch self {
    case .badRate(let c): "the rate of \(c) is out of range; it must be positive, with at most 12 digits"
    case .badExponent(let n): "\(n) minor-unit digits are not possible; the reporting currency has 0 to 4"
    case .duplicate(let c): "the rate of \(c) is given twice, or \(c) is the reporting currency"
    case .noRate(let c): "the default currency \(c) has no rate; add it to the rates"
    }
  }
}

/// Converts amounts of any configured currency into minor units of the reporting currency.
public struct CurrencyTable: Sendable {
  public let reporting: Currency
  /// Minor-unit digits of the reporting currency.
  public let exponent: Int
  /// For amounts without a currency; nil makes them `missing_currency`.
  public let assumed: Currency?
  private let entries: [Entry]  // ascending by code

  private struct Entry: Sendable {
    var packed: UInt32
    var exponent: Int
    /// Reporting minor units = minor units * numerator / denominator.
    var numerator: UInt64
    var denominator: UInt64
  }

  /// - Parameters:
  ///   - exponent: minor-unit digits of the reporting currency, 0...4; by default those of ISO 4217.
  ///   - assumed: the currency of amounts that name none.
  ///   - rates: other currencies than `reporting`, each once; 1...10^12 digits, scale 0...12.
  public init(
    reporting: Currency, exponent: Int? = nil, assumed: Currency?, rates: [ExchangeRate] = []
  ) throws(CurrencyError) {
    let reportingExponent = exponent ?? reporting.exponent
    guard (0...4).contains(reportingExponent) else { throw .badExponent(reportingExponent) }
    self.reporting = reporting
    self.exponent = reportingExponent
    self.assumed = assumed
    var entries = [Entry(packed: reporting.packed, exponent: reportingExponent, numerator: 1, denominator: 1)]
    for rate in rates {
      guard rate.digits > 0, rate.digits < 1_000_000_000_000, (0...12).contains(rate.scale) else {
        throw .badRate(rate.currency)
      }
      guard !entries.contains(where: { $0.packed == rate.currency.packed }) else { throw .duplicate(rate.currency) }
      let own = rate.currency.exponent
      entries.append(
        Entry(
          packed: rate.currency.packed, exponent: own,
          numerator: UInt64(rate.digits) * powersOfTen[max(0, reportingExponent - own)],
          denominator: powersOfTen[rate.scale + max(0, own - reportingExponent)]))
    }
    self.entries = entries.sorted { $0.packed < $1.packed }
    if let assumed, self.entry(assumed) == nil { throw .noRate(assumed) }
  }

  /// An amount from its decimal digits, by the JSON number grammar (exponents too), in `currency`.
  ///
  /// Fraction digits beyond the currency's minor unit are rounded half to even; the conversion then rounds half to even
  /// once more. "-0" is zero.
  /// - Throws: `bad_amount`, `amount_negative`, `amount_too_large` (above 10^13 minor units before or after the
  ///   conversion), `unknown_currency`.
  public func convert(_ token: UnsafeBufferPointer<UInt8>, currency: Currency) throws(RejectReason) -> Money {
    try convert(token, currency: currency, times: 1)
  }

  /// The same of a unit price, multiplied by `quantity` (>= 0) before the conversion.
  public func convert(
    _ token: UnsafeBufferPointer<UInt8>, currency: Currency, times quantity: Int32
  ) throws(RejectReason) -> Money {
    guard let entry = entry(currency) else { throw .unknownCurrency }
    guard let decimal = DecimalToken(token) else { throw .badAmount }
    if decimal.isNegative, decimal.digits != 0 { throw .amountNegative }
    guard let unit = decimal.scaled(byPowerOfTen: entry.exponent, limit: UInt64(Money.limit)) else {
      throw .amountTooLarge
    }
    let (own, overflow) = unit.multipliedReportingOverflow(by: UInt64(clamping: quantity))
    if overflow || own > UInt64(Money.limit) { throw .amountTooLarge }
    if entry.numerator == 1, entry.denominator == 1 { return Money(minorUnits: Int64(own)) }
    let product = own.multipliedFullWidth(by: entry.numerator)
    guard product.high < entry.denominator else { throw .amountTooLarge }
    var (quotient, remainder) = entry.denominator.dividingFullWidth(product)
    let half = entry.denominator - remainder
    if remainder > half || (remainder == half && quotient & 1 == 1) { quotient += 1 }
    if quotient > UInt64(Money.limit) { throw .amountTooLarge }
    return Money(minorUnits: Int64(quotient))
  }

  private func entry(_ currency: Currency) -> Entry? {
    var low = 0
    var high = entries.count
    while low < high {
      let middle = (low + high) / 2
      if entries[middle].packed < currency.packed { low = middle + 1 } else { high = middle }
    }
    return low < entries.count && entries[low].packed == currency.packed ? entries[low] : nil
  }
}
