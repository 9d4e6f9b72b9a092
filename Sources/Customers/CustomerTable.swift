// All customers of one task: an index over places, each with the address of a record.
// The index compares 32 hash bits before it looks at a record, and the full id before it believes them.
// Places and records lie in chunks that are never moved, and the index grows bucket by bucket: whoever comes as the millionth
// costs no more than the first.

import CXXHash
import Events

/// A customer's place in its table: stable while the table lives.
public struct CustomerIndex: Hashable, Comparable, Sendable {
  public let number: UInt32
  public init(number: UInt32) { self.number = number }
  public static func < (a: CustomerIndex, b: CustomerIndex) -> Bool { a.number < b.number }
}

/// The hash of a customer's id, for tables with one seed.
public struct CustomerHash: Sendable, Hashable {
  public let value: UInt64
  /// Of the tables that it is good for.
  public let seed: UInt64

  public init(value: UInt64, seed: UInt64) {
    self.value = value
    self.seed = seed
  }
}

/// Where the customers of a table are: a pointer, to be handed on where the table itself would be copied.
public struct CustomerPlaces {
  static let slotsPerChunk = 1 << 13

  let chunks: UnsafeMutablePointer<RecordArena.Owner>

  /// Where the address of a customer's record is; nil there: nobody has this place.
  @inline(__always)
  func slot(_ number: UInt32) -> RecordArena.Owner {
    chunks[Int(number) / Self.slotsPerChunk] + Int(number) % Self.slotsPerChunk
  }

  @inline(__always)
  public func record(_ index: CustomerIndex) -> CustomerRecord { CustomerRecord(owner: slot(index.number)) }

  /// Asks for a customer's place, so that it is there when its turn comes.
  @inline(__always)
  public func prefetchPlace(of index: CustomerIndex) { tw_prefetch(slot(index.number)) }

  /// Likewise for the beginning of its record; the place should be there by now.
  @inline(__always)
  public func prefetchRecord(of index: CustomerIndex) {
    guard let record = slot(index.number).pointee else { return }
    tw_prefetch(record)
    tw_prefetch(record + 64)
    tw_prefetch(record + 128)
    tw_prefetch(record + 192)
    tw_prefetch(record + 256)
  }
}

extension CustomerPlaces {
  /// Asks for records that come a little later in a list which is gone through: first their places, and the records when
  /// those should be there.
  @inline(__always)
  public func prefetchAhead(of position: Int, in list: [CustomerIndex]) {
    if position + 16 < list.count { prefetchPlace(of: list[position + 16]) }
    if position + 8 < list.count { prefetchRecord(of: list[position + 8]) }
  }
}

/// Owned by one thread. Records are reached through `CustomerRecord`, a borrowed pair of pointers.
public struct CustomerTable: ~Copyable {
  /// Seed of the id hash; kept with the state so that the layout cannot be provoked from outside.
  public private(set) var seed: UInt64
  /// Of places. Not an array: `CustomerPlaces` reads it too.
  private var chunks: UnsafeMutablePointer<RecordArena.Owner>
  private var chunkCount = 0
  /// Chunks that `chunks` has room for.
  private var chunkCapacity = 64
  /// Customers.
  public private(set) var count = 0
  /// Places for customers: those up to here are or were taken. `isFree` tells which are not.
  public private(set) var slotCount = 0
  /// Places below `slotCount` that can be taken again.
  private var freeSlots: [UInt32] = []
  private var index: SlotIndex
  var arena = RecordArena()
  /// Slots changed since they were last taken, in the order of their first change: those from `firstDirty` on.
  private var dirtySlots: [UInt32] = []
  private var firstDirty = 0
  /// Ids of the customers removed since the last `drainRemoved`, each behind its length (2 bytes, little-endian).
  private var removedIDs: [UInt8] = []
  /// Places of customers whom a checkpoint being restored has removed again.
  private var removedInRestore: Set<UInt32> = []

  public init(seed: UInt64) {
    self.seed = seed
    index = SlotIndex()
    chunks = .allocate(capacity: chunkCapacity)
  }

  /// With an index that grows early and may run out of bits, for tests.
  package init(seed: UInt64, bucketBits: Int, maxDepth: Int) {
    self.seed = seed
    index = SlotIndex(bucketBits: bucketBits, maxDepth: maxDepth)
    chunks = .allocate(capacity: chunkCapacity)
  }

  deinit {
    for number in 0..<chunkCount { chunks[number].deallocate() }
    chunks.deallocate()
  }

  /// Changes the seed of an empty table (on restore).
  public mutating func reseed(_ seed: UInt64) {
    assert(count == 0, "a table with customers keeps its seed")
    self.seed = seed
  }

  public var bytesInUse: Int { placeBytes + indexBytes + arena.bytesReserved }
  var placeBytes: Int { chunkCount * CustomerPlaces.slotsPerChunk * Self.bytesPerPlace }
  private static let bytesPerPlace = MemoryLayout<UnsafeMutableRawPointer?>.stride
  var indexBytes: Int { index.bytesInUse }

  /// What customers and their index need now; `bytesInUse` also counts what those who were removed, and records that have
  /// moved, left for others.
  public var bytesNeeded: Int {
    count * Self.bytesPerPlace + indexBytes + arena.bytesInUse + removedIDs.capacity
      + (dirtySlots.capacity + freeSlots.capacity) * MemoryLayout<UInt32>.stride
  }

  @inline(__always)
  func slot(_ number: UInt32) -> RecordArena.Owner { places.slot(number) }

  /// Where the customers are now: good until one is added.
  @inline(__always)
  public var places: CustomerPlaces { CustomerPlaces(chunks: chunks) }

  @inline(__always)
  public func record(_ index: CustomerIndex) -> CustomerRecord { places.record(index) }

  /// Whether nobody has this place, which is below `slotCount`.
  @inline(__always)
  public func isFree(_ index: CustomerIndex) -> Bool { slot(index.number).pointee == nil }

  /// The hash of an id in this table: made once an event, and handed to what follows.
  @inline(__always)
  public func hash(of id: UnsafeRawBufferPointer) -> UInt64 { Self.hash(of: id, seed: seed) }

  /// The hash of an id in a table with this seed. Its upper half says where the customer lies in there.
  @inline(__always)
  public static func hash(of id: UnsafeRawBufferPointer, seed: UInt64) -> UInt64 {
    tw_xxh3_64(id.baseAddress, id.count, seed)
  }

  // Mutating, though nothing changes: a table that is only borrowed would be copied to the stack, field by field.

  /// Asks for the memory in which `find` will look first, so that it is there when a batch comes to it.
  @inline(__always)
  public mutating func prefetchIndex(_ hash: UInt64) { tw_prefetch(index.first(of: hash)) }

  /// Likewise for the place that the index names, and its record once that is known.
  @inline(__always)
  public mutating func prefetchPlace(_ hash: UInt64) {
    if let number = index.likelySlot(of: hash) { places.prefetchPlace(of: CustomerIndex(number: number)) }
  }

  @inline(__always)
  public mutating func prefetchRecord(_ hash: UInt64) {
    if let number = index.likelySlot(of: hash) { places.prefetchRecord(of: CustomerIndex(number: number)) }
  }

  public func find(_ id: UnsafeRawBufferPointer) -> CustomerIndex? { find(id, hash: hash(of: id)) }

  @inline(__always)
  public func find(_ id: UnsafeRawBufferPointer, hash: UInt64) -> CustomerIndex? {
    let places = places
    return index.find(hash) { CustomerRecord(owner: places.slot($0)).hasID(id) }.map { CustomerIndex(number: $0) }
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
    let number = takeSlot()
    CustomerRecord(owner: slot(number)).begin(id: id, tagCount: tagCount, in: &arena)
    index.insert(number, hash: hash)
    return CustomerIndex(number: number)
  }

  private mutating func takeSlot() -> UInt32 {
    count += 1
    if let free = freeSlots.popLast() { return free }
    if slotCount == chunkCount * CustomerPlaces.slotsPerChunk { addChunk() }
    let number = UInt32(slotCount)
    slotCount += 1
    slot(number).initialize(to: nil)
    return number
  }

  private mutating func addChunk() {
    if chunkCount == chunkCapacity {
      chunkCapacity *= 2
      let larger = UnsafeMutablePointer<RecordArena.Owner>.allocate(capacity: chunkCapacity)
      larger.initialize(from: chunks, count: chunkCount)
      chunks.deallocate()
      chunks = larger
    }
    (chunks + chunkCount).initialize(to: .allocate(capacity: CustomerPlaces.slotsPerChunk))
    chunkCount += 1
  }

  /// Does a bounded share of what keeps memory in order. Moves what records point to: to be called between two of them,
  /// when nobody holds a pointer into one.
  @inline(__always)
  public mutating func tidy() {
    if arena.isCleaningDue { arena.clean { CustomerRecord(owner: $0).trim(from: $1) } }
  }

  // MARK: Removal

  /// Takes a customer out; the next `drainRemoved` tells. Its place and its memory are for others.
  public mutating func remove(_ index: CustomerIndex) {
    let id = record(index).id
    withUnsafeBytes(of: UInt16(truncatingIfNeeded: id.count).littleEndian) { removedIDs.append(contentsOf: $0) }
    removedIDs.append(contentsOf: id)
    free(index.number)
  }

  /// Takes a customer out whom a later block of a checkpoint removes. The place is kept until `endRestore`: it may come
  /// again in a block behind that.
  public mutating func restoreRemoval(id: UnsafeRawBufferPointer) {
    guard let index = find(id), removedInRestore.insert(index.number).inserted else { return }
    count -= 1
  }

  /// After the last entry of a checkpoint: gives up the places of those who were removed. The others lie in the order in
  /// which their first entries came, so that what goes over the table does not depend on who was there in between.
  public mutating func endRestore() {
    if removedInRestore.isEmpty { return }
    var kept: UInt32 = 0
    for number in 0..<UInt32(slotCount) {
      guard let block = slot(number).pointee else { continue }
      let capacity = record(CustomerIndex(number: number)).head.pointee.capacity
      if removedInRestore.contains(number) {
        arena.deallocate(block, capacity: capacity)
      } else {
        if kept != number {
          slot(kept).pointee = block
          arena.setOwner(slot(kept), of: block, capacity: capacity)
        }
        kept += 1
      }
    }
    slotCount = Int(kept)
    removedInRestore = []
    index.removeAll()
    for number in 0..<kept { index.insert(number, hash: hash(of: record(CustomerIndex(number: number)).id)) }
  }

  private mutating func free(_ number: UInt32) {
    let slot = slot(number)
    guard let block = slot.pointee else { return }
    let record = CustomerRecord(owner: slot)
    index.remove(number, hash: hash(of: record.id))
    arena.deallocate(block, capacity: record.head.pointee.capacity)
    slot.pointee = nil
    freeSlots.append(number)
    count -= 1
  }

  /// Calls back with the id of each customer who was removed since the last call and has not come back, valid in the call
  /// only. One who was removed twice may be named twice.
  public mutating func drainRemoved(_ body: (_ id: UnsafeRawBufferPointer) throws -> Void) rethrows {
    if removedIDs.isEmpty { return }
    let removed = removedIDs
    try removed.withUnsafeBytes { bytes in
      var place = 0
      while place < bytes.count {
        let end = place + 2 + Int(UInt16(littleEndian: bytes.loadUnaligned(fromByteOffset: place, as: UInt16.self)))
        let id = UnsafeRawBufferPointer(rebasing: bytes[place + 2..<end])
        if find(id) == nil { try body(id) }
        place = end
      }
    }
    removedIDs.removeAll(keepingCapacity: removed.count < 1 << 20)
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
    let head = record(index).head
    if head.pointee.dirty { return }
    head.pointee.dirty = true
    dirtySlots.append(index.number)
  }

  /// How many customers the next `takeDirty` will look at.
  public var dirtyCount: Int { dirtySlots.count - firstDirty }

  /// Adds each customer changed since it was last taken to `list`, under keys of `kind` and the id.
  public mutating func takeDirty(into list: ChangeList, kind: UInt8) {
    takeDirty(into: list, kind: kind, leaving: 0, isAhead: false)
  }

  /// Likewise, before the end of an epoch: all but those `leaving` that changed last. Whoever changes again is taken
  /// again.
  public mutating func takeDirtyAhead(into list: ChangeList, kind: UInt8, leaving: Int) {
    takeDirty(into: list, kind: kind, leaving: leaving, isAhead: true)
  }

  private mutating func takeDirty(into list: ChangeList, kind: UInt8, leaving: Int, isAhead: Bool) {
    // Far apart in memory: it is asked for some records ahead, places first.
    let prefetched = 16
    let end = dirtySlots.count - leaving
    for place in firstDirty..<max(firstDirty, end) {
      if place + prefetched < end {
        places.prefetchPlace(of: CustomerIndex(number: dirtySlots[place + prefetched]))
      }
      if place + prefetched / 2 < end {
        places.prefetchRecord(of: CustomerIndex(number: dirtySlots[place + prefetched / 2]))
      }
      let index = CustomerIndex(number: dirtySlots[place])
      // Removed since, and perhaps somebody else's place, who may be listed again.
      if isFree(index) { continue }
      let record = record(index)
      guard record.head.pointee.dirty else { continue }
      list.append(kind: kind, record, slot: index.number, isAhead: isAhead)
      record.head.pointee.dirty = false
    }
    firstDirty = max(firstDirty, end)
    if firstDirty == dirtySlots.count {
      dirtySlots.removeAll(keepingCapacity: true)
      firstDirty = 0
    } else if firstDirty > 2 * leaving + 1_024 {
      // Few are left: the array would grow with the epoch otherwise.
      dirtySlots.removeSubrange(0..<firstDirty)
      firstDirty = 0
    }
  }

  /// Puts back an encoded record under its id, replacing an older one.
  public mutating func restore(id: UnsafeRawBufferPointer, encoded: UnsafeRawBufferPointer) throws(RecordError) {
    let encoded = try EncodedRecord(encoded, id: id)
    let number: UInt32
    if let known = find(id) {
      number = known.number
      if removedInRestore.remove(number) != nil { count += 1 }
    } else {
      number = takeSlot()
      record(CustomerIndex(number: number)).decode(encoded, id: id, in: &arena)
      index.insert(number, hash: hash(of: id))
      return
    }
    record(CustomerIndex(number: number)).decode(encoded, id: id, in: &arena)
  }
}

/// A record in a checkpoint that this version cannot read.
public struct RecordError: Error, CustomStringConvertible {
  public let description: String
}
