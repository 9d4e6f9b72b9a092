// Outputs to records: topic names and CloudEvents headers (binary content mode).

import Configuration
import Engine
import Events

/// Knows the names of the output topics; nil for those switched off. Headers are put together in memory that is used again
/// for the next record: it serves one thread.
package final class OutputWriter {
  private let topics: [String?]
  private let source: UnsafeMutableRawBufferPointer
  private let time = UnsafeMutableBufferPointer<UInt8>.allocate(capacity: OutputWriter.timestampBytes)
  /// What `time` says.
  private var timeOf: Instant?
  /// The record at hand. In raw memory, so that it is handed on without counting references to its parts.
  private let record: UnsafeMutablePointer<OutputRecord>
  /// Whose topic name and type `record` has.
  private var topicOf: OutputTopic?

  private static let timestampBytes = 24
  /// Places in `headers` of what differs from record to record.
  private static let idPlace = 1
  private static let typePlace = 2

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
    let name = Array("/tidewatch/\(configuration.kafka.group)".utf8)
    source = .allocate(byteCount: name.count, alignment: 1)
    source.copyBytes(from: name)
    let empty = UnsafeRawBufferPointer(start: nil, count: 0)
    let headers: [(name: StaticString, value: UnsafeRawBufferPointer)] = [
      ("ce_specversion", Self.bytes("1.0")), ("ce_id", empty), ("ce_type", empty),
      ("ce_source", UnsafeRawBufferPointer(source)), ("ce_time", UnsafeRawBufferPointer(time)),
      ("content-type", Self.bytes("application/json")),
    ]
    record = .allocate(capacity: 1)
    record.initialize(to: OutputRecord(topic: "", key: nil, value: nil, headers: headers))
  }

  deinit {
    record.deinitialize(count: 1)
    record.deallocate()
    source.deallocate()
    time.deallocate()
  }

  private static func bytes(_ text: StaticString) -> UnsafeRawBufferPointer {
    UnsafeRawBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount)
  }

  /// Calls `body` with the record of one entry; not at all when its topic is switched off.
  func withRecord(
    _ buffer: OutputBuffer, _ entry: OutputBuffer.Entry, _ body: (OutputRecord) -> StepOutcome
  ) -> StepOutcome {
    if topicOf != entry.topic {
      guard let topic = topics[Int(entry.topic.rawValue)] else { return .done }
      topicOf = entry.topic
      record.pointee.topic = topic
      record.pointee.headers[Self.typePlace].value = Self.bytes(entry.topic.cloudEventType)
    }
    if timeOf != entry.emittedAt {
      Self.write(entry.emittedAt, to: time)
      timeOf = entry.emittedAt
    }
    return buffer.bytes.withUnsafeBytes { bytes in
      record.pointee.headers[Self.idPlace].value = UnsafeRawBufferPointer(rebasing: bytes[entry.id])
      // An empty key is a dead letter of a record without one: null, so that it goes anywhere.
      record.pointee.key = entry.key.isEmpty ? nil : UnsafeRawBufferPointer(rebasing: bytes[entry.key])
      record.pointee.value =
        entry.value.isEmpty && entry.topic == .profiles ? nil : UnsafeRawBufferPointer(rebasing: bytes[entry.value])
      return body(record.pointee)
    }
  }

  /// RFC 3339 in UTC with milliseconds. The years before 0 and after 9999 (a clock that has not begun) become their ends.
  package static func timestamp(_ instant: Instant) -> [UInt8] {
    Array(unsafeUninitializedCapacity: timestampBytes) { buffer, count in
      buffer.initialize(repeating: 0)
      write(instant, to: buffer)
      count = timestampBytes
    }
  }

  private static func write(_ instant: Instant, to text: UnsafeMutableBufferPointer<UInt8>) {
    let earliest: Int64 = -62_135_596_800_000
    let latest: Int64 = 253_402_300_799_999
    let milliseconds = min(max(instant.microseconds.floorDivided(by: 1_000), earliest), latest)
    let day = milliseconds.floorDivided(by: 86_400_000)
    let time = Int(milliseconds - day * 86_400_000)
    let date = CivilDate(LocalDay(number: Int32(day)))
    guard var place = text.baseAddress else { return }
    func append(_ value: Int, digits: Int, then separator: Unicode.Scalar) {
      DigitText.write(UInt64(value), width: digits, to: place)
      place[digits] = UInt8(ascii: separator)
      place += digits + 1
    }
    append(date.year, digits: 4, then: "-")
    append(date.month, digits: 2, then: "-")
    append(date.day, digits: 2, then: "T")
    append(time / 3_600_000, digits: 2, then: ":")
    append(time / 60_000 % 60, digits: 2, then: ":")
    append(time / 1_000 % 60, digits: 2, then: ".")
    append(time % 1_000, digits: 3, then: "Z")
  }
}

extension Int64 {
  fileprivate func floorDivided(by divisor: Int64) -> Int64 {
    let quotient = self / divisor
    return self % divisor < 0 ? quotient - 1 : quotient
  }
}
