// `tidewatch replay` of the workload file, with the default rules and with the five of the reference.

import Foundation
import Replay

extension Bench {
  /// Part (c).
  func measureReplay() throws {
    let file = try workloadFile()
    let threads = ReplayOptions.defaultThreads
    for (name, rules) in [("default rules", "tags.yaml"), ("five reference tags", "w1-tags.yaml")] {
      let configuration = try writeConfiguration("replay-\(rules)", rules: rules)
      var rates: [Double] = []
      var cpu: [Double] = []
      var peaks: [Double] = []
      for _ in 0..<options.runs {
        let (summary, use) = try replay(file, configuration, threads: threads)
        rates.append(Double(summary.events.read) / summary.elapsedSeconds)
        cpu.append(use.cpuSeconds / Double(summary.events.read) * 1e6)
        peaks.append(Double(use.peakBytes) / 1_048_576)
      }
      add(
        Figure("replay", name, "events/s", rates, note: "\(threads) engine threads; outputs and all profiles written"))
      add(Figure("replay", "\(name), CPU", "us/event", cpu))
      // The system counts what this process had before the other program took its place.
      if peaks.allSatisfy({ $0 > ownPeakBytes() / 1_048_576 }) {
        add(Figure("replay", "\(name), peak memory", "MiB", peaks))
      } else {
        say("replay, \(name), peak memory: less than this process has needed; run this part alone to see it")
      }
    }
  }

  /// Of `summary.json`, what is used here.
  struct ReplayOutcome: Decodable {
    struct Events: Decodable {
      var read: Int
      var rejected: Int
    }
    var events: Events
    var customers: Int
    var elapsedSeconds: Double
  }

  func replay(_ file: String, _ configuration: String, threads: Int) throws -> (ReplayOutcome, ProcessUse) {
    let output = path("replay-output")
    let process = try start(
      [
        "replay", "--config", configuration, "--input", file, "--output", output, "--ceiling", "2100-01-01T00:00:00Z",
        "--threads", String(threads),
      ], "replay", showsProgress: true)
    let use = try process.finish()
    let decoder = JSONDecoder()
    decoder.keyDecodingStrategy = .convertFromSnakeCase
    let summary = try decoder.decode(
      ReplayOutcome.self, from: Data(contentsOf: URL(fileURLWithPath: "\(output)/summary.json")))
    remove("replay-output")
    guard summary.events.rejected == 0 else {
      throw BenchmarkError(
        "replay has rejected \(summary.events.rejected) events of \(file): it measures something else")
    }
    return (summary, use)
  }
}
