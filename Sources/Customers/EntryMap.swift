// Where the entries of slots are: looked up for every customer that is copied.

/// Addresses by slot number: open addressing, emptied without a look at its memory.
struct EntryMap: ~Copyable {
  private struct Entry {
    var slot: UInt32 = 0
    /// It counts while this is the map's.
    var generation: UInt32 = 0
    var address: UnsafeMutableRawPointer?
  }

  private var entries: UnsafeMutablePointer<Entry>
  /// Of the capacity, a power of two.
  private var bits = 6
  private(set) var count = 0
  private var generation: UInt32 = 1

  init() { entries = Self.makeEntries(bits) }
  deinit { entries.deallocate() }

  private static func makeEntries(_ bits: Int) -> UnsafeMutablePointer<Entry> {
    let entries = UnsafeMutablePointer<Entry>.allocate(capacity: 1 << bits)
    entries.initialize(repeating: Entry(), count: 1 << bits)
    return entries
  }

  /// Keeps its memory.
  mutating func removeAll() {
    count = 0
    generation &+= 1
    if generation == 0 {
      entries.update(repeating: Entry(), count: 1 << bits)
      generation = 1
    }
  }

  /// Where the slot's entry is, or where it would be put (Knuth's multiplicative hashing).
  @inline(__always)
  private func place(of slot: UInt32) -> UnsafeMutablePointer<Entry> {
    var number = Int((slot &* 0x9e37_79b1) >> UInt32(32 - bits))
    while entries[number].generation == generation, entries[number].slot != slot {
      number = (number + 1) & ((1 << bits) - 1)
    }
    return entries + number
  }

  @inline(__always)
  func find(_ slot: UInt32) -> UnsafeMutableRawPointer? {
    let entry = place(of: slot)
    return entry.pointee.generation == generation ? entry.pointee.address : nil
  }

  /// Returns the address that was there.
  @inline(__always)
  mutating func update(_ slot: UInt32, to address: UnsafeMutableRawPointer) -> UnsafeMutableRawPointer? {
    let entry = place(of: slot)
    if entry.pointee.generation == generation {
      defer { entry.pointee.address = address }
      return entry.pointee.address
    }
    entry.pointee = Entry(slot: slot, generation: generation, address: address)
    count += 1
    if count * 2 > 1 << bits { grow() }
    return nil
  }

  private mutating func grow() {
    let (old, oldCount) = (entries, 1 << bits)
    bits += 1
    entries = Self.makeEntries(bits)
    for number in 0..<oldCount where old[number].generation == generation {
      place(of: old[number].slot).pointee = old[number]
    }
    old.deallocate()
  }
}
