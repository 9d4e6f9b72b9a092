// Access to one record: the header, and insertion and removal in the sections of its tail.

import Events

/// A borrowed customer record. Valid until the table grows a tail of the same record or goes away;
/// a copy is a pair of pointers, not a copy of the customer.
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

  @inline(__always) func count(_ section: Section) -> Int { Int(header.counts[section.rawValue]) }

  private func offset(of section: Section) -> Int {
    var bytes = 0
    for i in 0..<section.rawValue { bytes += Int(header.counts[i]) * Int(Section.strides[i]) }
    return bytes
  }
  private var tailBytes: Int { offset(of: .id) + count(.id) }

  /// The section's elements as raw memory; nil base when empty.
  func pointer(_ section: Section) -> UnsafeMutableRawPointer? {
    guard let tail = slot.pointee.tail else { return nil }
    return tail + offset(of: section)
  }

  public var id: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: pointer(.id), count: count(.id)) }

  func hasID(_ other: UnsafeRawBufferPointer) -> Bool {
    let mine = id
    guard mine.count == other.count, let a = mine.baseAddress, let b = other.baseAddress else { return false }
    return equalBytes(a, b, mine.count)
  }

  /// Makes room for `added` elements at `position` of a section; returns where they go (contents undefined).
  /// The caller has checked that the count stays below 65536.
  @discardableResult
  func insert(_ section: Section, at position: Int, count added: Int = 1, in arena: inout TailArena)
    -> UnsafeMutableRawPointer
  {
    let used = tailBytes
    let place = offset(of: section) + position * section.stride
    let grown = added * section.stride
    assert(count(section) + added <= Int(UInt16.max) && position <= count(section))
    let capacity = Int(slot.pointee.tailCapacity)
    if used + grown > capacity {
      let newCapacity = TailArena.capacity(for: used + grown)
      let block = arena.allocate(capacity: newCapacity)
      if let old = slot.pointee.tail {
        block.copyMemory(from: old, byteCount: place)
        (block + place + grown).copyMemory(from: old + place, byteCount: used - place)
        arena.deallocate(old, capacity: capacity)
      }
      slot.pointee.tail = block
      slot.pointee.tailCapacity = Int32(newCapacity)
    } else if let tail = slot.pointee.tail, used > place {
      moveBytes(to: tail + place + grown, from: tail + place, used - place)
    }
    header.counts[section.rawValue] += UInt16(added)
    return slot.pointee.tail.unsafelyUnwrapped + place
  }

  /// Takes `removed` elements out of a section from `position` on. Memory is kept for the next insertion.
  func remove(_ section: Section, at position: Int, count removed: Int = 1) {
    guard removed > 0, let tail = slot.pointee.tail else { return }
    assert(position + removed <= count(section))
    let used = tailBytes
    let place = offset(of: section) + position * section.stride
    let shrunk = removed * section.stride
    moveBytes(to: tail + place, from: tail + place + shrunk, used - place - shrunk)
    header.counts[section.rawValue] -= UInt16(removed)
  }

  func replaceAll(_ section: Section, with bytes: UnsafeRawBufferPointer, in arena: inout TailArena) {
    remove(section, at: 0, count: count(section))
    guard let source = bytes.baseAddress, bytes.count > 0 else { return }
    insert(section, at: 0, count: bytes.count / section.stride, in: &arena)
      .copyMemory(from: source, byteCount: bytes.count)
  }

  // MARK: Tags

  /// Number of tag slots of this record.
  public var tagCount: Int { count(.tags) }

  /// The stored value of a rule's tag: 0 unset, else the rule's code (a `Symbol` number for text tags).
  public subscript(tag rule: Int) -> UInt32 {
    get { pointer(.tags).unsafelyUnwrapped.load(fromByteOffset: rule * 4, as: UInt32.self) }
    nonmutating set {
      pointer(.tags).unsafelyUnwrapped.storeBytes(of: newValue, toByteOffset: rule * 4, as: UInt32.self)
    }
  }

  func resizeTags(to wanted: Int, in arena: inout TailArena) {
    let now = count(.tags)
    if wanted > now {
      let added = insert(.tags, at: now, count: wanted - now, in: &arena)
      added.initializeMemory(as: UInt8.self, repeating: 0, count: (wanted - now) * 4)
    } else {
      remove(.tags, at: wanted, count: now - wanted)
    }
  }

  // MARK: Checkpoints

  /// Header, then the tail as it lies in memory.
  func encode(into buffer: inout [UInt8]) {
    buffer.removeAll(keepingCapacity: true)
    buffer.append(contentsOf: UnsafeRawBufferPointer(start: slot, count: MemoryLayout<CustomerHeader>.size))
    buffer.append(contentsOf: UnsafeRawBufferPointer(start: slot.pointee.tail, count: tailBytes))
  }

  static func check(_ encoded: UnsafeRawBufferPointer, id: UnsafeRawBufferPointer) throws(RecordError) {
    let size = MemoryLayout<CustomerHeader>.size
    guard encoded.count >= size else {
      throw RecordError(
        description: "a customer record of \(encoded.count) bytes is shorter than its header of \(size)")
    }
    let counts = encoded.loadUnaligned(as: SIMD8<UInt16>.self)
    var expected = size
    for i in 0..<8 { expected += Int(counts[i]) * Int(Section.strides[i]) }
    guard expected == encoded.count, Int(counts[Section.id.rawValue]) == id.count else {
      throw RecordError(
        description: "a customer record of \(encoded.count) bytes should be \(expected) by its own counts")
    }
  }

  /// `encoded` has passed `check`.
  func decode(_ encoded: UnsafeRawBufferPointer, in arena: inout TailArena) {
    if let old = slot.pointee.tail { arena.deallocate(old, capacity: Int(slot.pointee.tailCapacity)) }
    let size = MemoryLayout<CustomerHeader>.size
    UnsafeMutableRawPointer(slot).copyMemory(from: encoded.baseAddress.unsafelyUnwrapped, byteCount: size)
    let bytes = encoded.count - size
    let capacity = TailArena.capacity(for: bytes)
    let block = arena.allocate(capacity: capacity)
    block.copyMemory(from: encoded.baseAddress.unsafelyUnwrapped + size, byteCount: bytes)
    slot.pointee.tail = block
    slot.pointee.tailCapacity = Int32(capacity)
  }
}

@inline(__always)
func moveBytes(to: UnsafeMutableRawPointer, from: UnsafeMutableRawPointer, _ count: Int) {
  if count > 0 { to.copyMemory(from: from, byteCount: count) }  // copyMemory allows overlap
}

@inline(__always)
func equalBytes(_ a: UnsafeRawPointer, _ b: UnsafeRawPointer, _ count: Int) -> Bool {
  for i in 0..<count where a.load(fromByteOffset: i, as: UInt8.self) != b.load(fromByteOffset: i, as: UInt8.self) {
    return false
  }
  return true
}
