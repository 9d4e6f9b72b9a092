// Access to one record: the header, and insertion and removal in the sections of its tail.

import Events

extension CustomerHeader {
  @inline(__always) func count(_ section: Section) -> Int { Int(counts[section]) }

  /// Where in the tail the first block lies.
  @inline(__always) var blocksOffset: Int { (count(.tags) * Section.tags.stride + count(.id) + 7) & ~7 }

  /// Where in the tail a section begins; a handful of additions, since the section is known where this is inlined.
  @inline(__always)
  func offset(of section: Section) -> Int {
    if section == .tags { return 0 }
    if section == .id { return count(.tags) * Section.tags.stride }
    var bytes = blocksOffset + blocks.bytes
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
}

/// A borrowed customer record. Valid until its customer is removed or the table goes away; pointers into it, until the record
/// grows or the table tidies up. A copy is a pointer, not a copy of the customer.
public struct CustomerRecord {
  /// Where the table holds the address of the record's block.
  let owner: RecordArena.Owner

  @inline(__always) init(owner: RecordArena.Owner) { self.owner = owner }

  /// Whether the customer was removed: there is no header and no tail then.
  @inline(__always)
  public var isGone: Bool { owner.pointee == nil }

  /// The header's; never, for one who is gone: a timer may be left that names the place.
  public var due: Instant { isGone ? .distantFuture : header.due }

  @inline(__always)
  private var block: UnsafeMutableRawPointer { owner.pointee.unsafelyUnwrapped }

  @inline(__always)
  var head: UnsafeMutablePointer<RecordHead> { block.assumingMemoryBound(to: RecordHead.self) }

  @inline(__always)
  var tail: UnsafeMutableRawPointer { block + RecordHead.bytes }

  public var header: CustomerHeader {
    @inline(__always) unsafeAddress { UnsafePointer(headerPointer) }
    @inline(__always) nonmutating unsafeMutableAddress { headerPointer }
  }
  @inline(__always)
  private var headerPointer: UnsafeMutablePointer<CustomerHeader> {
    // `header` is the head's first field.
    block.assumingMemoryBound(to: CustomerHeader.self)
  }

  @inline(__always) func count(_ section: Section) -> Int { header.count(section) }
  @inline(__always) var blocksOffset: Int { header.blocksOffset }
  @inline(__always) func offset(of section: Section) -> Int { header.offset(of: section) }
  @inline(__always) var tailBytes: Int { header.tailBytes }

  /// The section's elements as raw memory.
  @inline(__always)
  func pointer(_ section: Section) -> UnsafeMutableRawPointer { tail + offset(of: section) }

  @inline(__always)
  public var id: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: pointer(.id), count: count(.id)) }

  @inline(__always)
  func hasID(_ other: UnsafeRawBufferPointer) -> Bool {
    guard count(.id) == other.count, let b = other.baseAddress else { return false }
    return equalBytes(pointer(.id), b, other.count)
  }

  // MARK: Sections

  /// Makes room for `added` elements at `position` of a section behind the blocks; returns where they go (contents
  /// undefined). The caller has checked that the count stays below 65536.
  @discardableResult
  @inline(__always)
  func insert(_ section: Section, at position: Int, count added: Int = 1, in arena: inout RecordArena)
    -> UnsafeMutableRawPointer
  {
    assert(section != .tags && section != .id && count(section) + added <= Int(UInt16.max))
    let place = open(at: offset(of: section) + position * section.stride, bytes: added * section.stride, in: &arena)
    header.counts[section] += UInt16(added)
    return place
  }

  /// Bytes that a small block has to spare when it was grown (larger ones get a share of their size): without, every event
  /// of a customer would move its record, and cleaning up behind it would move the records of others.
  private static let roomToGrow = 24

  /// The record is moved anyway: a larger one gives up what it needed for orders and days that are past. Returns its new
  /// capacity.
  func trim(from capacity: Int) -> Int {
    guard capacity > RecordArena.smallAtMost else { return capacity }
    let wanted = min(capacity, RecordArena.capacity(for: RecordHead.bytes + tailBytes + Self.roomToGrow))
    head.pointee.capacity = wanted
    return wanted
  }

  /// Moves what lies from `place` of the tail on by `grown` bytes; returns the address of `place`.
  private func open(at place: Int, bytes grown: Int, in arena: inout RecordArena) -> UnsafeMutableRawPointer {
    let used = tailBytes
    let needed = RecordHead.bytes + used + grown
    if needed > head.pointee.capacity {
      move(
        toCapacity: RecordArena.capacity(for: needed + (needed < RecordArena.smallAtMost ? Self.roomToGrow : 0)),
        leaving: grown, at: place, in: &arena)
    } else if used > place {
      moveBytes(to: tail + place + grown, from: tail + place, used - place)
    }
    return tail + place
  }

  /// Gives the record another block, with `grown` bytes (contents undefined) at `place` of the tail.
  private func move(toCapacity newCapacity: Int, leaving grown: Int, at place: Int, in arena: inout RecordArena) {
    let old = block
    let (capacity, used) = (head.pointee.capacity, RecordHead.bytes + tailBytes)
    let before = RecordHead.bytes + place
    let new = arena.allocate(capacity: newCapacity, owner: owner)
    new.copyMemory(from: old, byteCount: before)
    (new + before + grown).copyMemory(from: old + before, byteCount: used - before)
    arena.deallocate(old, capacity: capacity)
    owner.pointee = new
    head.pointee.capacity = newCapacity
  }

  /// Takes `removed` elements out of a section behind the blocks, from `position` on. Memory is kept for the next insertion.
  @inline(__always)
  func remove(_ section: Section, at position: Int, count removed: Int = 1) {
    guard removed > 0 else { return }
    assert(section != .tags && section != .id && position + removed <= count(section))
    let used = tailBytes
    let place = offset(of: section) + position * section.stride
    let shrunk = removed * section.stride
    moveBytes(to: tail + place, from: tail + place + shrunk, used - place - shrunk)
    header.counts[section] -= UInt16(removed)
  }

  /// A new record, where there is none: its id and `tagCount` unset tags.
  func begin(id: UnsafeRawBufferPointer, tagCount: Int, in arena: inout RecordArena) {
    assert(owner.pointee == nil && id.count <= Int(UInt16.max) && tagCount <= Int(UInt16.max))
    var header = CustomerHeader()
    header.counts[.tags] = UInt16(tagCount)
    header.counts[.id] = UInt16(id.count)
    // Room for what the first event brings: its id, two names and a day's cell.
    take(header, capacity: RecordArena.capacity(for: RecordHead.bytes + header.blocksOffset + 32), in: &arena)
    tail.initializeMemory(as: UInt8.self, repeating: 0, count: blocksOffset)
    if let source = id.baseAddress { pointer(.id).copyMemory(from: source, byteCount: id.count) }
  }

  /// Gives a customer who has none a block that begins with a header; the tail's contents are undefined.
  func take(_ header: CustomerHeader, capacity: Int, in arena: inout RecordArena) {
    let block = arena.allocate(capacity: capacity, owner: owner)
    block.initializeMemory(as: RecordHead.self, to: RecordHead(header: header, capacity: capacity))
    owner.pointee = block
  }

  // MARK: Blocks

  /// Where a block lies; nil when the record has none.
  @inline(__always)
  private func pointer(_ block: Blocks) -> UnsafeMutableRawPointer? {
    guard header.blocks.contains(block) else { return nil }
    return tail + blocksOffset + before(block).bytes
  }

  /// The blocks of this record that lie before `block`.
  @inline(__always)
  private func before(_ block: Blocks) -> Blocks { Blocks(rawValue: header.blocks.rawValue & (block.rawValue &- 1)) }

  /// Where a block lies, made with what `initial` says if the record had none.
  @inline(__always)
  private func block<T>(_ block: Blocks, initial: @autoclosure () -> T, in arena: inout RecordArena)
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

  func setTotals(_ totals: OrderTotals, in arena: inout RecordArena) {
    block(.purchases, initial: PurchaseState(), in: &arena).pointee.totals = totals
  }
  func setCartClearedAt(_ instant: Instant, in arena: inout RecordArena) {
    block(.purchases, initial: PurchaseState(), in: &arena).pointee.cartClearedAt = instant
  }
  func setArchived(_ totals: OrderTotals, in arena: inout RecordArena) {
    block(.archive, initial: OrderTotals(), in: &arena).pointee = totals
  }
  func setProfile(_ profile: ProfileState, in arena: inout RecordArena) {
    block(.profile, initial: ProfileState(), in: &arena).pointee = profile
  }
  func setAlerts(_ alerts: AlertState, in arena: inout RecordArena) {
    block(.alerts, initial: AlertState(), in: &arena).pointee = alerts
  }

  // MARK: Tags

  /// Number of tag slots of this record.
  @inline(__always)
  public var tagCount: Int { count(.tags) }

  /// The stored value of a rule's tag: 0 unset, else the rule's code (a `Symbol` number for text tags).
  public subscript(tag rule: Int) -> UInt32 {
    @inline(__always) get {
      UInt32(tail.load(fromByteOffset: rule * Section.tags.stride, as: UInt16.self))
    }
    @inline(__always) nonmutating set {
      tail.storeBytes(
        of: UInt16(truncatingIfNeeded: newValue), toByteOffset: rule * Section.tags.stride, as: UInt16.self)
    }
  }

  /// New tags are unset. Moves everything: done when the rules changed, not for events.
  func resizeTags(to wanted: Int, in arena: inout RecordArena) {
    let now = count(.tags)
    if wanted == now { return }
    let old = (block: block, tail: tail, header: header, head: head.pointee)
    var header = header
    header.counts[.tags] = UInt16(wanted)
    take(header, capacity: RecordArena.capacity(for: RecordHead.bytes + header.tailBytes), in: &arena)
    head.pointee.dirty = old.head.dirty
    tail.initializeMemory(as: UInt8.self, repeating: 0, count: blocksOffset)
    tail.copyMemory(from: old.tail, byteCount: min(now, wanted) * Section.tags.stride)
    pointer(.id).copyMemory(from: old.tail + old.header.offset(of: .id), byteCount: count(.id))
    (tail + blocksOffset).copyMemory(
      from: old.tail + old.header.blocksOffset, byteCount: old.header.tailBytes - old.header.blocksOffset)
    arena.deallocate(old.block, capacity: old.head.capacity)
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
