// One event as JSON of the native format, appended to a buffer: no String, no Foundation.

import Events

/// An event before it is written. Amounts are in minor units.
struct ShopDraft {
  var type: EventType
  var time: Instant
  var customer: Int
  /// The event's id.
  var number: Int = 0
  var order: Int?
  var amount: Int64?
  var discount: Int64 = 0
  var currency: ShopCurrency = .cny
  var quantity = 1
  var product: ShopProduct?
  var channel: StaticString = "web"
  var coupon: StaticString?
  var profile: ShopProfile?
  /// What is wrong with it.
  var dirt: ShopDirt?
}

/// What a customer tells about themselves.
struct ShopProfile {
  var birth: CivilDate
  var gender: StaticString
  var region: StaticString
  var occupation: StaticString
}

enum ShopCurrency: UInt8 {
  case cny, usd, eur, unknown
  var code: StaticString {
    switch self {
    case .cny: "CNY"
    case .usd: "USD"
    case .eur: "EUR"
    case .unknown: "ZZZ"
    }
  }
}

/// Writes events; remembers the last date, for neighbours share it.
struct ShopEventWriter: Sendable {
  private var day = Int64.min
  private var date: [UInt8] = []

  mutating func write(_ draft: ShopDraft, to bytes: inout [UInt8]) {
    bytes.appendText(#"{"id":"e-"#)
    bytes.appendNumber(draft.number)
    if draft.dirt != .noType {
      bytes.appendText(#"","type":""#)
      bytes.append(contentsOf: draft.type.name.utf8)
    }
    if draft.dirt != .noCustomer {
      bytes.appendText(#"","customer":""#)
      ShopCustomerID.append(draft.customer, to: &bytes)
    }
    if draft.dirt != .noTime {
      bytes.appendText(#"","ts":""#)
      write(draft.time, to: &bytes)
    }
    bytes.appendText(#"""#)
    if let order = draft.order {
      bytes.appendText(#","order":"o-"#)
      bytes.appendNumber(order)
      bytes.appendText(#"""#)
    }
    if let amount = draft.amount {
      bytes.appendText(#","amount":"#)
      bytes.appendMoney(amount)
      bytes.appendText(#","currency":""#)
      bytes.appendText(draft.currency.code)
      bytes.appendText(#"""#)
    }
    if draft.discount > 0 {
      bytes.appendText(#","discount":"#)
      bytes.appendMoney(draft.discount)
    }
    if let coupon = draft.coupon { bytes.appendField("coupon", coupon) }
    if let product = draft.product {
      bytes.appendText(#","quantity":"#)
      bytes.appendNumber(draft.quantity)
      bytes.appendField("category", product.category)
      bytes.appendText(#","product":"p-"#)
      bytes.appendNumber(product.number)
      bytes.appendText(#"""#)
    }
    if let profile = draft.profile {
      bytes.appendText(#","birth_date":""#)
      bytes.appendDate(profile.birth)
      bytes.appendText(#"""#)
      bytes.appendField("gender", profile.gender)
      bytes.appendField("region", profile.region)
      bytes.appendField("occupation", profile.occupation)
    }
    bytes.appendField("channel", draft.channel)
    bytes.appendText("}")
  }

  /// `2026-03-01T12:34:56.789Z`
  private mutating func write(_ time: Instant, to bytes: inout [UInt8]) {
    let milliseconds = time.microseconds / 1_000
    let today = milliseconds / 86_400_000
    if today != day {
      day = today
      date.removeAll(keepingCapacity: true)
      date.appendDate(CivilDate(LocalDay(number: Int32(clamping: today))))
      date.appendText("T")
    }
    let rest = Int(milliseconds % 86_400_000)
    bytes.append(contentsOf: date)
    bytes.appendNumber(rest / 3_600_000, digits: 2)
    bytes.appendText(":")
    bytes.appendNumber(rest / 60_000 % 60, digits: 2)
    bytes.appendText(":")
    bytes.appendNumber(rest / 1_000 % 60, digits: 2)
    bytes.appendText(".")
    bytes.appendNumber(rest % 1_000, digits: 3)
    bytes.appendText("Z")
  }
}

extension [UInt8] {
  mutating func appendText(_ text: StaticString) {
    append(contentsOf: UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
  }

  mutating func appendField(_ name: StaticString, _ value: StaticString) {
    appendText(",\"")
    appendText(name)
    appendText("\":\"")
    appendText(value)
    appendText("\"")
  }

  /// A number of 0 or more, filled up with zeros to `digits`.
  mutating func appendNumber(_ number: Int, digits: Int = 1) {
    var scale = 1
    var length = 1
    while number / scale >= 10 || length < digits {
      scale *= 10
      length += 1
    }
    while scale > 0 {
      append(UInt8(ascii: "0") + UInt8(truncatingIfNeeded: number / scale % 10))
      scale /= 10
    }
  }

  /// Minor units of a currency with two decimal places.
  mutating func appendMoney(_ minor: Int64) {
    appendNumber(Int(minor / 100))
    append(UInt8(ascii: "."))
    appendNumber(Int(minor % 100), digits: 2)
  }

  mutating func appendDate(_ date: CivilDate) {
    appendNumber(date.year, digits: 4)
    append(UInt8(ascii: "-"))
    appendNumber(date.month, digits: 2)
    append(UInt8(ascii: "-"))
    appendNumber(date.day, digits: 2)
  }
}
