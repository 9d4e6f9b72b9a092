// An event that owns its texts: what tests generate, keep, shuffle and hand to the engine.

import Events

/// One event. `nil` means absent, as in the wire formats.
public struct SampleEvent: Sendable, Equatable {
  public var type: EventType
  public var time: Instant
  public var customer: String
  public var id: String?
  public var order: String?
  /// Minor units.
  public var amount: Int64?
  public var discount: Int64 = 0
  public var coupon = false
  public var category: String?
  public var product: String?
  public var channel: String?
  public var birthDate: LocalDay?
  public var gender: Gender?
  public var region: String?
  public var occupation: String?

  public init(_ type: EventType, at time: Instant, customer: String = "c", id: String? = nil) {
    self.type = type
    self.time = time
    self.customer = customer
    self.id = id
  }

  /// Calls `body` with the event as a decoder would hand it over; its bytes live as long as the call.
  public func withEvent<Result>(offset: Int64 = 0, _ body: (Event) throws -> Result) rethrows -> Result {
    let texts = [customer, id, order, category, product, channel, region, occupation].map { Array(($0 ?? "").utf8) }
    return try texts.flatMap { $0 }.withUnsafeBufferPointer { bytes in
      var start = 0
      var slices: [ByteSlice] = []
      for text in texts {
        slices.append(
          text.isEmpty ? .empty : ByteSlice(base: bytes.baseAddress.map { $0 + start }, count: text.count))
        start += text.count
      }
      var event = Event()
      event.type = type
      event.time = time
      event.origin = Origin(topic: 0, partition: 0, offset: offset)
      event.customer = slices[0]
      event.id = slices[1]
      event.idHash = slices[1].isEmpty ? 0 : slices[1].hash()
      event.orderHash = slices[2].isEmpty ? 0 : slices[2].hash()
      event.amount = Money(minorUnits: amount ?? 0)
      event.hasAmount = amount != nil
      event.discount = Money(minorUnits: discount)
      event.hasCoupon = coupon
      event.category = slices[3]
      event.product = slices[4]
      event.productHash = slices[4].isEmpty ? 0 : slices[4].hash()
      event.channel = slices[5]
      event.profile.birthDate = birthDate
      event.profile.gender = gender
      event.profile.region = slices[6]
      event.profile.occupation = slices[7]
      return try body(event)
    }
  }
}

/// XXH3 of a text, 0 for none: how rules and features compare texts.
public func textHash(_ text: String?) -> UInt64 {
  guard let text, !text.isEmpty else { return 0 }
  return Array(text.utf8).withUnsafeBufferPointer { ByteSlice(base: $0.baseAddress, count: $0.count).hash() }
}
