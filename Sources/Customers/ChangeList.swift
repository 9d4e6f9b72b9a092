// What changed in a task, on its way to a checkpoint: copied out of the tables between records, made into entries by another
// thread.

/// Entries of a checkpoint, in order. In one thread's hands at a time; its memory stays for the next use.
///
/// Customers may be copied ahead of the epoch's end. One that changes again is copied again, and its earlier entry is
/// dropped.
public final class ChangeList {
  private var memory: UnsafeMutableRawPointer
  private var capacity: Int
  private var used = 0
  /// Entries, without those dropped.
  public private(set) var count = 0
  /// Where the entries of those copied ahead are, by the number of their slot.
  private var ahead: [UInt32: Int] = [:]

  /// Before each entry.
  private struct Head {
    var keyBytes: UInt32
    /// `removed`: there is none.
    var valueBytes: UInt32

    static let removed = UInt32.max
    /// Set in `keyBytes`: a later entry is in this one's place.
    static let dropped: UInt32 = 1 << 31
    static let stride = 8
  }

  public init() {
    capacity = 4_096
    memory = .allocate(byteCount: capacity, alignment: 16)
  }

  deinit { memory.deallocate() }

  public var isEmpty: Bool { count == 0 }

  public func removeAll() {
    used = 0
    count = 0
    if !ahead.isEmpty { ahead.removeAll(keepingCapacity: true) }
  }

  // MARK: Adding

  /// Adds an entry; a nil value says that the key is gone. Both are copied.
  ///
  /// - Parameter kind: the key's first byte; nil where `key` is all of it.
  public func append(kind: UInt8? = nil, key: UnsafeRawBufferPointer, value: UnsafeRawBufferPointer?) {
    begin(
      Head(
        keyBytes: UInt32(key.count + (kind == nil ? 0 : 1)),
        valueBytes: value.map { UInt32($0.count) } ?? Head.removed))
    if let kind { add(kind) }
    add(key)
    if let value { add(value) }
  }

  /// Adds a customer under `kind` and its id, in place of what was copied ahead of this slot.
  ///
  /// - Parameter isAhead: it may come again before `removeAll`.
  func append(kind: UInt8, _ record: CustomerRecord, slot: UInt32, isAhead: Bool) {
    if isAhead {
      if let earlier = ahead.updateValue(used, forKey: slot) { drop(earlier) }
    } else if !ahead.isEmpty, let earlier = ahead[slot] {
      drop(earlier)
    }
    let id = record.id
    begin(Head(keyBytes: UInt32(id.count + 1), valueBytes: UInt32(record.encodedBytes)))
    add(kind)
    add(id)
    record.forEachEncodedRun { add($0) }
  }

  private func drop(_ place: Int) {
    let keyBytes = (memory + place).loadUnaligned(as: UInt32.self)
    (memory + place).storeBytes(of: keyBytes | Head.dropped, as: UInt32.self)
    count -= 1
  }

  @inline(__always)
  private func begin(_ head: Head) {
    reserve(Head.stride + Int(head.keyBytes) + (head.valueBytes == Head.removed ? 0 : Int(head.valueBytes)))
    (memory + used).storeBytes(of: head.keyBytes, as: UInt32.self)
    (memory + used + 4).storeBytes(of: head.valueBytes, as: UInt32.self)
    used += Head.stride
    count += 1
  }

  @inline(__always)
  private func add(_ bytes: UnsafeRawBufferPointer) {
    guard let base = bytes.baseAddress else { return }
    (memory + used).copyMemory(from: base, byteCount: bytes.count)
    used += bytes.count
  }

  @inline(__always)
  private func add(_ byte: UInt8) {
    (memory + used).storeBytes(of: byte, as: UInt8.self)
    used += 1
  }

  /// Sees that about so many more entries of the size of those that are there fit without another growth, which copies all of
  /// them into memory that nobody has touched.
  func reserveRoom(for more: Int) {
    if count > 0 { reserve(used / count * more * 3 / 2) }
  }

  private func reserve(_ wanted: Int) {
    guard used + wanted > capacity else { return }
    capacity = max(capacity * 2, used + wanted)
    let larger = UnsafeMutableRawPointer.allocate(byteCount: capacity, alignment: 16)
    larger.copyMemory(from: memory, byteCount: used)
    memory.deallocate()
    memory = larger
  }

  // MARK: Reading

  /// Calls back with each entry as a checkpoint has it. Buffers are valid in the call only.
  public func readEntries(_ body: (_ key: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer?) throws -> Void)
    rethrows
  {
    var place = 0
    while place < used {
      let keyWord = (memory + place).loadUnaligned(as: UInt32.self)
      let keyBytes = Int(keyWord & ~Head.dropped)
      let valueBytes = (memory + place + 4).loadUnaligned(as: UInt32.self)
      place += Head.stride
      let key = UnsafeRawBufferPointer(start: memory + place, count: keyBytes)
      place += keyBytes
      if valueBytes == Head.removed {
        try body(key, nil)
        continue
      }
      let value = UnsafeRawBufferPointer(start: memory + place, count: Int(valueBytes))
      place += Int(valueBytes)
      if keyWord & Head.dropped == 0 { try body(key, value) }
    }
  }
}
