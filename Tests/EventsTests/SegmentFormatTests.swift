import Events
import Foundation
import Testing

@Suite struct SegmentFormatTests {
  var decoder: EventDecoder
  init() throws { decoder = EventDecoder(format: .segment, currencies: try testCurrencies()) }

  @Test mutating func orderCompletedOfTheSpecification() throws {
    let event = decoder.decode(
      #"""
      {"messageId":"m-1","type":"track","event":" order COMPLETED ","userId":"u-1","anonymousId":"a-1",
       "timestamp":"2026-03-01T00:00:00Z","context":{"channel":"Web","library":{"name":"analytics.js"}},
       "properties":{"order_id":"o-1","total":27.5,"revenue":25.00,"tax":2,"discount":"2.5","coupon":"hasbros",
         "currency":"USD","products":[
           {"product_id":"p-1","sku":"45790-32","name":"Monopoly","price":19,"quantity":1,"category":"Games"},
           {"product_id":"p-2","price":3,"quantity":2,"category":"Toys"}]}}
      """#, key: "u-1")
    #expect(event.reason == nil)
    #expect(event.type == .orderPaid)
    #expect(event.customer == "u-1")
    #expect(event.id == "m-1")
    #expect(event.orderHash == hash("o-1"))
    #expect(event.amount == 19_938)  // 27.50 USD at 7.25 is 199.375
    #expect(event.discount == 1_812)  // 18.125
    #expect(event.hasCoupon)
    #expect(event.category == "games")
    #expect(event.product == "p-1")
    #expect(event.quantity == 3)
    #expect(event.channel == "web")
    #expect(event.time == (try micros("2026-03-01T00:00:00Z")))
  }

  @Test(arguments: [
    ("Products Searched", EventType.search), ("Product Viewed", .productView), ("Product List Viewed", .pageView),
    ("Product Added to Wishlist", .favorite), ("Product Added", .addToCart), ("Product Removed", .removeFromCart),
    ("Checkout Started", .checkout), ("Order Placed", .orderPlaced), ("Order Completed", .orderPaid),
    ("Order Refunded", .orderRefunded), ("Order Cancelled", .orderCancelled), ("Order Canceled", .orderCancelled),
    ("Product Shared", .share), ("Product Reviewed", .review), ("Signed In", .login), ("Danced", .activity),
  ])
  mutating func eventNames(name: String, type: EventType) {
    for spelling in [name, name.lowercased(), name.uppercased(), "  \(name) "] {
      let event = decoder.decode(
        #"{"type":"track","event":"\#(spelling)","userId":"u","timestamp":1772368496123,"#
          + #""properties":{"order_id":"o","value":1}}"#)
      #expect(event.reason == nil)
      #expect(event.type == type)
    }
  }

  @Test mutating func identifyBecomesAProfile() {
    let event = decoder.decode(
      #"{"type":"identify","anonymousId":"a","timestamp":1772368496123,"traits":{"birthday":"1990-02-28T10:00:00Z","#
        + #""gender":"Male","address":{"state":" Bavaria ","city":"x"},"title":"CEO"}}"#)
    #expect(event.reason == nil)
    #expect(event.type == .profileUpdate)
    #expect(event.customer == "a")
    #expect(event.birthDay == 7_363)
    #expect(event.gender == .male)
    #expect(event.region == "bavaria")
    #expect(event.occupation == "ceo")
    let context = decoder.decode(
      #"{"type":"identify","userId":"a","timestamp":1772368496123,"traits":{},"context":{"traits":{"region":"Zhejiang"}}}"#
    )
    #expect(context.region == "zhejiang")
  }

  @Test mutating func pagesScreensAliasesAndGroups() {
    let common = #""userId":"u","timestamp":1772368496123"#
    #expect(decoder.decode(#"{"type":"page",\#(common)}"#).type == .pageView)
    #expect(decoder.decode(#"{"type":"Screen",\#(common)}"#).type == .pageView)
    #expect(decoder.decode(#"{"type":"group",\#(common)}"#).type == .activity)
    let alias = decoder.decode(#"{"type":"alias","previousId":"old",\#(common)}"#)
    #expect(alias.type == .identityLink)
    #expect(alias.reference == "old")
    #expect(decoder.decode(#"{"type":"alias",\#(common)}"#).reason == .missingReference)
  }

  @Test mutating func theTimeTakesTheDevicesWrongClockOut() throws {
    let three =
      #""originalTimestamp":"2026-03-01T10:00:00Z","sentAt":"2026-03-01T10:00:05Z","receivedAt":"2026-03-01T08:00:06.5Z""#
    let head = #"{"type":"page","userId":"u""#
    #expect(
      decoder.decode(#"\#(head),"timestamp":"2026-01-01T00:00:00Z",\#(three)}"#).time
        == (try micros("2026-03-01T08:00:01.5Z")))
    #expect(
      decoder.decode(
        #"\#(head),"sentAt":null,"originalTimestamp":"2026-03-01T10:00:00Z","receivedAt":"2026-03-01T08:00:06Z"}"#
      )
      .time == (try micros("2026-03-01T10:00:00Z")))
    #expect(
      decoder.decode(#"\#(head),"receivedAt":"2026-03-01T08:00:06Z"}"#).time == (try micros("2026-03-01T08:00:06Z")))
    #expect(decoder.decode(#"\#(head)}"#).reason == .missingTimestamp)
    #expect(decoder.decode(#"\#(head),"timestamp":"soon"}"#).reason == .badTimestamp)
  }

  @Test mutating func amountsInTheirOrder() {
    func amount(_ properties: String) -> Decoded {
      decoder.decode(
        #"{"type":"track","event":"Order Completed","userId":"u","timestamp":1772368496123,"#
          + #""properties":{"order_id":1,\#(properties)}}"#)
    }
    #expect(amount(#""total":1,"revenue":2,"value":3,"price":4"#).amount == 100)
    #expect(amount(#""revenue":2,"value":3,"price":4"#).amount == 200)
    #expect(amount(#""value":"3.00","price":4"#).amount == 300)
    #expect(amount(#""price":4.99,"quantity":3"#).amount == 1_497)
    #expect(amount(#""products":[{"price":1.50,"quantity":2},{"price":"0.25"}]"#).amount == 325)
    #expect(amount(#""products":[{"price":1.50,"quantity":2},{"price":"0.25"}]"#).quantity == 3)
    #expect(amount(#""products":[{"price":0},{"price":5}]"#).amount == 500)
    #expect(amount(#""products":[]"#).reason == .missingAmount)
    #expect(amount(#""products":[1],"total":1"#).reason == .badField)
    #expect(amount(#""total":-1"#).reason == .amountNegative)
    #expect(amount(#""total":"1,5""#).reason == .badAmount)
    #expect(amount(#""total":1,"discount":"x""#).reason == .badDiscount)
    #expect(amount(#""total":1,"currency":"ZZZ""#).reason == .unknownCurrency)
  }

  @Test mutating func otherRejections() {
    #expect(decoder.decode(#"{"type":"track","event":"x","timestamp":1772368496123}"#).reason == .missingCustomer)
    #expect(decoder.decode(#"{"type":"track","userId":"u","timestamp":1772368496123}"#).reason == .missingType)
    #expect(decoder.decode(#"{"userId":"u","timestamp":1772368496123}"#).reason == .missingType)
    #expect(decoder.decode(#"{"type":"page","userId":{},"timestamp":1772368496123}"#).reason == .badCustomer)
    #expect(decoder.decode(#"{"type":"page","userId":"u","timestamp":1772368496123}"#, key: "v").reason == .keyMismatch)
  }

  @Test(
    "Segment messages are accepted unchanged: what nothing needs is no reason to refuse one",
    arguments: [
      ("track", #""event":"Survey Answered","properties":{"value":"very good","total":-3.5,"quantity":2.5}"#),
      ("track", #""event":"Video Played","properties":{"category":["a","b"],"order_id":{},"product_id":[]}"#),
      ("track", #""event":"Product Viewed","properties":{"price":9.5,"currency":"ZZZ","coupon":[1]}"#),
      ("track", #""event":"Product List Viewed","properties":{"products":[1,{"price":"dear"}]}"#),
      ("page", #""properties":{"value":true,"discount":"x"},"context":{"channel":[]}"#),
      ("screen", #""properties":{"products":"none"}"#),
      ("group", #""traits":{"gender":7}"#),
      ("identify", #""traits":{"gender":"agender","birthday":"05/03/1990","region":{},"title":[]}"#),
    ]) mutating func foreignPropertiesAreNoErrors(type: String, rest: String)
  {
    let event = decoder.decode(#"{"type":"\#(type)","userId":"u","timestamp":1772368496123,\#(rest)}"#)
    #expect(event.reason == nil)
    #expect(event.amount == nil && event.birthDay == nil && event.gender == nil && event.region == "")
  }

  @Test mutating func interestIsReadOfWhatIsThere() {
    let event = decoder.decode(
      #"{"type":"track","event":"Product List Viewed","userId":"u","timestamp":1772368496123,"properties":"#
        + #"{"products":[7,{"category":" Shoes ","price":"?"},{"sku":"s-1","category":"hats"}]},"channel":"App"}"#)
    #expect(event.category == "shoes" && event.product == "s-1" && event.channel == "app")
    let traits = decoder.decode(
      #"{"type":"identify","userId":"u","timestamp":1772368496123,"traits":{"gender":"?","title":"CEO"}}"#)
    #expect(traits.gender == nil && traits.occupation == "ceo")
  }
}
