// The outbox: an epoch's outputs as bytes, saved with its block in at_least_once and resent after a crash.

import CLZ4
import Engine
import Events

package enum Outbox {
  /// Entries one after the other: topic u8, time i64, lengths u32 of key, id and value (little endian), then their bytes.
  package static func encode(_ buffer: OutputBuffer) -> [UInt8] {
    var packer = OutboxPacker()
    return Array(packer.encode(buffer))
  }

  /// Topic, time and three lengths.
  fileprivate static let headBytes = 21

  /// nil when the bytes are not what `encode` writes.
  package static func decode(_ bytes: [UInt8]) -> OutputBuffer? {
    var buffer = OutputBuffer()
    var position = 0
    func number<Value: FixedWidthInteger>(_: Value.Type) -> Value? {
      let size = MemoryLayout<Value>.size
      guard bytes.count - position >= size else { return nil }
      defer { position += size }
      return bytes[position..<position + size].reversed().reduce(0) { $0 << 8 | Value($1) }
    }
    while position < bytes.count {
      guard let topic = number(UInt8.self).flatMap(OutputTopic.init(rawValue:)), let time = number(UInt64.self),
        let key = number(UInt32.self), let id = number(UInt32.self), let value = number(UInt32.self),
        bytes.count - position >= Int(key) + Int(id) + Int(value)
      else { return nil }
      let start = buffer.bytes.count
      let total = Int(key) + Int(id) + Int(value)
      buffer.bytes += bytes[position..<position + total]
      position += total
      let keyEnd = start + Int(key)
      let idEnd = keyEnd + Int(id)
      buffer.entries.append(
        OutputBuffer.Entry(
          topic: topic, key: start..<keyEnd, id: keyEnd..<idEnd, value: idEnd..<start + total,
          emittedAt: Instant(microseconds: Int64(bitPattern: time))))
    }
    return buffer
  }

  // MARK: In a block

  /// What a block holds: the length (u32, little endian), then the bytes as one LZ4 block. Outputs are much alike, and
  /// written whole they would be most of what a checkpoint writes.
  /// - Parameter bytes: less than 2 GiB; an epoch's limits keep it far below.
  package static func pack(_ bytes: [UInt8]) -> [UInt8] {
    var packer = OutboxPacker()
    return bytes.withUnsafeBytes { Array(packer.pack($0)) }
  }

  /// The records of a block's outbox: packed, or as releases before the packing wrote it. Both state lengths to the last
  /// byte, which outputs of the other kind do not fit.
  /// - Returns: nil when it is neither.
  package static func read(_ outbox: [UInt8]) -> OutputBuffer? {
    unpack(outbox).flatMap { decode($0) } ?? decode(outbox)
  }

  /// nil when that is not what `pack` has made.
  package static func unpack(_ packed: [UInt8]) -> [UInt8]? {
    guard packed.count > 4 else { return nil }
    return packed.withUnsafeBytes { source -> [UInt8]? in
      let count = Int(UInt32(littleEndian: source.loadUnaligned(as: UInt32.self)))
      // LZ4 makes no more of a byte.
      guard count <= (packed.count - 4) * 255, count <= Int(Int32.max) else { return nil }
      var made: Int32 = -1
      let bytes = [UInt8](unsafeUninitializedCapacity: count) { target, initialized in
        made = LZ4_decompress_safe(
          source.baseAddress.map { ($0 + 4).assumingMemoryBound(to: CChar.self) },
          UnsafeMutableRawPointer(target.baseAddress)?.assumingMemoryBound(to: CChar.self), Int32(packed.count - 4),
          Int32(count))
        initialized = max(0, Int(made))
      }
      return made == Int32(count) ? bytes : nil
    }
  }
}

/// Makes one outbox after the other, in memory that grows to the largest and stays: fresh memory for each epoch would cost
/// more than what is put into it.
package struct OutboxPacker: ~Copyable {
  private var plain = Scratch()
  private var packed = Scratch()

  package init() {}

  package mutating func releaseMemory() {
    plain = Scratch()
    packed = Scratch()
  }

  /// As `Outbox.encode`, valid until the next call.
  package mutating func encode(_ buffer: OutputBuffer) -> UnsafeRawBufferPointer {
    let total = buffer.entries.reduce(0) { $0 + Outbox.headBytes + $1.key.count + $1.id.count + $1.value.count }
    var place = plain.room(for: total)
    buffer.bytes.withUnsafeBytes { source in
      for entry in buffer.entries {
        place.storeBytes(of: entry.topic.rawValue, as: UInt8.self)
        place.storeBytes(of: entry.emittedAt.microseconds.littleEndian, toByteOffset: 1, as: Int64.self)
        let ranges = (entry.key, entry.id, entry.value)
        place.storeBytes(of: UInt32(ranges.0.count).littleEndian, toByteOffset: 9, as: UInt32.self)
        place.storeBytes(of: UInt32(ranges.1.count).littleEndian, toByteOffset: 13, as: UInt32.self)
        place.storeBytes(of: UInt32(ranges.2.count).littleEndian, toByteOffset: 17, as: UInt32.self)
        place += Outbox.headBytes
        func copy(_ range: Range<Int>) {
          guard let base = source.baseAddress, !range.isEmpty else { return }
          place.copyMemory(from: base + range.lowerBound, byteCount: range.count)
          place += range.count
        }
        copy(ranges.0)
        copy(ranges.1)
        copy(ranges.2)
      }
    }
    return plain.bytes(total)
  }

  /// As `Outbox.pack`, valid until the next call.
  package mutating func pack(_ bytes: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer {
    let bound = LZ4_compressBound(Int32(clamping: bytes.count))
    let target = packed.room(for: 4 + Int(bound))
    target.storeBytes(of: UInt32(truncatingIfNeeded: bytes.count).littleEndian, as: UInt32.self)
    let made = LZ4_compress_default(
      bytes.baseAddress?.assumingMemoryBound(to: CChar.self), (target + 4).assumingMemoryBound(to: CChar.self),
      Int32(clamping: bytes.count), bound)
    return packed.bytes(4 + Int(made))
  }
}

/// Memory whose contents do not outlive the next `room`.
private struct Scratch: ~Copyable {
  private var memory: UnsafeMutableRawBufferPointer

  init() { memory = .allocate(byteCount: 64, alignment: 16) }
  deinit { memory.deallocate() }

  mutating func room(for bytes: Int) -> UnsafeMutableRawPointer {
    if bytes > memory.count {
      memory.deallocate()
      memory = .allocate(byteCount: bytes + bytes / 4, alignment: 16)
    }
    return memory.baseAddress.unsafelyUnwrapped
  }

  func bytes(_ count: Int) -> UnsafeRawBufferPointer { UnsafeRawBufferPointer(rebasing: memory[..<count]) }
}
