// Which chunk of memory an address lies in.

/// Numbers of chunks by their address: open addressing, a number in a line or two of memory. Chunks are never taken out.
struct ChunkMap: ~Copyable {
  /// Bytes of a chunk, and its alignment.
  static let chunkBytes = 1 << 20

  private struct Entry {
    /// The chunk's address over its size; 0 = empty.
    var key: UInt64 = 0
    var number: Int32 = 0
  }

  private var entries: UnsafeMutablePointer<Entry>
  /// Of `capacity`, a power of two.
  private var bits = 6
  private var count = 0

  init() { entries = Self.makeEntries(bits) }
  deinit { entries.deallocate() }

  private static func makeEntries(_ bits: Int) -> UnsafeMutablePointer<Entry> {
    let entries = UnsafeMutablePointer<Entry>.allocate(capacity: 1 << bits)
    entries.initialize(repeating: Entry(), count: 1 << bits)
    return entries
  }

  @inline(__always)
  private static func key(of address: UnsafeMutableRawPointer) -> UInt64 {
    UInt64(UInt(bitPattern: address)) / UInt64(chunkBytes)
  }

  /// Where the search for a key begins (Knuth's multiplicative hashing).
  @inline(__always)
  private func home(of key: UInt64) -> Int { Int((key &* 0x9e37_79b9_7f4a_7c15) >> UInt64(64 - bits)) }

  /// The number of the chunk in which `address` lies; it was inserted.
  @inline(__always)
  func number(of address: UnsafeMutableRawPointer) -> Int32 {
    let key = Self.key(of: address)
    var place = home(of: key)
    while entries[place].key != key {
      assert(entries[place].key != 0, "an address in no chunk")
      place = (place + 1) & (1 << bits - 1)
    }
    return entries[place].number
  }

  /// - Parameter chunk: a multiple of its size.
  mutating func insert(_ chunk: UnsafeMutableRawPointer, number: Int32) {
    count += 1
    // A quarter full at most: searches end where they begin.
    if count * 4 > 1 << bits { grow() }
    put(Entry(key: Self.key(of: chunk), number: number))
  }

  private mutating func put(_ entry: Entry) {
    var place = home(of: entry.key)
    while entries[place].key != 0 { place = (place + 1) & (1 << bits - 1) }
    entries[place] = entry
  }

  private mutating func grow() {
    let (old, oldCount) = (entries, 1 << bits)
    bits += 1
    entries = Self.makeEntries(bits)
    for place in 0..<oldCount where old[place].key != 0 { put(old[place]) }
    old.deallocate()
  }
}
