// Access to one record: the header, and insertion and removal in the sections of its tail.

import Events

/// A borrowed customer record. Valid until the table grows a tail of the same record or goes away;
/// a copy is a pointer, not a copy of the customer.
public struct CustomerRecord {
  let slot: UnsafeMutablePointer<CustomerSlot>

  @inline(__always) init(slot: UnsafeMutablePointer<CustomerSlot>) { self.slot = slot }

  public var header: CustomerHeader {
    @inline(__always) unsafeAddress { UnsafePointer(headerPointer) }
    @inline(__always) nonmutating unsafeMutableAddress { headerPointer }
  }
  @inline(__always)
  private var headerPointer: UnsafeMutablePointer<CustomerHeader> {
    // `header` is the slot's first field.
    UnsafeMutableRawPointer(slot).assumingMemoryBound(to: CustomerHeader.self)
  }

  /// Where the slot holds the tail's address.
  @inline(__always)
  var tailOwner: TailArena.Owner {
    (UnsafeMutableRawPointer(slot) + MemoryLayout<CustomerSlot>.offset(of: \.tail).unsafelyUnwrapped)
      .assumingMemoryBound(to: UnsafeMutableRawPointer?.self)
  }

  /// The record whose slot holds a tail's address there.
  init(tailOwner: TailArena.Owner) {
    self.init(
      slot: (UnsafeMutableRawPointer(tailOwner) - MemoryLayout<CustomerSlot>.offset(of: \.tail).unsafelyUnwrapped)
        .assumingMemoryBound(to: CustomerSlot.self))
  }

  @inline(__always) func count(_ section: Section) -> Int { Int(header.counts[section.rawValue]) }

  /// Where the first block lies.
  @inline(__always) var blocksOffset: Int { (count(.tags) * Section.tags.stride + count(.id) + 7) & ~7 }

  /// Where a section begins; a handful of additions, since the section is known where this is inlined.
  @inline(__always)
  func offset(of section: Section) -> Int {
    if section == .tags { return 0 }
    if section == .id { return count(.tags) * Section.tags.stride }
    var bytes = blocksOffset + header.blocks.bytes
    if section == .orders { return bytes }
    bytes += count(.orders) * Section.orders.stride
    if section == .cart { return bytes }
    bytes += count(.cart) * Section.cart.stride
    if section == .recent { return bytes }
    bytes += count(.recent) * Section.recent.stride
    if section == .categories { return bytes }
    bytes += count(.categories) * Section.categories.stride
    if section == .channels { return bytes }
    return bytes + count(.channels) * Section.channels.stride
  }
  @inline(__always)
  var tailBytes: Int { offset(of: .cells) + count(.cells) * Section.cells.stride }

  /// The section's elements as raw memory; nil base when there is no tail yet.
  @inline(__always)
  func pointer(_ section: Section) -> UnsafeMutableRawPointer? {
    guard let tail = slot.pointee.tail else { return nil }
    return tail + offset(of: section)
  }

  @inline(__always)
  public var id: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: pointer(.id), count: count(.id)) }

  @inline(__always)
  func hasID(_ other: UnsafeRawBufferPointer) -> Bool {
    guard count(.id) == other.count, let a = pointer(.id), let b = other.baseAddress else { return false }
    return equalBytes(a, b, other.count)
  }

  // MARK: Sections

  /// Makes room for `added` elements at `position` of a section behind the blocks; returns where they go (contents
  /// undefined). The caller has checked that the count stays below 65536.
  @discardableResult
  @inline(__always)
  func insert(_ section: Section, at position: Int, count added: Int = 1, in arena: inout TailArena)
    -> UnsafeMutableRawPointer
  {
    assert(section != .tags && section != .id && count(section) + added <= Int(UInt16.max))
    let place = open(at: offset(of: section) + position * section.stride, bytes: added * section.stride, in: &arena)
    header.counts[section.rawValue] += UInt16(added)
    return place
  }

  /// Bytes that a small block has to spare when it was grown (larger ones get a share of their size): without, every event
  /// of a customer would move its record, and cleaning up behind it would move the records of others.
  private static let roomToGrow = 24

  /// The tail is moved anyway: a larger one gives up what it needed for orders and days that are past. Returns its new
  /// capacity.
  func trim(from capacity: Int) -> Int {
    guard capacity > TailArena.smallAtMost else { return capacity }
    let wanted = min(capacity, TailArena.capacity(for: tailBytes + Self.roomToGrow))
    slot.pointee.tailCapacity = wanted
    return wanted
  }

  /// Moves what lies from `place` on by `grown` bytes; returns the address of `place`.
  private func open(at place: Int, bytes grown: Int, in arena: inout TailArena) -> UnsafeMutableRawPointer {
    let used = tailBytes
    let capacity = slot.pointee.tailCapacity
    if used + grown > capacity {
      let newCapacity = TailArena.capacity(
        for: used + grown + (used < TailArena.smallAtMost ? CustomerRecord.roomToGrow : 0))
      let block = arena.allocate(capacity: newCapacity, owner: tailOwner)
      if let old = slot.pointee.tail {
        block.copyMemory(from: old, byteCount: place)
        (block + place + grown).copyMemory(from: old + place, byteCount: used - place)
        arena.deallocate(old, capacity: capacity)
      }
      slot.pointee.tail = block
      slot.pointee.tailCapacity = newCapacity
    } else if let tail = slot.pointee.tail, used > place {
      moveBytes(to: tail + place + grown, from: tail + place, used - place)
    }
    return slot.pointee.tail.unsafelyUnwrapped + place
  }

  /// Takes `removed` elements out of a section behind the blocks, from `position` on. Memory is kept for the next insertion.
  @inline(__always)
  func remove(_ section: Section, at position: Int, count removed: Int = 1) {
    guard removed > 0, let tail = slot.pointee.tail else { return }
    assert(section != .tags && section != .id && position + removed <= count(section))
    let used = tailBytes
    let place = offset(of: section) + position * section.stride
    let shrunk = removed * section.stride
    moveBytes(to: tail + place, from: tail + place + shrunk, used - place - shrunk)
    header.counts[section.rawValue] -= UInt16(removed)
  }

  /// A new record: its id and `tagCount` unset tags.
  func begin(id: UnsafeRawBufferPointer, tagCount: Int, in arena: inout TailArena) {
    assert(slot.pointee.tail == nil && id.count <= Int(UInt16.max) && tagCount <= Int(UInt16.max))
    header.counts[Section.tags.rawValue] = UInt16(tagCount)
    header.counts[Section.id.rawValue] = UInt16(id.count)
    let bytes = blocksOffset
    // Room for what the first event brings: its id, two names and a day's cell.
    let capacity = TailArena.capacity(for: bytes + 32)
    let block = arena.allocate(capacity: capacity, owner: tailOwner)
    block.initializeMemory(as: UInt8.self, repeating: 0, count: bytes)
    if let source = id.baseAddress {
      (block + tagCount * Section.tags.stride).copyMemory(from: source, byteCount: id.count)
    }
    slot.pointee.tail = block
    slot.pointee.tailCapacity = capacity
  }

  // MARK: Blocks

  /// Where a block lies; nil when the record has none.
  @inline(__always)
  private func pointer(_ block: Blocks) -> UnsafeMutableRawPointer? {
    guard header.blocks.contains(block), let tail = slot.pointee.tail else { return nil }
    return tail + blocksOffset + before(block).bytes
  }

  /// The blocks of this record that lie before `block`.
  @inline(__always)
  private func before(_ block: Blocks) -> Blocks { Blocks(rawValue: header.blocks.rawValue & (block.rawValue &- 1)) }

  /// Where a block lies, made with what `initial` says if the record had none.
  @inline(__always)
  private func block<T>(_ block: Blocks, initial: @autoclosure () -> T, in arena: inout TailArena)
    -> UnsafeMutablePointer<T>
  {
    if let known = pointer(block) { return known.assumingMemoryBound(to: T.self) }
    let place = open(at: blocksOffset + before(block).bytes, bytes: MemoryLayout<T>.stride, in: &arena)
    header.blocks.insert(block)
    let made = place.assumingMemoryBound(to: T.self)
    made.initialize(to: initial())
    return made
  }

  /// Where the customer's state of alerts lies; nil when it has none.
  @inline(__always)
  var alertsPointer: UnsafeMutableRawPointer? { pointer(.alerts) }

  /// Where the sums over orders lie; nil when there are none.
  @inline(__always)
  var purchases: UnsafeMutablePointer<PurchaseState>? {
    pointer(.purchases)?.assumingMemoryBound(to: PurchaseState.self)
  }

  @inline(__always)
  private func read<T>(_ block: Blocks, or absent: @autoclosure () -> T) -> T {
    pointer(block)?.assumingMemoryBound(to: T.self).pointee ?? absent()
  }

  /// Over all orders.
  @inline(__always)
  public var totals: OrderTotals { read(.purchases, or: PurchaseState()).totals }
  /// Over the orders that left the list.
  var archived: OrderTotals { read(.archive, or: OrderTotals()) }
  var cartClearedAt: Instant { read(.purchases, or: PurchaseState()).cartClearedAt }
  public var profile: ProfileState { read(.profile, or: ProfileState()) }
  public var alerts: AlertState { read(.alerts, or: AlertState()) }

  func setTotals(_ totals: OrderTotals, in arena: inout TailArena) {
    block(.purchases, initial: PurchaseState(), in: &arena).pointee.totals = totals
  }
  func setCartClearedAt(_ instant: Instant, in arena: inout TailArena) {
    block(.purchases, initial: PurchaseState(), in: &arena).pointee.cartClearedAt = instant
  }
  func setArchived(_ totals: OrderTotals, in arena: inout TailArena) {
    block(.archive, initial: OrderTotals(), in: &arena).pointee = totals
  }
  func setProfile(_ profile: ProfileState, in arena: inout TailArena) {
    block(.profile, initial: ProfileState(), in: &arena).pointee = profile
  }
  func setAlerts(_ alerts: AlertState, in arena: inout TailArena) {
    block(.alerts, initial: AlertState(), in: &arena).pointee = alerts
  }

  // MARK: Tags

  /// Number of tag slots of this record.
  @inline(__always)
  public var tagCount: Int { count(.tags) }

  /// The stored value of a rule's tag: 0 unset, else the rule's code (a `Symbol` number for text tags).
  public subscript(tag rule: Int) -> UInt32 {
    @inline(__always) get {
      UInt32(slot.pointee.tail.unsafelyUnwrapped.load(fromByteOffset: rule * Section.tags.stride, as: UInt16.self))
    }
    @inline(__always) nonmutating set {
      slot.pointee.tail.unsafelyUnwrapped.storeBytes(
        of: UInt16(truncatingIfNeeded: newValue), toByteOffset: rule * Section.tags.stride, as: UInt16.self)
    }
  }

  /// New tags are unset. Moves everything: done when the rules changed, not for events.
  func resizeTags(to wanted: Int, in arena: inout TailArena) {
    let now = count(.tags)
    guard wanted != now, let old = slot.pointee.tail else { return }
    let used = tailBytes
    let oldBlocks = blocksOffset
    let oldID = offset(of: .id)
    let capacity = slot.pointee.tailCapacity
    header.counts[Section.tags.rawValue] = UInt16(wanted)
    let newCapacity = TailArena.capacity(for: blocksOffset + used - oldBlocks)
    let block = arena.allocate(capacity: newCapacity, owner: tailOwner)
    block.initializeMemory(as: UInt8.self, repeating: 0, count: blocksOffset)
    block.copyMemory(from: old, byteCount: min(now, wanted) * Section.tags.stride)
    (block + offset(of: .id)).copyMemory(from: old + oldID, byteCount: count(.id))
    (block + blocksOffset).copyMemory(from: old + oldBlocks, byteCount: used - oldBlocks)
    arena.deallocate(old, capacity: capacity)
    slot.pointee.tail = block
    slot.pointee.tailCapacity = newCapacity
  }
}

@inline(__always)
func moveBytes(to: UnsafeMutableRawPointer, from: UnsafeMutableRawPointer, _ count: Int) {
  if count > 0 { to.copyMemory(from: from, byteCount: count) }  // copyMemory allows overlap
}

@inline(__always)
func equalBytes(_ a: UnsafeRawPointer, _ b: UnsafeRawPointer, _ count: Int) -> Bool {
  var i = 0
  while i + 8 <= count {
    if a.loadUnaligned(fromByteOffset: i, as: UInt64.self) != b.loadUnaligned(fromByteOffset: i, as: UInt64.self) {
      return false
    }
    i += 8
  }
  while i < count {
    if a.load(fromByteOffset: i, as: UInt8.self) != b.load(fromByteOffset: i, as: UInt8.self) { return false }
    i += 1
  }
  return true
}
