// The workload has the shape of the reference one, is the same everywhere, and is clean.

import Events
import Foundation
import LoadGenerator
import Testing

/// The lines of a workload, with their bytes while `body` runs.
private func forEachLine(_ options: LoadOptions, _ body: (LoadLine, UnsafeRawBufferPointer) throws -> Void) rethrows {
  var generator = LoadGenerator(options)
  let buffer = UnsafeMutablePointer<UInt8>.allocate(capacity: LoadGenerator.maxLineBytes)
  defer { buffer.deallocate() }
  while !generator.isAtEnd {
    let line = generator.next(into: buffer)
    try body(line, UnsafeRawBufferPointer(start: buffer, count: line.length))
  }
}

private func options(customers: Int, events: Int, seed: UInt64 = 1) -> LoadOptions {
  var options = LoadOptions()
  options.customers = customers
  options.events = events
  options.seed = seed
  return options
}

/// FNV-1a over all lines.
private func digest(_ options: LoadOptions) -> UInt64 {
  var hash: UInt64 = 0xcbf2_9ce4_8422_2325
  forEachLine(options) { _, bytes in
    for byte in bytes { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
  }
  return hash
}

private func text(_ options: LoadOptions) -> [String] {
  var lines: [String] = []
  forEachLine(options) { _, bytes in lines.append(String(decoding: bytes, as: UTF8.self)) }
  return lines
}

/// An event's amounts and customer, copied out of the decoder.
private struct Order {
  var customer: String
  var amount: Int64
}

@Suite struct LoadGeneratorTests {
  @Test func theBytesFollowFromTheOptions() {
    let some = options(customers: 5_000, events: 20_000, seed: 3)
    #expect(digest(some) == digest(some))
    // Whoever changes this changes the workload that figures of earlier releases were measured with.
    #expect(digest(some) == 14_777_270_124_433_942_199)
    #expect(digest(options(customers: 5_000, events: 20_000, seed: 4)) != digest(some))
    #expect(digest(options(customers: 5_001, events: 20_000, seed: 3)) != digest(some))
  }

  @Test func everyLineIsACleanEventOfItsKindTimeAndKey() throws {
    let reporting = try #require(Currency("CNY"))
    var decoder = EventDecoder(format: .native, currencies: try CurrencyTable(reporting: reporting, assumed: nil))
    var event = Event()
    var orders: [UInt64: Order] = [:]
    var refunds = 0
    var last = Instant.distantPast
    let all = options(customers: 20_000, events: 100_000, seed: 7)
    let end = Instant(microseconds: all.start.microseconds + Int64(all.days) * 86_400_000_000)
    var ids: Set<UInt64> = []
    forEachLine(all) { line, bytes in
      let key = UnsafeRawBufferPointer(rebasing: bytes[line.key])
      let reason = decoder.decode(
        bytes, key: key, origin: Origin(topic: 0, partition: 0, offset: 0), ceiling: end, into: &event)
      guard reason == nil else {
        Issue.record("\(String(describing: reason)): \(String(decoding: bytes, as: UTF8.self))")
        return
      }
      #expect(event.type.name == String(describing: line.kind.name))
      #expect(event.time == line.time)
      #expect(event.time >= last && event.time >= all.start && event.time < end)
      last = event.time
      #expect(ids.insert(event.idHash).inserted)
      #expect(!event.channel.isEmpty && (event.category.isEmpty == (line.kind == .supportTicket)))
      let order = Order(customer: event.customer.string, amount: event.amount.minorUnits)
      switch line.kind {
      case .orderPaid: #expect(orders.updateValue(order, forKey: event.orderHash) == nil)
      case .orderRefunded:
        refunds += 1
        #expect(orders[event.orderHash]?.customer == order.customer && orders[event.orderHash]?.amount == order.amount)
      default: break
      }
      decoder.reset()
    }
    #expect(refunds > 800)
  }

  @Test func theSharesAndTheLengthAreThoseOfTheReferenceWorkload() {
    let events = 400_000
    var counts = [Int](repeating: 0, count: LoadKind.allCases.count)
    var bytes = 0
    var coupons = 0
    forEachLine(options(customers: 100_000, events: events)) { line, text in
      counts[line.kind.rawValue] += 1
      bytes += line.length + 1
      if String(decoding: text, as: UTF8.self).contains(#","coupon":"CP"#) { coupons += 1 }
    }
    #expect(LoadKind.allCases.map(\.percent).reduce(0, +) == 100)
    for kind in LoadKind.allCases {
      let expected = Double(events * kind.percent) / 100
      // Five deviations of a count.
      #expect(abs(Double(counts[kind.rawValue]) - expected) < 5 * expected.squareRoot(), "\(kind)")
    }
    #expect(abs(Double(coupons) - 0.12 * Double(events)) < 5 * (0.12 * Double(events)).squareRoot())
    let mean = Double(bytes) / Double(events)
    #expect((246...250).contains(mean), "\(mean)")
  }

  @Test func theAmountsAreLogNormal() {
    var logs: [Double] = []
    var atLeast2000 = 0
    let all = options(customers: 10_000, events: 300_000, seed: 5)
    forEachLine(all) { line, bytes in
      guard line.kind == .orderPaid else { return }
      let text = String(decoding: bytes, as: UTF8.self)
      guard let from = text.range(of: #""amount":"#)?.upperBound, let to = text[from...].firstIndex(of: ","),
        let amount = Double(text[from..<to])
      else {
        Issue.record("no amount: \(text)")
        return
      }
      logs.append(log(amount))
      if amount >= 2000 { atLeast2000 += 1 }
    }
    let count = Double(logs.count)
    let mean = logs.reduce(0, +) / count
    let deviation = (logs.map { ($0 - mean) * ($0 - mean) }.reduce(0, +) / count).squareRoot()
    #expect(abs(mean - log(300)) < 5 * 1.3 / count.squareRoot(), "\(mean)")
    #expect(abs(deviation - 1.3) < 0.03, "\(deviation)")
    // Of a normal logarithm: 7.23 %.
    #expect(abs(Double(atLeast2000) / count - 0.0723) < 0.01, "\(atLeast2000)")
  }

  /// Against the sums over all ranks that the reference generator draws from.
  @Test func theCustomersHaveTheSkewOfTheReferenceWorkload() {
    let customers = 100_000
    let events = 500_000
    let weights = (0..<customers).map { pow(Double($0) + 100, -0.75) }
    let total = weights.reduce(0, +)
    let expectedDistinct = weights.map { 1 - pow(1 - $0 / total, Double(events)) }.reduce(0, +)
    let expectedTop = weights.prefix(1_000).reduce(0, +) / total

    var counts: [Int: Int] = [:]
    forEachLine(options(customers: customers, events: events)) { line, bytes in
      let key = String(decoding: bytes[line.key], as: UTF8.self)
      #expect(key.hasPrefix("c-") && key.count == 9)
      counts[Int(key.dropFirst(2)) ?? 0, default: 0] += 1
    }
    #expect(counts.keys.allSatisfy { (1...customers).contains($0) })
    #expect(abs(Double(counts.count) / expectedDistinct - 1) < 0.005, "\(counts.count), not \(expectedDistinct)")
    let top = counts.values.sorted(by: >).prefix(1_000).reduce(0, +)
    #expect(abs(Double(top) / Double(events) - expectedTop) < 0.01, "\(top), not \(expectedTop * Double(events))")
    // The busiest are spread over the ids.
    let low = counts.filter { $0.key <= customers / 2 }.values.reduce(0, +)
    #expect(abs(Double(low) / Double(events) - 0.5) < 0.02, "\(low)")
  }

  @Test func theSmallestAndTheLargestWork() {
    #expect(text(options(customers: 10, events: 0)).isEmpty)
    #expect(text(options(customers: 1, events: 50)).allSatisfy { $0.contains(#""customer":"c-0000001""#) })
    let largest = text(options(customers: LoadOptions.customersRange.upperBound, events: 1_000))
    #expect(largest.allSatisfy { $0.utf8.count <= LoadGenerator.maxLineBytes })
    #expect(Set(largest).count == 1_000)
    var long = options(customers: 10, events: 2_000)
    long.days = LoadOptions.daysRange.upperBound
    #expect(text(long).last?.contains(#""ts":"212"#) == true)
    // The step from one rank to the next one's id reaches each id, whatever the count.
    for customers in 2...40 {
      var seen: Set<String> = []
      forEachLine(options(customers: customers, events: customers * 60)) { line, bytes in
        seen.insert(String(decoding: bytes[line.key], as: UTF8.self))
      }
      #expect(seen.count == customers)
    }
  }
}

@Suite struct PaceTests {
  @Test func aPaceIsKeptAndMissedTimeIsNotMadeUpInOneGo() {
    // Instants that a Double holds exactly.
    var pace = Pace(perSecond: 1_024, now: 10)
    #expect(pace.take(limit: 500, now: 10) == 0)
    #expect(pace.take(limit: 500, now: 10.125) == 128)
    #expect(pace.take(limit: 500, now: 10.125) == 0)
    #expect(pace.take(limit: 30, now: 10.25) == 30)
    #expect(pace.take(limit: 500, now: 10.25) == 98)
    // Nothing for a minute: a quarter second's worth at most.
    #expect(pace.take(limit: 50_000, now: 70) == 256)
    #expect(pace.take(limit: 50_000, now: 70.0625) == 64)
    var free = Pace(perSecond: nil, now: 0)
    #expect(free.take(limit: 77, now: 0) == 77)
  }
}
