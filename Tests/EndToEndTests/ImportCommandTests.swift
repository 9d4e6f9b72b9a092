// `import` on a small export: events, the account of rows, and how each mistake ends.

import Foundation
import SchemaTesting
import Testing

private let map = """
  version: 1
  time: { column: date, format: yyyy-MM-dd, zone: UTC }
  filters:
    - { name: no_customer, when: { empty: customer } }
  events:
    - type: order_paid
      amount: total
      set: { id: "e-{row}", customer: "{customer}", order: "o-{row}", currency: CNY }
  sort: time
  """
private let rows = """
  customer,date,total
  bob,2026-03-02,10.50
  ,2026-03-01,5
  alice,2026-03-01,"1,2"
  alice,2026-03-01,7

  """

@Suite struct ImportCommandTests {
  let scratch: ScratchDirectory

  init() throws {
    scratch = try ScratchDirectory()
    try scratch.write("map.yaml", map)
    try scratch.write("data.csv", rows)
  }

  private func run(_ arguments: String...) async throws -> Outcome {
    try await Binary.run(["import", "--map", scratch.path("map.yaml")] + arguments)
  }

  @Test func everyRowIsAccountedFor() async throws {
    let outcome = try await run(
      scratch.path("data.csv"), "--output", scratch.path("events.ndjson"), "--report", scratch.path("report.json"))
    #expect(outcome.status == 0)
    #expect(outcome.output.isEmpty)
    for words in ["4 rows:", "2  in 2 events", "1  no_customer", "data.csv:4: "] {
      #expect(outcome.errorText.contains(words), "\(words) is not in: \(outcome.errorText)")
    }
    let report = try JSONValue(scratch.read("report.json"))
    #expect(report["rows"] == .number("4"))
    #expect(report["applied"] == .number("2"))
    #expect(report["events"] == .number("2"))
    #expect(report["rejected"] == .number("1"))
    #expect(report["filtered"]?.elements?.first?["name"] == .string("no_customer"))
    #expect(report["rejections"]?.elements?.first?["line"] == .number("4"))

    let events = try scratch.read("events.ndjson").split(separator: UInt8(ascii: "\n")).map { try JSONValue($0) }
    #expect(events.map { $0["customer"]?.string } == ["alice", "bob"])
    #expect(events.map { $0["amount"]?.double } == [7, 10.5])
    #expect(events.map { $0["type"]?.string } == ["order_paid", "order_paid"])
  }

  @Test func standardOutputIsTheDefault() async throws {
    let outcome = try await run(scratch.path("data.csv"))
    #expect(outcome.status == 0)
    #expect(outcome.text.split(separator: "\n").count == 2)
    // Off a terminal nothing redraws itself.
    #expect(!outcome.errorText.contains("\u{1b}"))
  }

  @Test func strictFailsAndWritesNothing() async throws {
    let outcome = try await run(scratch.path("data.csv"), "--strict", "--output", scratch.path("events.ndjson"))
    #expect(outcome.status == 65)
    #expect(outcome.errorText.contains("1 rows were rejected"))
    #expect(outcome.errorText.contains("was not written"))
    #expect(try FileManager.default.contentsOfDirectory(atPath: scratch.url.path).sorted() == ["data.csv", "map.yaml"])
  }

  @Test func strictSaysWhatBecameOfStandardOutput() async throws {
    let outcome = try await run(scratch.path("data.csv"), "--strict")
    #expect(outcome.status == 65)
    #expect(outcome.errorText.contains("do not use what went to standard output"))
  }

  @Test func whenMostIsRejectedThatIsSaid() async throws {
    #expect(try await !run(scratch.path("data.csv")).errorText.contains("most rows were rejected"))
    try scratch.write("data.csv", "customer,date,total\nbob,yesterday,1\n")
    let outcome = try await run(scratch.path("data.csv"))
    #expect(outcome.status == 0)
    #expect(outcome.errorText.contains("most rows were rejected"))
  }

  @Test func mistakesEndWithTheirStatus() async throws {
    let missing = try await run(scratch.path("none.csv"))
    #expect(missing.status == 66)
    #expect(missing.errorText.contains("none.csv"))

    let output = try await run(scratch.path("data.csv"), "--output", scratch.path("no/such/directory"))
    #expect(output.status == 73)

    try Data([0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 1, 2, 3, 4]).write(
      to: scratch.url.appendingPathComponent("damaged.csv.gz"))
    let damaged = try await run(scratch.path("damaged.csv.gz"))
    #expect(damaged.status == 65)
    #expect(damaged.errorText.contains("damaged.csv.gz"))

    try scratch.write("map.yaml", map.replacingOccurrences(of: "amount: total", with: "amuont: total"))
    let wrongMap = try await run(scratch.path("data.csv"))
    #expect(wrongMap.status == 78)
    #expect(wrongMap.errorText.contains("map.yaml:7:"))

    try scratch.write("map.yaml", map.replacingOccurrences(of: "amount: total", with: "amount: sum"))
    let wrongColumn = try await run(scratch.path("data.csv"))
    #expect(wrongColumn.status == 78)
    #expect(wrongColumn.errorText.contains("sum"))
  }
}
