// Many runs, on all cores, with their results put together.

import CommandSupport
import Foundation
import Synchronization

/// What came of many runs.
package struct CampaignReport: Sendable {
  package internal(set) var runs = 0
  package internal(set) var failures: [RunResult] = []
  package internal(set) var coverage = Coverage()
  package internal(set) var simulatedMicroseconds: Int64 = 0
  package internal(set) var records = 0
  package internal(set) var switches = 0
  package internal(set) var elapsedSeconds = 0.0
  /// Of the last run, when it was asked for.
  package internal(set) var trace: [String] = []

  package init() {}

  mutating func add(_ result: RunResult) {
    runs += 1
    coverage.add(result.coverage)
    simulatedMicroseconds += result.simulatedMicroseconds
    records += result.records
    switches += result.switches
    trace = result.trace
    if !result.violations.isEmpty { failures.append(result) }
  }

  package func summary(first: UInt64) -> String {
    let hours = Double(simulatedMicroseconds) / 3_600e6
    let rate = elapsedSeconds > 0 ? Double(runs) / elapsedSeconds : 0
    let faults = coverage.counts.filter { $0.key.hasPrefix("fault: ") }.values.reduce(0, +)
    return
      "\(runs) seeds from \(first): \(failures.count) failed; \(rounded(rate)) seeds/s, \(rounded(hours)) simulated hours, "
      + "\(records) records, \(faults) faults, \(switches) changes of thread"
  }

  private func rounded(_ value: Double) -> String { String((value * 10).rounded() / 10) }

  /// How often each fault struck and each state or transition was reached; and what was never reached.
  package var coverageText: String {
    let width = coverage.counts.keys.map(\.count).max() ?? 0
    var lines = coverage.counts.sorted { $0.key < $1.key }.map { name, count in
      "  \(name.padding(toLength: width, withPad: " ", startingAt: 0))  \(count)"
    }
    let missing = Coverage.wanted.filter { coverage.counts[$0] == nil }
    if !missing.isEmpty { lines.append("never reached: \(missing.joined(separator: "; "))") }
    return lines.joined(separator: "\n")
  }
}

/// Runs of a list of seeds.
package struct Campaign: Sendable {
  package var seeds: [UInt64]
  package var jobs: Int
  package var isTracing: Bool
  /// Ends at the first failure.
  package var stopsAtFailure = false

  /// - Parameter jobs: how many runs at a time; nil for one for each core.
  package init(seeds: [UInt64], jobs: Int? = nil, isTracing: Bool = false) {
    self.seeds = seeds
    self.jobs = max(1, jobs ?? ProcessInfo.processInfo.activeProcessorCount)
    self.isTracing = isTracing
  }

  private struct State: ~Copyable {
    var next = 0
    var report = CampaignReport()
    var progress: CommandSupport.Progress
    var problem: (any Error)?
  }

  /// - Parameters:
  ///   - label: for the progress shown on a terminal.
  ///   - scenario: what to run for a seed.
  /// - Throws: when a scenario cannot be built.
  package func run(_ label: String, _ scenario: @escaping @Sendable (UInt64) throws -> Scenario) throws
    -> CampaignReport
  {
    let start = ContinuousClock.now
    let state = Mutex(
      State(
        progress: CommandSupport.Progress(
          label, unit: "seeds", total: UInt64(seeds.count), style: isTracing ? CommandSupport.Progress.Style.none : nil)
      ))
    DispatchQueue.concurrentPerform(iterations: min(jobs, seeds.count)) { _ in
      while true {
        let seed: UInt64? = state.withLock { state in
          guard state.next < seeds.count, state.problem == nil else { return nil }
          if stopsAtFailure, !state.report.failures.isEmpty { return nil }
          defer { state.next += 1 }
          return seeds[state.next]
        }
        guard let seed else { return }
        do {
          let result = try World.run(try scenario(seed), isTracing: isTracing)
          state.withLock { state in
            state.report.add(result)
            let runs = UInt64(state.report.runs)
            state.progress.update(done: runs, items: runs)
          }
        } catch { state.withLock { $0.problem = error } }
      }
    }
    let elapsed = (ContinuousClock.now - start) / .seconds(1)
    return try state.withLock { state in
      state.progress.clear()
      if let problem = state.problem { throw problem }
      state.report.elapsedSeconds = elapsed
      state.report.failures.sort { $0.scenario.seed < $1.scenario.seed }
      return state.report
    }
  }
}
