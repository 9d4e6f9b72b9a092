// `replay` on a handful of events: what each file then holds, the same twice, and how mistakes end.

import Foundation
import SchemaTesting
import Testing

private let configuration = """
  kafka: { bootstrap: "localhost:9092" }
  inputs: [{ topic: events, required: true }]
  rules: rules.yaml
  """
private let rules = """
  version: 1
  tags:
    - name: buyer
      layer: value
      when: orders.count >= 1
    - name: sleeping
      layer: behaviour
      when: orders.days_since_last >= 10
  """
private let events = """
  {"broken
  {"id":"1","type":"order_paid","customer":"c-1","ts":"2026-03-01T12:00:00Z","order":"o-1","amount":12.50,"currency":"CNY"}
  {"id":"1","type":"order_paid","customer":"c-1","ts":"2026-03-01T12:00:00Z","order":"o-1","amount":12.50,"currency":"CNY"}
  {"id":"2","type":"page_view","customer":"c-2","ts":"2026-03-02T12:00:00Z"}
  {"id":"3","type":"order_paid","customer":"c-2","ts":"2026-03-02T12:00:00Z","order":"o-2"}

  """

/// gzip, by the system's own tool.
private func compressed(_ data: Data) async throws -> Data {
  let scratch = try ScratchDirectory()
  try data.write(to: scratch.url.appendingPathComponent("data"))
  let outcome = try await Binary.run(
    ["-c", scratch.path("data")], of: .success(URL(fileURLWithPath: "/usr/bin/gzip")))
  return outcome.output
}

@Suite struct ReplayCommandTests {
  let scratch: ScratchDirectory

  init() throws {
    scratch = try ScratchDirectory()
    try scratch.write("tidewatch.yaml", configuration)
    try scratch.write("rules.yaml", rules)
    try scratch.write("events.ndjson", events)
  }

  private func run(_ output: String = "out", _ more: String...) async throws -> Outcome {
    try await Binary.run(
      [
        "replay", "--config", scratch.path("tidewatch.yaml"), "--input", scratch.path("events.ndjson"),
        "--output", scratch.path(output), "--ceiling", "2027-01-01T00:00:00Z",
      ] + more)
  }

  private func lines(_ file: String) throws -> [JSONValue] {
    try scratch.read(file).split(separator: UInt8(ascii: "\n")).map { try JSONValue($0) }
  }

  @Test func filesSayWhatHappened() async throws {
    let outcome = try await run("out", "--until", "2026-04-01T00:00:00Z")
    try #require(outcome.status == 0, "\(outcome.errorText)")

    let summary = try JSONValue(scratch.read("out/summary.json"))
    let counts = try #require(summary["events"])
    #expect(counts["read"]?.integer == 5)
    #expect(counts["applied"]?.integer == 2)
    #expect(counts["duplicate"]?.integer == 1)
    #expect(counts["rejected"]?.integer == 2)
    #expect(summary["rejected_by"]?["malformed_json"]?.integer == 1)
    #expect(summary["rejected_by"]?["missing_amount"]?.integer == 1)
    #expect(!outcome.errorText.contains("were rejected"))
    #expect(summary["customers"]?.integer == 2)
    #expect(summary["orders"]?.integer == 1)
    #expect(summary["revenue_minor"]?.integer == 1250)

    let changes = try lines("out/tag-changes.ndjson")
    #expect(changes.map { $0["tag"]?.string } == ["buyer", "sleeping"])
    #expect(changes.map { $0["effective_at"]?.string } == ["2026-03-01T12:00:00.000Z", "2026-03-11T12:00:00.000Z"])
    #expect(changes.map { $0["cause"]?["kind"]?.string } == ["event", "time"])
    #expect(changes.map { $0["sequence"]?.integer } == [1, 2])

    let letters = try lines("out/dead-letters.ndjson")
    #expect(letters.map { $0["reason"]?.string } == ["malformed_json", "missing_amount"])
    #expect(letters.map { $0["offset"]?.integer } == [0, 4])
    #expect(letters.first?["payload"]?.string == "{\"broken")
    // Nothing was known of the time when the first was written.
    #expect(letters.first?["emitted_at"] == nil)
    #expect(letters.last?["emitted_at"] != nil)

    #expect(try lines("out/profiles.ndjson").map { $0["customer"]?.string } == ["c-1", "c-2"])
  }

  @Test func theOldestDayAndTheLargestQuantityAreSettings() async throws {
    func event(_ id: Int, _ time: String, _ quantity: Int) -> String {
      #"{"id":"\#(id)","type":"add_to_cart","customer":"c","ts":"\#(time)","product":"p","quantity":\#(quantity)}"#
        + "\n"
    }
    // The first of each pair is within its limit.
    try scratch.write(
      "events.ndjson",
      event(1, "1985-04-12T00:00:00Z", 1) + event(2, "1985-04-11T23:59:59.999Z", 1)
        + event(3, "1985-04-12T00:00:00Z", 2_000_000) + event(4, "1985-04-12T00:00:00Z", 2_000_001))
    func rejected(_ output: String) async throws -> [String?] {
      let outcome = try await run(output)
      try #require(outcome.status == 0, "\(outcome.errorText)")
      return try lines("\(output)/dead-letters.ndjson").map { $0["reason"]?.string }
    }
    #expect(try await rejected("before") == ["timestamp_too_old", "timestamp_too_old", "bad_quantity", "bad_quantity"])
    try scratch.write("tidewatch.yaml", configuration + "\nlimits: { oldest: 1985-04-12, quantity: 2_000_000 }\n")
    #expect(try await rejected("after") == ["timestamp_too_old", "bad_quantity"])
  }

  @Test func everyRecordSatisfiesItsSchema() async throws {
    let outcome = try await run("out", "--until", "2026-06-01T00:00:00Z")
    try #require(outcome.status == 0, "\(outcome.errorText)")
    for (file, name) in [
      ("tag-changes", "tag-change"), ("churn-alerts", "churn-alert"), ("profiles", "customer-profile"),
      ("dead-letters", "dead-letter"),
    ] {
      let document = try Data(contentsOf: Binary.package.appendingPathComponent("config/schemas/\(name).json"))
      let schema = try JSONSchema(JSONValue(document))
      let records = try lines("out/\(file).ndjson")
      #expect(!records.isEmpty)
      for record in records { #expect(schema.problems(of: record) == [], "\(file)") }
    }
  }

  @Test func whenMostIsRejectedThatIsSaid() async throws {
    try scratch.write(
      "events.ndjson",
      (1...3).map {
        "{\"id\":\"\($0)\",\"type\":\"order_paid\",\"customer\":\"c\",\"order\":\"o\","
          + "\"ts\":\"2026-03-01T00:00:00Z\",\"amount\":1,\"currency\":\"GBP\"}\n"
      }.joined())
    let outcome = try await run()
    #expect(outcome.status == 0)
    #expect(outcome.errorText.contains("3 of 3 events were rejected, 3 of them as unknown_currency"))
    #expect(outcome.errorText.contains("currency.rates"))
  }

  @Test("a rule names a text in any spelling that a record may have") func spellings() async throws {
    let features = ["profile.region", "profile.occupation", "preferences.category", "preferences.channel"]
    let tags = features.enumerated().map {
      "  - { name: is\($0), layer: basic, when: '\($1) = \"Café МОСКВА\"' }\n"
        + "  - { name: in\($0), layer: basic, when: '\($1) in [\"x\", \" café москва\"]' }\n"
        + "  - { name: not\($0), layer: basic, when: '\($1) != \"CAFÉ Москва\"' }\n"
    }
    try scratch.write("rules.yaml", "version: 1\ntags:\n" + tags.joined())
    let text = "\u{3000}CafÉ Москва "
    try scratch.write(
      "events.ndjson",
      "{\"type\":\"profile_update\",\"customer\":\"c\",\"ts\":\"2026-03-01T00:00:00Z\",\"region\":\"\(text)\",\"occupation\":\"\(text)\"}\n"
        + "{\"type\":\"page_view\",\"customer\":\"c\",\"ts\":\"2026-03-01T00:00:01Z\",\"category\":\"\(text)\",\"channel\":\"\(text)\"}\n"
    )
    let outcome = try await run()
    try #require(outcome.status == 0, "\(outcome.errorText)")
    var tagsNow: Set<String> = []
    for change in try lines("out/tag-changes.ndjson") {
      let tag = try #require(change["tag"]?.string)
      if change["op"]?.string == "unset" { tagsNow.remove(tag) } else { tagsNow.insert(tag) }
    }
    #expect(tagsNow.sorted() == ["in0", "in1", "in2", "in3", "is0", "is1", "is2", "is3"])
  }

  @Test func whatIsNotFinishedIsRemoved() async throws {
    try scratch.write("events.ndjson.gz", "no gzip")
    let outcome = try await Binary.run([
      "replay", "--config", scratch.path("tidewatch.yaml"), "--input", scratch.path("events.ndjson.gz"),
      "--output", scratch.path("out"),
    ])
    #expect(outcome.status == 65)
    #expect(try FileManager.default.contentsOfDirectory(atPath: scratch.path("out")) == [])
  }

  @Test func twoRunsAreEqual() async throws {
    #expect(try await run("a").status == 0)
    #expect(try await run("b", "--threads", "5").status == 0)
    for file in ["tag-changes", "churn-alerts", "profiles", "dead-letters"] {
      #expect(try scratch.read("a/\(file).ndjson") == scratch.read("b/\(file).ndjson"))
    }
  }

  @Test func mistakesEndWithTheirStatus() async throws {
    let time = try await run("out", "--until", "yesterday")
    #expect(time.status == 64)
    #expect(time.errorText.contains("--until"))

    try scratch.write("file", "")
    let output = try await run("file/out")
    #expect(output.status == 73)

    try FileManager.default.createDirectory(atPath: scratch.path("full"), withIntermediateDirectories: true)
    try FileManager.default.createSymbolicLink(
      atPath: scratch.path("full/tag-changes.ndjson.partial"), withDestinationPath: "/dev/full")
    let full = try await run("full")
    #expect(full.status == 74)
    #expect(full.errorText.contains("make room"))

    let input = try await Binary.run([
      "replay", "--config", scratch.path("tidewatch.yaml"), "--input", scratch.path("none.ndjson"),
      "--output", scratch.path("out"),
    ])
    #expect(input.status == 66)
    #expect(input.errorText.contains("none.ndjson"))

    // gzip that ends too early is damage, not a shorter file.
    let whole = try await compressed(Data(String(repeating: events, count: 1000).utf8))
    try whole.dropLast(20).write(to: scratch.url.appendingPathComponent("cut.ndjson.gz"))
    let damaged = try await Binary.run([
      "replay", "--config", scratch.path("tidewatch.yaml"), "--input", scratch.path("cut.ndjson.gz"),
      "--output", scratch.path("out"),
    ])
    #expect(damaged.status == 65)
    #expect(damaged.errorText.contains("cut.ndjson.gz"))

    try scratch.write("rules.yaml", rules.replacingOccurrences(of: "orders.count", with: "orders.cuont"))
    let rules = try await run()
    #expect(rules.status == 78)
    #expect(rules.errorText.contains("rules.yaml:5:"))
    #expect(rules.errorText.contains("orders.count"))

    try scratch.write("tidewatch.yaml", configuration + "\nlateness: soon\n")
    let configuration = try await run()
    #expect(configuration.status == 78)
    #expect(configuration.errorText.contains("tidewatch.yaml:4:"))
  }
}
