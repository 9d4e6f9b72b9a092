// The same comparison with a scan of the silence, over real customer records: the instants that records and rules agree
// on must hold where they meet.

import Customers
import Events
import Rules
import Testing

/// Owns one record and what its views borrow.
private final class Keeper {
  let context: RecordContext
  private var table = CustomerTable(seed: 7)
  private let symbols: UnsafeMutablePointer<SymbolTable>
  private var counters = RecordCounters()
  /// Bytes that events point at.
  private let bytes: UnsafeMutablePointer<UInt8>

  init(zone: String) throws {
    context = RecordContext(calendar: try ZonedCalendar(identifier: zone), limits: RecordLimits())
    symbols = .allocate(capacity: 1)
    symbols.initialize(to: SymbolTable(limit: 100))
    bytes = .allocate(capacity: 8)
    for offset in 0..<8 { bytes[offset] = UInt8(ascii: "a") + UInt8(offset) }
  }

  deinit {
    symbols.deinitialize(count: 1)
    symbols.deallocate()
    bytes.deallocate()
  }

  func name(_ number: Int) -> ByteSlice { ByteSlice(base: bytes + (number & 7), count: 1) }

  func apply(_ event: Event, now: Instant) {
    let (index, _) = table.findOrInsert(UnsafeRawBufferPointer(name(0).buffer), tagCount: 0)
    _ = table.apply(
      event, to: index, now: now, symbols: &symbols.pointee, context: context, counters: &counters)
  }

  func view(at now: Instant) -> CustomerView? {
    table.find(UnsafeRawBufferPointer(name(0).buffer)).map {
      CustomerView(
        record: table.record($0), now: now,
        sources: CustomerView.Sources(context: context, symbols: UnsafePointer(symbols)))
    }
  }
}

@Suite struct RealRecordTests {
  /// Events on whole hours up to `end`, in order of time.
  private static func fill(_ keeper: Keeper, until end: Instant, _ random: inout Seeded) {
    var hours = (0..<random.below(30)).map { _ in random.below(random.pick([48, 24 * 30, 24 * 200])) }
    hours += [24 * 200, 0]
    for (number, ago) in hours.sorted(by: >).enumerated() {
      var event = Event()
      event.time = end - .hours(Int64(ago))
      event.customer = keeper.name(0)
      event.idHash = UInt64(number + 1)
      event.type = random.pick([
        .orderPaid, .orderPaid, .addToCart, .pageView, .supportTicket, .orderRefunded, .profileUpdate,
      ])
      if ago == 0 { event.type = .pageView }  // leaves its windows soon: something flips for everybody
      event.orderHash = UInt64(random.below(6) + 1)
      event.productHash = UInt64(random.below(3) + 1)
      event.amount = Money(minorUnits: Int64(100 * (1 + random.below(8))))
      event.hasAmount = true
      event.hasCoupon = random.chance(40)
      event.category = keeper.name(random.below(3))
      event.channel = keeper.name(random.below(3))
      if event.type == .profileUpdate {
        let daysAgo = random.below(30 * 365) + (random.chance(20) ? 0 : 365)
        event.profile.birthDate = keeper.context.calendar.day(of: end) - Int32(daysAgo)
        event.profile.gender = random.pick(Gender.allCases)
      }
      keeper.apply(event, now: event.time)
    }
  }

  @Test(arguments: 0..<40) func randomRulesOverRecords(seed: Int) throws {
    var maker = ExpressionMaker(seed: UInt64(seed) + 31_000)
    maker.continuous = []  // records know no churn model
    var text = ""
    for index in 0..<4 {
      text += "  - name: t\(index)\n    layer: basic\n    when: '\(maker.print(maker.truth(depth: 2)))'\n"
    }
    for (index, when) in [
      "orders.days_since_last >= 5", "cart.age_hours > 20", "orders.count(7d) >= 1", "orders.growth(30d) > 10%",
      "events.count(page_view, 7d) >= 1", "events.total(1d) = 0", "seen.days_since_last in [2, 9]",
      "profile.age between \(seed / 2) and \(seed / 2 + 4)", "score(profile.age, 5, 11, 12, 25) = 2",
      "orders.days_since_last > orders.mean_gap_days",
    ].enumerated() {
      text += "  - name: m\(index)\n    layer: basic\n    when: '\(when)'\n"
    }
    let rules = try RuleSet(text: "version: 1\n" + maker.definitionText + "tags:\n" + text, file: "r", exponent: 2)
    var random = Seeded(UInt64(seed))
    let keeper = try Keeper(zone: random.pick(["UTC", "Asia/Shanghai", "Europe/London"]))
    let end = Instant(seconds: 1_773_000_000 / 3600 * 3600 + Int64(random.below(24 * 300)) * 3600)
    Self.fill(keeper, until: end, &random)
    let view = try #require(keeper.view(at: end))
    var flips = 0
    for index in 0..<rules.count {
      flips += NextChangeTests.compare(rules, index, view, "seed \(seed), rule \(index) of \(text)").flip ? 1 : 0
    }
    #expect(flips > 0, "the comparison is over constants")
  }

  /// Ages are reached on the right birthday however far away, leap days included.
  @Test func agesAreReachedOnTheBirthday() throws {
    let keeper = try Keeper(zone: "Asia/Shanghai")
    var random = Seeded(5)
    let start = Instant(seconds: 1_773_000_000)
    for number in 0..<60 {
      var event = Event()
      event.type = .profileUpdate
      event.time = start + .seconds(Int64(number))
      event.idHash = UInt64(number + 1)
      event.customer = keeper.name(0)
      // 29 February 2000 among them.
      let birth = number == 0 ? LocalDay(number: 11_016) : LocalDay(number: Int32(20_000 - random.below(30_000)))
      event.profile.birthDate = birth
      keeper.apply(event, now: event.time)
      let view = try #require(keeper.view(at: event.time))
      let age = view.number(.age)
      for ahead in [0, 1, 2, 7, 30, 77] {
        let crossing = view.crossing(.age, threshold: age + Double(ahead) - 0.5)
        if ahead == 0 {
          #expect(crossing == .distantFuture)
          continue
        }
        #expect(view.at(crossing).number(.age) == age + Double(ahead))
        #expect(view.at(crossing - .seconds(1)).number(.age) == age + Double(ahead) - 1)
      }
    }
  }
}
