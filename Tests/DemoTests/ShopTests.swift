// The synthetic shop: equal seeds give equal events, events agree with the truth, and the truth follows the model.

import Demo
import Events
import Foundation
import Models
import Testing

private func settings(seed: UInt64 = 7, customers: Int = 150, dirty: Double = 0.01) -> ShopSettings {
  var settings = ShopSettings()
  settings.seed = seed
  settings.customers = customers
  settings.growth = .days(60)
  settings.dirtyShare = dirty
  return settings
}

/// One event as a person would read it.
private struct ReadEvent {
  var time: Instant
  var key: String
  var dirt: ShopDirt?
  var fields: [String: String]
}

private func read(_ batch: ShopBatch) -> [ReadEvent] {
  batch.events.map { event in
    var fields: [String: String] = [:]
    let json = try? JSONSerialization.jsonObject(with: Data(batch.bytes[event.value]))
    for (name, value) in json as? [String: NSObject] ?? [:] { fields[name] = "\(value)" }
    return ReadEvent(
      time: event.time, key: String(decoding: batch.bytes[event.key], as: UTF8.self), dirt: event.dirt, fields: fields)
  }
}

private func lines(_ batch: ShopBatch) -> [String] {
  batch.events.map { event in
    String(decoding: batch.bytes[event.key.lowerBound..<event.value.upperBound], as: UTF8.self)
  }
}

/// `2026-03-01T12:34:56.789Z` by Foundation.
private func instant(_ text: String) -> Instant? {
  let style = Date.ISO8601FormatStyle(includingFractionalSeconds: true)
  guard let date = try? Date(text, strategy: style) else { return nil }
  return Instant(microseconds: Int64((date.timeIntervalSince1970 * 1_000).rounded()) * 1_000)
}

/// A fixed stream of numbers.
private struct TestRandom: RandomNumberGenerator {
  var state: UInt64
  mutating func next() -> UInt64 {
    state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
    return state ^ (state >> 29)
  }
}

@Suite struct ShopTests {
  @Test func equalSeedsGiveEqualEventsHoweverTimeIsCut() {
    var whole = SyntheticShop(settings())
    let expected = lines(whole.next(until: settings().opening + .days(40)))
    #expect(expected.count > 3_000)

    var cut = SyntheticShop(settings())
    var got: [String] = []
    var step: Int64 = 1
    while cut.now < settings().opening + .days(40) {
      got += lines(cut.next(until: min(cut.now + .minutes(step), settings().opening + .days(40))))
      step = step * 7 % 3_001
    }
    #expect(got == expected)

    var other = SyntheticShop(settings(seed: 8))
    #expect(lines(other.next(until: settings().opening + .days(40))) != expected)
  }

  @Test func eventsComeInOrderOfTimeAndSayIt() {
    var shop = SyntheticShop(settings(dirty: 0))
    let events = read(shop.next(until: settings().opening + .days(50)))
    var last = Instant.distantPast
    var ids: Set<String> = []
    for event in events {
      #expect(event.time >= last)
      last = event.time
      #expect(event.fields["customer"] == event.key)
      #expect(event.fields["ts"].flatMap(instant) == event.time)
      #expect(ids.insert(event.fields["id"] ?? "").inserted)
    }
    let types = Set(events.compactMap { $0.fields["type"] })
    for type in [
      "page_view", "search", "product_view", "favorite", "add_to_cart", "checkout", "order_placed",
      "order_paid", "order_cancelled", "order_refunded", "support_ticket", "review", "profile_update",
    ] { #expect(types.contains(type)) }
  }

  /// The orders in the stream, taken by themselves, are exactly the purchases of the truth.
  @Test(arguments: 1...8 as ClosedRange<UInt64>) func ordersAgreeWithTheTruth(seed: UInt64) {
    let settings = settings(seed: seed)
    let end = settings.opening + .days(90)
    // Regretted orders are taken back within three days: look a little further than we judge.
    var shop = SyntheticShop(settings)
    let events = read(shop.next(until: end + .days(4)))
    struct Order {
      var customer = ""
      var paid: Instant?
      var gross = 0.0
      var refunded = 0.0
      var cancelled = false
    }
    var orders: [String: Order] = [:]
    for event in events where event.dirt == nil {
      guard let id = event.fields["order"] else { continue }
      let amount = Double(event.fields["amount"] ?? "") ?? 0
      switch event.fields["type"] {
      case "order_paid":
        orders[id, default: Order()].paid = event.time
        orders[id, default: Order()].gross = amount
        orders[id, default: Order()].customer = event.key
      case "order_cancelled": orders[id, default: Order()].cancelled = true
      case "order_refunded": orders[id, default: Order()].refunded += amount
      default: break
      }
    }
    var bought: [String: [Instant]] = [:]
    for order in orders.values where !order.cancelled && order.refunded < order.gross {
      if let paid = order.paid, paid < end { bought[order.customer, default: []].append(paid) }
    }
    var truth = ShopTruth(settings)
    var purchases = 0
    var gone = 0
    for customer in 0..<truth.customers(by: end) {
      let expected = Array(truth.purchases(of: customer, through: end))
      var key: [UInt8] = []
      ShopCustomerID.append(customer, to: &key)
      #expect(ShopCustomerID.number(in: key) == customer)
      #expect((bought[String(decoding: key, as: UTF8.self)] ?? []).sorted() == expected)
      purchases += expected.count
      guard let left = truth.left(customer, by: end) else { continue }
      gone += 1
      #expect(left == expected.last)
      let returns = truth.buys(customer, after: left, through: end + .days(3_000))
      #expect(!returns)
    }
    #expect(purchases > 500 && gone > 20)
  }

  @Test func truthAnswersLikeAScan() {
    var truth = ShopTruth(settings())
    let end = settings().opening + .days(120)
    var random = TestRandom(state: 5)
    let count = truth.customers(by: end)
    for _ in 0..<2_000 {
      let customer = Int.random(in: 0..<count, using: &random)
      let from = settings().opening + .minutes(Int64.random(in: 0..<100_000, using: &random))
      let to = from + .minutes(Int64.random(in: 0..<50_000, using: &random))
      let all = truth.purchases(of: customer, through: to)
      let buys = truth.buys(customer, after: from, through: to)
      #expect(buys == all.contains { $0 > from && $0 <= to })
      let hasBought = truth.hasBought(customer, by: from)
      #expect(hasBought == all.contains { $0 <= from })
      let arrival = truth.arrival(of: customer)
      let count = truth.customers(by: from)
      #expect((arrival <= from) == (customer < count))
    }
  }

  /// The churn model with the shop's own parameters is right about the shop: of the customers it gives p, a share p buys
  /// nothing within the horizon.
  @Test func theModelIsCalibratedOnTheTruth() throws {
    var settings = settings(seed: 3, customers: 4_000)
    settings.growth = .days(120)
    let parameters = try MBGNBD(r: settings.r, alpha: settings.alphaDays, a: settings.a, b: settings.b, unit: .days)
    let model = try ChurnModel(parameters: parameters, horizon: .days(30), version: "truth")
    var truth = ShopTruth(settings)
    let now = settings.opening + .days(120)
    var expected = [Double](repeating: 0, count: 5)
    var actual = [Double](repeating: 0, count: 5)
    var counts = [Double](repeating: 0, count: 5)
    for customer in 0..<truth.customers(by: now) {
      let purchases = truth.purchases(of: customer, through: now)
      guard let first = purchases.first, let last = purchases.last else { continue }
      let history = PurchaseHistory(first: first, last: last, repeats: purchases.count - 1)
      let probability = model.churnProbability(history, at: now)
      let bin = min(4, Int(probability * 5))
      expected[bin] += probability
      actual[bin] += truth.buys(customer, after: now, through: now + .days(30)) ? 0 : 1
      counts[bin] += 1
    }
    for bin in 0..<5 where counts[bin] > 100 {
      // Five standard errors of a share.
      #expect(abs(expected[bin] - actual[bin]) / counts[bin] < 2.5 / counts[bin].squareRoot(), "bin \(bin)")
    }
    #expect(counts[4] > 300)
  }

  @Test func aFixedShareIsDirtyInEveryWay() {
    var settings = settings(dirty: 0.02)
    settings.customers = 400
    var shop = SyntheticShop(settings)
    let batch = shop.next(until: settings.opening + .days(90))
    #expect(shop.eventCount == batch.events.count)
    let dirty = batch.events.filter { $0.dirt != nil }.count
    #expect(shop.dirtCounts.reduce(0, +) == dirty)
    let share = Double(dirty) / Double(batch.events.count)
    #expect((0.015...0.025).contains(share))
    for kind in ShopDirt.allCases { #expect(shop.dirtCounts[Int(kind.rawValue)] > 10, "\(kind)") }
    for event in read(batch) {
      switch event.dirt {
      case nil, .stale, .duplicate: #expect(event.fields["customer"] == event.key)
      case .malformed: #expect(event.fields.isEmpty)
      case .unknownCurrency: #expect(event.fields["currency"] == "ZZZ")
      case .future: #expect((event.fields["ts"].flatMap(instant) ?? .distantPast) > event.time + .days(2))
      case .noCustomer: #expect(event.fields["customer"] == nil)
      case .noTime: #expect(event.fields["ts"] == nil)
      case .noType: #expect(event.fields["type"] == nil)
      case .keyMismatch: #expect(event.fields["customer"] != event.key)
      }
    }
  }
}
