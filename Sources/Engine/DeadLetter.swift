// A rejected record, kept with its original bytes and a sentence that a person can act on.

import Events

public enum DeadLetter {
  /// Appends one dead letter. The id is the origin, which is unique.
  /// - Parameters:
  ///   - key: the record's key; nil when it had none.
  ///   - maxPayloadBytes: longer payloads are cut; `sha256` is always of the whole.
  ///   - brokerTimestamp: nil in a replayed file.
  public static func encode(
    reason: RejectReason, origin: Origin, topicName: String, key: UnsafeRawBufferPointer?,
    payload: UnsafeRawBufferPointer, brokerTimestamp: Instant?, emittedAt: Instant, maxPayloadBytes: Int,
    into output: inout OutputBuffer
  ) {
    let kept = UnsafeRawBufferPointer(rebasing: payload.prefix(maxPayloadBytes))
    output.append(.deadLetters, key: key ?? UnsafeRawBufferPointer(start: nil, count: 0), emittedAt: emittedAt) { id in
      id.append(contentsOf: [UInt8(ascii: "d"), UInt8(ascii: "-")])
      for byte in topicName.utf8 { id.append(byte) }
      id.append(UInt8(ascii: "-"))
      id.appendDecimal(Int64(origin.partition))
      id.append(UInt8(ascii: "-"))
      id.appendDecimal(origin.offset)
    } value: { json in
      json.beginObject()
      json.key("reason")
      json.string(reason.rawValue)
      json.key("message")
      json.string(reason.message)
      json.key("topic")
      json.string(topicName)
      json.key("partition")
      json.integer(Int64(origin.partition))
      json.key("offset")
      json.integer(origin.offset)
      if let brokerTimestamp {
        json.key("timestamp")
        json.instant(brokerTimestamp)
      }
      // Before the first event of a new task the clock stands nowhere.
      if emittedAt != .distantPast {
        json.key("emitted_at")
        json.instant(emittedAt)
      }
      if let key { json.text("key", or: "key_base64", key) }
      json.text("payload", or: "payload_base64", kept)
      json.key("bytes")
      json.integer(payload.count)
      json.key("truncated")
      json.bool(kept.count < payload.count)
      json.key("sha256")
      json.string(sha256Hex(payload))
      json.endObject()
    }
  }
}

extension JSONWriter {
  /// Text where the bytes are UTF-8, else base64 under the other key.
  mutating func text(_ name: StaticString, or base64Name: StaticString, _ data: UnsafeRawBufferPointer) {
    if String(validating: data, as: UTF8.self) != nil {
      key(name)
      string(data)
    } else {
      key(base64Name)
      string(base64(data))
    }
  }
}

func base64(_ data: UnsafeRawBufferPointer) -> [UInt8] {
  let digits = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
  var out: [UInt8] = []
  out.reserveCapacity((data.count + 2) / 3 * 4)
  var i = 0
  while i < data.count {
    let left = min(3, data.count - i)
    let word = UInt32(data[i]) << 16 | (left > 1 ? UInt32(data[i + 1]) << 8 : 0) | (left > 2 ? UInt32(data[i + 2]) : 0)
    out.append(digits[Int(word >> 18)])
    out.append(digits[Int(word >> 12 & 63)])
    out.append(left > 1 ? digits[Int(word >> 6 & 63)] : UInt8(ascii: "="))
    out.append(left > 2 ? digits[Int(word & 63)] : UInt8(ascii: "="))
    i += 3
  }
  return out
}
