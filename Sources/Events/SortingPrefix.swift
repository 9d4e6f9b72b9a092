// Comparing ids by numbers first.

import Glibc

/// The first sixteen bytes of an id as numbers that sort like them; shorter ids as if zero bytes followed. Where two are equal,
/// the ids themselves have to be compared.
public struct SortingPrefix: Comparable, Sendable {
  @usableFromInline let high: UInt64
  @usableFromInline let low: UInt64

  /// That of the empty id: before all others.
  @inlinable public init() {
    high = 0
    low = 0
  }

  @inlinable public init(of id: UnsafeRawBufferPointer) {
    high = Self.eight(of: id, from: 0)
    low = Self.eight(of: id, from: 8)
  }

  @inlinable static func eight(of id: UnsafeRawBufferPointer, from start: Int) -> UInt64 {
    if id.count >= start + 8 { return UInt64(bigEndian: id.loadUnaligned(fromByteOffset: start, as: UInt64.self)) }
    var number: UInt64 = 0
    for place in start..<start + 8 { number = number << 8 | (place < id.count ? UInt64(id[place]) : 0) }
    return number
  }

  @inlinable public static func < (a: SortingPrefix, b: SortingPrefix) -> Bool {
    a.high != b.high ? a.high < b.high : a.low < b.low
  }
}

extension UnsafeRawBufferPointer {
  /// Whether these bytes come before others in the order of their numbers.
  @inlinable public func precedes(_ other: UnsafeRawBufferPointer) -> Bool {
    guard let a = baseAddress, let b = other.baseAddress else { return count < other.count }
    let difference = memcmp(a, b, Swift.min(count, other.count))
    return difference != 0 ? difference < 0 : count < other.count
  }
}
