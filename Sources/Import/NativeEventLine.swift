// One native event as a line of NDJSON.

import Events

struct NativeEventLine {
  private var bytes: [UInt8]

  init(type: EventType, time: Instant) {
    bytes = Array("{\"type\":\"\(type.name)\",\"ts\":\(floorMilliseconds(time))".utf8)
  }

  mutating func add(_ field: ImportMap.Field, _ value: [UInt8]) {
    bytes += Array(",\"\(field.rawValue)\":".utf8)
    switch field {
    case .quantity, .discount: bytes += Decimal(value).map { Array($0.text.utf8) } ?? Array("\"\"".utf8)
    default: appendString(value)
    }
  }

  mutating func add(amount: Decimal) { bytes += Array(",\"amount\":\(amount.text)".utf8) }

  var finished: [UInt8] { bytes + Array("}\n".utf8) }

  private mutating func appendString(_ value: [UInt8]) {
    bytes.append(UInt8(ascii: "\""))
    for byte in value {
      switch byte {
      case UInt8(ascii: "\""), UInt8(ascii: "\\"):
        bytes.append(UInt8(ascii: "\\"))
        bytes.append(byte)
      case 0..<0x20:
        let hex = Array("0123456789abcdef".utf8)
        bytes += Array("\\u00".utf8) + [hex[Int(byte >> 4)], hex[Int(byte & 15)]]
      default: bytes.append(byte)
      }
    }
    bytes.append(UInt8(ascii: "\""))
  }
}

private func floorMilliseconds(_ time: Instant) -> Int64 {
  let quotient = time.microseconds / 1000
  return time.microseconds % 1000 < 0 ? quotient - 1 : quotient
}
