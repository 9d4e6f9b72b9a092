// A stream of events with everything in it that changes what outputs look like: late and doubled events, refunds in
// part and whole, cancellations, long silences, odd names.

import Events

/// SplitMix64: the same numbers from the same seed everywhere.
struct Seeded: RandomNumberGenerator {
  var state: UInt64
  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }
  mutating func chance(_ percent: Int) -> Bool { Int.random(in: 0..<100, using: &self) < percent }
}

/// Holds the bytes that events borrow.
final class TextArena {
  private var blocks: [UnsafeMutableBufferPointer<UInt8>] = []

  func slice(_ text: String) -> ByteSlice {
    let block = UnsafeMutableBufferPointer<UInt8>.allocate(capacity: max(1, text.utf8.count))
    _ = block.initialize(from: text.utf8)
    blocks.append(block)
    return ByteSlice(base: block.baseAddress, count: text.utf8.count)
  }

  deinit { for block in blocks { block.deallocate() } }
}

struct RandomShop {
  static let start = Instant(seconds: 1_772_323_200)  // 2026-03-01

  var random: Seeded
  let arena: TextArena
  private var orders: [String: [(hash: UInt64, amount: Int64)]] = [:]
  private var offset: Int64 = 0

  init(seed: UInt64, arena: TextArena) {
    random = Seeded(state: seed)
    self.arena = arena
  }

  /// In the order of arrival.
  mutating func events(customers: Int, days: Int, count: Int) -> [Event] {
    var events: [Event] = []
    for step in 0..<count {
      let second = Int64(days) * 86_400 * Int64(step) / Int64(count)
      var time = Self.start + .seconds(second)
      if random.chance(20) { time = time - .seconds(Int64.random(in: 1...500_000, using: &random)) }
      if random.chance(50) {
        time = time + TimeSpan(microseconds: Int64.random(in: 0...999_999, using: &random))
      }
      // Few are seen often; most fall silent for long.
      let number = Int(
        Double(customers) * Double.random(in: 0...1, using: &random) * Double.random(in: 0...1, using: &random))
      var event = event(of: customerName(number), at: time)
      event.origin = Origin(topic: UInt16.random(in: 0...1, using: &random), partition: 3, offset: offset)
      offset += 1
      events.append(event)
      if random.chance(3) {
        event.origin.offset = offset
        offset += 1
        events.append(event)
      }
    }
    return events
  }

  private func customerName(_ number: Int) -> String {
    switch number % 7 {
    case 0: "c-\(number)"
    case 1: "客户-\(number)"
    case 2: "say \"\(number)\" \\ /"
    case 3: "tab\t\(number)\u{1}\u{7f}"
    case 4: "🛍️\(number)"
    default: String(number)
    }
  }

  private mutating func event(of customer: String, at time: Instant) -> Event {
    var event = Event()
    event.customer = arena.slice(customer)
    event.time = time
    if random.chance(90) {
      event.id = arena.slice("e-\(offset)")
      event.idHash = event.id.hash()
    }
    let types: [EventType] = [
      .pageView, .productView, .search, .addToCart, .addToCart, .removeFromCart, .login, .orderPaid, .orderPaid,
      .orderPaid, .orderPlaced, .orderCancelled, .orderRefunded, .orderRefunded, .supportTicket, .profileUpdate,
      .review,
      .activity,
    ]
    event.type = types.randomElement(using: &random) ?? .activity
    if random.chance(60) {
      event.category = arena.slice(["beauty/skin", "数码", "home \"kitchen\""].randomElement(using: &random) ?? "")
      event.channel = arena.slice(["app", "web", "store"].randomElement(using: &random) ?? "")
    }
    switch event.type {
    case .addToCart, .removeFromCart:
      event.product = arena.slice("sku-\(Int.random(in: 0..<5, using: &random))")
      event.productHash = event.product.hash()
      event.amount = Money(minorUnits: Int64.random(in: 0...50_000, using: &random))
      event.hasAmount = true
    case .orderPaid, .orderPlaced:
      event.orderHash = random.next() | 1
      event.amount = Money(minorUnits: Int64.random(in: 0...500_000, using: &random))
      event.hasAmount = true
      event.hasCoupon = random.chance(30)
      if event.type == .orderPaid { orders[customer, default: []].append((event.orderHash, event.amount.minorUnits)) }
    case .orderCancelled, .orderRefunded:
      guard let order = orders[customer]?.randomElement(using: &random) else {
        event.type = .pageView
        break
      }
      event.orderHash = order.hash
      event.hasAmount = event.type == .orderRefunded
      event.amount = Money(minorUnits: random.chance(50) ? order.amount : order.amount / 3)
    case .profileUpdate:
      event.profile.gender = Gender.allCases.randomElement(using: &random)
      event.profile.birthDate = LocalDay(number: Int32.random(in: -10_000...15_000, using: &random))
      event.profile.region = arena.slice(["beijing", "西安", "elsewhere"].randomElement(using: &random) ?? "")
      event.profile.occupation = arena.slice("nurse")
    default: break
    }
    return event
  }
}
