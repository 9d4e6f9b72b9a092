// Runs the parts one after the other. A part that fails is said and does not keep the others from running.

import CommandSupport
import Foundation

/// The whole benchmark.
public enum BenchRun {
  /// Blocks until all is measured; takes minutes. To be called on a thread of its own.
  /// - Throws: when nothing can be begun at all.
  public static func run(_ options: BenchOptions) throws -> BenchmarkReport {
    let bench = try Bench(options)
    bench.warnAboutConditions()
    let parts = options.parts
    bench.attempt("floor and run", if: parts.contains(.floor) || parts.contains(.run)) {
      try bench.measureRun(BenchBroker(bootstrap: options.bootstrap))
    }
    bench.attempt("replay", if: parts.contains(.replay)) { try bench.measureReplay() }
    bench.attempt("stages", if: parts.contains(.stages)) { try bench.measureStages() }
    bench.attempt("active shop", if: parts.contains(.shop)) { try bench.measureShop() }
    let resident: Set<BenchPart> = [.memory, .checkpoint, .restart]
    bench.attempt("memory, checkpoint and restart", if: !parts.isDisjoint(with: resident)) {
      try bench.measureResident(BenchBroker(bootstrap: options.bootstrap))
    }
    bench.attempt("latency", if: parts.contains(.latency)) {
      try bench.measureLatency(BenchBroker(bootstrap: options.bootstrap))
    }
    bench.attempt("timers", if: parts.contains(.timers)) {
      try bench.measureTimers(BenchBroker(bootstrap: options.bootstrap))
    }
    bench.attempt("curve", if: parts.contains(.curve)) { try bench.measureCurve() }
    if !options.keepsScratch { try? FileManager.default.removeItem(atPath: options.scratch) }
    return bench.report
  }
}

extension Bench {
  fileprivate func attempt(_ name: String, if isWanted: Bool, _ body: () throws -> Void) {
    guard isWanted else { return }
    if let busy = waitUntilQuiet() {
      report.warnings.append("\(name): something else took \(fixedText(busy * 100, 0)) % of the cores when it began")
    }
    do { try body() } catch {
      report.warnings.append("\(name): not measured: \(error)")
      say("\(name): \(error)")
    }
  }

  fileprivate func warnAboutConditions() {
    if options.bootstrap == nil {
      report.warnings.append(
        "The embedded broker keeps about 5 MB of a partition, has no transactions and is fed at a pace: its figures are "
          + "not comparable with those of a real broker. Give one with --bootstrap HOST:PORT.")
    }
    if report.machine.loadAtStart > 0.5 {
      report.warnings.append(
        "The machine was not idle at the start (load \(fixedText(report.machine.loadAtStart, 1))): do not compare.")
    }
  }
}
