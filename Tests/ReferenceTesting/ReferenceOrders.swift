// The life of orders, from the full list of a customer's events: grouped, never merged step by step.

import Events

/// One order as all its events together say it is.
public struct ReferenceOrder: Sendable {
  /// The earliest payment; nil: never paid.
  public var paidAt: Instant?
  /// Of that payment (between payments at one instant the smaller).
  public var gross: Int64 = 0
  public var isCancelled = false
  public var hasDiscount = false
  public var refunds: [SampleEvent] = []
  /// The local day of the payment.
  var day: Int32 = 0

  /// What was given back; without an amount a refund gives back the whole order.
  var refunded: Int64 {
    refunds.contains { $0.amount == nil } ? .max : refunds.reduce(0) { $0 + ($1.amount ?? 0) }
  }
  public var isPurchase: Bool {
    paidAt != nil && !isCancelled && (refunds.isEmpty || refunded < gross)
  }
  public var net: Int64 { paidAt == nil || isCancelled ? 0 : max(0, gross - refunded) }
}

/// All orders of a customer, and the refunds that name none.
public struct ReferenceOrders: Sendable {
  /// Paid ones in order of payment.
  public private(set) var paid: [ReferenceOrder] = []
  public private(set) var unlinkedRefunds: [SampleEvent] = []
  /// Every refund event.
  public private(set) var refundEvents: [SampleEvent] = []

  /// `events`: each once, in any order.
  init(_ events: [SampleEvent], calendar: ZonedCalendar) {
    var byID: [String: ReferenceOrder] = [:]
    for event in events {
      switch event.type {
      case .orderPlaced, .orderPaid, .orderCancelled, .orderRefunded: break
      default: continue
      }
      if event.type == .orderRefunded { refundEvents.append(event) }
      guard let id = event.order else {
        unlinkedRefunds.append(event)
        continue
      }
      var order = byID[id] ?? ReferenceOrder()
      if event.coupon || event.discount > 0 { order.hasDiscount = true }
      switch event.type {
      case .orderPaid:
        let amount = event.amount ?? 0
        if order.paidAt.map({ (event.time, amount) < ($0, order.gross) }) ?? true {
          order.paidAt = event.time
          order.gross = amount
        }
      case .orderCancelled: order.isCancelled = true
      case .orderRefunded: order.refunds.append(event)
      default: break
      }
      byID[id] = order
    }
    for (id, order) in byID { byID[id]?.day = order.paidAt.map { calendar.day(of: $0).number } ?? 0 }
    paid = byID.values.filter { $0.paidAt != nil }.sorted { ($0.paidAt ?? .distantPast) < ($1.paidAt ?? .distantPast) }
  }

  public var purchases: [ReferenceOrder] { paid.filter(\.isPurchase) }
}
