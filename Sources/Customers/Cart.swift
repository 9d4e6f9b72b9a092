// The open cart: what was added since the last order and not removed since.
// Removals are remembered as markers, so that an addition that comes late does not bring the product back.

import Events

/// 24 bytes, as in checkpoints but for what `EncodedRecord` says.
struct CartEntry {
  /// XXH3 of the product id; 0 when the event named none.
  var product: UInt64
  var time: Instant
  /// -1: a removal marker; else the amount in minor units.
  var amount: Int64
  var isRemoval: Bool { amount < 0 }
}

extension CustomerRecord {
  /// In order of time.
  var cart: UnsafeMutableBufferPointer<CartEntry> {
    UnsafeMutableBufferPointer(start: pointer(.cart).assumingMemoryBound(to: CartEntry.self), count: count(.cart))
  }

  func addToCart(_ event: Event, limits: RecordLimits, arena: inout RecordArena, counters: inout RecordCounters) {
    if event.time <= cartClearedAt { return }
    if event.productHash != 0,
      cart.contains(where: { $0.isRemoval && $0.product == event.productHash && $0.time >= event.time })
    {
      return
    }
    insertCart(
      CartEntry(product: event.productHash, time: event.time, amount: event.amount.minorUnits), limits: limits,
      arena: &arena, counters: &counters)
  }

  func removeFromCart(
    _ event: Event, limits: RecordLimits, arena: inout RecordArena, counters: inout RecordCounters
  ) {
    // Without a product we cannot know what was removed.
    if event.time <= cartClearedAt || event.productHash == 0 { return }
    let (product, time) = (event.productHash, event.time)
    if cart.contains(where: { $0.isRemoval && $0.product == product && $0.time >= time }) { return }
    // A customer's clock may be a few minutes ahead of the task's, from which lateness is counted.
    let horizon = header.asOf - limits.lateness - .hours(1)
    dropCart { $0.product == product && $0.time <= time || $0.isRemoval && $0.time < horizon }
    insertCart(
      CartEntry(product: product, time: time, amount: -1), limits: limits, arena: &arena, counters: &counters)
  }

  /// An order at `time` took the cart with it.
  func clearCart(at time: Instant, arena: inout RecordArena) {
    if time <= cartClearedAt { return }
    setCartClearedAt(time, in: &arena)
    dropCart { $0.time <= time }
  }

  private func insertCart(
    _ entry: CartEntry, limits: RecordLimits, arena: inout RecordArena, counters: inout RecordCounters
  ) {
    // Equal times sort by product, then amount: the same list whatever the order of arrival.
    let position = cart.partitioningIndex {
      ($0.time, $0.product, $0.amount) >= (entry.time, entry.product, entry.amount)
    }
    insert(.cart, at: position, in: &arena).assumingMemoryBound(to: CartEntry.self).initialize(to: entry)
    // The oldest goes, whichever came last.
    if cart.count > limits.maxCartItems {
      remove(.cart, at: 0)
      counters.cartOverflow += 1
    }
  }

  private func dropCart(where isGone: (CartEntry) -> Bool) {
    let list = cart
    var kept = 0
    for i in 0..<list.count where !isGone(list[i]) {
      list[kept] = list[i]
      kept += 1
    }
    remove(.cart, at: kept, count: list.count - kept)
  }
}
