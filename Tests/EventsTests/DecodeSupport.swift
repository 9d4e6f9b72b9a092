import Events
import Foundation
import Testing

/// 2026-06-01T00:00:00Z: nothing in the tests is later unless it means to be.
let testCeiling = Instant(seconds: 1_780_272_000)

func testCurrencies(assumed: String? = "CNY") throws -> CurrencyTable {
  let rates = [("USD", "7.25"), ("JPY", "0.048"), ("KWD", "23.5"), ("VND", "0.000285"), ("GBP", "9.1")]
  let reporting = try #require(Currency("CNY"))
  return try CurrencyTable(
    reporting: reporting, assumed: assumed.flatMap { Currency($0) },
    rates: rates.map { rate in
      let currency = try #require(Currency(rate.0))
      return try #require(ExchangeRate(currency: currency, parsing: rate.1))
    })
}

/// A decoded event with its slices copied out, or the reason.
struct Decoded: Equatable {
  var reason: RejectReason?
  var type = EventType.activity
  var time: Int64 = 0
  var customer = ""
  var id = ""
  var orderHash: UInt64 = 0
  var amount: Int64?
  var discount: Int64 = 0
  var hasCoupon = false
  var quantity: Int32 = 1
  var category = ""
  var product = ""
  var channel = ""
  var birthDay: Int32?
  var gender: Gender?
  var region = ""
  var occupation = ""
  var reference = ""

  init(reason: RejectReason?) { self.reason = reason }

  init(_ event: Event) {
    type = event.type
    time = event.time.microseconds
    customer = event.customer.string
    id = event.id.string
    orderHash = event.orderHash
    amount = event.hasAmount ? event.amount.minorUnits : nil
    discount = event.discount.minorUnits
    hasCoupon = event.hasCoupon
    quantity = event.quantity
    category = event.category.string
    product = event.product.string
    channel = event.channel.string
    birthDay = event.profile.birthDate?.number
    gender = event.profile.gender
    region = event.profile.region.string
    occupation = event.profile.occupation.string
    reference = event.reference.string
  }
}

extension EventDecoder {
  mutating func decode(_ bytes: [UInt8], key: String? = nil, ceiling: Instant = testCeiling) -> Decoded {
    var event = Event()
    let origin = Origin(topic: 1, partition: 2, offset: 3)
    let reason = bytes.withUnsafeBytes { payload in
      guard var key else { return decode(payload, key: nil, origin: origin, ceiling: ceiling, into: &event) }
      return key.withUTF8 {
        decode(payload, key: UnsafeRawBufferPointer($0), origin: origin, ceiling: ceiling, into: &event)
      }
    }
    if let reason { return Decoded(reason: reason) }
    precondition(event.origin == origin)
    return Decoded(event)
  }

  mutating func decode(_ text: String, key: String? = nil) -> Decoded { decode(Array(text.utf8), key: key) }
}

func hash(_ text: String) -> UInt64 {
  var text = text
  return text.withUTF8 { ByteSlice(base: $0.baseAddress, count: $0.count).hash() }
}

func micros(_ text: String) throws -> Int64 {
  var text = text
  return try #require(text.withUTF8 { Instant(rfc3339: $0) }).microseconds
}
