// Customers due at one instant, in the order of their ids. A wave may be of a million: it is collected in steps, what one
// step collects is sorted there, and the sorted runs are merged while they fire, so that no step is long.

import Customers
import Events

struct TimerWave: ~Copyable {
  private struct Entry {
    /// Of the id: most comparisons need no record.
    var prefix: SortingPrefix
    var index: CustomerIndex
  }

  /// The instant at which all of them are due.
  private(set) var due = Instant.distantPast
  /// Sorted runs, one behind the other. In chunks, none of which a run crosses: nothing is moved when a wave grows.
  private var chunks: [UnsafeMutablePointer<Entry>] = []
  private var count = 0
  /// What is left of each run, as a binary heap: the run with the smallest first entry is at the root. No run is empty.
  private var runs: [Range<Int>] = []
  /// Where the run that is being collected begins.
  private var open = 0

  private static let entriesPerChunk = 1 << 10
  /// Memory beyond this is given back when a wave is over.
  private static let keptChunks = 16

  deinit { for chunk in chunks { chunk.deallocate() } }

  var isEmpty: Bool { count == 0 }
  var bytesInUse: Int { chunks.count * Self.entriesPerChunk * MemoryLayout<Entry>.stride }

  @inline(__always)
  private func entry(_ place: Int) -> UnsafeMutablePointer<Entry> {
    chunks[place / Self.entriesPerChunk] + place % Self.entriesPerChunk
  }

  /// Begins a wave; the one before is over.
  mutating func begin(due: Instant) {
    assert(isEmpty && runs.isEmpty)
    self.due = due
  }

  /// Adds a customer to the open run.
  mutating func append(_ index: CustomerIndex, in places: CustomerPlaces) {
    if count % Self.entriesPerChunk == 0 {
      endRun(in: places)
      if count == chunks.count * Self.entriesPerChunk { chunks.append(.allocate(capacity: Self.entriesPerChunk)) }
    }
    entry(count).initialize(to: Entry(prefix: SortingPrefix(of: places.record(index).id), index: index))
    count += 1
  }

  /// Sorts what was added since the run before.
  mutating func endRun(in places: CustomerPlaces) {
    let run = open..<count
    open = count
    if run.isEmpty { return }
    if run.count > 1 {
      var entries = UnsafeMutableBufferPointer(start: entry(run.lowerBound), count: run.count)
      entries.sort { Self.precedes($0, $1, in: places) }
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
      while chunks.count > Self.keptChunks { chunks.removeLast().deallocate() }
      count = 0
      open = 0
      return nil
    }
    if first.count > 1 {
      runs[0] = first.lowerBound + 1..<first.upperBound
      // The run's turn comes again after some of the others': its next records will be there.
      places.prefetchRecord(of: entry(first.lowerBound + 1).pointee.index)
      if first.count > 2 { places.prefetchPlace(of: entry(first.lowerBound + 2).pointee.index) }
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
    return entry(first.lowerBound).pointee.index
  }

  private func runPrecedes(_ a: Int, _ b: Int, in places: CustomerPlaces) -> Bool {
    Self.precedes(entry(runs[a].lowerBound).pointee, entry(runs[b].lowerBound).pointee, in: places)
  }

  /// Empty for a customer who was removed since the wave was collected.
  private static func id(of index: CustomerIndex, in places: CustomerPlaces) -> UnsafeRawBufferPointer {
    let record = places.record(index)
    return record.isGone ? UnsafeRawBufferPointer(start: nil, count: 0) : record.id
  }

  private static func precedes(_ a: Entry, _ b: Entry, in places: CustomerPlaces) -> Bool {
    if a.prefix != b.prefix { return a.prefix < b.prefix }
    return id(of: a.index, in: places).precedes(id(of: b.index, in: places))
  }
}
