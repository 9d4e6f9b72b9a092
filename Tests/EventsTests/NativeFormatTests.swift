import Events
import Testing

@Suite struct NativeFormatTests {
  var decoder: EventDecoder
  init() throws { decoder = EventDecoder(format: .native, currencies: try testCurrencies()) }

  @Test mutating func theExampleOfTheDesign() throws {
    let event = decoder.decode(
      #"""
      {"id":"evt-1","type":"order_paid","customer":"c-1","ts":"2026-03-01T12:34:56.123Z","order":"o-9",
       "amount":123.45,"currency":"CNY","quantity":2,"category":"beauty/skin","product":"sku-7",
       "channel":"app","coupon":"SPRING","discount":10.00}
      """#, key: "c-1")
    #expect(event.reason == nil)
    #expect(event.type == .orderPaid)
    #expect(event.time == 1_772_368_496_123_000)
    #expect(event.customer == "c-1")
    #expect(event.id == "evt-1")
    #expect(event.orderHash == hash("o-9"))
    #expect(event.amount == 12_345)
    #expect(event.discount == 1_000)
    #expect(event.hasCoupon)
    #expect(event.quantity == 2)
    #expect(event.category == "beauty/skin")
    #expect(event.product == "sku-7")
    #expect(event.channel == "app")
  }

  @Test(arguments: EventType.allCases)
  mutating func everyTypeByItsName(type: EventType) {
    let event = decoder.decode(
      #"{"type":"\#(type.name)","customer":"c","ts":1772368496123,"order":"o","amount":"1","other":"d","alert_id":"a"}"#
    )
    #expect(event.reason == nil)
    #expect(event.type == type)
    #expect(event.reference == (type == .identityLink ? "d" : type == .alertAck ? "a" : ""))
  }

  @Test mutating func cleansNamesButNotIds() {
    let event = decoder.decode(
      #"{"type":" Product_View ","customer":" C1 ","ts":1772368496123,"category":" Beauty/Skin\t","channel":"APP","#
        + #""product":"SKU-7","coupon":"","order":7}"#)
    #expect(event.type == .productView)
    #expect(event.customer == " C1 ")
    #expect(event.category == "beauty/skin")
    #expect(event.channel == "app")
    #expect(event.product == "SKU-7")
    #expect(!event.hasCoupon)
    #expect(event.orderHash == hash("7"))
  }

  @Test mutating func unknownTypesAreActivityAndNullIsAbsent() {
    let event = decoder.decode(
      #"{"type":"danced","customer":12345,"ts":"2026-03-01 12:34:56+08:00","amount":null,"category":null,"x":[{"y":1}]}"#
    )
    #expect(event.reason == nil)
    #expect(event.type == .activity)
    #expect(event.customer == "12345")
    #expect(event.time == 1_772_339_696_000_000)
    #expect(event.amount == nil)
  }

  @Test mutating func profile() {
    let event = decoder.decode(
      #"{"type":"profile_update","customer":"c","ts":1772368496123,"birth_date":"1990-02-28","gender":" 女 ","#
        + #""region":" ShangHai","occupation":"ENGINEER\u00c9"}"#)
    #expect(event.reason == nil)
    #expect(event.birthDay == 7_363)
    #expect(event.gender == .female)
    #expect(event.region == "shanghai")
    #expect(event.occupation == "engineeré")
    let unknown = decoder.decode(
      #"{"type":"profile_update","customer":"c","ts":1772368496123,"birth_date":"","gender":"unknown"}"#)
    #expect(unknown.reason == nil)
    #expect(unknown.birthDay == nil)
    #expect(unknown.gender == nil)
  }

  @Test mutating func slicesLiveUntilReset() {
    var events: [Event] = []
    for i in 0..<20_000 {
      var event = Event()
      let text =
        #"{"type":"login","customer":"customer-\#(i)","ts":1772368496123,"pad":"\#(String(repeating: "x", count: 300))"}"#
      let reason = Array(text.utf8).withUnsafeBytes {
        decoder.decode(
          $0, key: nil, origin: Origin(topic: 0, partition: 0, offset: 0), ceiling: testCeiling, into: &event)
      }
      #expect(reason == nil)
      events.append(event)
    }
    for (i, event) in events.enumerated() { #expect(event.customer.string == "customer-\(i)") }
    decoder.reset()
    #expect(decoder.decode(#"{"type":"login","customer":"a","ts":1772368496123}"#).customer == "a")
  }

  /// One record for every reason a decoder gives; the others belong to those who know of keys, partitions and horizons.
  static let rejected: [(RejectReason, String)] = [
    (.recordEmpty, ""), (.recordEmpty, "  "),
    (
      .recordTooLarge,
      #"{"type":"login","customer":"c","ts":1772368496123,"pad":"\#(String(repeating: "x", count: 1 << 20))"}"#
    ),
    (.malformedJSON, #"{"type":"login","customer":"c","ts":1772368496123"#),
    (.malformedJSON, #"{"type":"login","customer":"c","ts":1772368496123}}"#),
    (.malformedJSON, #"{"type":"login","customer":"c","ts":1772368496123,"unused":01}"#),
    (.malformedJSON, #"{"type":"login","customer":"c","ts":1772368496123,"unused":"\ud800"}"#),
    (.malformedJSON, "hello"), (.malformedJSON, "not json"), (.malformedJSON, "true story"), (.malformedJSON, "[1"),
    (.malformedJSON, "\"x"), (.malformedJSON, "12 13"), (.malformedJSON, "-"), (.malformedJSON, "[1,]"),
    (.notAnObject, "[1]"), (.notAnObject, "12"), (.notAnObject, "\"x\""), (.notAnObject, " null "),
    (.notAnObject, String(repeating: "[", count: 2_000) + String(repeating: "]", count: 2_000)),
    (.duplicateField, #"{"type":"login","customer":"c","ts":1772368496123,"type":"share"}"#),
    (.duplicateField, #"{"type":"login","customer":"c","ts":1772368496123,"x":{"a":1,"\u0061":2}}"#),
    (.tooDeep, #"{"x":\#(String(repeating: "[", count: 16))\#(String(repeating: "]", count: 16))}"#),
    (.tooManyFields, #"{"x":[\#(Array(repeating: "1", count: 1023).joined(separator: ","))]}"#),
    (.missingCustomer, #"{"type":"login","ts":1772368496123}"#),
    (.missingCustomer, #"{"type":"login","customer":"","ts":1772368496123}"#),
    (.missingCustomer, #"{"type":"login","customer":null,"ts":1772368496123}"#),
    (.badCustomer, #"{"type":"login","customer":1.5,"ts":1772368496123}"#),
    (.badCustomer, #"{"type":"login","customer":["c"],"ts":1772368496123}"#),
    (.customerTooLong, #"{"type":"login","customer":"\#(String(repeating: "c", count: 129))","ts":1772368496123}"#),
    (.missingType, #"{"customer":"c","ts":1772368496123}"#),
    (.missingType, #"{"type":" ","customer":"c","ts":1772368496123}"#),
    (.badType, #"{"type":true,"customer":"c","ts":1772368496123}"#),
    (.missingReference, #"{"type":"identity_link","customer":"c","ts":1772368496123}"#),
    (.missingReference, #"{"type":"alert_ack","customer":"c","ts":1772368496123,"other":"x"}"#),
    (.missingTimestamp, #"{"type":"login","customer":"c"}"#),
    (.badTimestamp, #"{"type":"login","customer":"c","ts":"yesterday"}"#),
    (.badTimestamp, #"{"type":"login","customer":"c","ts":"2026-03-01T12:34:56"}"#),
    (.badTimestamp, #"{"type":"login","customer":"c","ts":1772368496123.5}"#),
    (.badTimestamp, #"{"type":"login","customer":"c","ts":true}"#),
    (.timestampInFuture, #"{"type":"login","customer":"c","ts":"2026-06-01T00:05:00.000001Z"}"#),
    (.timestampTooOld, #"{"type":"login","customer":"c","ts":1772368496}"#),
    (.missingOrder, #"{"type":"order_paid","customer":"c","ts":1772368496123,"amount":1}"#),
    (.missingOrder, #"{"type":"order_placed","customer":"c","ts":1772368496123}"#),
    (.missingOrder, #"{"type":"order_cancelled","customer":"c","ts":1772368496123,"order":""}"#),
    (.missingAmount, #"{"type":"order_paid","customer":"c","ts":1772368496123,"order":"o"}"#),
    (.missingAmount, #"{"type":"order_refunded","customer":"c","ts":1772368496123}"#),
    (.badAmount, #"{"type":"login","customer":"c","ts":1772368496123,"amount":"1,50"}"#),
    (.badAmount, #"{"type":"login","customer":"c","ts":1772368496123,"amount":""}"#),
    (.badAmount, #"{"type":"login","customer":"c","ts":1772368496123,"amount":true}"#),
    (.amountNegative, #"{"type":"login","customer":"c","ts":1772368496123,"amount":-0.001}"#),
    (.amountTooLarge, #"{"type":"login","customer":"c","ts":1772368496123,"amount":100000000000.01}"#),
    (.amountTooLarge, #"{"type":"login","customer":"c","ts":1772368496123,"amount":1e400}"#),
    (.unknownCurrency, #"{"type":"login","customer":"c","ts":1772368496123,"amount":1,"currency":"XXX"}"#),
    (.unknownCurrency, #"{"type":"login","customer":"c","ts":1772368496123,"amount":1,"currency":5}"#),
    (.badQuantity, #"{"type":"login","customer":"c","ts":1772368496123,"quantity":1.5}"#),
    (.badQuantity, #"{"type":"login","customer":"c","ts":1772368496123,"quantity":-1}"#),
    (.badQuantity, #"{"type":"login","customer":"c","ts":1772368496123,"quantity":1000001}"#),
    (.badDiscount, #"{"type":"login","customer":"c","ts":1772368496123,"discount":-1}"#),
    (.badField, #"{"type":"login","customer":"c","ts":1772368496123,"category":{}}"#),
    (.badField, #"{"type":"login","customer":"c","ts":1772368496123,"coupon":false}"#),
    (
      .fieldTooLong,
      #"{"type":"login","customer":"c","ts":1772368496123,"channel":"\#(String(repeating: "c", count: 257))"}"#
    ),
    (.badProfileField, #"{"type":"profile_update","customer":"c","ts":1772368496123,"birth_date":"2001-02-29"}"#),
    (.badProfileField, #"{"type":"profile_update","customer":"c","ts":1772368496123,"birth_date":"2030-01-01"}"#),
    (.badProfileField, #"{"type":"profile_update","customer":"c","ts":1772368496123,"gender":"q"}"#),
    (.badProfileField, #"{"type":"profile_update","customer":"c","ts":1772368496123,"region":false}"#),
  ]

  @Test(arguments: rejected)
  mutating func rejects(reason: RejectReason, text: String) {
    #expect(decoder.decode(text).reason == reason, "\(text.prefix(120))")
  }

  @Test mutating func rejectsWhatIsNotUTF8() {
    #expect(decoder.decode(Array(#"{"x":""#.utf8) + [0xff] + Array(#""}"#.utf8)).reason == .invalidUTF8)
    #expect(decoder.decode(Array(#"{"x":""#.utf8) + [0xed, 0xa0, 0x80] + Array(#""}"#.utf8)).reason == .invalidUTF8)
    #expect(decoder.decode(Array(#"{"x":""#.utf8) + [0xc0, 0xaf] + Array(#""}"#.utf8)).reason == .invalidUTF8)
  }

  @Test mutating func theKeyMustBeTheCustomer() {
    let text = #"{"type":"login","customer":"c-\u0031","ts":1772368496123}"#
    #expect(decoder.decode(text, key: "c-1").reason == nil)
    #expect(decoder.decode(text, key: "c-2").reason == .keyMismatch)
    #expect(decoder.decode(text, key: "c-").reason == .keyMismatch)
    #expect(decoder.decode(text, key: "").reason == .keyMismatch)
  }

  @Test func amountsWithoutACurrency() throws {
    var strict = EventDecoder(format: .native, currencies: try testCurrencies(assumed: nil))
    #expect(
      strict.decode(#"{"type":"login","customer":"c","ts":1772368496123,"amount":1}"#).reason == .missingCurrency)
    #expect(strict.decode(#"{"type":"login","customer":"c","ts":1772368496123}"#).reason == nil)
  }

  @Test func theListOfRejectionsIsComplete() {
    let elsewhere: Set<RejectReason> = [
      .invalidUTF8, .keyMismatch, .missingCurrency, .keyMissing, .wrongPartition, .tooLate, .skipped,
    ]
    #expect(Set(Self.rejected.map(\.0)).union(elsewhere) == Set(RejectReason.allCases))
  }
}
