// The events of the crash tests: a few thousand lively customers, with records late, doubled and dirty; or real purchases.

import Foundation
import Kafka
import ReferenceTesting

/// One record of the input topic.
struct CrashRecord: Sendable {
  /// nil: a record without a key.
  var key: String?
  /// One line, no line feed.
  var value: String
  /// False for what is wrong only in Kafka (its key, an empty value): a file cannot show it, so the replay gets a line
  /// that is no JSON in its place.
  var isSameInFile = true

  static let placeholder = "not for a file"

  /// Where `murmur2_random` puts it; records without a key are sent to partition 0 by hand.
  func partition(of count: Int32) -> Int32 {
    guard let key else { return 0 }
    return Array(key.utf8).withUnsafeBytes { Partitioner.murmur2Random.partition(forKey: $0, count: count) } ?? 0
  }
}

/// A stream of records, and when its time ends.
struct CrashStream: Sendable {
  var records: [CrashRecord]
  /// RFC 3339, for `--until`.
  var until: String
  /// Whether no record arrives behind another: then what is said does not depend on how partitions interleave.
  var isInOrder: Bool
  /// The text of the rule file.
  var rules: String
  /// Configuration beside Kafka's: currency and the churn model.
  var configuration: String

  /// In `count` partitions, in the order of arrival.
  func partitioned(_ count: Int32) -> [[CrashRecord]] {
    var lists = [[CrashRecord]](repeating: [], count: Int(count))
    for record in records { lists[Int(record.partition(of: count))].append(record) }
    return lists
  }

  /// A made-up shop over 120 days of 2024, ready for the default rules.
  static func shop(customers: Int, seed: UInt64) throws -> CrashStream {
    var maker = ShopMaker(random: Seeded(seed))
    for number in 0..<customers { maker.customer(number) }
    return CrashStream(
      records: maker.arrivals(), until: "2024-08-01T00:00:00Z", isInOrder: false,
      rules: try String(contentsOf: Binary.package.appendingPathComponent("config/tags.yaml"), encoding: .utf8),
      configuration: """
        churn: { preset: cdnow, horizon: 60d }
        alerts: { treatments: { premium: 5000, standard: 500 } }
        currency: { reporting: CNY, default: CNY, rates: { USD: 7.10 } }
        """)
  }
}

private struct ShopMaker {
  private struct Arrival {
    var at: Int64
    var record: CrashRecord
  }

  var random: Seeded
  private var all: [Arrival] = []
  private var count = 0

  private static let start: Int64 = 1_704_067_200_000  // 2024-01-01, in milliseconds
  private static let hour: Int64 = 3_600_000
  private static let day: Int64 = 86_400_000

  init(random: Seeded) { self.random = random }

  func arrivals() -> [CrashRecord] {
    all.enumerated().sorted { ($0.element.at, $0.offset) < ($1.element.at, $1.offset) }.map(\.element.record)
  }

  mutating func customer(_ number: Int) {
    let customer = number % 50 == 7 ? "顾客-\(number)" : "c-\(number)"
    var time = Self.start + random.int(0...100 * Self.day)
    let pace = random.logUniform(0.3, 25)
    if random.chance(0.5) { profile(customer, time) }
    for _ in 0..<1 + random.index(5) {
      visit(customer, time)
      time += Int64(random.logUniform(pace / 10, pace * 3) * Double(Self.day))
      if time > Self.start + 120 * Self.day { break }
    }
  }

  private mutating func visit(_ customer: String, _ start: Int64) {
    let channel = random.pick(["app", "web", "store"])
    let category = random.pick(["beauty/skin", "food", "books"])
    var time = start
    for _ in 0..<random.index(3) {
      say(customer, random.pick(["page_view", "product_view", "search"]), time, #","channel":"\#(channel)""#)
      time += random.int(1_000...600_000)
    }
    if random.chance(0.4) {
      say(
        customer, "add_to_cart", time,
        #","amount":\#(amount()),"product":"p-\#(random.index(9))","category":"\#(category)""#)
      time += random.int(1_000...600_000)
    }
    if random.chance(0.6) { order(customer, time, channel, category) }
    if random.chance(0.05) { say(customer, "support_ticket", time + Self.hour, "") }
    if random.chance(0.04) { dirty(customer, time) }
  }

  private mutating func order(_ customer: String, _ time: Int64, _ channel: String, _ category: String) {
    count += 1
    let order = #","order":"o-\#(count)""#
    let total = amount()
    let currency = random.chance(0.1) ? #","currency":"USD""# : ""
    let coupon = random.chance(0.2) ? #","coupon":"SPRING","discount":5"# : ""
    let about = #",\#("\"amount\""):\#(total)\#(currency)\#(coupon),"channel":"\#(channel)","category":"\#(category)""#
    if random.chance(0.5) { say(customer, "order_placed", time, order + about) }
    if random.chance(0.08) { return say(customer, "order_cancelled", time + Self.hour, order) }
    say(customer, "order_paid", time + 60_000, order + about)
    if random.chance(0.1) {
      let part = random.chance(0.5) ? #","amount":1.50\#(currency)"# : ""
      say(customer, "order_refunded", time + random.int(1...20) * Self.day, order + part)
    }
  }

  private mutating func profile(_ customer: String, _ time: Int64) {
    let year = 1950 + random.index(60)
    let region = random.pick(["beijing", "上海", "leeds"])
    say(
      customer, "profile_update", time,
      #","birth_date":"\#(year)-02-11","gender":"\#(random.pick(["female", "male"]))","region":"\#(region)""#)
  }

  private mutating func amount() -> String {
    let minor = Int64(random.logUniform(100, 600_000))
    return "\(minor / 100).\(String(minor % 100 + 100).dropFirst())"
  }

  /// Says it, now and then late by up to six days, now and then twice.
  private mutating func say(_ customer: String, _ type: String, _ time: Int64, _ more: String) {
    let value = #"{"id":"e-\#(all.count)","type":"\#(type)","customer":"\#(customer)","ts":\#(time)\#(more)}"#
    let delay =
      switch random.index(20) {
      case 0: random.int(0...6 * Self.day)
      case 1...3: random.int(0...Self.hour)
      default: Int64(0)
      }
    send(time + delay, CrashRecord(key: customer, value: value))
    if random.chance(0.03) {
      send(time + delay + random.int(0...Self.hour), CrashRecord(key: customer, value: value))
    }
  }

  private mutating func dirty(_ customer: String, _ time: Int64) {
    let begin = #"{"id":"bad-\#(all.count)","customer":"\#(customer)""#
    var record = CrashRecord(key: customer, value: #"\#(begin),"type":"order_paid""#)
    switch random.index(8) {
    case 0: break  // cut short
    case 1: record.value = #"\#(begin),"type":"page_view"}"#
    case 2: record.value = #"\#(begin),"type":"order_paid","order":"x","ts":\#(time),"amount":"12,5"}"#
    case 3: record.value = #"\#(begin),"type":"order_paid","order":"x","ts":\#(time),"amount":1,"currency":"XXX"}"#
    case 4: record.value = #"\#(begin),"type":"page_view","ts":4102444800000}"#
    case 5: record.value = #"\#(begin),"type":"page_view","ts":\#(time - 40 * Self.day)}"#
    case 6:
      // Somebody else's key.
      record.value = #"{"customer":"c-x","type":"page_view","ts":\#(time)}"#
      record.isSameInFile = false
    default:
      record.key = random.chance(0.5) ? nil : customer
      record.value = record.key == nil ? #"\#(begin),"type":"page_view","ts":\#(time)}"# : ""
      record.isSameInFile = false
    }
    send(time, record)
  }

  private mutating func send(_ at: Int64, _ record: CrashRecord) { all.append(Arrival(at: at, record: record)) }
}
