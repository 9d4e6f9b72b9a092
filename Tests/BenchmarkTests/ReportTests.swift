// What the benchmark says of its figures: medians, the table, the file, the charts, the page.

import Benchmarks
import Foundation
import Testing

private func report(_ figures: [Figure]) -> BenchmarkReport {
  var report = BenchmarkReport(
    takenAt: "2026-03-01T00:00:00Z",
    machine: Machine(cpu: "A & B", cores: 2, memoryBytes: 8 << 30, kernel: "6.1", loadAtStart: 0.1),
    versions: Versions(commit: "abc", swift: "Swift 6.3", librdkafka: "2.0.2", simdjson: "3.0.1"),
    workload: Workload(events: 5_000_000, customers: 1_000_000, seed: 1, partitions: 4, runs: 3, broker: "kafka"))
  report.figures = figures
  return report
}

private let figures = [
  Figure("floor", "raw consumer", "events/s", [900_000, 1_000_000, 1_200_000]),
  Figure(
    "run", "exactly_once", "events/s", [500_000, 610_000, 700_000], ratiosToFloor: [0.5, 0.61, 0.58], note: "a note"),
  Figure("run", "exactly_once, CPU of own threads", "us/event", [1.25]),
  Figure("curve", "10,000 customers", "ns/event", [400, 500]),
  Figure("curve", "1,000,000 customers", "ns/event", [900]),
]

@Suite struct ReportTests {
  @Test func quantilesLieBetweenNeighbours() {
    #expect([Double]().quantile(0.5).isNaN)
    #expect([7].quantile(0.99) == 7)
    #expect([3, 1, 2].quantile(0.5) == 2)
    #expect([4, 1, 2, 3].quantile(0.5) == 2.5)
    #expect([0, 10].quantile(0.25) == 2.5)
    #expect([1, 2, 3].quantile(0) == 1 && [1, 2, 3].quantile(1) == 3)
  }

  @Test func theTableHasMedianRangeAndRatio() throws {
    let lines = report(figures).text.split(separator: "\n").map(String.init)
    let row = try #require(lines.first { $0.contains("exactly_once ") })
    #expect(
      row.split(separator: " ", omittingEmptySubsequences: true).map(String.init)
        == ["run", "exactly_once", "610,000", "500,000", "700,000", "3", "0.58", "events/s"])
    #expect(lines.contains { $0.hasSuffix("run, exactly_once: a note") })
    // The part is said once.
    #expect(lines.first { $0.contains("CPU of own") }?.hasPrefix(" ") == true)
    // Columns stand under each other.
    let widths = Set(lines.filter { $0.hasSuffix("/event") || $0.hasSuffix("events/s") }.map { $0.utf8.count / 200 })
    #expect(widths == [0])
  }

  @Test func theFileIsReadBackWhole() throws {
    let all = report(figures)
    let back = try BenchmarkReport(json: all.json())
    #expect(back.figures == all.figures && back.machine == all.machine && back.versions == all.versions)
    #expect(back.workload == all.workload)
    var other = all
    other.schema = 99
    #expect(throws: BenchmarkError.self) { try BenchmarkReport(json: other.json()) }
  }

  @Test func theChartsAreXML() throws {
    let charts = report(figures).charts
    #expect(charts.map(\.name) == ["benchmarks-throughput", "benchmarks-curve"])
    for chart in charts {
      // Every tag that is opened is closed, and what came from outside is escaped.
      let opened = chart.svg.components(separatedBy: "<").count - 1
      #expect(opened == chart.svg.components(separatedBy: ">").count - 1)
      #expect(chart.svg.hasPrefix("<svg ") && chart.svg.hasSuffix("</svg>\n"))
      #expect(chart.svg.contains("A &amp; B") && !chart.svg.contains("A & B"))
      #expect(!chart.svg.contains("nan"))
    }
    #expect(report([]).charts.isEmpty)
  }

  @Test func onlyWhatIsBetweenTheMarkersIsReplaced() throws {
    let page = "a\n<!-- results:begin -->\nold\n<!-- results:end -->\nb\n"
    let new = try replacing("results", in: page, with: "new")
    #expect(new == "a\n<!-- results:begin -->\n\nnew\n<!-- results:end -->\nb\n")
    #expect(try replacing("results", in: new, with: "new") == new)
    #expect(throws: BenchmarkError.self) { try replacing("other", in: page, with: "") }
  }
}

@Suite struct MetricsPageTests {
  private let page = MetricsPage(
    text: """
      # HELP a_total Things.
      # TYPE a_total counter
      a_total{topic="x"} 3
      a_total{topic="y"} 4.5
      a_total_more 100
      h_bucket{le="0.001"} 90
      h_bucket{le="0.005"} 99
      h_bucket{le="+Inf"} 100
      h_count 100
      """)

  @Test func samplesAreFoundByName() {
    #expect(page["a_total_more"] == 100)
    #expect(page["a_total{topic=\"x\"}"] == 3)
    #expect(page.sum("a_total") == 7.5)
    #expect(page["b"] == nil)
  }

  @Test func aQuantileIsTheUpperEndOfItsBucket() {
    #expect(page.histogramQuantile("h", 0.5) == 0.001)
    #expect(page.histogramQuantile("h", 0.99) == 0.005)
    #expect(page.histogramQuantile("h", 1) == .infinity)
    #expect(page.histogramQuantile("none", 0.5) == nil)
  }
}
