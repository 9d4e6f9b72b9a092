// The public data sets through their maps: every row accounted for, the known totals reached.

import Events
import Foundation
import Import
import Testing

/// The folder of real data, where there is one: TIDEWATCH_TEST_DATA, or ../shared/data beside the project.
let dataFolder: String? = {
  let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent()
  let candidates: [String?] = [
    ProcessInfo.processInfo.environment["TIDEWATCH_TEST_DATA"], root.appendingPathComponent("../shared/data").path,
  ]
  return candidates.compactMap { $0 }.first { FileManager.default.fileExists(atPath: $0) }
}()

let projectRoot = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
  .deletingLastPathComponent().path

private let skipMessage: Comment = "the real data is not here: set TIDEWATCH_TEST_DATA to its folder"

private func runImport(_ map: String, _ file: String) throws -> (report: ImportReport, events: [[String: Any]]) {
  let map = try ImportMap.load(path: "\(projectRoot)/config/import/\(map)")
  var events: [[String: Any]] = []
  let report = try Importer.run(map: map, inputs: ["\(dataFolder ?? "")/\(file)"]) { line in
    let value = try JSONSerialization.jsonObject(with: Data(line))
    events.append(try #require(value as? [String: Any]))
  }
  #expect(report.rows == report.applied + report.filteredRows + report.rejected)
  #expect(report.events == events.count)
  let times = events.compactMap { $0["ts"] as? Int }
  #expect(times == times.sorted())
  return (report, events)
}

@Test(.enabled(if: dataFolder != nil, skipMessage))
func cdnowMaster() throws {
  let (report, events) = try runImport("cdnow-master.yaml", "CDNOW_master.txt.gz")
  #expect(report.rows == 69_659)
  #expect(report.applied == 69_659)
  #expect(Set(events.compactMap { $0["customer"] as? String }).count == 23_570)
}

@Test(.enabled(if: dataFolder != nil, skipMessage))
func cdnowSample() throws {
  let (report, events) = try runImport("cdnow-sample.yaml", "CDNOW_sample.txt")
  #expect(report.rows == 6_919)
  #expect(report.rejected == 0)
  #expect(Set(events.compactMap { $0["customer"] as? String }).count == 2_357)
}

@Test(.enabled(if: dataFolder != nil, skipMessage))
func onlineRetail() throws {
  let (report, events) = try runImport("online-retail.yaml", "online_retail.csv.gz")
  #expect(report.rows == 541_909)
  #expect(report.rejected == 0)
  #expect(report.filtered.first?.rows == 135_080)
  let paid = events.filter { $0["type"] as? String == "order_paid" }
  #expect(paid.count == 18_532)
  #expect(Set(paid.compactMap { $0["customer"] as? String }).count == 4_338)
  let gross = paid.reduce(0.0) { $0 + (($1["amount"] as? NSNumber)?.doubleValue ?? 0) }
  #expect(abs(gross - 8_911_407.90) <= 1)
}
