// When customers must be looked at: a binary heap of (second, slot), 8 bytes an entry.
// Entries are never taken out early: one that no longer matches its record's `due` is skipped when it comes up.

import Customers
import Events

struct TimerQueue: Sendable {
  /// Second since 1970 in the high half, slot in the low half; the smallest is first.
  private var heap: [UInt64] = []

  var count: Int { heap.count }
  var bytesInUse: Int { heap.capacity * MemoryLayout<UInt64>.stride }

  /// The instant of the first entry.
  var first: Instant {
    heap.isEmpty ? .distantFuture : Instant(seconds: Int64(heap[0] >> 32))
  }

  /// Whose entry stands there in the heap: the first is at 0, those that may come after it are at 1 and 2.
  @inline(__always)
  func customer(at place: Int) -> CustomerIndex? {
    place < heap.count ? CustomerIndex(number: UInt32(truncatingIfNeeded: heap[place])) : nil
  }

  /// `due` is a whole second; beyond 2106 it is not kept (nothing a rule solves for lies there).
  mutating func push(_ index: CustomerIndex, due: Instant) {
    let seconds = due.microseconds / 1_000_000
    guard seconds < Int64(UInt32.max) else { return }
    heap.append(UInt64(UInt32(clamping: seconds)) << 32 | UInt64(index.number))
    var child = heap.count - 1
    while child > 0 {
      let parent = (child - 1) / 2
      if heap[parent] <= heap[child] { break }
      heap.swapAt(parent, child)
      child = parent
    }
  }

  mutating func pop() -> (index: CustomerIndex, due: Instant)? {
    guard let top = heap.first else { return nil }
    let last = heap.removeLast()
    if !heap.isEmpty {
      var parent = 0
      heap[0] = last
      while true {
        var child = parent * 2 + 1
        if child >= heap.count { break }
        if child + 1 < heap.count, heap[child + 1] < heap[child] { child += 1 }
        if heap[parent] <= heap[child] { break }
        heap.swapAt(parent, child)
        parent = child
      }
    }
    return (CustomerIndex(number: UInt32(truncatingIfNeeded: top)), Instant(seconds: Int64(top >> 32)))
  }

  mutating func removeAll() { heap.removeAll(keepingCapacity: true) }
}
