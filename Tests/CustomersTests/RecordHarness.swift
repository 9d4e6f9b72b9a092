// One table with one task's surroundings, driven event by event as the engine drives it.

import Customers
import Events
import ReferenceTesting

/// Owns what a `CustomerView` borrows.
final class RecordHarness {
  let context: RecordContext
  private var table: CustomerTable
  private let symbols: UnsafeMutablePointer<SymbolTable>
  private(set) var counters = RecordCounters()

  init(calendar: ZonedCalendar, limits: RecordLimits = RecordLimits(), seed: UInt64 = 1) {
    context = RecordContext(calendar: calendar, limits: limits)
    table = CustomerTable(seed: seed)
    symbols = .allocate(capacity: 1)
    symbols.initialize(to: SymbolTable(limit: limits.maxSymbols))
  }

  deinit {
    symbols.deinitialize(count: 1)
    symbols.deallocate()
  }

  /// The customer's clock; nil for an unknown one.
  func asOf(_ customer: String) -> Instant? { index(customer).map { table.record($0).header.asOf } }

  private func index(_ customer: String) -> CustomerIndex? {
    Array(customer.utf8).withUnsafeBytes { table.find($0) }
  }

  /// False for a duplicate.
  @discardableResult
  func apply(_ sample: SampleEvent) -> Bool {
    sample.withEvent { event in
      let (index, isNew) = table.findOrInsert(UnsafeRawBufferPointer(event.customer.buffer), tagCount: 0)
      let record = table.record(index)
      if !isNew, record.hasSeen(eventHash: event.idHash, at: event.time, within: .hours(24)) { return false }
      let now = max(table.record(index).header.asOf, event.time)
      _ = table.apply(
        event, to: index, now: now, symbols: &symbols.pointee, context: context, counters: &counters)
      return true
    }
  }

  func view(_ customer: String, at now: Instant) -> CustomerView? {
    index(customer).map {
      CustomerView(
        record: table.record($0), now: now,
        sources: CustomerView.Sources(context: context, symbols: UnsafePointer(symbols)))
    }
  }

  /// As a checkpoint has it; nil for an unknown one.
  func encoded(_ customer: String) -> [UInt8]? {
    guard let index = index(customer) else { return nil }
    table.markDirty(index)
    let changes = ChangeList()
    table.takeDirty(into: changes, kind: 9)
    var encoded: [UInt8]?
    changes.readEntries { key, value in
      if key.first == 9, key.dropFirst().elementsEqual(customer.utf8) { encoded = value.map { Array($0) } }
    }
    return encoded
  }

  func setAlerts(_ customer: String, _ alerts: AlertState) {
    if let index = index(customer) { table.setAlerts(alerts, of: index) }
  }

  func restore(_ customer: String, _ encoded: [UInt8]) throws {
    let id = Array(customer.utf8)
    try id.withUnsafeBytes { id in
      try encoded.withUnsafeBytes { encoded in try table.restore(id: id, encoded: encoded) }
    }
  }

  /// What records have to spare.
  var roomToGrow: Int { table.bytesByField().fields.first { $0.name == "room to grow" }?.bytes ?? 0 }

  func logicalBytes(_ customer: String) -> [UInt8] {
    var bytes: [UInt8] = []
    if let index = index(customer) { table.record(index).appendLogicalBytes(to: &bytes, symbols: symbols.pointee) }
    return bytes
  }
}

/// Zones with and without summer time, with odd offsets, on both sides of UTC, at both ends of the day.
let testZones = [
  "UTC", "Asia/Shanghai", "Europe/London", "America/New_York", "America/Sao_Paulo", "Asia/Kathmandu",
  "Australia/Lord_Howe", "Pacific/Auckland", "Asia/Beirut", "America/Santiago",
]

/// Features of every kind, with windows short and long.
let testedFeatures: [Feature] = {
  var all: [Feature] = [
    .daysSinceFirstOrder, .daysSinceLastOrder, .ordersMeanGapDays, .ordersLastGapDays, .repeatRate, .repeatDays,
    .refundRate, .daysSinceFirstSeen, .daysSinceLastSeen, .cartItems, .cartValue, .cartAgeHours, .age,
  ]
  for window in [Window.life, .days(1), .days(7), .days(30), .days(90), .days(365)] {
    all += [
      .ordersCount(window), .ordersPaid(window), .ordersRevenue(window), .ordersGross(window), .ordersAverage(window),
      .discountShare(window), .refundsCount(window),
    ]
  }
  all += [1, 30, 90, 182].map { .ordersGrowth(days: $0) }
  for days in [1, 7, 30] {
    all.append(.eventTotal(days: days))
    all += EventType.allCases.map { .eventCount($0, days: days) }
  }
  all.append(.eventCount(.supportTicket, days: 90))
  return all
}()

let testedTexts: [Feature] = [.gender, .region, .occupation]

/// Equal, or both undefined; sums of money are exact, quotients may differ in the last bits.
func isSame(_ a: Double, _ b: Double) -> Bool {
  a == b || a.isNaN && b.isNaN || abs(a - b) <= 1e-12 * max(abs(a), abs(b))
}
