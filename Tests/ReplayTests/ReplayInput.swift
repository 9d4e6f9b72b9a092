// Generated input files of many customers, with everything in them that makes the order of outputs hard to keep.

import CZlib
import Events
import Foundation
import ReferenceTesting

/// A directory that goes with it.
final class Scratch: Sendable {
  let url: URL

  init() throws {
    url = FileManager.default.temporaryDirectory.appendingPathComponent("tidewatch-replay-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
  }

  deinit { try? FileManager.default.removeItem(at: url) }

  func path(_ name: String) -> String { url.appendingPathComponent(name).path }

  /// Writes lines, compressed where the name says so.
  func write(_ name: String, _ lines: some Sequence<String>) throws -> String {
    let bytes = lines.reduce(into: [UInt8]()) {
      $0 += Array($1.utf8)
      $0.append(10)
    }
    if name.hasSuffix(".gz") {
      let file = gzopen(path(name), "wb")
      _ = bytes.withUnsafeBytes { gzwrite(file, $0.baseAddress, UInt32($0.count)) }
      gzclose(file)
    } else {
      try Data(bytes).write(to: url.appendingPathComponent(name))
    }
    return path(name)
  }

  func bytes(_ name: String) throws -> [UInt8] { Array(try Data(contentsOf: url.appendingPathComponent(name))) }
}

struct ReplayInput {
  var lines: [String] = []
  var last = Instant.distantPast

  /// Late events, some of them too late, duplicates, refunds and rejected lines. Groups of customers do the same at the
  /// same time, so that their timers come due together.
  init(random: inout Seeded) {
    let start = Instant(seconds: 1_700_000_000 + random.int(0...10_000_000))
    var events: [SampleEvent] = []
    for group in 0..<6 + random.index(20) {
      var options = StreamOptions()
      options.visits = 4 + random.index(24)
      options.wholeSeconds = random.chance(0.5)
      options.isShuffled = false
      let stream = EventStream(seed: random.next(), options: options).arrivals
      guard let first = stream.first else { continue }
      let shift = TimeSpan(
        microseconds: start.microseconds - first.time.microseconds + random.int(0...90) * 86_400_000_000)
      for member in 0...random.index(4) {
        let id = Self.customer(group, member)
        events += stream.map { event in
          var event = event
          event.customer = id
          event.time = event.time + shift
          return event
        }
      }
    }
    events.sort { $0.time < $1.time }
    let lateness = TimeSpan.days(random.pick([1, 7, 8]))
    for event in EventStream.arrange(events, lateness: lateness, random: &random) {
      lines.append(Self.line(event))
      last = max(last, event.time)
      if random.chance(0.02) { lines.append(Self.rejected(random.index(5))) }
    }
  }

  /// Long ones that begin alike, short ones, one that begins with another.
  private static func customer(_ group: Int, _ member: Int) -> String {
    switch group % 4 {
    case 0: "customer-of-\(group)-\(member)"
    case 1: "\(group)" + String(repeating: "x", count: member)
    case 2: "客户\(member)-\(group)"
    default: "\(member)-\(group)"
    }
  }

  private static func rejected(_ kind: Int) -> String {
    switch kind {
    case 0: "{\"broken"
    case 1: ""
    case 2: #"{"type":"login","ts":"2026-01-01T00:00:00Z"}"#
    case 3: #"{"type":"order_paid","customer":"c","ts":"2024-01-01T00:00:00Z","order":"o"}"#
    default: #"{"type":"login","customer":"c","ts":"2990-01-01T00:00:00Z"}"#
    }
  }

  private static func line(_ event: SampleEvent) -> String {
    var fields: [(String, String?)] = [
      ("id", event.id), ("type", event.type.name), ("customer", event.customer), ("ts", text(of: event.time)),
      ("order", event.order), ("amount", event.amount.map(money)), ("category", event.category),
      ("product", event.product), ("channel", event.channel), ("coupon", event.coupon ? "C" : nil),
      ("discount", event.discount > 0 ? money(event.discount) : nil), ("gender", event.gender?.name),
      ("region", event.region), ("occupation", event.occupation),
    ]
    if event.type == .identityLink { fields.append(("other", "z")) }
    if event.type == .alertAck { fields.append(("alert_id", "a")) }
    let members = fields.compactMap { name, value in value.map { "\"\(name)\":\"\($0)\"" } }
    return "{" + members.joined(separator: ",") + "}"
  }

  private static func money(_ minor: Int64) -> String {
    let cents = minor % 100
    return "\(minor / 100).\(cents < 10 ? "0" : "")\(cents)"
  }

  private static func text(of instant: Instant) -> String {
    let date = Date(timeIntervalSince1970: Double(instant.microseconds / 1_000_000))
    let micros = String(instant.microseconds % 1_000_000)
    return date.formatted(.iso8601).dropLast() + "." + String(repeating: "0", count: 6 - micros.count) + micros + "Z"
  }
}
