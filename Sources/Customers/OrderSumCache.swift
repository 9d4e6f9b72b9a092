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
  // In raw memory: a property of a class is watched for overlapping accesses, at every one of them.
  private let count: UnsafeMutablePointer<Int>

  public init() {
    entries = .allocate(capacity: Self.capacity)
    count = .allocate(capacity: 1)
    count.initialize(to: 0)
  }
  deinit {
    entries.deallocate()
    count.deallocate()
  }

  @inline(__always) public func removeAll() { count.pointee = 0 }

  @inline(__always)
  func find(_ first: LocalDay, _ end: LocalDay?) -> OrderSums? {
    let end = end?.number ?? .max
    for place in 0..<count.pointee where entries[place].first == first.number && entries[place].end == end {
      return entries[place].sums
    }
    return nil
  }

  @inline(__always)
  func keep(_ first: LocalDay, _ end: LocalDay?, _ sums: OrderSums) {
    // When full the last gives way: today's windows are asked for first, candidates of the future come and go.
    let place = min(count.pointee, Self.capacity - 1)
    entries[place] = Entry(first: first.number, end: end?.number ?? .max, sums: sums)
    count.pointee = place + 1
  }
}
