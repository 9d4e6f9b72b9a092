// The outbox: an epoch's outputs as bytes, saved with its block in at_least_once and resent after a crash.

import Engine
import Events

package enum Outbox {
  /// Entries one after the other: topic u8, time i64, lengths u32 of key, id and value (little endian), then their bytes.
  package static func encode(_ buffer: OutputBuffer) -> [UInt8] {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(buffer.bytes.count + buffer.entries.count * 21)
    for entry in buffer.entries {
      bytes.append(entry.topic.rawValue)
      append(UInt64(bitPattern: entry.emittedAt.microseconds), to: &bytes)
      for range in [entry.key, entry.id, entry.value] { append(UInt32(range.count), to: &bytes) }
      for range in [entry.key, entry.id, entry.value] { bytes += buffer.bytes[range] }
    }
    return bytes
  }

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

  private static func append<Value: FixedWidthInteger>(_ value: Value, to bytes: inout [UInt8]) {
    withUnsafeBytes(of: value.littleEndian) { bytes += $0 }
  }
}
