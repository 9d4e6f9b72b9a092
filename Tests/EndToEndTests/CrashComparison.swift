// What a replay of the same records says, and how the daemon's outputs differ from it.

import Foundation

/// The outputs of `tidewatch replay`, by what names each in both worlds.
struct CrashExpectation: Sendable {
  /// By customer and sequence.
  var tags: [String: String] = [:]
  /// By CloudEvents id, which a file shows as alert id and status.
  var alerts: [String: String] = [:]
  /// By customer.
  var profiles: [String: String] = [:]
  /// Reason by partition and offset; "" where a file cannot show the reason.
  var rejected: [String: String] = [:]

  /// Replays each partition on its own, exactly as one task sees it; or, when no record arrives behind another, all of
  /// them as one file.
  static func replaying(_ stream: CrashStream, partitions: Int32) async throws -> CrashExpectation {
    let scratch = try ScratchDirectory()
    try scratch.write(
      "replay.yaml",
      "kafka: { bootstrap: 'localhost:1' }\ninputs: [{ topic: x }]\nrules: tags.yaml\n" + stream.configuration)
    try scratch.write("tags.yaml", stream.rules)
    var expectation = CrashExpectation()
    let lists = stream.partitioned(partitions)
    for (partition, list) in (stream.isInOrder ? [stream.records] : lists).enumerated() {
      let lines = list.map { $0.isSameInFile ? $0.value : CrashRecord.placeholder }
      let input = try scratch.write("events-\(partition).ndjson", lines.joined(separator: "\n") + "\n")
      let output = scratch.path("out-\(partition)")
      let outcome = try await Binary.run(
        [
          "replay", "--config", scratch.path("replay.yaml"), "--input", input, "--output", output, "--until",
          stream.until,
        ], limitSeconds: 600)
      guard outcome.status == 0 else { throw BinaryError(description: "replay failed: \(outcome.errorText)") }
      try expectation.take("out-\(partition)", of: scratch, partition: partition, list)
    }
    return expectation
  }

  private mutating func take(
    _ directory: String, of scratch: ScratchDirectory, partition: Int, _ records: [CrashRecord]
  ) throws {
    for line in try lines("\(directory)/tag-changes.ndjson", scratch) {
      tags[Fields.tagName(line)] = Fields.withoutOrigin(line)
    }
    for line in try lines("\(directory)/churn-alerts.ndjson", scratch) {
      alerts[Fields.alertName(line)] = Fields.withoutOrigin(line)
    }
    for line in try lines("\(directory)/profiles.ndjson", scratch) {
      profiles[Fields.value("customer", in: line)] = line
    }
    for line in try lines("\(directory)/dead-letters.ndjson", scratch) {
      let offset = Fields.value("offset", in: line)
      let isSame = Int(offset).map { records[$0].isSameInFile } ?? false
      rejected["\(partition) \(offset)"] = isSame ? Fields.value("reason", in: line) : ""
    }
  }

  private func lines(_ name: String, _ scratch: ScratchDirectory) throws -> [String] {
    try scratch.read(name).split(separator: UInt8(ascii: "\n")).map { String(decoding: $0, as: UTF8.self) }
  }

  // MARK: Comparing

  /// How outputs may repeat.
  enum Repeats {
    case never
    /// With the id and the bytes of what was said before.
    case identical
  }

  /// The differences, in words; none when the outputs are right. Also says what was compared, for the log.
  func compare(
    tags liveTags: [CrashOutput], alerts liveAlerts: [CrashOutput], profiles liveProfiles: [CrashOutput],
    dead: [CrashOutput], _ repeats: Repeats
  ) -> CrashVerdict {
    var verdict = CrashVerdict()
    // First: a record that was rejected explains what is missing below. The clock of a dead letter is no matter of
    // comparison: its origin and reason are.
    let deadOnce = verdict.once("dead letter", dead, repeats).map { letter in
      (
        Fields.value("partition", in: letter.value) + " " + Fields.value("offset", in: letter.value),
        Fields.value("reason", in: letter.value)
      )
    }
    verdict.match("dead letter", deadOnce.map { ($0.0, rejected[$0.0] == "" ? "" : $0.1) }, rejected)

    let tagsOnce = verdict.once("tag change", liveTags, repeats)
    verdict.match("tag change", tagsOnce.map { (Fields.tagName($0.value), Fields.withoutOrigin($0.value)) }, tags)
    verdict.checkSequences(tagsOnce)
    let alertsOnce = verdict.once("alert", liveAlerts, repeats)
    for alert in alertsOnce where alert.id != Fields.alertName(alert.value) {
      verdict.say("alert \(alert.id) is not named after \(alert.value)")
    }
    verdict.match("alert", alertsOnce.map { ($0.id, Fields.withoutOrigin($0.value)) }, alerts)

    var last: [String: String] = [:]
    // Empty: the customer was evicted.
    for profile in liveProfiles { last[profile.key] = profile.value.isEmpty ? nil : profile.value }
    verdict.match("profile", last.map { ($0.key, $0.value) }, profiles)

    return verdict
  }
}

/// What a comparison found.
struct CrashVerdict: Sendable {
  private(set) var problems: [String] = []
  private(set) var compared: [String] = []
  private(set) var repeated = 0

  /// Enough to understand; a broken run has thousands.
  mutating func say(_ problem: String) { if problems.count < 20 { problems.append(problem) } }

  /// The outputs without what came again.
  mutating func once(_ what: String, _ outputs: [CrashOutput], _ repeats: CrashExpectation.Repeats) -> [CrashOutput] {
    var seen: [String: String] = [:]
    var first: [CrashOutput] = []
    for output in outputs {
      if output.id.isEmpty { say("\(what) without ce_id: \(output.value)") }
      guard let before = seen.updateValue(output.value, forKey: output.id) else {
        first.append(output)
        continue
      }
      repeated += 1
      if repeats == .never { say("\(what) \(output.id) came twice: \(output.value)") }
      if before != output.value { say("\(what) \(output.id) came again and differs: \(before) / \(output.value)") }
    }
    return first
  }

  mutating func match(_ what: String, _ live: [(String, String)], _ expected: [String: String]) {
    compared.append("\(live.count) \(what)s")
    var missing = expected
    for (name, value) in live {
      guard let right = missing.removeValue(forKey: name) else {
        say("\(what) \(name) is not in the replay, or is there once only: \(value)")
        continue
      }
      if right != value { say("\(what) \(name) differs: \(value) / replay: \(right)") }
    }
    if !missing.isEmpty {
      say(
        "\(missing.count) \(what)s of the replay are missing, such as \(missing.min { $0.key < $1.key }?.value ?? "")")
    }
    // Real purchases have nothing to reject.
    if expected.isEmpty, what != "dead letter" { say("the replay has no \(what): nothing was compared") }
  }

  mutating func count(_ what: String, _ number: Int) { compared.append("\(number) \(what)s") }

  /// Each customer's changes come in order, from 1, without a gap.
  mutating func checkSequences(_ outputs: [CrashOutput]) {
    var last: [String: Int] = [:]
    for output in outputs {
      let sequence = Int(Fields.value("sequence", in: output.value)) ?? -1
      if sequence != last[output.key, default: 0] + 1 {
        say("\(output.key) has change \(sequence) after \(last[output.key, default: 0])")
      }
      if !output.id.hasSuffix("-\(sequence)") { say("\(output.id) is not the id of change \(sequence)") }
      last[output.key] = sequence
    }
  }
}

/// Plucks values out of our own JSON, which has no spaces and a fixed order.
enum Fields {
  /// The first value of that name: a string without its quotes, or a number; "" when absent.
  static func value(_ name: String, in json: String) -> String {
    guard let start = end(of: "\"\(name)\":", in: json) else { return "" }
    let rest = json.utf8[start...]
    let isText = rest.first == UInt8(ascii: "\"")
    let body = isText ? rest.dropFirst() : rest
    let stop = body.firstIndex {
      isText ? $0 == UInt8(ascii: "\"") : $0 == UInt8(ascii: ",") || $0 == UInt8(ascii: "}")
    }
    return String(body[..<(stop ?? body.endIndex)]) ?? ""
  }

  static func tagName(_ json: String) -> String { "\(value("customer", in: json)) \(value("sequence", in: json))" }
  static func alertName(_ json: String) -> String { "a-\(value("alert_id", in: json))-\(value("status", in: json))" }

  /// Without `topic`, `partition` and `offset` of the cause: a file has others.
  static func withoutOrigin(_ json: String) -> String {
    let utf8 = json.utf8
    guard let cause = end(of: "\"cause\":{\"kind\":\"", in: json),
      let kindEnd = utf8[cause...].firstIndex(of: UInt8(ascii: "\"")),
      utf8[kindEnd...].starts(with: "\",\"topic\":".utf8),
      let offset = end(of: "\"offset\":", in: json, from: kindEnd),
      let stop = utf8[offset...].firstIndex(where: { $0 == UInt8(ascii: ",") || $0 == UInt8(ascii: "}") })
    else { return json }
    return String(json[...kindEnd]) + String(json[stop...])
  }

  /// Where the first `pattern` at or after `start` ends.
  private static func end(of pattern: String, in json: String, from start: String.Index? = nil) -> String.Index? {
    let skipped = start.map { json.utf8.distance(from: json.startIndex, to: $0) } ?? 0
    let offset = json.withCString { base in
      strstr(base + skipped, pattern).map { UnsafePointer($0) - base + pattern.utf8.count }
    }
    return offset.map { json.utf8.index(json.startIndex, offsetBy: $0) }
  }
}
