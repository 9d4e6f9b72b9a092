// For each key of a log, the number of its last entry. Open addressing on a seeded hash, full keys compared.
import CXXHash
import Glibc

/// Maps key bytes to the ordinal of their latest entry. Memory: 24 bytes a slot at load 1/2, and the key bytes.
struct KeyIndex: ~Copyable {
  private struct Slot {
    var hash: UInt64
    var keyStart: UInt64
    /// Ordinal + 1 shifted left once, lowest bit: tombstone. Zero: the slot is free.
    var value: UInt64
  }

  private var slots: [Slot]
  private var keys = RawBuffer(capacity: 1 << 16)
  private(set) var count = 0
  private let seed: UInt64

  init(seed: UInt64) {
    self.seed = seed
    slots = Array(repeating: Slot(hash: 0, keyStart: 0, value: 0), count: 1 << 10)
  }

  /// Declares entry number `ordinal` to be the latest of its key.
  mutating func set(_ key: UnsafeRawBufferPointer, ordinal: UInt64, isTombstone: Bool) {
    if (count + 1) * 2 > slots.count { grow() }
    let hash = tw_xxh3_64(key.baseAddress, key.count, seed)
    let place = find(key, hash: hash)
    if slots[place].value == 0 {
      slots[place].hash = hash
      slots[place].keyStart = UInt64(keys.count)
      keys.append(UInt16(key.count))
      keys.append(key)
      count += 1
    }
    slots[place].value = (ordinal + 1) << 1 | (isTombstone ? 1 : 0)
  }

  func contains(_ key: UnsafeRawBufferPointer) -> Bool {
    slots[find(key, hash: tw_xxh3_64(key.baseAddress, key.count, seed))].value != 0
  }

  /// True if `ordinal` is the latest entry of `key`.
  func isLatest(_ key: UnsafeRawBufferPointer, ordinal: UInt64) -> Bool {
    slots[find(key, hash: tw_xxh3_64(key.baseAddress, key.count, seed))].value >> 1 == ordinal + 1
  }

  /// The slot of `key`, or the free slot where it would go.
  private func find(_ key: UnsafeRawBufferPointer, hash: UInt64) -> Int {
    let mask = slots.count - 1
    var place = Int(truncatingIfNeeded: hash) & mask
    while slots[place].value != 0 {
      if slots[place].hash == hash && equals(key, at: Int(slots[place].keyStart)) { return place }
      place = (place + 1) & mask
    }
    return place
  }

  private func equals(_ key: UnsafeRawBufferPointer, at start: Int) -> Bool {
    let bytes = keys.bytes
    guard Int(bytes.load(UInt16.self, at: start)) == key.count else { return false }
    guard let stored = bytes.baseAddress, let wanted = key.baseAddress else { return true }
    return memcmp(stored + (start + 2), wanted, key.count) == 0
  }

  private mutating func grow() {
    let old = slots
    slots = Array(repeating: Slot(hash: 0, keyStart: 0, value: 0), count: old.count * 2)
    let mask = slots.count - 1
    for slot in old where slot.value != 0 {
      var place = Int(truncatingIfNeeded: slot.hash) & mask
      while slots[place].value != 0 { place = (place + 1) & mask }
      slots[place] = slot
    }
  }
}
