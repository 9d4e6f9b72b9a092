// All customers of one task: an open-addressing index over flat slots.
// The index compares 32 hash bits before it looks at a record, and the full id before it believes them.

import CXXHash
import Events

/// A customer's place in its table: stable while the table lives.
public struct CustomerIndex: Hashable, Comparable, Sendable {
  public let number: UInt32
  public init(number: UInt32) { self.number = number }
  public static func < (a: CustomerIndex, b: CustomerIndex) -> Bool { a.number < b.number }
}

/// Owned by one thread. Records are reached through `CustomerRecord`, a borrowed pair of pointers.
public struct CustomerTable: ~Copyable {
  private static let slotsPerChunk = 1 << 12

  /// Seed of the id hash; kept with the state so that the layout cannot be provoked from outside.
  public private(set) var seed: UInt64
  private var chunks: [UnsafeMutablePointer<CustomerSlot>] = []
  public private(set) var count = 0
  /// (32 high hash bits, slot number + 1); slot 0 = empty. A power of two, at most 3/4 full.
  private var index: UnsafeMutablePointer<(tag: UInt32, slot: UInt32)>
  private var indexCount: Int
  var arena = TailArena()
  /// Slots changed since the last `drainDirty`, in the order of their first change.
  private var dirtySlots: [UInt32] = []
  /// Records on their way to and from a checkpoint.
  private var packer = RecordPacker()

  public init(seed: UInt64) {
    self.seed = seed
    indexCount = 1 << 10
    index = .allocate(capacity: indexCount)
    index.initialize(repeating: (0, 0), count: indexCount)
  }

  deinit {
    for number in 0..<count {
      let slot = chunks[number / Self.slotsPerChunk] + number % Self.slotsPerChunk
      if let tail = slot.pointee.tail { TailArena.release(tail, capacity: slot.pointee.tailCapacity) }
    }
    for chunk in chunks { chunk.deallocate() }
    index.deallocate()
  }

  /// Changes the seed of an empty table (on restore).
  public mutating func reseed(_ seed: UInt64) {
    assert(count == 0, "a table with customers keeps its seed")
    self.seed = seed
  }

  public var bytesInUse: Int {
    chunks.count * Self.slotsPerChunk * MemoryLayout<CustomerSlot>.stride + indexCount * 8 + arena.bytesReserved
  }

  @inline(__always)
  func slot(_ number: UInt32) -> UnsafeMutablePointer<CustomerSlot> {
    chunks[Int(number) / Self.slotsPerChunk] + Int(number) % Self.slotsPerChunk
  }

  @inline(__always)
  public func record(_ index: CustomerIndex) -> CustomerRecord { CustomerRecord(slot: slot(index.number)) }

  /// The hash of an id in this table: made once an event, and handed to what follows.
  @inline(__always)
  public func hash(of id: UnsafeRawBufferPointer) -> UInt64 { tw_xxh3_64(id.baseAddress, id.count, seed) }

  /// Asks for the memory in which `find` will look first, so that it is there when a batch comes to it.
  @inline(__always)
  public func prefetchIndex(_ hash: UInt64) { tw_prefetch(index + Int(truncatingIfNeeded: hash) & (indexCount - 1)) }

  /// Likewise for the record that the index names, and its tail's beginning once that is known.
  @inline(__always)
  public func prefetchRecord(_ hash: UInt64) {
    let entry = index[Int(truncatingIfNeeded: hash) & (indexCount - 1)]
    if entry.slot == 0 { return }
    let slot = slot(entry.slot - 1)
    tw_prefetch(slot)
    tw_prefetch(UnsafeRawPointer(slot) + 64)
  }

  @inline(__always)
  public func prefetchTail(_ hash: UInt64) {
    let entry = index[Int(truncatingIfNeeded: hash) & (indexCount - 1)]
    if entry.slot == 0 { return }
    guard let tail = slot(entry.slot - 1).pointee.tail else { return }
    tw_prefetch(tail)
    tw_prefetch(tail + 64)
    tw_prefetch(tail + 128)
  }

  public func find(_ id: UnsafeRawBufferPointer) -> CustomerIndex? { find(id, hash: hash(of: id)) }

  @inline(__always)
  public func find(_ id: UnsafeRawBufferPointer, hash: UInt64) -> CustomerIndex? {
    let tag = UInt32(truncatingIfNeeded: hash >> 32)
    var position = Int(truncatingIfNeeded: hash) & (indexCount - 1)
    while index[position].slot != 0 {
      if index[position].tag == tag {
        let number = index[position].slot - 1
        if CustomerRecord(slot: slot(number)).hasID(id) { return CustomerIndex(number: number) }
      }
      position = (position + 1) & (indexCount - 1)
    }
    return nil
  }

  /// The customer with this id, made if unknown. `id` is 1...65535 bytes.
  public mutating func findOrInsert(_ id: UnsafeRawBufferPointer, tagCount: Int) -> (index: CustomerIndex, isNew: Bool)
  {
    findOrInsert(id, hash: hash(of: id), tagCount: tagCount)
  }

  /// Likewise, where `hash` is that of the id in this table.
  @inline(__always)
  public mutating func findOrInsert(_ id: UnsafeRawBufferPointer, hash: UInt64, tagCount: Int)
    -> (index: CustomerIndex, isNew: Bool)
  {
    if let known = find(id, hash: hash) { return (known, false) }
    return (insertNew(id, hash: hash, tagCount: tagCount), true)
  }

  @inline(never)
  private mutating func insertNew(_ id: UnsafeRawBufferPointer, hash: UInt64, tagCount: Int) -> CustomerIndex {
    let number = appendSlot()
    CustomerRecord(slot: slot(number)).begin(id: id, tagCount: tagCount, in: &arena)
    insert(number, hash: hash)
    return CustomerIndex(number: number)
  }

  private mutating func appendSlot() -> UInt32 {
    if count == chunks.count * Self.slotsPerChunk {
      chunks.append(.allocate(capacity: Self.slotsPerChunk))
    }
    let number = UInt32(count)
    count += 1
    slot(number).initialize(to: CustomerSlot())
    return number
  }

  private mutating func insert(_ number: UInt32, hash: UInt64) {
    if count * 4 > indexCount * 3 {
      growIndex()  // also places `number`, already counted
      return
    }
    place(number, hash: hash)
  }

  private func place(_ number: UInt32, hash: UInt64) {
    var position = Int(truncatingIfNeeded: hash) & (indexCount - 1)
    while index[position].slot != 0 { position = (position + 1) & (indexCount - 1) }
    index[position] = (UInt32(truncatingIfNeeded: hash >> 32), number + 1)
  }

  private mutating func growIndex() {
    index.deallocate()
    indexCount *= 2
    index = .allocate(capacity: indexCount)
    index.initialize(repeating: (0, 0), count: indexCount)
    for number in 0..<UInt32(count) {
      let id = CustomerRecord(slot: slot(number)).id
      place(number, hash: tw_xxh3_64(id.baseAddress, id.count, seed))
    }
  }

  /// Where a customer stands with its alerts; marks it as changed.
  public mutating func setAlerts(_ alerts: AlertState, of index: CustomerIndex) {
    record(index).setAlerts(alerts, in: &arena)
    markDirty(index)
  }

  // MARK: Checkpoints

  /// Remembers that the customer must be in the next checkpoint block.
  @inline(__always)
  public mutating func markDirty(_ index: CustomerIndex) {
    let slot = slot(index.number)
    if slot.pointee.dirty { return }
    slot.pointee.dirty = true
    dirtySlots.append(index.number)
  }

  /// Calls back with each customer changed since the last call: its id and its encoded record, valid in the call only.
  public mutating func drainDirty(
    _ body: (_ id: UnsafeRawBufferPointer, _ encoded: UnsafeRawBufferPointer) throws -> Void
  ) rethrows {
    for number in dirtySlots {
      let slot = slot(number)
      let record = CustomerRecord(slot: slot)
      record.encode(into: &packer)
      try body(record.id, packer.bytes)
      slot.pointee.dirty = false
    }
    dirtySlots.removeAll(keepingCapacity: true)
  }

  /// Puts back an encoded record under its id, replacing an older one.
  public mutating func restore(id: UnsafeRawBufferPointer, encoded: UnsafeRawBufferPointer) throws(RecordError) {
    try packer.unpack(encoded)
    let encoded = packer.bytes
    try CustomerRecord.check(encoded, id: id)
    let number: UInt32
    if let known = find(id) {
      number = known.number
    } else {
      number = appendSlot()
      let record = CustomerRecord(slot: slot(number))
      record.decode(encoded, in: &arena)
      insert(number, hash: tw_xxh3_64(id.baseAddress, id.count, seed))
      return
    }
    CustomerRecord(slot: slot(number)).decode(encoded, in: &arena)
  }
}

/// A record in a checkpoint that this version cannot read.
public struct RecordError: Error, CustomStringConvertible {
  public let description: String
}
