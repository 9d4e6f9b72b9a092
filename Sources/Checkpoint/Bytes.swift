// Raw little-endian bytes: a growable buffer, unaligned loads, and the checksum of them.
import CXXHash

/// XXH3 (64 bits, seed 0).
@inline(__always)
func checksum(_ bytes: UnsafeRawBufferPointer) -> UInt64 {
  tw_xxh3_64(bytes.baseAddress, bytes.count, 0)
}

extension UnsafeRawBufferPointer {
  /// The little-endian integer at `offset`; the caller has checked the bounds.
  @inline(__always)
  func load<T: FixedWidthInteger & BitwiseCopyable>(_ type: T.Type, at offset: Int) -> T {
    assert(offset >= 0 && offset + MemoryLayout<T>.size <= count)
    return T(littleEndian: loadUnaligned(fromByteOffset: offset, as: T.self))
  }

  @inline(__always)
  func slice(_ start: Int, _ end: Int) -> UnsafeRawBufferPointer {
    assert(start >= 0 && start <= end && end <= count)
    return UnsafeRawBufferPointer(rebasing: self[start..<end])
  }
}

/// A growable buffer that is never zero-filled and keeps its memory when cleared. Nobody else has that memory: it may go from
/// thread to thread.
struct RawBuffer: ~Copyable, @unchecked Sendable {
  private var storage: UnsafeMutableRawBufferPointer
  private(set) var count = 0

  init(capacity: Int) {
    storage = .allocate(byteCount: Swift.max(capacity, 64), alignment: 64)
  }

  deinit { storage.deallocate() }

  var capacity: Int { storage.count }

  /// Valid as long as the buffer lives and does not grow: for an owner that goes on using the buffer. Of a local
  /// buffer use `withBytes`.
  var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(rebasing: storage[..<count]) }

  borrowing func withBytes<T, E: Error>(_ body: (UnsafeRawBufferPointer) throws(E) -> T) throws(E) -> T {
    let bytes = bytes
    return try withExtendedLifetime(self) { () throws(E) -> T in try body(bytes) }
  }

  /// All the memory, written or not, for reading a file into.
  var writable: UnsafeMutableRawBufferPointer { storage }

  mutating func clear() { count = 0 }

  /// Declares the first `count` bytes of `writable` to be filled.
  mutating func setCount(_ newCount: Int) {
    assert(newCount <= capacity)
    count = newCount
  }

  mutating func reserve(_ total: Int) {
    if total <= storage.count { return }
    let larger = UnsafeMutableRawBufferPointer.allocate(
      byteCount: Swift.max(total, storage.count + storage.count / 2), alignment: 64)
    larger.copyMemory(from: bytes)
    storage.deallocate()
    storage = larger
  }

  /// Gives memory back after an unusually large use.
  mutating func shrink(toAtMost limit: Int) {
    if storage.count <= limit { return }
    storage.deallocate()
    storage = .allocate(byteCount: limit, alignment: 64)
    count = 0
  }

  @inline(__always)
  mutating func append(_ source: UnsafeRawBufferPointer) {
    reserve(count + source.count)
    if let from = source.baseAddress {
      storage.baseAddress.unsafelyUnwrapped.advanced(by: count).copyMemory(from: from, byteCount: source.count)
    }
    count += source.count
  }

  @inline(__always)
  mutating func append<T: FixedWidthInteger & BitwiseCopyable>(_ value: T) {
    reserve(count + MemoryLayout<T>.size)
    storage.storeBytes(of: value.littleEndian, toByteOffset: count, as: T.self)
    count += MemoryLayout<T>.size
  }

  /// A UInt16 length and the UTF-8 bytes.
  mutating func append(name: String) {
    var name = name
    name.withUTF8 { utf8 in
      append(UInt16(utf8.count))
      append(UnsafeRawBufferPointer(utf8))
    }
  }

  mutating func store<T: FixedWidthInteger & BitwiseCopyable>(_ value: T, at offset: Int) {
    assert(offset + MemoryLayout<T>.size <= count)
    storage.storeBytes(of: value.littleEndian, toByteOffset: offset, as: T.self)
  }
}

/// Sixteen lower-case digits.
func hex(_ value: UInt64) -> String {
  let digits = String(value, radix: 16)
  return String(repeating: "0", count: 16 - digits.count) + digits
}
