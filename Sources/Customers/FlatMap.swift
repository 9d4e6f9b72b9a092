// A map for the hot path: small keys that nobody outside chooses, no hashing of bytes, no counted references.

/// Values by number: open addressing, emptied without a look at its memory. Keys are never taken out one by one.
struct FlatMap<Value: BitwiseCopyable>: ~Copyable {
  private struct Entry {
    var key: UInt32
    /// It counts while this is the map's.
    var generation: UInt32
    var value: Value
  }

  private var entries: UnsafeMutablePointer<Entry>
  /// Of the capacity, a power of two.
  private var bits = 6
  private(set) var count = 0
  private var generation: UInt32 = 1
  private let none: Value

  /// - Parameter none: what free places hold; any value.
  init(none: Value) {
    self.none = none
    entries = Self.makeEntries(bits, none)
  }
  deinit { entries.deallocate() }

  private static func makeEntries(_ bits: Int, _ none: Value) -> UnsafeMutablePointer<Entry> {
    let entries = UnsafeMutablePointer<Entry>.allocate(capacity: 1 << bits)
    entries.initialize(repeating: Entry(key: 0, generation: 0, value: none), count: 1 << bits)
    return entries
  }

  /// Keeps its memory.
  mutating func removeAll() {
    count = 0
    generation &+= 1
    if generation == 0 {
      entries.update(repeating: Entry(key: 0, generation: 0, value: none), count: 1 << bits)
      generation = 1
    }
  }

  /// Where the key's entry is, or where it would be put (Knuth's multiplicative hashing).
  @inline(__always)
  private func place(of key: UInt32) -> UnsafeMutablePointer<Entry> {
    var number = Int((key &* 0x9e37_79b1) >> UInt32(32 - bits))
    while entries[number].generation == generation, entries[number].key != key {
      number = (number + 1) & ((1 << bits) - 1)
    }
    return entries + number
  }

  @inline(__always)
  func find(_ key: UInt32) -> Value? {
    let entry = place(of: key)
    return entry.pointee.generation == generation ? entry.pointee.value : nil
  }

  /// Returns the value that was there.
  @inline(__always)
  @discardableResult
  mutating func update(_ key: UInt32, to value: Value) -> Value? {
    let entry = place(of: key)
    if entry.pointee.generation == generation {
      let before = entry.pointee.value
      entry.pointee.value = value
      return before
    }
    entry.pointee = Entry(key: key, generation: generation, value: value)
    count += 1
    if count * 2 > 1 << bits { grow() }
    return nil
  }

  private mutating func grow() {
    let (old, oldCount) = (entries, 1 << bits)
    bits += 1
    entries = Self.makeEntries(bits, none)
    for number in 0..<oldCount where old[number].generation == generation {
      place(of: old[number].key).pointee = old[number]
    }
    old.deallocate()
  }
}
