// Comparing ids by a number first.

/// The first eight bytes of an id as a number that sorts like them; shorter ids as if zero bytes followed. Where two are
/// equal, the ids themselves have to be compared.
@inlinable public func sortingPrefix(of id: UnsafeRawBufferPointer) -> UInt64 {
  var prefix: UInt64 = 0
  for place in 0..<8 { prefix = prefix << 8 | (place < id.count ? UInt64(id[place]) : 0) }
  return prefix
}
