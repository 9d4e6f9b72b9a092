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
  case (_, 2): split2(source, count: rows, to: target, target + rows)
  case (2, _): join2(source, source + columns, count: columns, to: target)
  case (_, 4): split4(source, count: rows, to: target)
  case (4, _): join4(source, count: columns, to: target)
  case (8..., 8...): transposeByTiles(source, rows: rows, columns: columns, to: target)
  default:
    for row in 0..<rows {
      for column in 0..<columns {
        let byte = source.load(fromByteOffset: row * columns + column, as: UInt8.self)
        target.storeBytes(of: byte, toByteOffset: column * rows + row, as: UInt8.self)
      }
    }
  }
}

/// Rows and columns are at least 8 each.
private func transposeByTiles(_ source: UnsafeRawPointer, rows: Int, columns: Int, to target: UnsafeMutableRawPointer) {
  // Along the longer side in blocks, each of them over all of the shorter one: what is written next to each other is written
  // soon after each other. The last tiles overlap others.
  let block = 64
  if rows >= columns {
    for start in stride(from: 0, to: rows, by: block) {
      let end = min(start + block, rows)
      for column in stride(from: 0, to: columns, by: 8) {
        for row in stride(from: start, to: end, by: 8) {
          transposeTile(source, min(row, rows - 8), min(column, columns - 8), rows: rows, columns: columns, to: target)
        }
      }
    }
  } else {
    for start in stride(from: 0, to: columns, by: block) {
      let end = min(start + block, columns)
      for row in stride(from: 0, to: rows, by: 8) {
        for column in stride(from: start, to: end, by: 8) {
          transposeTile(source, min(row, rows - 8), min(column, columns - 8), rows: rows, columns: columns, to: target)
        }
      }
    }
  }
}

// Pairs and quadruples, which a tile is too wide for: 16 of them at a time, the rest one by one.

private func split2(
  _ source: UnsafeRawPointer, count: Int, to first: UnsafeMutableRawPointer, _ second: UnsafeMutableRawPointer
) {
  var done = 0
  while done + 16 <= count {
    let pairs = source.loadUnaligned(fromByteOffset: 2 * done, as: SIMD16<UInt16>.self)
    first.storeBytes(of: SIMD16<UInt8>(truncatingIfNeeded: pairs), toByteOffset: done, as: SIMD16<UInt8>.self)
    second.storeBytes(of: SIMD16<UInt8>(truncatingIfNeeded: pairs &>> 8), toByteOffset: done, as: SIMD16<UInt8>.self)
    done += 16
  }
  while done < count {
    first.storeBytes(of: source.load(fromByteOffset: 2 * done, as: UInt8.self), toByteOffset: done, as: UInt8.self)
    second.storeBytes(of: source.load(fromByteOffset: 2 * done + 1, as: UInt8.self), toByteOffset: done, as: UInt8.self)
    done += 1
  }
}

private func join2(
  _ first: UnsafeRawPointer, _ second: UnsafeRawPointer, count: Int, to target: UnsafeMutableRawPointer
) {
  var done = 0
  while done + 16 <= count {
    let low = SIMD16<UInt16>(truncatingIfNeeded: first.loadUnaligned(fromByteOffset: done, as: SIMD16<UInt8>.self))
    let high = SIMD16<UInt16>(truncatingIfNeeded: second.loadUnaligned(fromByteOffset: done, as: SIMD16<UInt8>.self))
    target.storeBytes(of: low | high &<< 8, toByteOffset: 2 * done, as: SIMD16<UInt16>.self)
    done += 16
  }
  while done < count {
    target.storeBytes(of: first.load(fromByteOffset: done, as: UInt8.self), toByteOffset: 2 * done, as: UInt8.self)
    target.storeBytes(of: second.load(fromByteOffset: done, as: UInt8.self), toByteOffset: 2 * done + 1, as: UInt8.self)
    done += 1
  }
}

private func split4(_ source: UnsafeRawPointer, count: Int, to target: UnsafeMutableRawPointer) {
  var done = 0
  while done + 16 <= count {
    let all = source.loadUnaligned(fromByteOffset: 4 * done, as: SIMD16<UInt32>.self)
    for byte in 0..<4 {
      let plane = SIMD16<UInt8>(truncatingIfNeeded: all &>> UInt32(8 * byte))
      target.storeBytes(of: plane, toByteOffset: byte * count + done, as: SIMD16<UInt8>.self)
    }
    done += 16
  }
  while done < count {
    for byte in 0..<4 {
      target.storeBytes(
        of: source.load(fromByteOffset: 4 * done + byte, as: UInt8.self), toByteOffset: byte * count + done,
        as: UInt8.self)
    }
    done += 1
  }
}

private func join4(_ source: UnsafeRawPointer, count: Int, to target: UnsafeMutableRawPointer) {
  var done = 0
  while done + 16 <= count {
    var all = SIMD16<UInt32>()
    for byte in 0..<4 {
      let plane = source.loadUnaligned(fromByteOffset: byte * count + done, as: SIMD16<UInt8>.self)
      all |= SIMD16<UInt32>(truncatingIfNeeded: plane) &<< UInt32(8 * byte)
    }
    target.storeBytes(of: all, toByteOffset: 4 * done, as: SIMD16<UInt32>.self)
    done += 16
  }
  while done < count {
    for byte in 0..<4 {
      target.storeBytes(
        of: source.load(fromByteOffset: byte * count + done, as: UInt8.self), toByteOffset: 4 * done + byte,
        as: UInt8.self)
    }
    done += 1
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
