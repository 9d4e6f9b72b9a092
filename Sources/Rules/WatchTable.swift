// What the rules of a set wait for, as the search for the next change reads it.

import Events

/// What the rules of a set wait for, each instant once however many rules wait for it. In raw memory, with room to compute:
/// one thread at a time.
@usableFromInline
struct WatchTable: ~Copyable {
  /// Those that are quickly solved for go first: what they find bounds the search of the others.
  @usableFromInline let watches: UnsafeMutablePointer<Watch>
  @usableFromInline let count: Int
  /// Of a mask: one bit a watch.
  @usableFromInline let words: Int
  /// Two masks a rule: what it waits for while its tag is unset, and while it is set.
  @usableFromInline let masks: UnsafeMutablePointer<UInt64>
  /// Masks.
  @usableFromInline let wanted: UnsafeMutablePointer<UInt64>
  @usableFromInline let ready: UnsafeMutablePointer<UInt64>
  /// By rule: at how many instants it was looked at in vain.
  @usableFromInline let tried: UnsafeMutablePointer<Int>
  /// By watch.
  @usableFromInline let due: UnsafeMutablePointer<Instant>

  init(_ program: Program) {
    var list: [Watch] = []
    var known: Set<Watch> = []
    for kind in [Watch.Kind.crossing, .crossingComputed, .exceedingComputed, .step] {
      for watch in program.watches where watch.kind == kind && known.insert(watch).inserted { list.append(watch) }
    }
    let places = Dictionary(uniqueKeysWithValues: zip(list, 0...))
    count = list.count
    words = (list.count + 63) / 64
    watches = .allocate(capacity: max(1, list.count))
    watches.initialize(from: list, count: list.count)
    due = .allocate(capacity: max(1, list.count))
    due.initialize(repeating: .distantFuture, count: list.count)
    wanted = .allocate(capacity: max(1, words))
    wanted.initialize(repeating: 0, count: words)
    ready = .allocate(capacity: max(1, words))
    ready.initialize(repeating: 0, count: words)
    tried = .allocate(capacity: max(1, program.entries.count))
    tried.initialize(repeating: 0, count: program.entries.count)
    masks = .allocate(capacity: max(1, 2 * words * program.entries.count))
    masks.initialize(repeating: 0, count: 2 * words * program.entries.count)
    for (rule, entry) in program.entries.enumerated() {
      for (isSet, end) in [entry.watchesUnset, entry.watchesSet].enumerated() {
        for watch in program.watches[entry.watches..<end] {
          guard let place = places[watch] else { continue }
          masks[(2 * rule + isSet) * words + place / 64] |= 1 << UInt64(place % 64)
        }
      }
    }
  }

  deinit {
    watches.deallocate()
    due.deallocate()
    tried.deallocate()
    wanted.deallocate()
    ready.deallocate()
    masks.deallocate()
  }

  /// What rule `index` waits for with this value.
  @inlinable @inline(__always)
  func mask(of index: Int, _ current: UInt64) -> UnsafeMutablePointer<UInt64> {
    masks + (2 * index + (current == 0 ? 0 : 1)) * words
  }

  /// Calls back with the number of each wanted watch.
  @inlinable @inline(__always)
  func forEachWanted(_ body: (Int) -> Void) {
    for word in 0..<words {
      var bits = wanted[word]
      while bits != 0 {
        body(word * 64 + bits.trailingZeroBitCount)
        bits &= bits &- 1
      }
    }
  }

  /// Leaves those of the wanted watches that are due by then in `ready`.
  @inlinable @inline(__always)
  func findReady(by instant: Instant) {
    for word in 0..<words {
      var found: UInt64 = 0
      var bits = wanted[word]
      while bits != 0 {
        let bit = bits & (0 &- bits)
        if due[word * 64 + bits.trailingZeroBitCount] <= instant { found |= bit }
        bits ^= bit
      }
      ready[word] = found
    }
  }

  /// Whether a mask has any of them.
  @inlinable @inline(__always)
  func isReady(_ mask: UnsafeMutablePointer<UInt64>) -> Bool {
    for word in 0..<words where mask[word] & ready[word] != 0 { return true }
    return false
  }
}
