// What changed in a task, on its way to a checkpoint: copied out of the tables between records, made into entries by another
// thread.

/// Entries of a checkpoint, in order. In one thread's hands at a time; its memory stays for the next use.
///
/// Customers may be copied ahead of the epoch's end. One that changes again is copied again, and its earlier entry is
/// dropped.
public final class ChangeList {
  /// Entries lie one behind the other in a chunk, none in two. Chunks do not move: growing costs no more than one of them.
  private struct Chunk {
    let memory: UnsafeMutableRawPointer
    let capacity: Int
    /// Of those before the one being filled.
    var used = 0

    init(capacity: Int) {
      self.capacity = capacity
      memory = .allocate(byteCount: capacity, alignment: 16)
    }
  }

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

  private static let chunkBytes = 256 << 10
  /// Chunks beyond so many are given back by `removeAll`: 64 MiB.
  private static let keptChunks = 256

  private var chunks: [Chunk] = []
  /// The chunk being filled; those behind it are empty.
  private var current = 0
  /// Where the next entry goes, and the end of its chunk.
  private var next: UnsafeMutableRawPointer
  private var end: UnsafeMutableRawPointer
  /// Entries, without those dropped.
  public private(set) var count = 0
  /// The entries of those copied ahead, by the number of their slot.
  private var ahead = FlatMap<UnsafeMutableRawPointer?>(none: nil)

  public init() {
    let first = Chunk(capacity: 4_096)
    chunks = [first]
    next = first.memory
    end = first.memory + first.capacity
  }

  deinit { for chunk in chunks { chunk.memory.deallocate() } }

  public var isEmpty: Bool { count == 0 }

  public func removeAll() {
    for chunk in chunks.dropFirst(Self.keptChunks) { chunk.memory.deallocate() }
    chunks.removeLast(max(0, chunks.count - Self.keptChunks))
    fill(0)
    count = 0
    ahead.removeAll()
  }

  private func fill(_ number: Int) {
    current = number
    next = chunks[number].memory
    end = next + chunks[number].capacity
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
    let id = record.id
    let bytes = record.header.encodedBytes
    let place = begin(Head(keyBytes: UInt32(id.count + 1), valueBytes: UInt32(bytes)))
    if case let earlier?? = isAhead ? ahead.update(slot, to: place) : ahead.find(slot) { drop(earlier) }
    add(kind)
    add(id)
    record.encode(to: next)
    next += bytes
  }

  private func drop(_ entry: UnsafeMutableRawPointer) {
    let keyBytes = entry.loadUnaligned(as: UInt32.self)
    entry.storeBytes(of: keyBytes | Head.dropped, as: UInt32.self)
    count -= 1
  }

  /// Returns where the entry is.
  @inline(__always)
  @discardableResult
  private func begin(_ head: Head) -> UnsafeMutableRawPointer {
    let bytes = Head.stride + Int(head.keyBytes) + (head.valueBytes == Head.removed ? 0 : Int(head.valueBytes))
    if bytes > end - next { goOn(with: bytes) }
    let place = next
    place.storeBytes(of: head.keyBytes, as: UInt32.self)
    place.storeBytes(of: head.valueBytes, toByteOffset: 4, as: UInt32.self)
    next += Head.stride
    count += 1
    return place
  }

  /// Takes the next chunk, which has room for so many bytes.
  private func goOn(with bytes: Int) {
    chunks[current].used = next - chunks[current].memory
    let number = current + 1
    if number == chunks.count {
      chunks.append(Chunk(capacity: max(Self.chunkBytes, bytes)))
    } else if chunks[number].capacity < bytes {
      chunks[number].memory.deallocate()
      chunks[number] = Chunk(capacity: bytes)
    }
    fill(number)
  }

  @inline(__always)
  private func add(_ bytes: UnsafeRawBufferPointer) {
    guard let base = bytes.baseAddress else { return }
    next.copyMemory(from: base, byteCount: bytes.count)
    next += bytes.count
  }

  @inline(__always)
  private func add(_ byte: UInt8) {
    next.storeBytes(of: byte, as: UInt8.self)
    next += 1
  }

  // MARK: Reading

  /// Calls back with each entry as a checkpoint has it. Buffers are valid in the call only.
  public func readEntries(_ body: (_ key: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer?) throws -> Void)
    rethrows
  {
    for number in 0...current {
      var place = chunks[number].memory
      let end = number == current ? next : place + chunks[number].used
      while place < end {
        let keyWord = place.loadUnaligned(as: UInt32.self)
        let keyBytes = Int(keyWord & ~Head.dropped)
        let valueBytes = place.loadUnaligned(fromByteOffset: 4, as: UInt32.self)
        place += Head.stride
        let key = UnsafeRawBufferPointer(start: place, count: keyBytes)
        place += keyBytes
        if valueBytes == Head.removed {
          try body(key, nil)
          continue
        }
        let value = UnsafeRawBufferPointer(start: place, count: Int(valueBytes))
        place += Int(valueBytes)
        if keyWord & Head.dropped == 0 { try body(key, value) }
      }
    }
  }
}
