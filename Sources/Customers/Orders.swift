// The order list of a record and the life-long sums over it.
// An order is merged from its events in any order of arrival: paid = the earliest payment, refunds add up,
// a cancellation stays. Sums are recomputed from the list, so that every event can be taken back exactly.

import Events

/// One order, or one refund that names no order. 32 bytes, as in checkpoints but for what `EncodedRecord` says.
struct OrderEntry {
  struct Flags: OptionSet {
    let rawValue: UInt16
    static let paid = Flags(rawValue: 1)
    static let placed = Flags(rawValue: 2)
    static let cancelled = Flags(rawValue: 4)
    /// Had a coupon or a discount.
    static let discounted = Flags(rawValue: 8)
    /// A refund without an order id: counts against net revenue at its own date.
    static let unlinked = Flags(rawValue: 16)
  }
  /// Amounts fill the low 48 bits: 10^13 < 2^44, refunds add up to at most 2^48 - 1.
  private static let amountMask: UInt64 = (1 << 48) - 1

  /// XXH3 of the order id; for an unlinked refund of the event id, or without one its instant.
  var idHash: UInt64
  /// Payment; until it is paid: the earliest event about it.
  var time: Instant
  private var grossAndFlags: UInt64
  private var refundedAndCount: UInt64

  init(idHash: UInt64, time: Instant, flags: Flags = []) {
    self.idHash = idHash
    self.time = time
    grossAndFlags = UInt64(flags.rawValue) << 48
    refundedAndCount = 0
  }

  var flags: Flags {
    get { Flags(rawValue: UInt16(truncatingIfNeeded: grossAndFlags >> 48)) }
    set { grossAndFlags = grossAndFlags & Self.amountMask | UInt64(newValue.rawValue) << 48 }
  }
  var gross: Int64 {
    get { Int64(grossAndFlags & Self.amountMask) }
    set { grossAndFlags = grossAndFlags & ~Self.amountMask | min(UInt64(max(newValue, 0)), Self.amountMask) }
  }
  var refunded: Int64 {
    get { Int64(refundedAndCount & Self.amountMask) }
    set { refundedAndCount = refundedAndCount & ~Self.amountMask | min(UInt64(max(newValue, 0)), Self.amountMask) }
  }
  /// Refund events of this order; stops at 65535.
  var refunds: UInt16 {
    get { UInt16(refundedAndCount >> 48) }
    set { refundedAndCount = refundedAndCount & Self.amountMask | UInt64(newValue) << 48 }
  }
  /// Paid, neither cancelled nor wholly refunded.
  var isPurchase: Bool {
    let f = flags
    return f.contains(.paid) && !f.contains(.cancelled) && !(refunds > 0 && refunded >= gross)
  }
  /// Net money; 0 unless paid and not cancelled; negative for an unlinked refund. A refund beyond the order's
  /// amount takes no more than the order.
  var net: Int64 {
    let f = flags
    if f.contains(.unlinked) { return -refunded }
    if !f.contains(.paid) || f.contains(.cancelled) { return 0 }
    return max(0, gross - refunded)
  }
  var sortsBefore: (Instant, UInt64) { (time, idHash) }
}

extension CustomerRecord {
  /// Orders by (time, id hash).
  var orders: UnsafeMutableBufferPointer<OrderEntry> {
    UnsafeMutableBufferPointer(
      start: pointer(.orders).assumingMemoryBound(to: OrderEntry.self), count: count(.orders))
  }

  /// Applies one order event. `now` is the customer's clock after the event.
  func applyOrder(
    _ event: Event, now: Instant, context: RecordContext, arena: inout RecordArena,
    counters: inout RecordCounters
  ) {
    let unlinkedRefund = event.type == .orderRefunded && event.orderHash == 0
    // A refund with neither order nor event id joins others of the same instant: they add up there all the same.
    let key =
      !unlinkedRefund
      ? event.orderHash : event.idHash != 0 ? event.idHash : UInt64(bitPattern: event.time.microseconds)
    var entry: OrderEntry
    let list = orders
    if let position = list.firstIndex(where: {
      $0.idHash == key && $0.flags.contains(.unlinked) == unlinkedRefund
    }) {
      entry = list[position]
      remove(.orders, at: position)
    } else {
      entry = OrderEntry(idHash: key, time: event.time, flags: unlinkedRefund ? .unlinked : [])
    }
    merge(event, into: &entry)
    if orders.count >= context.limits.maxOrders {
      archive(upTo: 1, context: context, arena: &arena, counters: &counters)
      counters.ordersOverflow += 1
    }
    let position = orders.partitioningIndex { !($0.sortsBefore < entry.sortsBefore) }
    insert(.orders, at: position, in: &arena).assumingMemoryBound(to: OrderEntry.self).initialize(to: entry)
    archiveOld(now: now, context: context, arena: &arena, counters: &counters)
    var totals = archived
    add(orders[...], to: &totals, context: context)
    setTotals(totals, in: &arena)
  }

  private func merge(_ event: Event, into entry: inout OrderEntry) {
    if event.hasCoupon || event.discount.minorUnits > 0 { entry.flags.insert(.discounted) }
    switch event.type {
    case .orderPaid:
      let amount = event.amount.minorUnits
      if !entry.flags.contains(.paid) || (event.time, amount) < (entry.time, entry.gross) {
        entry.time = event.time
        entry.gross = amount
      }
      entry.flags.insert(.paid)
    case .orderRefunded:
      // Without an amount the whole order goes back, whatever it was or will be worth.
      let isWhole = !event.hasAmount && !entry.flags.contains(.unlinked)
      entry.refunded = isWhole ? .max : entry.refunded + event.amount.minorUnits
      if entry.refunds < .max { entry.refunds += 1 }
      noteTime(event.time, in: &entry)
    case .orderCancelled:
      entry.flags.insert(.cancelled)
      noteTime(event.time, in: &entry)
    default:
      entry.flags.insert(.placed)
      noteTime(event.time, in: &entry)
    }
  }

  private func noteTime(_ time: Instant, in entry: inout OrderEntry) {
    if !entry.flags.contains(.paid), time < entry.time { entry.time = time }
  }

  /// Moves orders of whole local days beyond the retention into the archived sums.
  private func archiveOld(
    now: Instant, context: RecordContext, arena: inout RecordArena, counters: inout RecordCounters
  ) {
    let list = orders
    guard let oldest = list.first, oldest.time < now - context.limits.orderRetention else { return }
    let boundary = context.calendar.start(of: context.calendar.day(of: now - context.limits.orderRetention))
    archive(upTo: list.partitioningIndex { $0.time >= boundary }, context: context, arena: &arena, counters: &counters)
  }

  private func archive(
    upTo end: Int, context: RecordContext, arena: inout RecordArena, counters: inout RecordCounters
  ) {
    guard end > 0 else { return }
    var archived = archived
    let list = orders
    for order in list[..<end] where order.refunds > 0 && order.flags.isDisjoint(with: [.paid, .unlinked, .cancelled]) {
      counters.refundsUnmatched += Int(order.refunds)
    }
    add(list[..<end], to: &archived, context: context)
    remove(.orders, at: 0, count: end)
    setArchived(archived, in: &arena)
  }

  /// Adds orders, sorted by time and none before those already in `totals`.
  // (Checkpoints hold totals as differences to what `EncodedRecord` predicts, which does not follow changes made here.)
  private func add(
    _ list: Slice<UnsafeMutableBufferPointer<OrderEntry>>, to totals: inout OrderTotals, context: RecordContext
  ) {
    var lastDay = totals.purchases > 0 ? context.calendar.day(of: totals.last) : LocalDay(number: .min)
    for order in list {
      let flags = order.flags
      totals.refunds &+= UInt32(order.refunds)
      totals.netMinor = totals.netMinor.addingSaturating(order.net)
      guard flags.contains(.paid) else { continue }
      totals.paid &+= 1
      totals.grossMinor = totals.grossMinor.addingSaturating(order.gross)
      if order.refunds > 0 { totals.refundedOrders &+= 1 }
      guard order.isPurchase else { continue }
      if flags.contains(.discounted) { totals.discounted &+= 1 }
      let day = context.calendar.day(of: order.time)
      if day != lastDay { totals.purchaseDays &+= 1 }
      lastDay = day
      if totals.purchases == 0 { totals.first = order.time } else { totals.lastGap = order.time - totals.last }
      totals.last = order.time
      totals.purchases &+= 1
    }
  }
}

extension Int64 {
  /// Stops at the ends of the range: accumulators never trap.
  func addingSaturating(_ other: Int64) -> Int64 {
    let (sum, overflow) = addingReportingOverflow(other)
    return overflow ? (other < 0 ? .min : .max) : sum
  }
}

extension RandomAccessCollection {
  /// The first index whose element satisfies `predicate`, where all before it do not.
  func partitioningIndex(where predicate: (Element) -> Bool) -> Index {
    var low = startIndex
    var length = count
    while length > 0 {
      let half = length / 2
      let middle = index(low, offsetBy: half)
      if predicate(self[middle]) {
        length = half
      } else {
        low = index(after: middle)
        length -= half + 1
      }
    }
    return low
  }
}
