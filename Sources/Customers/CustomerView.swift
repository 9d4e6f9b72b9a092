// Features read from a record: their values at an instant, and when silence moves them next.

import Events

/// One record read at one instant. Borrowed: valid only while the record and the symbol table stay as they are.
/// Churn features are not known here (they need a model): `number` says NaN, `crossing` never.
public struct CustomerView: FeatureSource {
  public let record: CustomerRecord
  public let now: Instant
  public let today: LocalDay
  private let sources: Sources

  /// Where else a view reads. Views are made several times an event, so no reference is counted: what is given here must
  /// outlive them.
  public struct Sources {
    fileprivate let calendar: Unmanaged<ZonedCalendar>
    fileprivate let symbols: UnsafePointer<SymbolTable>
    fileprivate let known: Unmanaged<OrderSumCache>?

    /// - Parameter known: emptied by whoever changes the record (`forgetSums`).
    public init(context: RecordContext, symbols: UnsafePointer<SymbolTable>, known: OrderSumCache? = nil) {
      calendar = Unmanaged.passUnretained(context.calendar)
      self.symbols = symbols
      self.known = known.map { Unmanaged.passUnretained($0) }
    }

    /// To be called when the record has changed, or it is another's turn.
    @inline(__always)
    public func forgetSums() { known?._withUnsafeGuaranteedRef { $0.removeAll() } }
  }

  @inline(__always)
  public init(record: CustomerRecord, now: Instant, sources: Sources) {
    self.record = record
    self.now = now
    self.sources = sources
    today = sources.calendar._withUnsafeGuaranteedRef { $0.day(of: now) }
  }

  public func at(_ instant: Instant) -> CustomerView {
    CustomerView(record: record, now: instant, sources: sources)
  }

  private var symbols: UnsafePointer<SymbolTable> { sources.symbols }
  private var known: Unmanaged<OrderSumCache>? { sources.known }
  @inline(__always)
  private func start(of day: LocalDay) -> Instant { sources.calendar._withUnsafeGuaranteedRef { $0.start(of: day) } }
  @inline(__always)
  private func day(of instant: Instant) -> LocalDay {
    sources.calendar._withUnsafeGuaranteedRef { $0.day(of: instant) }
  }

  // MARK: Values

  public func number(_ feature: Feature) -> Double {
    let header = record.header
    // Inlined, so that whoever asks for one of them loads no others.
    var totals: OrderTotals { @inline(__always) get { record.totals } }
    switch feature {
    case .ordersCount(.life): return Double(totals.purchases)
    case .ordersPaid(.life): return Double(totals.paid)
    case .ordersRevenue(.life): return Double(totals.netMinor)
    case .ordersGross(.life): return Double(totals.grossMinor)
    case .ordersAverage(.life): return ratio(Double(totals.netMinor), Double(totals.purchases))
    case .discountShare(.life): return ratio(Double(totals.discounted), Double(totals.purchases))
    case .refundsCount(.life): return Double(totals.refunds)
    case .ordersCount(.days(let n)): return Double(sum(n).purchases)
    case .ordersPaid(.days(let n)): return Double(sum(n).paid)
    case .ordersRevenue(.days(let n)): return Double(sum(n).net)
    case .ordersGross(.days(let n)): return Double(sum(n).gross)
    case .ordersAverage(.days(let n)):
      let sums = sum(n)
      return ratio(Double(sums.net), Double(sums.purchases))
    case .discountShare(.days(let n)):
      let sums = sum(n)
      return ratio(Double(sums.discounted), Double(sums.purchases))
    case .refundsCount(.days(let n)): return Double(countCells(days: n, type: .orderRefunded))
    case .daysSinceFirstOrder: return totals.purchases > 0 ? elapsedDays(totals.first) : .nan
    case .daysSinceLastOrder: return totals.purchases > 0 ? elapsedDays(totals.last) : .nan
    case .ordersMeanGapDays:
      guard totals.purchases > 1 else { return .nan }
      return days(totals.last - totals.first) / Double(totals.purchases - 1)
    case .ordersLastGapDays: return totals.purchases > 1 ? days(totals.lastGap) : .nan
    case .repeatRate: return ratio(Double(totals.purchases) - 1, Double(totals.purchases))
    case .ordersGrowth(let n):
      let recent = sum(from: today - Int32(n - 1), to: nil).net
      let before = sum(from: today - Int32(2 * n - 1), to: today - Int32(n - 1)).net
      return before > 0 ? (Double(recent) - Double(before)) / Double(before) : .nan
    case .repeatDays: return Double(max(1, totals.purchaseDays) - 1)
    case .refundRate: return ratio(Double(totals.refundedOrders), Double(totals.paid))
    case .eventCount(let type, let n): return Double(countCells(days: n, type: type))
    case .eventTotal(let n): return Double(countCells(days: n, type: nil))
    case .daysSinceFirstSeen: return elapsedDays(header.firstSeen)
    case .daysSinceLastSeen: return elapsedDays(header.lastSeen)
    case .cartItems: return Double(record.cart.reduce(0) { $1.isRemoval ? $0 : $0 + 1 })
    case .cartValue: return Double(record.cart.reduce(Int64(0)) { $1.isRemoval ? $0 : $0.addingSaturating($1.amount) })
    case .cartAgeHours:
      guard let oldest = cartSince else { return .nan }
      return Double(((now - oldest).microseconds / 3_600_000_000))
    case .topCategoryShare: return record.top(.categories, symbols: symbols.pointee).share
    case .topChannelShare: return record.top(.channels, symbols: symbols.pointee).share
    case .categoryWeight: return Double(header.categoryTotal)
    case .channelWeight: return Double(header.channelTotal)
    case .age:
      guard record.profile.birthDay != .min else { return .nan }
      return Double(LocalDay(number: record.profile.birthDay).age(on: today))
    case .churnProbability, .lostProbability: return .nan
    case .topCategory, .topChannel, .gender, .region, .occupation: return .nan
    }
  }

  public func text(_ feature: Feature) -> UInt64 {
    if case .gender = feature {
      return Gender(rawValue: UInt8(truncatingIfNeeded: record.profile.gender))?.nameHash ?? 0
    }
    return symbols.pointee.hash(of: symbol(feature))
  }

  /// The symbol behind a text feature other than gender; `.none` when absent.
  public func symbol(_ feature: Feature) -> Symbol {
    switch feature {
    case .topCategory: record.top(.categories, symbols: symbols.pointee).symbol
    case .topChannel: record.top(.channels, symbols: symbols.pointee).symbol
    case .region: record.profile.region
    case .occupation: record.profile.occupation
    default: .none
    }
  }

  /// The text itself. Empty when absent.
  public func name(_ feature: Feature) -> [UInt8] { withName(feature) { Array($0) } }

  /// The text itself, for outputs, borrowed. Empty when absent.
  public func withName<R>(_ feature: Feature, _ body: (UnsafeBufferPointer<UInt8>) -> R) -> R {
    if case .gender = feature {
      var name = Gender(rawValue: UInt8(truncatingIfNeeded: record.profile.gender))?.name ?? ""
      return name.withUTF8 { body($0) }
    }
    return symbols.pointee.withName(of: symbol(feature), body)
  }

  /// Calls back with the names a customer leans to most, the heaviest first (between equals the smaller name hash), and
  /// with the share of each in all decayed weight, 0...1: too large by at most 1 / slots of the sketch.
  @inline(__always)
  public func forEachPreferredCategory(limit: Int, _ body: (UnsafeBufferPointer<UInt8>, Double) -> Void) {
    forEachPreferred(.categories, total: record.header.categoryTotal, limit: limit, body)
  }
  /// Likewise.
  @inline(__always)
  public func forEachPreferredChannel(limit: Int, _ body: (UnsafeBufferPointer<UInt8>, Double) -> Void) {
    forEachPreferred(.channels, total: record.header.channelTotal, limit: limit, body)
  }

  private func forEachPreferred(
    _ section: Section, total: Float, limit: Int, _ body: (UnsafeBufferPointer<UInt8>, Double) -> Void
  ) {
    let list = record.preferences(section)
    guard total > 0, !list.isEmpty else { return }
    withUnsafeTemporaryAllocation(of: PreferenceEntry.self, capacity: list.count) { rest in
      _ = rest.initialize(fromContentsOf: list)
      for place in 0..<min(limit, rest.count) {
        for other in place + 1..<rest.count where rest[other].isHeavier(than: rest[place], symbols.pointee) {
          rest.swapAt(place, other)
        }
        let share = min(1, Double(rest[place].weight) / Double(total))
        symbols.pointee.withName(of: rest[place].symbol) { body($0, share) }
      }
    }
  }

  /// How many events of a type there were in the last 1, 7 and 30 local days, today among them.
  public struct RecentEvents {
    public var day = 0
    public var week = 0
    public var month = 0
  }

  /// Calls back with each type seen in the last 30 local days, in the order of `EventType.allCases`. Goes over the record
  /// once, where `number` would for each of them.
  @inline(__always)
  public func forEachRecentType(_ body: (EventType, RecentEvents) -> Void) {
    withUnsafeTemporaryAllocation(of: RecentEvents.self, capacity: DayCell.types) { counts in
      counts.initialize(repeating: RecentEvents())
      for cell in record.cells where cell.day >= today - 29 {
        let place = Int(cell.typeNumber)
        counts[place].month += Int(cell.count)
        if cell.day >= today - 6 { counts[place].week += Int(cell.count) }
        if cell.day >= today { counts[place].day += Int(cell.count) }
      }
      for type in EventType.allCases where counts[Int(type.rawValue)].month > 0 {
        body(type, counts[Int(type.rawValue)])
      }
    }
  }

  // MARK: Silence

  public func nextStep(_ feature: Feature) -> Instant { nextStep(feature, before: .distantFuture) }

  public func nextStep(_ feature: Feature, before limit: Instant) -> Instant {
    let header = record.header
    switch feature {
    case .ordersCount(.days(let n)), .ordersPaid(.days(let n)), .ordersRevenue(.days(let n)),
      .ordersGross(.days(let n)),
      .ordersAverage(.days(let n)), .discountShare(.days(let n)):
      return nextOrderExit(days: n, before: limit)
    case .ordersGrowth(let n):
      return min(nextOrderExit(days: n, before: limit), nextOrderExit(days: 2 * n, before: limit))
    case .refundsCount(.days(let n)): return nextCellExit(days: n, type: .orderRefunded)
    case .eventCount(let type, let n): return nextCellExit(days: n, type: type)
    case .eventTotal(let n): return nextCellExit(days: n, type: nil)
    case .daysSinceFirstOrder:
      return record.totals.purchases > 0 ? nextPeriod(record.totals.first, .days(1)) : .distantFuture
    case .daysSinceLastOrder:
      return record.totals.purchases > 0 ? nextPeriod(record.totals.last, .days(1)) : .distantFuture
    case .daysSinceFirstSeen: return nextPeriod(header.firstSeen, .days(1))
    case .daysSinceLastSeen: return nextPeriod(header.lastSeen, .days(1))
    case .cartAgeHours: return cartSince.map { nextPeriod($0, .hours(1)) } ?? .distantFuture
    case .age:
      guard record.profile.birthDay != .min else { return .distantFuture }
      let birthday = LocalDay(number: record.profile.birthDay).nextBirthday(after: today)
      return start(of: birthday).roundedUpToSecond
    default: return .distantFuture
    }
  }

  public func crossing(_ feature: Feature, threshold: Double) -> Instant {
    let header = record.header
    switch feature {
    case .daysSinceFirstOrder:
      return record.totals.purchases > 0
        ? reaches(threshold, since: record.totals.first, period: .days(1)) : .distantFuture
    case .daysSinceLastOrder:
      return record.totals.purchases > 0
        ? reaches(threshold, since: record.totals.last, period: .days(1)) : .distantFuture
    case .daysSinceFirstSeen: return reaches(threshold, since: header.firstSeen, period: .days(1))
    case .daysSinceLastSeen: return reaches(threshold, since: header.lastSeen, period: .days(1))
    case .cartAgeHours: return cartSince.map { reaches(threshold, since: $0, period: .hours(1)) } ?? .distantFuture
    case .age: return reachesAge(threshold)
    default: return .distantFuture
    }
  }

  // MARK: Parts

  private func ratio(_ a: Double, _ b: Double) -> Double { b > 0 ? a / b : .nan }
  private func days(_ span: TimeSpan) -> Double { Double(span.microseconds) / 86_400_000_000 }
  private func elapsedDays(_ since: Instant) -> Double { Double((now - since).wholeDays) }

  private func sum(_ days: Int) -> OrderSums { sum(from: today - Int32(days - 1), to: nil) }

  /// Over orders dated from the start of `first` up to, not including, the start of `end`.
  private func sum(from first: LocalDay, to end: LocalDay?) -> OrderSums {
    let list = record.orders
    if list.isEmpty { return OrderSums() }
    if let known, let sums = known._withUnsafeGuaranteedRef({ $0.find(first, end) }) { return sums }
    var sums = OrderSums()
    let start = self.start(of: first)
    let stop = end.map { self.start(of: $0) } ?? .distantFuture
    var i = list.count - 1
    while i >= 0, list[i].time >= start {
      let order = list[i]
      i -= 1
      if order.time >= stop { continue }
      sums.net = sums.net.addingSaturating(order.net)
      guard order.flags.contains(.paid) else { continue }
      sums.paid += 1
      sums.gross = sums.gross.addingSaturating(order.gross)
      guard order.isPurchase else { continue }
      sums.purchases += 1
      if order.flags.contains(.discounted) { sums.discounted += 1 }
    }
    known?._withUnsafeGuaranteedRef { $0.keep(first, end, sums) }
    return sums
  }

  /// When the oldest order of an `Nd` window leaves it.
  private func nextOrderExit(days: Int, before limit: Instant) -> Instant {
    let list = record.orders
    guard let oldest = list.first else { return .distantFuture }
    // No order leaves a window of N local days within N - 2 elapsed ones, however clocks are set.
    if oldest.time > now - .days(Int64(days) - 2) {
      let soonest = oldest.time + .days(Int64(days) - 2)
      if soonest >= limit { return soonest }
    }
    let start = self.start(of: today - Int32(days - 1))
    let position = list.partitioningIndex { $0.time >= start }
    guard position < list.count else { return .distantFuture }
    return self.start(of: day(of: list[position].time) + Int32(days)).roundedUpToSecond
  }

  private func countCells(days: Int, type: EventType?) -> Int {
    let list = record.cells
    var total = 0
    var i = list.count - 1
    let first = today - Int32(days - 1)
    while i >= 0, list[i].day >= first {
      if type == nil || list[i].typeNumber == UInt32(type.unsafelyUnwrapped.rawValue) { total += Int(list[i].count) }
      i -= 1
    }
    return total
  }

  private func nextCellExit(days: Int, type: EventType?) -> Instant {
    let first = today - Int32(days - 1)
    for cell in record.cells
    where cell.day >= first && (type == nil || cell.typeNumber == UInt32(type.unsafelyUnwrapped.rawValue)) {
      return start(of: cell.day + Int32(days)).roundedUpToSecond
    }
    return .distantFuture
  }

  private var cartSince: Instant? { record.cart.first { !$0.isRemoval }?.time }

  /// The next instant at which the number of whole periods since `start` grows.
  private func nextPeriod(_ start: Instant, _ period: TimeSpan) -> Instant {
    let elapsed = (now - start).microseconds
    let whole = elapsed >= 0 ? elapsed / period.microseconds + 1 : 0
    return (start + TimeSpan(microseconds: whole * period.microseconds)).roundedUpToSecond
  }

  /// The start of the birthday on which the age reaches `threshold`.
  private func reachesAge(_ threshold: Double) -> Instant {
    let age = number(.age)
    // Nobody grows so old; and an undefined age reaches nothing.
    guard age < threshold, threshold < 1000 else { return .distantFuture }
    let birth = LocalDay(number: record.profile.birthDay)
    var birthday = birth.nextBirthday(after: today)
    let later = Int32(threshold.rounded(.up) - age) - 1
    // Half a year before the one wanted, whatever leap days lie between: the next one from there is it.
    if age >= 0, later > 0 { birthday = birth.nextBirthday(after: birthday + (later * 1461 / 4 - 183)) }
    return start(of: birthday).roundedUpToSecond
  }

  private func reaches(_ threshold: Double, since start: Instant, period: TimeSpan) -> Instant {
    let periods = threshold.rounded(.up)
    guard periods < 1e7, periods > -1e7 else { return .distantFuture }
    let instant = start + TimeSpan(microseconds: Int64(periods) * period.microseconds)
    return instant > now ? instant.roundedUpToSecond : .distantFuture
  }
}

extension Gender {
  /// XXH3 of the name, as rules compare it.
  public var nameHash: UInt64 {
    switch self {
    case .female: GenderHashes.female
    case .male: GenderHashes.male
    case .other: GenderHashes.other
    }
  }
}

private enum GenderHashes {
  static let female = hash("female")
  static let male = hash("male")
  static let other = hash("other")
  private static func hash(_ name: StaticString) -> UInt64 {
    ByteSlice(base: name.utf8Start, count: name.utf8CodeUnitCount).hash()
  }
}
