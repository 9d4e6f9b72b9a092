// The bytes of one event, written in place: no String and no formatter.

import Events

/// A time as the 24 bytes `2026-03-01T12:34:56.789Z`, of which the date is made once a day.
struct LineClock: Sendable {
  private(set) var milliseconds: Int64 = 0
  private(set) var millisecondOfDay = 0
  private(set) var year = 1970
  private(set) var month = 1
  private(set) var day = 1
  private var dayNumber: Int64 = 0

  @inline(__always) mutating func move(to time: Instant) {
    milliseconds = time.microseconds / 1_000
    let number = milliseconds / 86_400_000
    millisecondOfDay = Int(milliseconds - number * 86_400_000)
    if number != dayNumber {
      dayNumber = number
      let date = CivilDate(LocalDay(number: Int32(clamping: number)))
      (year, month, day) = (date.year, date.month, date.day)
    }
  }
}

/// Appends to a buffer that is long enough.
struct LineWriter {
  private let start: UnsafeMutablePointer<UInt8>
  private var cursor: UnsafeMutablePointer<UInt8>
  private(set) var keyStart = 0
  private(set) var keyEnd = 0

  @inline(__always) init(_ buffer: UnsafeMutablePointer<UInt8>) {
    start = buffer
    cursor = buffer
  }

  var count: Int { cursor - start }

  @inline(__always) mutating func begin(number: Int, kind: LoadKind, customer: Int, clock: LineClock) {
    text(#"{"id":"evt-"#)
    digits(number + 1, atLeast: 9)
    text(#"","type":""#)
    text(kind.name)
    text(#"","customer":""#)
    keyStart = count
    text("c-")
    digits(customer, atLeast: 7)
    keyEnd = count
    text(#"","ts":""#)
    self.time(clock)
    byte(UInt8(ascii: "\""))
  }

  @inline(__always) mutating func details(
    _ kind: LoadKind, cents: Int, order: Int, quantity: Int, category: Int, product: Int
  ) {
    switch kind {
    case .orderPaid, .orderRefunded:
      text(#","order":"o-"#)
      digits(order + 1, atLeast: 9)
      byte(UInt8(ascii: "\""))
      amount(cents, quantity)
    case .productView, .favorite, .addToCart: amount(cents, quantity)
    case .pageView, .search, .supportTicket: break
    }
    switch kind {
    case .supportTicket: break
    case .search:
      text(#","category":""#)
      text(LoadShape.categories[category])
      text(#"","query":"keyword "#)
      digits(product, atLeast: 1)
      text(" for ")
      text(LoadShape.categories[(category + 15) & 15])
      byte(UInt8(ascii: "\""))
    default:
      text(#","category":""#)
      text(LoadShape.categories[category])
      text(#"","product":"sku-"#)
      digits(product, atLeast: 1)
      byte(UInt8(ascii: "\""))
    }
  }

  @inline(__always) mutating func tail(
    _ kind: LoadKind, channel: Int, session: UInt64, coupon: Int, reference: Int, category: Int, quantity: Int
  ) {
    text(#","channel":""#)
    text(LoadShape.channels[channel])
    text(#"","session":"s-"#)
    hex(session)
    byte(UInt8(ascii: "\""))
    if coupon < LoadShape.couponPercent {
      text(#","coupon":"CP"#)
      digits(coupon, atLeast: 2)
      byte(UInt8(ascii: "-"))
      digits(reference % 10_000, atLeast: 4)
      byte(UInt8(ascii: "\""))
    }
    if kind == .pageView {
      text(#","page":"https://shop.example/"#)
      text(LoadShape.categories[category])
      text("/list?page=")
      digits(quantity, atLeast: 1)
      text("&r=")
      digits(reference, atLeast: 1)
      byte(UInt8(ascii: "\""))
    }
    byte(UInt8(ascii: "}"))
  }

  @inline(__always) private mutating func amount(_ cents: Int, _ quantity: Int) {
    text(#","amount":"#)
    digits(cents / 100, atLeast: 1)
    byte(UInt8(ascii: "."))
    digits(cents % 100, atLeast: 2)
    text(#","currency":"CNY","quantity":"#)
    digits(quantity, atLeast: 1)
  }

  @inline(__always) private mutating func time(_ clock: LineClock) {
    digits(clock.year, atLeast: 4)
    byte(UInt8(ascii: "-"))
    digits(clock.month, atLeast: 2)
    byte(UInt8(ascii: "-"))
    digits(clock.day, atLeast: 2)
    byte(UInt8(ascii: "T"))
    let seconds = clock.millisecondOfDay / 1_000
    digits(seconds / 3_600, atLeast: 2)
    byte(UInt8(ascii: ":"))
    digits(seconds / 60 % 60, atLeast: 2)
    byte(UInt8(ascii: ":"))
    digits(seconds % 60, atLeast: 2)
    byte(UInt8(ascii: "."))
    digits(clock.millisecondOfDay % 1_000, atLeast: 3)
    byte(UInt8(ascii: "Z"))
  }

  @inline(__always) private mutating func byte(_ value: UInt8) {
    cursor.pointee = value
    cursor += 1
  }

  @inline(__always) private mutating func text(_ value: StaticString) {
    let size = value.utf8CodeUnitCount
    cursor.update(from: value.utf8Start, count: size)
    cursor += size
  }

  /// A number that is not negative, with zeros before it.
  @inline(__always) private mutating func digits(_ value: Int, atLeast least: Int) {
    let number = UInt64(truncatingIfNeeded: value)
    let size = max(least, DigitText.count(of: number))
    DigitText.write(number, width: size, to: cursor)
    cursor += size
  }

  /// 16 digits.
  @inline(__always) private mutating func hex(_ value: UInt64) {
    DigitText.writeHex(value, to: cursor)
    cursor += 16
  }
}
