// Outputs to records: topic names and CloudEvents headers (binary content mode).

import Configuration
import Engine
import Events

/// Knows the names of the output topics; nil for those switched off.
package struct OutputWriter {
  private let topics: [String?]
  private let source: [UInt8]
  private static let json = Array("application/json".utf8)
  private static let specification = Array("1.0".utf8)

  init(_ configuration: Configuration) {
    let outputs = configuration.outputs
    topics = OutputTopic.allCases.map { topic in
      let output =
        switch topic {
        case .tagChanges: outputs.tagChanges
        case .churnAlerts: outputs.churnAlerts
        case .profiles: outputs.customerProfiles
        case .deadLetters: outputs.deadLetters
        }
      return output.enabled ? output.topic : nil
    }
    source = Array("/tidewatch/\(configuration.kafka.group)".utf8)
  }

  /// Calls `body` with the record of one entry; not at all when its topic is switched off.
  func withRecord(
    _ buffer: OutputBuffer, _ entry: OutputBuffer.Entry, _ body: (OutputRecord) -> StepOutcome
  ) -> StepOutcome {
    guard let topic = topics[Int(entry.topic.rawValue)] else { return .done }
    let time = Self.timestamp(entry.emittedAt)
    let type = entry.topic.cloudEventType
    return buffer.bytes.withUnsafeBytes { bytes in
      source.withUnsafeBytes { source in
        time.withUnsafeBytes { time in
          Self.json.withUnsafeBytes { json in
            Self.specification.withUnsafeBytes { specification in
              let headers: [(name: StaticString, value: UnsafeRawBufferPointer)] = [
                ("ce_specversion", specification), ("ce_id", UnsafeRawBufferPointer(rebasing: bytes[entry.id])),
                ("ce_type", UnsafeRawBufferPointer(start: type.utf8Start, count: type.utf8CodeUnitCount)),
                ("ce_source", source), ("ce_time", time), ("content-type", json),
              ]
              // An empty key is a dead letter of a record without one: null, so that it goes anywhere.
              let key = entry.key.isEmpty ? nil : UnsafeRawBufferPointer(rebasing: bytes[entry.key])
              return body(
                OutputRecord(
                  topic: topic, key: key, value: UnsafeRawBufferPointer(rebasing: bytes[entry.value]), headers: headers)
              )
            }
          }
        }
      }
    }
  }

  /// RFC 3339 in UTC with milliseconds. The years before 0 and after 9999 (a clock that has not begun) become their ends.
  package static func timestamp(_ instant: Instant) -> [UInt8] {
    let earliest: Int64 = -62_135_596_800_000
    let latest: Int64 = 253_402_300_799_999
    let milliseconds = min(max(instant.microseconds.floorDivided(by: 1_000), earliest), latest)
    let day = milliseconds.floorDivided(by: 86_400_000)
    let time = Int(milliseconds - day * 86_400_000)
    let date = CivilDate(LocalDay(number: Int32(day)))
    var text: [UInt8] = []
    text.reserveCapacity(24)
    func append(_ value: Int, digits: Int, then separator: Character) {
      var divisor = 1
      for _ in 1..<digits { divisor *= 10 }
      while divisor > 0 {
        text.append(UInt8(48 + value / divisor % 10))
        divisor /= 10
      }
      text += Array(String(separator).utf8)
    }
    append(date.year, digits: 4, then: "-")
    append(date.month, digits: 2, then: "-")
    append(date.day, digits: 2, then: "T")
    append(time / 3_600_000, digits: 2, then: ":")
    append(time / 60_000 % 60, digits: 2, then: ":")
    append(time / 1_000 % 60, digits: 2, then: ".")
    append(time % 1_000, digits: 3, then: "Z")
    return text
  }
}

extension Int64 {
  fileprivate func floorDivided(by divisor: Int64) -> Int64 {
    let quotient = self / divisor
    return self % divisor < 0 ? quotient - 1 : quotient
  }
}
