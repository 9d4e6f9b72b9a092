// Any record: a clean event within the documented limits, or a reason.

import Events

enum DecoderCheck {
  /// 2026-06-01T00:00:00Z
  static let ceiling = Instant(seconds: 1_780_272_000)

  /// Small, so that a fuzzer reaches them.
  static var limits: DecodeLimits {
    var limits = DecodeLimits()
    limits.maxRecordBytes = 2048
    limits.maxCustomerBytes = 16
    limits.maxTextBytes = 24
    limits.maxDepth = 6
    limits.maxFields = 48
    return limits
  }

  static let currencies: CurrencyTable? = {
    guard let reporting = Currency("CNY"), let dollar = Currency("USD"), let yen = Currency("JPY"),
      let rate = ExchangeRate(currency: dollar, parsing: "7.25"),
      let small = ExchangeRate(currency: yen, parsing: "0.048")
    else { return nil }
    return try? CurrencyTable(reporting: reporting, assumed: reporting, rates: [rate, small])
  }()

  static func run(_ bytes: [UInt8], _ format: WireFormat) throws(FuzzFinding) {
    guard let currencies else { throw FuzzFinding("the currency table of the check is wrong") }
    var decoder = EventDecoder(format: format, limits: limits, currencies: currencies)
    let first = decode(bytes, &decoder)
    // What follows it must not matter.
    for behind in [UInt8(ascii: "}"), UInt8(ascii: "\""), 0xff] {
      let padded = bytes + Array(repeating: behind, count: EventDecoder.padding)
      try require(decodeInPlace(padded, bytes.count, &decoder) == first, "where it is, it is another event")
    }
    switch first {
    case .failure(let reason): try require(!reason.message.isEmpty, "\(reason.rawValue) has no message")
    case .success(let event):
      try check(event)
      // The decoder's memory is used again.
      decoder.reset()
      try require(decode(bytes, &decoder) == first, "decoded again, it is another event")
      try require(
        decode(bytes + [0x20, 0x0a], &decoder) == first || bytes.count + 2 > limits.maxRecordBytes,
        "white space at the end changes it")
      var strict = EventDecoder(format: format, limits: limits, currencies: currencies)
      let wrong = event.customer + [0x78]
      try require(decode(bytes, &strict, key: wrong) == .failure(.keyMismatch), "another key is accepted")
      try require(decode(bytes, &strict, key: event.customer) == first, "its own key is not accepted")
    }
    for cut in [bytes.count / 2, bytes.count - 1] where cut > 0 && cut < bytes.count {
      guard case .success(let event) = decode(Array(bytes.prefix(cut)), &decoder) else { continue }
      // Only white space may be missing.
      try require(
        bytes[cut...].allSatisfy { [0x20, 0x09, 0x0a, 0x0d].contains($0) }
          || { if case .failure = first { true } else { false } }(), "half a record is an event: \(event)")
    }
  }

  private static func decode(
    _ bytes: [UInt8], _ decoder: inout EventDecoder, key: [UInt8]? = nil
  ) -> Result<PlainEvent, RejectReason> {
    var event = Event()
    let origin = Origin(topic: 0, partition: 0, offset: 0)
    let reason = bytes.withUnsafeBytes { payload in
      if let key {
        key.withUnsafeBytes { decoder.decode(payload, key: $0, origin: origin, ceiling: ceiling, into: &event) }
      } else {
        decoder.decode(payload, key: nil, origin: origin, ceiling: ceiling, into: &event)
      }
    }
    if let reason { return .failure(reason) }
    return .success(PlainEvent(event))
  }

  private static func decodeInPlace(
    _ padded: [UInt8], _ count: Int, _ decoder: inout EventDecoder
  ) -> Result<PlainEvent, RejectReason> {
    var event = Event()
    return padded.withUnsafeBytes { bytes in
      let reason = decoder.decodeInPlace(
        UnsafeRawBufferPointer(rebasing: bytes[..<count]), origin: Origin(topic: 0, partition: 0, offset: 0),
        ceiling: ceiling, into: &event)
      return reason.map { .failure($0) } ?? .success(PlainEvent(event))
    }
  }

  private static func check(_ event: PlainEvent) throws(FuzzFinding) {
    let limits = limits
    try require(
      (1...limits.maxCustomerBytes).contains(event.customer.count), "a customer of \(event.customer.count) bytes")
    for text in [event.id, event.category, event.product, event.channel, event.region, event.occupation] {
      try require(text.count <= limits.maxTextBytes, "a text of \(text.count) bytes")
    }
    try require(event.reference.count <= max(limits.maxTextBytes, limits.maxCustomerBytes), "a long reference")
    for text in event.texts { try require(String(validating: text, as: UTF8.self) != nil, "a text that is not UTF-8") }
    try require(event.time >= limits.oldest && event.time <= ceiling + limits.maxAhead, "a time of \(event.time)")
    for amount in [event.amount, event.discount] {
      try require((0...Money.limit).contains(amount), "an amount of \(amount)")
    }
    try require(event.hasAmount || event.amount == 0, "an amount that is not there")
    try require((0...limits.maxQuantity).contains(event.quantity), "a quantity of \(event.quantity)")
    try require((event.idHash == 0) == event.id.isEmpty, "the hash of the id")
    try require((event.productHash == 0) == event.product.isEmpty, "the hash of the product")
    switch event.type {
    case .orderPlaced, .orderCancelled: try require(event.orderHash != 0, "no order")
    case .orderPaid: try require(event.orderHash != 0 && event.hasAmount, "no order or amount")
    case .orderRefunded: try require(event.orderHash != 0 || event.hasAmount, "neither order nor amount")
    case .identityLink, .alertAck: try require(!event.reference.isEmpty, "no reference")
    default: break
    }
  }
}

/// An event with its slices copied out.
struct PlainEvent: Equatable {
  var type: EventType
  var time: Instant
  var customer: [UInt8]
  var id: [UInt8]
  var idHash: UInt64
  var orderHash: UInt64
  var amount: Int64
  var hasAmount: Bool
  var discount: Int64
  var hasCoupon: Bool
  var quantity: Int32
  var category: [UInt8]
  var product: [UInt8]
  var productHash: UInt64
  var channel: [UInt8]
  var birthDay: Int32?
  var gender: Gender?
  var region: [UInt8]
  var occupation: [UInt8]
  var reference: [UInt8]

  init(_ event: Event) {
    type = event.type
    time = event.time
    customer = Array(event.customer.buffer)
    id = Array(event.id.buffer)
    idHash = event.idHash
    orderHash = event.orderHash
    amount = event.amount.minorUnits
    hasAmount = event.hasAmount
    discount = event.discount.minorUnits
    hasCoupon = event.hasCoupon
    quantity = event.quantity
    category = Array(event.category.buffer)
    product = Array(event.product.buffer)
    productHash = event.productHash
    channel = Array(event.channel.buffer)
    birthDay = event.profile.birthDate?.number
    gender = event.profile.gender
    region = Array(event.profile.region.buffer)
    occupation = Array(event.profile.occupation.buffer)
    reference = Array(event.reference.buffer)
  }

  var texts: [[UInt8]] { [customer, id, category, product, channel, region, occupation, reference] }
}
