// A rejected record, kept with its original bytes and a sentence that a person can act on.

import Events

public enum DeadLetter {
  /// A topic takes 1 MB a record unless it was made otherwise; the rest is for keys, names and headers.
  static let maxPayloadJSONBytes = 700_000
  static let maxKeyBytes = 16 << 10

  /// As much as fits: an escape makes six bytes of one. (Base64, for what is no text, is at most 4/3 of the largest
  /// `limits.dead_letter_bytes`, and fits.)
  private static func fitting(_ payload: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer {
    guard payload.count > maxPayloadJSONBytes / 6 else { return payload }
    var total = 0
    for (place, byte) in payload.enumerated() {
      switch byte {
      case 0..<0x20, 0x7f: total += 6
      case UInt8(ascii: "\""), UInt8(ascii: "\\"): total += 2
      default: total += 1
      }
      if total > maxPayloadJSONBytes { return UnsafeRawBufferPointer(rebasing: payload[..<place]) }
    }
    return payload
  }

  /// Appends one dead letter. The id is the origin, which is unique.
  /// - Parameters:
  ///   - key: the record's key; nil when it had none.
  ///   - maxPayloadBytes: longer payloads are cut, and those whose JSON no topic would take; `sha256` is always of the whole.
  ///   - brokerTimestamp: nil in a replayed file.
  public static func encode(
    reason: RejectReason, origin: Origin, topicName: String, key: UnsafeRawBufferPointer?,
    payload: UnsafeRawBufferPointer, brokerTimestamp: Instant?, emittedAt: Instant, maxPayloadBytes: Int,
    into output: inout OutputBuffer
  ) {
    let kept = fitting(UnsafeRawBufferPointer(rebasing: payload.prefix(maxPayloadBytes)))
    // A key that nobody could have meant would make a record that no topic takes.
    let isKeyCut = (key?.count ?? 0) > maxKeyBytes
    let key = key.map { UnsafeRawBufferPointer(rebasing: $0.prefix(maxKeyBytes)) }
    var json = JSONWriter()
    output.append(
      .deadLetters, key: key ?? UnsafeRawBufferPointer(start: nil, count: 0), emittedAt: emittedAt, json: &json
    ) { id, _ in
      id.literal("d-")
      for byte in topicName.utf8 { id.byte(byte) }
      id.literal("-")
      id.decimal(Int64(origin.partition))
      id.literal("-")
      id.decimal(origin.offset)
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
      json.bool(kept.count < payload.count || isKeyCut)
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
