// Bytes of many equal elements, put together by their place in the element.

/// Writes the byte at (row, column) of `source` to (column, row) of `target`: elements one behind the other become all their
/// first bytes, all their second ones and so on. With `rows` and `columns` exchanged it is its own inverse.
///
/// - Parameters:
///   - source: `rows` times `columns` bytes.
///   - target: as many, elsewhere.
package func transpose(_ source: UnsafeRawPointer, rows: Int, columns: Int, to target: UnsafeMutableRawPointer) {
  switch (rows, columns) {
  case (1, _), (_, 1): target.copyMemory(from: source, byteCount: rows * columns)
  case (_, 2): split(UInt16.self, source, count: rows, to: target)
  case (2, _): join(UInt16.self, source, count: columns, to: target)
  case (_, 4): split(UInt32.self, source, count: rows, to: target)
  case (4, _): join(UInt32.self, source, count: columns, to: target)
  case (8..., 8...): transposeByTiles(source, rows: rows, columns: columns, to: target)
  default:
    for row in 0..<rows {
      for column in 0..<columns { transposeByte(source, row, column, rows: rows, columns: columns, to: target) }
    }
  }
}

@inline(__always)
private func transposeByte(
  _ source: UnsafeRawPointer, _ row: Int, _ column: Int, rows: Int, columns: Int, to target: UnsafeMutableRawPointer
) {
  target.storeBytes(
    of: source.load(fromByteOffset: row &* columns &+ column, as: UInt8.self), toByteOffset: column &* rows &+ row,
    as: UInt8.self)
}

/// Rows and columns are at least 8 each.
private func transposeByTiles(_ source: UnsafeRawPointer, rows: Int, columns: Int, to target: UnsafeMutableRawPointer) {
  if rows >= columns {
    forEachTile(longer: rows, shorter: columns) { row, column in
      transposeTile(source, row, column, rows: rows, columns: columns, to: target)
    }
  } else {
    forEachTile(longer: columns, shorter: rows) { column, row in
      transposeTile(source, row, column, rows: rows, columns: columns, to: target)
    }
  }
}

/// Along the longer side in blocks, each of them over all of the shorter one: what is written next to each other is written
/// soon after each other. The last tiles overlap others.
@inline(__always)
private func forEachTile(longer: Int, shorter: Int, _ body: (_ along: Int, _ across: Int) -> Void) {
  let block = 64
  for start in stride(from: 0, to: longer, by: block) {
    for across in stride(from: 0, to: shorter, by: 8) {
      for along in stride(from: start, to: min(start + block, longer), by: 8) {
        body(min(along, longer - 8), min(across, shorter - 8))
      }
    }
  }
}

// Elements as narrow as an integer, which a tile is too wide for: 16 of them at a time, the rest byte by byte.

/// From elements to their bytes.
@inline(__always)
private func split<T: FixedWidthInteger & SIMDScalar>(
  _: T.Type, _ source: UnsafeRawPointer, count: Int, to target: UnsafeMutableRawPointer
) {
  let width = MemoryLayout<T>.size
  let full = count & ~15
  for done in stride(from: 0, to: full, by: 16) {
    let all = source.loadUnaligned(fromByteOffset: width &* done, as: SIMD16<T>.self)
    for byte in 0..<width {
      let plane = SIMD16<UInt8>(truncatingIfNeeded: all &>> T(truncatingIfNeeded: 8 &* byte))
      target.storeBytes(of: plane, toByteOffset: byte &* count &+ done, as: SIMD16<UInt8>.self)
    }
  }
  for element in full..<count {
    for byte in 0..<width { transposeByte(source, element, byte, rows: count, columns: width, to: target) }
  }
}

/// From bytes to their elements.
@inline(__always)
private func join<T: FixedWidthInteger & SIMDScalar>(
  _: T.Type, _ source: UnsafeRawPointer, count: Int, to target: UnsafeMutableRawPointer
) {
  let width = MemoryLayout<T>.size
  let full = count & ~15
  for done in stride(from: 0, to: full, by: 16) {
    var all = SIMD16<T>()
    for byte in 0..<width {
      let plane = source.loadUnaligned(fromByteOffset: byte &* count &+ done, as: SIMD16<UInt8>.self)
      all |= SIMD16<T>(truncatingIfNeeded: plane) &<< T(truncatingIfNeeded: 8 &* byte)
    }
    target.storeBytes(of: all, toByteOffset: width &* done, as: SIMD16<T>.self)
  }
  for element in full..<count {
    for byte in 0..<width { transposeByte(source, byte, element, rows: width, columns: count, to: target) }
  }
}

/// Eight rows and eight columns, in registers: halves, then quarters, then bytes change places (Warren, Hacker's Delight,
/// section 7-3).
@inline(__always)
private func transposeTile(
  _ source: UnsafeRawPointer, _ row: Int, _ column: Int, rows: Int, columns: Int, to target: UnsafeMutableRawPointer
) {
  @inline(__always) func load(_ place: Int) -> UInt64 {
    UInt64(
      littleEndian: source.loadUnaligned(fromByteOffset: (row &+ place) &* columns &+ column, as: UInt64.self))
  }
  @inline(__always) func exchange(_ a: inout UInt64, _ b: inout UInt64, _ shift: UInt64, _ mask: UInt64) {
    let changed = (a &>> shift ^ b) & mask
    b ^= changed
    a ^= changed &<< shift
  }
  @inline(__always) func store(_ value: UInt64, _ place: Int) {
    target.storeBytes(of: value.littleEndian, toByteOffset: (column &+ place) &* rows &+ row, as: UInt64.self)
  }
  var (a, b, c, d) = (load(0), load(1), load(2), load(3))
  var (e, f, g, h) = (load(4), load(5), load(6), load(7))
  let halves: UInt64 = 0x0000_0000_FFFF_FFFF
  exchange(&a, &e, 32, halves)
  exchange(&b, &f, 32, halves)
  exchange(&c, &g, 32, halves)
  exchange(&d, &h, 32, halves)
  let quarters: UInt64 = 0x0000_FFFF_0000_FFFF
  exchange(&a, &c, 16, quarters)
  exchange(&b, &d, 16, quarters)
  exchange(&e, &g, 16, quarters)
  exchange(&f, &h, 16, quarters)
  let bytes: UInt64 = 0x00FF_00FF_00FF_00FF
  exchange(&a, &b, 8, bytes)
  exchange(&c, &d, 8, bytes)
  exchange(&e, &f, 8, bytes)
  exchange(&g, &h, 8, bytes)
  store(a, 0)
  store(b, 1)
  store(c, 2)
  store(d, 3)
  store(e, 4)
  store(f, 5)
  store(g, 6)
  store(h, 7)
}
