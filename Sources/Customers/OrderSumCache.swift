// Sums over windows of orders, kept while one customer is looked at: several rules ask for the same ones.

import Events

/// Over the orders of one window.
struct OrderSums {
  var purchases = 0
  var paid = 0
  var discounted = 0
  var net: Int64 = 0
  var gross: Int64 = 0
}

/// The sums asked for last. One owner thread; whoever changes a record or turns to another one empties it.
public final class OrderSumCache {
  private struct Entry {
    var first: Int32
    var end: Int32
    var sums: OrderSums
  }
  private static let capacity = 8
  private let entries: UnsafeMutablePointer<Entry>
  private var count = 0

  public init() { entries = .allocate(capacity: Self.capacity) }
  deinit { entries.deallocate() }

  @inline(__always) public func removeAll() { count = 0 }

  @inline(__always)
  func find(_ first: LocalDay, _ end: LocalDay?) -> OrderSums? {
    let end = end?.number ?? .max
    for place in 0..<count where entries[place].first == first.number && entries[place].end == end {
      return entries[place].sums
    }
    return nil
  }

  @inline(__always)
  func keep(_ first: LocalDay, _ end: LocalDay?, _ sums: OrderSums) {
    // When full the last gives way: today's windows are asked for first, candidates of the future come and go.
    let place = count < Self.capacity ? count : Self.capacity - 1
    entries[place] = Entry(first: first.number, end: end?.number ?? .max, sums: sums)
    count = place + 1
  }
}
