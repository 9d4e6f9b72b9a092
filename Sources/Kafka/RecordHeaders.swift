// The headers of a record to be produced: a reusable arena of raw bytes, no String on the way.

import CRdKafka

/// The headers of one record, in order. Made once, then filled and emptied for each record without allocating.
public struct RecordHeaders: ~Copyable {
  private var storage: UnsafeMutableRawBufferPointer
  private var used = 0
  /// How many headers there are.
  public private(set) var count = 0

  /// - Parameter capacity: bytes to begin with; grows as needed.
  public init(capacity: Int = 512) { storage = .allocate(byteCount: max(64, capacity), alignment: 4) }

  deinit { storage.deallocate() }

  /// Empties the list and keeps the storage.
  public mutating func removeAll() {
    used = 0
    count = 0
  }

  /// Appends a header; both are copied. A nil value is null. Name and value must be shorter than 4 GiB.
  public mutating func append(_ name: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer?) {
    let valueLength = value?.count ?? 0
    let end = used + 8 + name.count + valueLength
    if end > storage.count { grow(to: end) }
    var place = storage.baseAddress.unsafelyUnwrapped + used
    place.storeBytes(of: UInt32(truncatingIfNeeded: name.count), as: UInt32.self)
    place.storeBytes(
      of: value == nil ? UInt32.max : UInt32(truncatingIfNeeded: valueLength), toByteOffset: 4, as: UInt32.self)
    place += 8
    if let source = name.baseAddress { place.copyMemory(from: source, byteCount: name.count) }
    if let source = value?.baseAddress { (place + name.count).copyMemory(from: source, byteCount: valueLength) }
    used = end
    count += 1
  }

  /// Appends a header with a name that is known when the program is written.
  public mutating func append(_ name: StaticString, _ value: UnsafeRawBufferPointer?) {
    // A one-character static string may be held as a scalar; withUTF8Buffer covers both forms.
    name.withUTF8Buffer { append(UnsafeRawBufferPointer($0), value) }
  }

  /// Appends a header of which both parts are known when the program is written.
  public mutating func append(_ name: StaticString, _ value: StaticString) {
    value.withUTF8Buffer { append(name, UnsafeRawBufferPointer($0)) }
  }

  /// The encoded entries, as `tidewatch_produce` reads them.
  var encoded: UnsafePointer<UInt8>? {
    count == 0 ? nil : UnsafePointer(storage.baseAddress?.assumingMemoryBound(to: UInt8.self))
  }

  private mutating func grow(to size: Int) {
    let larger = UnsafeMutableRawBufferPointer.allocate(byteCount: max(storage.count * 2, size), alignment: 4)
    larger.copyMemory(from: UnsafeRawBufferPointer(rebasing: storage[..<used]))
    storage.deallocate()
    storage = larger
  }
}
