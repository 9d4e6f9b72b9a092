// Customers due at one instant, in the order of their ids. A wave may be of a million: it is collected in steps, what one
// step collects is sorted there, and the sorted runs are merged while they fire, so that no step is long.

import Customers
import Events

struct TimerWave {
  private struct Entry {
    /// Of the id: most comparisons need no record.
    var prefix: UInt64
    var index: CustomerIndex
  }

  /// The instant at which all of them are due.
  private(set) var due = Instant.distantPast
  /// Sorted runs, one behind the other.
  private var entries: [Entry] = []
  /// What is left of each run, as a binary heap: the run with the smallest first entry is at the root. No run is empty.
  private var runs: [Range<Int>] = []
  /// Where the run that is being collected begins.
  private var open = 0

  /// Memory beyond this is given back when a wave is over.
  private static let keptEntries = 1 << 14

  var isEmpty: Bool { entries.isEmpty }
  var bytesInUse: Int { entries.capacity * MemoryLayout<Entry>.stride }

  /// Begins a wave; the one before is over.
  mutating func begin(due: Instant) {
    assert(entries.isEmpty && runs.isEmpty)
    self.due = due
  }

  /// Adds a customer to the open run.
  mutating func append(_ index: CustomerIndex, in places: CustomerPlaces) {
    entries.append(Entry(prefix: sortingPrefix(of: places.record(index).id), index: index))
  }

  /// Sorts what was added since the run before.
  mutating func endRun(in places: CustomerPlaces) {
    let run = open..<entries.count
    open = entries.count
    if run.isEmpty { return }
    if run.count > 1 {
      // In place: a slice of the array would be a copy.
      entries.withUnsafeMutableBufferPointer { entries in
        var run = UnsafeMutableBufferPointer(rebasing: entries[run])
        run.sort { Self.precedes($0, $1, in: places) }
      }
    }
    runs.append(run)
    var child = runs.count - 1
    while child > 0 {
      let parent = (child - 1) / 2
      guard runPrecedes(child, parent, in: places) else { break }
      runs.swapAt(child, parent)
      child = parent
    }
  }

  /// Takes out the customer with the smallest id; nil, and the wave is over, when none is left.
  mutating func popFirst(in places: CustomerPlaces) -> CustomerIndex? {
    guard let first = runs.first else {
      entries.removeAll(keepingCapacity: entries.count <= Self.keptEntries)
      open = 0
      return nil
    }
    if first.count > 1 {
      runs[0] = first.lowerBound + 1..<first.upperBound
    } else {
      let last = runs.removeLast()
      if !runs.isEmpty { runs[0] = last }
    }
    var parent = 0
    while true {
      var child = parent * 2 + 1
      if child >= runs.count { break }
      if child + 1 < runs.count, runPrecedes(child + 1, child, in: places) { child += 1 }
      guard runPrecedes(child, parent, in: places) else { break }
      runs.swapAt(child, parent)
      parent = child
    }
    return entries[first.lowerBound].index
  }

  private func runPrecedes(_ a: Int, _ b: Int, in places: CustomerPlaces) -> Bool {
    Self.precedes(entries[runs[a].lowerBound], entries[runs[b].lowerBound], in: places)
  }

  private static func precedes(_ a: Entry, _ b: Entry, in places: CustomerPlaces) -> Bool {
    if a.prefix != b.prefix { return a.prefix < b.prefix }
    return places.record(a.index).id.lexicographicallyPrecedes(places.record(b.index).id)
  }
}
