// Parse, state and rules by themselves, and how the cost of an event grows with the number of customers.

import CommandSupport
import Events
import Foundation
import LoadGenerator

/// What a stage has cost.
private struct StageRun {
  var seconds = 0.0
  var events = 0
  var customers = 0
  var bytesInUse = 0
  var nanosecondsPerEvent: Double { seconds / Double(max(1, events)) * 1e9 }
}

extension Bench {
  /// Part (d). Each stage includes those before it; the table shows the differences too.
  func measureStages() throws {
    // As many as fit a short run: the stages need no steady state of all customers.
    let events = min(options.events, 1_000_000)
    var runs = EngineStage.allCases.map { _ in [StageRun]() }
    for _ in 0..<options.runs {
      for (place, stage) in EngineStage.allCases.enumerated() {
        runs[place].append(try runStage(stage, customers: options.customers, events: events, measureFrom: 0))
      }
    }
    func costs(_ stage: EngineStage) -> [Double] {
      zip(EngineStage.allCases, runs).first { $0.0 == stage }?.1.map(\.nanosecondsPerEvent) ?? []
    }
    func difference(_ stage: EngineStage, _ before: EngineStage) -> [Double] {
      zip(costs(stage), costs(before)).map { $0 - $1 }
    }
    add(Figure("stages", "parse", "ns/event", costs(.parse)))
    add(Figure("stages", "state", "ns/event", difference(.state, .parse), note: "less parse"))
    add(
      Figure(
        "stages", "five reference tags with outputs", "ns/event", difference(.fiveTags, .state),
        note: "less parse and state"))
    add(
      Figure(
        "stages", "default rules, model, alerts with outputs", "ns/event", difference(.rules, .state),
        note: "less parse and state"))
    add(
      Figure(
        "stages", "all with default rules", "events/s", costs(.rules).map { 1e9 / $0 },
        note: "one thread, nothing written"))
    if let last = runs.last?.last, last.customers > 0 {
      add(
        Figure(
          "stages", "engine's own memory a customer", "bytes", [Double(last.bytesInUse) / Double(last.customers)],
          note: "\(grouped(last.customers)) customers; table and records as the engine counts them"))
    }
  }

  /// Part (j): each point over as many events as make the state, measured in the second half.
  func measureCurve() throws {
    var sizes = [10_000, 31_623, 100_000, 316_228, 1_000_000]
    if options.large { sizes += [3_162_278, 10_000_000] }
    for size in sizes where options.large || size <= options.customers {
      let events = max(options.events / 5, 2 * size)
      let runs = try (0..<(size > 1_000_000 ? 1 : options.runs)).map { _ in
        try runStage(.rules, customers: size, events: events, measureFrom: events / 2)
      }
      add(
        Figure(
          "curve", "\(grouped(size)) customers", "ns/event", runs.map(\.nanosecondsPerEvent),
          note: "\(grouped(runs[0].customers)) of them in the state after \(grouped(events)) events"))
    }
  }

  private func runStage(_ stage: EngineStage, customers: Int, events: Int, measureFrom: Int) throws -> StageRun {
    var load = options.load
    load.customers = customers
    load.events = events
    var generator = LoadGenerator(load)
    var batch = LineBatch(capacity: 1_024)
    var stages = try EngineStages(stage, config: options.config)
    var run = StageRun()
    var refused = 0
    var progress = CommandSupport.Progress(
      "bench: \(stage.rawValue)", unit: "events", total: UInt64(events), style: progressStyle)
    while !generator.isAtEnd {
      batch.fill(from: &generator)
      // This thread's own time: other processes do not count.
      let began = threadSeconds()
      refused += stages.run(batch)
      if generator.made > measureFrom {
        run.seconds += threadSeconds() - began
        run.events += batch.count
      }
      progress.update(done: UInt64(generator.made), items: UInt64(generator.made))
    }
    progress.clear()
    guard refused == 0 else { throw BenchmarkError("\(refused) events of the workload were refused") }
    run.customers = stages.customers
    run.bytesInUse = stages.bytesInUse
    return run
  }

  /// A bar for a person, nothing in a log.
  var progressStyle: CommandSupport.Progress.Style { Terminal.isTerminal(2) ? .bar : .none }
}
