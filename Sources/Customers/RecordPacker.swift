// Records as a checkpoint holds them: zero bytes, of which there are many, are left out.
//
// A packed run is for each 8 bytes of it a mask, whose bit i says whether byte i is there, and those bytes. The last 8 are
// filled up with zeros. How long a run is the reader knows: from the record's header, which comes first.

/// Packs and unpacks in memory of its own, which grows to the largest record and stays.
package struct RecordPacker: ~Copyable {
  private var memory: UnsafeMutableRawPointer
  private var capacity = 4096
  private var used = 0

  package init() { memory = .allocate(byteCount: capacity, alignment: 16) }
  deinit { memory.deallocate() }

  /// What was packed or unpacked last; valid until the next call.
  package var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: memory, count: used) }

  package mutating func removeAll() { used = 0 }

  private mutating func reserve(_ wanted: Int) {
    guard used + wanted > capacity else { return }
    let larger = max(capacity * 2, used + wanted)
    let moved = UnsafeMutableRawPointer.allocate(byteCount: larger, alignment: 16)
    moved.copyMemory(from: memory, byteCount: used)
    memory.deallocate()
    memory = moved
    capacity = larger
  }

  /// Packs one more run.
  package mutating func append(_ run: UnsafeRawBufferPointer) {
    // At worst a mask for each 8 bytes; 8 more, since words are stored whole.
    reserve(run.count + run.count / 8 + 16)
    var target = memory + used
    var place = 0
    while place < run.count {
      var word: UInt64 = 0
      if place + 8 <= run.count {
        word = run.loadUnaligned(fromByteOffset: place, as: UInt64.self).littleEndian
      } else {
        for byte in place..<run.count { word |= UInt64(run[byte]) << UInt64(8 * (byte - place)) }
      }
      place += 8
      let mask = target
      target += 1
      var bits: UInt8 = 0
      while word != 0 {
        // The next byte that is not zero, and on behind it.
        let byte = word.trailingZeroBitCount >> 3
        target.storeBytes(of: UInt8(truncatingIfNeeded: word >> UInt64(8 * byte)), as: UInt8.self)
        target += 1
        bits |= 1 << UInt8(byte)
        word &= ~(0xff << UInt64(8 * byte))
      }
      mask.storeBytes(of: bits, as: UInt8.self)
    }
    used = target - memory
  }

  /// Unpacks a run of `count` bytes that begins at `place`, behind what was unpacked before.
  /// - Parameter place: moved behind the run.
  /// - Throws: when `packed` does not hold so many.
  package mutating func unpack(_ count: Int, from packed: UnsafeRawBufferPointer, at place: inout Int)
    throws(RecordError)
  {
    guard count <= (packed.count - place) * 8 else { throw damaged("it ends too early") }
    reserve(count + 8)
    let end = used + count
    while used < end {
      guard place < packed.count else { throw damaged("it ends too early") }
      var bits = packed[place]
      place += 1
      guard place + bits.nonzeroBitCount <= packed.count else { throw damaged("it ends too early") }
      var word: UInt64 = 0
      while bits != 0 {
        let byte = UInt64(bits.trailingZeroBitCount)
        word |= UInt64(packed[place]) << (8 * byte)
        place += 1
        bits &= bits &- 1
      }
      memory.storeBytes(of: word.littleEndian, toByteOffset: used, as: UInt64.self)
      used += 8
    }
    used = end
  }

  func damaged(_ what: String) -> RecordError {
    RecordError(description: "a packed customer record is damaged: \(what)")
  }
}
