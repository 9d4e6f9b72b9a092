// What is to happen in the shop, earliest first: a binary heap.

import Events

/// Something a customer will do. Ties in time fall in the order of planning.
struct ShopAction: Sendable {
  enum Kind: UInt8, Sendable {
    case arrive
    case browse
    /// The session that ends with the next purchase of the customer's process.
    case purchase
    case refund
    case cancel
    case ticket
    case review
    case tellProfile
  }
  var time: Instant
  var plan: UInt64
  var customer: Int
  var kind: Kind
  /// For what concerns one order.
  var order = 0
  var amount: Int64 = 0
  var currency = ShopCurrency.cny

  static func < (a: ShopAction, b: ShopAction) -> Bool { a.time != b.time ? a.time < b.time : a.plan < b.plan }
}

struct ShopSchedule: Sendable {
  private var heap: [ShopAction] = []
  private var planned: UInt64 = 0

  var first: ShopAction? { heap.first }

  mutating func plan(
    _ kind: ShopAction.Kind, of customer: Int, at time: Instant, order: Int = 0, amount: Int64 = 0,
    currency: ShopCurrency = .cny
  ) {
    heap.append(
      ShopAction(
        time: time, plan: planned, customer: customer, kind: kind, order: order, amount: amount, currency: currency))
    planned += 1
    var child = heap.count - 1
    while child > 0 {
      let parent = (child - 1) / 2
      guard heap[child] < heap[parent] else { return }
      heap.swapAt(child, parent)
      child = parent
    }
  }

  mutating func removeFirst() -> ShopAction? {
    guard let last = heap.popLast() else { return nil }
    guard let first = heap.first else { return last }
    heap[0] = last
    var parent = 0
    while true {
      var least = parent
      let left = 2 * parent + 1
      if left < heap.count, heap[left] < heap[least] { least = left }
      if left + 1 < heap.count, heap[left + 1] < heap[least] { least = left + 1 }
      if least == parent { return first }
      heap.swapAt(parent, least)
      parent = least
    }
  }
}
