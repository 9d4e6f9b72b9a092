import Events
import Foundation
import Testing

@Suite struct CurrencyTests {
  let table: CurrencyTable
  init() throws { table = try testCurrencies() }

  func convert(_ text: String, _ code: String = "CNY") throws -> Int64 {
    let currency = try #require(Currency(code))
    var text = text
    return try text.withUTF8 { (bytes) throws(RejectReason) in
      try table.convert(bytes, currency: currency).minorUnits
    }
  }

  @Test(arguments: [
    ("0", 0), ("-0", 0), ("-0.000e5", 0), ("0.005", 0), ("0.015", 2), ("0.025", 2), ("0.0250000000000000000001", 3),
    ("0.024999999999999999999", 2), ("123.45", 12_345), ("1e2", 10_000), ("1.5E+1", 1_500), ("12345e-2", 12_345),
    ("1e-400", 0), ("100000000000", 10_000_000_000_000), ("1e11", 10_000_000_000_000), ("0e999999999999999999", 0),
    ("99999999999.995", 10_000_000_000_000), ("0.1", 10), ("0.29", 29), ("1.005", 100), ("4.35", 435),
  ])
  func minorUnitsFromDigits(text: String, expected: Int64) throws {
    #expect(try convert(text) == expected)
  }

  @Test(arguments: [
    ("100000000000.01", RejectReason.amountTooLarge), ("1e12", .amountTooLarge), ("1e999999999999", .amountTooLarge),
    ("123456789012345678901234567890", .amountTooLarge), ("-1", .amountNegative), ("-0.0001", .amountNegative),
    ("", .badAmount), (" 1", .badAmount), ("1 ", .badAmount), ("+1", .badAmount), ("01", .badAmount),
    (".5", .badAmount),
    ("5.", .badAmount), ("1e", .badAmount), ("1e+", .badAmount), ("0x10", .badAmount), ("NaN", .badAmount),
    ("1_000", .badAmount), ("1,5", .badAmount), ("--1", .badAmount), ("1.2.3", .badAmount), ("١", .badAmount),
  ])
  func whatIsNotAnAmount(text: String, reason: RejectReason) {
    #expect(throws: reason) { try convert(text) }
  }

  /// An exponent of 0 has the digits read the general way.
  @Test func shortAmountsAreReadLikeOthers() throws {
    var random = SplitMix64(seed: 3)
    for _ in 0..<20_000 {
      let text = String(
        (0..<Int.random(in: 0...20, using: &random)).map { _ in "00123456789.-".randomElement(using: &random) ?? "0" })
      func outcome(_ text: String) throws -> Result<Int64, RejectReason> {
        do { return .success(try convert(text)) } catch let reason as RejectReason { return .failure(reason) }
      }
      #expect(try outcome(text) == outcome(text + "e0"), "\(text)")
    }
  }

  @Test func otherCurrencies() throws {
    #expect(try convert("10.01", "USD") == 7_257)  // 72.5725: half of a cent to even
    #expect(try convert("1000", "JPY") == 4_800)
    #expect(try convert("1000.5", "JPY") == 4_800)  // rounds to 1000 yen first
    #expect(try convert("1.234", "KWD") == 2_900)  // 28.999
    #expect(try convert("1000000", "VND") == 28_500)
    #expect(try convert("1", "usd") == 725)
    #expect(throws: RejectReason.unknownCurrency) { try convert("1", "EUR") }
    #expect(throws: RejectReason.amountTooLarge) { try convert("99999999999", "USD") }
  }

  /// Against Foundation's Decimal (38 digits): exact at these sizes.
  @Test func randomAmountsEqualDecimalArithmetic() throws {
    var random = SplitMix64(seed: 42)
    func rounded(_ value: Decimal) -> Decimal {
      var (value, result) = (value, Decimal())
      NSDecimalRound(&result, &value, 0, .bankers)
      return result
    }
    for (code, rate, exponent) in [
      ("CNY", "1", 2), ("USD", "7.25", 2), ("JPY", "0.048", 0), ("KWD", "23.5", 3), ("VND", "0.000285", 0),
    ] {
      for _ in 0..<4_000 {
        let whole = UInt64.random(in: 0...(1 << UInt64.random(in: 0...29, using: &random)), using: &random)
        let digits = Int.random(in: 0...6, using: &random)
        let fraction = (0..<digits).map { _ in String(Int.random(in: 0...9, using: &random) / 5 * 5) }.joined()
        let text = digits == 0 ? "\(whole)" : "\(whole).\(fraction)"
        let amount = try #require(Decimal(string: text))
        let factor = try #require(Decimal(string: rate))
        let own = rounded(amount * pow(10, exponent))
        let expected = rounded(own * factor * 100 / pow(10, exponent))
        #expect(Decimal(try convert(text, code)) == expected, "\(text) \(code)")
      }
    }
  }

  @Test func codes() throws {
    #expect(Currency("CN") == nil)
    #expect(Currency("CNYY") == nil)
    #expect(Currency("C1Y") == nil)
    #expect(Currency("C@Y") == nil)
    #expect(Currency("cny")?.code == "CNY")
    let codes = ["CNY": 2, "JPY": 0, "KWD": 3, "CLF": 4, "USD": 2]
    for (code, exponent) in codes { #expect(try #require(Currency(code)).exponent == exponent) }
  }

  @Test func impossibleTablesAreRefused() throws {
    let cny = try #require(Currency("CNY"))
    let usd = try #require(Currency("USD"))
    let rate = ExchangeRate(currency: usd, digits: 725, scale: 2)
    #expect(throws: CurrencyError.noRate(usd)) { try CurrencyTable(reporting: cny, assumed: usd) }
    #expect(throws: CurrencyError.duplicate(usd)) {
      try CurrencyTable(reporting: cny, assumed: nil, rates: [rate, rate])
    }
    #expect(throws: CurrencyError.badRate(usd)) {
      try CurrencyTable(reporting: cny, assumed: nil, rates: [ExchangeRate(currency: usd, digits: 0, scale: 0)])
    }
    #expect(throws: CurrencyError.badExponent(5)) { try CurrencyTable(reporting: cny, exponent: 5, assumed: nil) }
    for text in ["", "-1", "0", "1e3", "x", "0.0000000000001"] {
      #expect(ExchangeRate(currency: usd, parsing: text) == nil, "\(text)")
    }
  }
}
