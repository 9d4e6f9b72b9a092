// The published data sets through import and replay: the known totals, files that satisfy the schemas, and two runs that
// are equal to the byte.

import Foundation
import SchemaTesting
import Testing

/// The folder of the data sets: TIDEWATCH_TEST_DATA, else ../shared/data beside the package; nil where there is none.
private let dataFolder: URL? = {
  let folder =
    ProcessInfo.processInfo.environment["TIDEWATCH_TEST_DATA"].map { URL(fileURLWithPath: $0) }
    ?? Binary.package.deletingLastPathComponent().appendingPathComponent("shared/data")
  return FileManager.default.fileExists(atPath: folder.path) ? folder : nil
}()

/// `make check-data` wants a failure rather than a skip.
private let isWanted = dataFolder != nil || ProcessInfo.processInfo.environment["TIDEWATCH_TEST_DATA_REQUIRED"] != nil

@Suite(.enabled(if: isWanted, "the data sets are not here: set TIDEWATCH_TEST_DATA to their folder"))
struct PublishedDataTests {
  let scratch: ScratchDirectory
  let data: URL

  init() throws {
    scratch = try ScratchDirectory()
    data = try #require(dataFolder, "no data sets: set TIDEWATCH_TEST_DATA to their folder")
  }

  /// Imports a file of the folder; the account's JSON.
  private func importing(_ file: String, map: String) async throws -> JSONValue {
    let outcome = try await Binary.run(
      [
        "import", "--map", "config/import/\(map)", data.appendingPathComponent(file).path,
        "--output", scratch.path("events.ndjson"), "--report", scratch.path("report.json"),
      ], limitSeconds: 600)
    try #require(outcome.status == 0, "\(outcome.errorText)")
    return try JSONValue(scratch.read("report.json"))
  }

  private func replay(into output: String, _ configuration: String) async throws -> JSONValue {
    try scratch.write("replay.yaml", configuration)
    let outcome = try await Binary.run(
      [
        "replay", "--config", scratch.path("replay.yaml"), "--input", scratch.path("events.ndjson"),
        "--output", scratch.path(output),
      ], limitSeconds: 600)
    try #require(outcome.status == 0, "\(outcome.errorText)")
    return try JSONValue(scratch.read("\(output)/summary.json"))
  }

  private func configuration(currency: String, zone: String) -> String {
    """
    kafka: { bootstrap: "localhost:9092" }
    inputs: [{ topic: replay, required: true }]
    outputs: { customer_profiles: { topic: customer-profiles, enabled: true } }
    time_zone: \(zone)
    currency: { reporting: \(currency), exponent: 2, default: \(currency) }
    rules: \(Binary.package.path)/config/tags.yaml
    churn: { preset: cdnow, horizon: 365d }
    """
  }

  /// Every line of every file; returns the number of lines by file.
  private func checkFiles(_ output: String) throws -> [String: Int] {
    var lines: [String: Int] = [:]
    for (file, schema) in [
      ("tag-changes", "tag-change"), ("churn-alerts", "churn-alert"), ("profiles", "customer-profile"),
      ("dead-letters", "dead-letter"),
    ] {
      let schemaFile = Binary.package.appendingPathComponent("config/schemas/\(schema).json")
      let schema = try JSONSchema(JSONValue(Data(contentsOf: schemaFile)))
      let records = try scratch.read("\(output)/\(file).ndjson").split(separator: UInt8(ascii: "\n"))
      lines[file] = records.count
      // All of a small file, an even share of a large one.
      for (number, record) in records.enumerated() where number % (records.count / 5000 + 1) == 0 {
        let problems = try schema.problems(of: JSONValue(record))
        try #require(problems.isEmpty, "\(file) line \(number + 1): \(problems)")
      }
    }
    return lines
  }

  @Test func cdnow() async throws {
    let account = try await importing("CDNOW_master.txt.gz", map: "cdnow-master.yaml")
    #expect(account["rows"]?.integer == 69_659)
    #expect(account["applied"]?.integer == 69_659)
    #expect(account["rejected"]?.integer == 0)

    let configuration = configuration(currency: "USD", zone: "UTC")
    let summary = try await replay(into: "first", configuration)
    #expect(summary["customers"]?.integer == 23_570)
    #expect(summary["orders"]?.integer == 69_659)
    #expect(summary["events"]?["rejected"]?.integer == 0)
    #expect(summary["events"]?["applied"]?.integer == 69_659)
    let lines = try checkFiles("first")
    #expect(lines["profiles"] == 23_570)
    #expect(lines["dead-letters"] == 0)
    #expect(lines["tag-changes"].map(Int64.init) == summary["tag_changes"]?.integer)
    #expect(lines["churn-alerts", default: 0] > 1000)

    let again = try await replay(into: "second", configuration)
    #expect(again["state_digest"] == summary["state_digest"])
    for file in ["tag-changes", "churn-alerts", "profiles", "dead-letters"] {
      #expect(try scratch.read("first/\(file).ndjson") == scratch.read("second/\(file).ndjson"))
    }
  }

  @Test func onlineRetail() async throws {
    let account = try await importing("online_retail.csv.gz", map: "online-retail.yaml")
    #expect(account["rows"]?.integer == 541_909)
    let filtered = (account["filtered"]?.elements ?? []).compactMap { $0["rows"]?.integer }.reduce(0, +)
    let applied = try #require(account["applied"]?.integer)
    let rejected = try #require(account["rejected"]?.integer)
    #expect(applied + filtered + rejected == 541_909)

    let summary = try await replay(into: "result", configuration(currency: "GBP", zone: "Europe/London"))
    #expect(summary["orders"]?.integer == 18_532)
    #expect(summary["events"]?["rejected"]?.integer == 0)
    let gross = try #require(summary["gross_minor"]?.integer)
    #expect(abs(gross - 891_140_790) <= 100)
    _ = try checkFiles("result")
    // Customers with a paid order; some others only ever returned something.
    let profiles = try scratch.read("result/profiles.ndjson").split(separator: UInt8(ascii: "\n"))
    let buyers = try profiles.count { try JSONValue($0)["features"]?["orders.paid"]?.integer ?? 0 > 0 }
    #expect(buyers == 4338)
  }
}
