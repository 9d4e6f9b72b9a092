// The engine's memory by field, of customers as the workload has them and of an active shop's: a year in which each buys 12
// times and shows 60 events a month.

import CommandSupport
import Customers
import Events
import Foundation
import LoadGenerator

/// A shop whose customers all come back, day after day. Equal arguments give equal lines.
struct ActiveShop {
  static let ordersAYear = 12
  static let eventsADay = 2
  static let days = 365

  private static let types = [
    "page_view", "page_view", "page_view", "search", "favorite", "add_to_cart", "product_view",
  ]
  private static let categories = [
    "home/kitchen", "home/garden", "toys/blocks", "fashion/shoes", "fashion/coats", "books/novels", "sports/tennis",
  ]
  private static let channels = ["app", "web", "mini_program"]
  private static let start = Instant(seconds: 1_767_225_600)  // 2026-01-01

  let customers: Int
  private var random: UInt64 = 0x9e37_79b9_7f4a_7c15

  init(customers: Int) { self.customers = customers }

  private mutating func next(_ bound: Int) -> Int {
    random ^= random << 13
    random ^= random >> 7
    random ^= random << 17
    return Int(random % UInt64(bound))
  }

  /// Calls back with each event of one day, in order of time.
  mutating func forEachLine(ofDay day: Int, _ body: (UnsafeRawBufferPointer) -> Void) {
    let lines = customers * Self.eventsADay
    for line in 0..<lines {
      let customer = line % customers
      // Spread over the day, and each customer over the same hours.
      let time = Self.start.microseconds / 1_000 + Int64(day) * 86_400_000 + Int64(line) * 86_400_000 / Int64(lines)
      let isOrder = line < customers && (day + customer) % (Self.days / Self.ordersAYear) == 0
      let type = isOrder ? "order_paid" : Self.types[next(Self.types.count)]
      // Everybody has a few categories of their own.
      let category = Self.categories[(customer + next(4)) % Self.categories.count]
      var text =
        #"{"id":"s-\#(day)-\#(line)","customer":"customer-\#(1_000_000 + customer)","type":"\#(type)","ts":\#(time),"#
        + #""category":"\#(category)","channel":"\#(Self.channels[next(Self.channels.count)])","product":"p-\#(next(5_000))""#
      if isOrder { text += #","order":"o-\#(day)-\#(customer)","amount":\#(20 + next(500)).50,"currency":"CNY""# }
      text += "}"
      text.withUTF8 { body(UnsafeRawBufferPointer($0)) }
    }
  }
}

extension Bench {
  /// Part (e), from within.
  func measureShop() throws {
    try addBytes("workload", of: workloadStages())
    try addBytes("active shop", of: shopStages())
  }

  private func workloadStages() throws -> EngineStages {
    var generator = LoadGenerator(options.load)
    var batch = LineBatch(capacity: 1_024)
    var stages = try EngineStages(.rules, config: options.config)
    var progress = CommandSupport.Progress(
      "bench: memory", unit: "events", total: UInt64(options.events), style: progressStyle)
    while !generator.isAtEnd {
      batch.fill(from: &generator)
      _ = stages.run(batch)
      progress.update(done: UInt64(generator.made), items: UInt64(generator.made))
    }
    progress.clear()
    return stages
  }

  private func shopStages() throws -> EngineStages {
    // Enough that what a table reserves ahead is little; 12 million events.
    var shop = ActiveShop(customers: 16_000)
    var stages = try EngineStages(.rules, config: options.config)
    var refused = 0
    var progress = CommandSupport.Progress(
      "bench: active shop", unit: "days", total: UInt64(ActiveShop.days), style: progressStyle)
    for day in 0..<ActiveShop.days {
      shop.forEachLine(ofDay: day) { line in if !stages.run(line: line) { refused += 1 } }
      progress.update(done: UInt64(day), items: UInt64(day))
    }
    progress.clear()
    guard refused == 0 else { throw BenchmarkError("\(refused) events of the active shop were refused") }
    return stages
  }

  private func addBytes(_ name: String, of stages: consuming EngineStages) throws {
    let bytes = stages.bytesByField()
    guard bytes.customers > 0 else { throw BenchmarkError("\(name): no customers") }
    func each(_ bytes: Int, _ customers: Int) -> [Double] { [Double(bytes) / Double(customers)] }
    let all = bytes.fields.reduce(0) { $0 + $1.bytes }
    add(
      Figure(
        "shop", "\(name): bytes a customer", "bytes", each(all, bytes.customers),
        note: "\(grouped(bytes.customers)) customers; table and records as the engine counts them"))
    for field in bytes.fields where field.bytes > 0 {
      add(Figure("shop", "\(name): \(field.name)", "bytes", each(field.bytes, bytes.customers)))
    }
  }
}
