// Keys seen before. Open addressing on a seeded hash, full keys compared.
import CXXHash
import Glibc

/// A set of keys. Memory: 16 to 32 bytes a key, and its bytes.
struct KeySet: ~Copyable {
  /// Where a key stands in `keys`, plus one, below the upper bits of its hash; zero: the slot is free.
  private struct Slot {
    private var bits: UInt64 = 0
    private static let placeBits: UInt64 = 40

    static let free = Slot()
    private init() {}
    init(hash: UInt64, place: Int) { bits = (hash >> Self.placeBits) << Self.placeBits | UInt64(place + 1) }

    var isFree: Bool { bits == 0 }
    var place: Int { Int(bits & (1 << Self.placeBits - 1)) - 1 }
    /// False for most that have another hash.
    func mayHave(_ hash: UInt64) -> Bool { (bits ^ hash) >> Self.placeBits == 0 }
  }

  private var slots = [Slot](repeating: .free, count: 1 << 10)
  /// Each behind its length, 2 bytes.
  private var keys = RawBuffer(capacity: 1 << 16)
  private(set) var count = 0
  private let seed: UInt64

  init(seed: UInt64) { self.seed = seed }

  /// True if the key was not there.
  mutating func insert(_ key: UnsafeRawBufferPointer) -> Bool {
    if (count + 1) * 2 > slots.count { grow() }
    let hash = hash(of: key)
    let slot = find(key, hash: hash)
    if !slots[slot].isFree { return false }
    slots[slot] = Slot(hash: hash, place: keys.count)
    keys.append(UInt16(key.count))
    keys.append(key)
    count += 1
    return true
  }

  /// Asks for the memory that `insert` and `contains` look at first.
  func prefetch(_ key: UnsafeRawBufferPointer) {
    let slot = Int(truncatingIfNeeded: hash(of: key)) & (slots.count - 1)
    slots.withUnsafeBufferPointer { tw_prefetch($0.baseAddress.unsafelyUnwrapped + slot) }
  }

  func contains(_ key: UnsafeRawBufferPointer) -> Bool { !slots[find(key, hash: hash(of: key))].isFree }

  private func hash(of key: UnsafeRawBufferPointer) -> UInt64 { tw_xxh3_64(key.baseAddress, key.count, seed) }

  /// The slot of `key`, or the free slot where it would go.
  private func find(_ key: UnsafeRawBufferPointer, hash: UInt64) -> Int {
    let mask = slots.count - 1
    var slot = Int(truncatingIfNeeded: hash) & mask
    while !slots[slot].isFree {
      if slots[slot].mayHave(hash), equals(key, at: slots[slot].place) { return slot }
      slot = (slot + 1) & mask
    }
    return slot
  }

  private func equals(_ key: UnsafeRawBufferPointer, at place: Int) -> Bool {
    let stored = self.key(at: place)
    guard stored.count == key.count else { return false }
    guard let a = stored.baseAddress, let b = key.baseAddress else { return true }
    return memcmp(a, b, key.count) == 0
  }

  private func key(at place: Int) -> UnsafeRawBufferPointer {
    let bytes = keys.bytes
    return bytes.slice(place + 2, place + 2 + Int(bytes.load(UInt16.self, at: place)))
  }

  private mutating func grow() {
    slots = [Slot](repeating: .free, count: slots.count * 2)
    let mask = slots.count - 1
    var place = 0
    while place < keys.count {
      let key = key(at: place)
      let hash = hash(of: key)
      var slot = Int(truncatingIfNeeded: hash) & mask
      while !slots[slot].isFree { slot = (slot + 1) & mask }
      slots[slot] = Slot(hash: hash, place: place)
      place += 2 + key.count
    }
  }
}
