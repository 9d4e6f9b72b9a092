// The schema of events against the decoder (what the schema promises is accepted), and dead letters against theirs.

import Engine
import Events
import Foundation
import SchemaTesting
import Testing

private func decoder() throws -> EventDecoder {
  let cny = try #require(Currency("CNY"))
  return EventDecoder(
    format: .native,
    currencies: try CurrencyTable(reporting: cny, exponent: 2, assumed: cny, rates: []))
}

private let ceiling = Instant(seconds: 1_900_000_000)

/// Nil when it is accepted.
private func rejection(_ decoder: inout EventDecoder, _ text: String) -> RejectReason? {
  var event = Event()
  return Array(text.utf8).withUnsafeBytes { bytes in
    decoder.decode(bytes, key: nil, origin: Origin(topic: 0, partition: 0, offset: 0), ceiling: ceiling, into: &event)
  }
}

@Suite struct InputSchemaTests {
  /// Fields drawn at random, valid and not: whatever the schema accepts, the decoder accepts.
  @Test func decoderKeepsTheSchemasPromise() throws {
    let schema = try publishedSchema("event")
    var decoder = try decoder()
    var random = Seeded(state: 5)
    let values: [(name: String, values: [String])] = [
      ("id", [#""e-1""#, #""""#, "7"]),
      (
        "type",
        EventType.allCases.map { "\"\($0.name)\"" }
          + [#""order_paid""#, #""order_refunded""#, #""profile_update""#, #""wishlist_sync""#, "3"]
      ),
      ("customer", [#""c-1""#, #""客户""#, #""""#, "12", "null"]),
      ("ts", [#""2026-03-01T12:34:56.123Z""#, #""2026-03-01T12:34:56+08:00""#, "1772368496123", #""today""#, "12"]),
      ("order", [#""o-1""#, #""""#, "[]"]), ("amount", ["12.34", #""12.34""#, "0", "-1", "1e3", #""1,5""#]),
      ("currency", [#""CNY""#, #""yuan""#]), ("quantity", ["0", "3", "1.5", "-1", "2000000"]),
      ("category", [#""beauty/skin""#, #"" 数码 ""#, "{}"]), ("product", [#""sku""#]), ("channel", [#""app""#]),
      ("coupon", [#""SPRING""#]), ("discount", ["1.00", #""0.5""#, "-2"]),
      ("birth_date", [#""1990-05-17""#, #""17.5.1990""#]), ("gender", [#""female""#, #""女""#, #""?""#]),
      ("region", [#""上海""#, "1.5"]), ("occupation", [#""nurse""#]), ("other", [#""c-2""#]), ("alert_id", [#""a-1""#]),
      ("session", [#""s-1""#, #"{"a":[1,{"b":null}]}"#]),
    ]
    var accepted = 0
    var refusedByBoth = 0
    for _ in 0..<20_000 {
      var fields: [String] = []
      for (name, choices) in values {
        let isUsual = ["type", "customer", "ts"].contains(name)
        if !random.chance(isUsual ? 97 : 35) { continue }
        // The first choices are right; the others are rare, or nothing would be right as a whole.
        let value = random.chance(name == "type" ? 100 : 10) ? choices.randomElement(using: &random) : choices.first
        fields.append("\"\(name)\":\(value ?? "null")")
      }
      let text = "{" + fields.shuffled(using: &random).joined(separator: ",") + "}"
      let problems = schema.problems(of: try JSONValue(text.utf8))
      let reason = rejection(&decoder, text)
      if problems.isEmpty {
        #expect(reason == nil, "the schema accepts \(text)")
        accepted += 1
      } else if reason != nil {
        refusedByBoth += 1
      }
      decoder.reset()
    }
    #expect(accepted > 2000)
    #expect(refusedByBoth > 2000)
  }

  @Test func schemaNamesEveryReason() throws {
    let path = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .deletingLastPathComponent().appendingPathComponent("config/schemas/dead-letter.json")
    let listed = try JSONValue(Data(contentsOf: path))["properties"]?["reason"]?["enum"]?.elements?.compactMap(\.string)
    #expect(listed == RejectReason.allCases.map(\.rawValue))
  }

  @Test func deadLetters() throws {
    let schema = try publishedSchema("dead-letter")
    let payloads: [[UInt8]] = [
      [], Array("{\"customer\":\"客户\"}\n\u{1}".utf8), [0xff, 0x00, 0x7f], [0x41, 0xe5],
      Array(repeating: 0x61, count: 100),
    ]
    let keys: [[UInt8]?] = [nil, [], Array("c-1".utf8), [0xfe, 0xff, 0x01]]
    var seen: Set<String> = []
    for (number, reason) in RejectReason.allCases.enumerated() {
      for payload in payloads {
        for key in keys {
          var output = OutputBuffer()
          func encode(_ key: UnsafeRawBufferPointer?) {
            payload.withUnsafeBytes { bytes in
              DeadLetter.encode(
                reason: reason, origin: Origin(topic: 1, partition: 2, offset: Int64(number)), topicName: "orders",
                key: key, payload: bytes, brokerTimestamp: number % 2 == 0 ? ceiling : nil,
                emittedAt: number % 3 == 0 ? .distantPast : ceiling, maxPayloadBytes: 64, into: &output)
            }
          }
          if let key { key.withUnsafeBytes { encode($0) } } else { encode(nil) }
          let entry = try #require(output.entries.first)
          let value = try JSONValue(output.bytes[entry.value])
          #expect(schema.problems(of: value) == [])
          #expect(value["bytes"]?.integer == Int64(payload.count))
          #expect(value["truncated"] == .bool(payload.count > 64))
          if case .string(let text) = value["payload"] { #expect(Array(text.utf8) == Array(payload.prefix(64))) }
          if let text = value["payload_base64"]?.string {
            #expect(Data(base64Encoded: text) == Data(payload.prefix(64)))
          }
          if let text = value["key_base64"]?.string { #expect(Data(base64Encoded: text) == key.map { Data($0) }) }
          seen.formUnion(value.members?.map(\.name) ?? [])
        }
      }
    }
    #expect(seen.isSuperset(of: ["key", "key_base64", "payload", "payload_base64", "timestamp", "emitted_at"]))
  }

  /// The AsyncAPI document refers to schemas that exist.
  @Test func asyncAPINamesExistingSchemas() throws {
    let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .deletingLastPathComponent().appendingPathComponent("config")
    let text = try String(contentsOf: folder.appendingPathComponent("asyncapi.yaml"), encoding: .utf8)
    let names = text.matches(of: #/schemas/(?<name>[a-z-]+\.json)/#).map { String($0.output.name) }
    let files = try FileManager.default.contentsOfDirectory(atPath: folder.appendingPathComponent("schemas").path)
    #expect(Set(names) == Set(files))
  }
}
