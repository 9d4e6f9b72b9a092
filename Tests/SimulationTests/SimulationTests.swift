// Fresh seeds each time, those that once failed, and that the simulator itself can be trusted: the same seed is the same run.

import Configuration
import Foundation
import Simulation
import Testing

@Suite struct SimulationTests {
  /// `TIDEWATCH_SIMULATION_SEED` and `TIDEWATCH_SIMULATION_SEEDS` choose others; more of them: `make simulate SEEDS=10000`.
  @Test func freshSeeds() throws {
    let environment = ProcessInfo.processInfo.environment
    let first = environment["TIDEWATCH_SIMULATION_SEED"].flatMap(UInt64.init) ?? UInt64(Date().timeIntervalSince1970)
    let count = environment["TIDEWATCH_SIMULATION_SEEDS"].flatMap(UInt64.init) ?? 300
    print("simulating \(count) seeds from \(first)")
    let report = try Campaign(seeds: (0..<count).map { first &+ $0 }).run("simulate") { Scenario(seed: $0) }
    print(report.summary(first: first))
    expectNoFailure(report)
  }

  @Test func seedsThatOnceFailed() throws {
    let file = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("failed-seeds.txt")
    let seeds = try String(contentsOf: file, encoding: .utf8).split(separator: "\n")
      .compactMap { $0.hasPrefix("#") ? nil : $0.split(separator: " ").first.flatMap { UInt64($0) } }
    #expect(!seeds.isEmpty)
    expectNoFailure(try Campaign(seeds: seeds).run("failed before") { Scenario(seed: $0) })
  }

  @Test("the same seed is the same run", arguments: [3, 17, 65] as [UInt64]) func repeats(seed: UInt64) throws {
    let first = try World.run(Scenario(seed: seed), isTracing: true)
    let second = try World.run(Scenario(seed: seed), isTracing: true)
    #expect(!first.trace.isEmpty)
    let difference = zip(first.trace, second.trace).first { $0 != $1 }
    #expect(first.trace.count == second.trace.count && difference == nil, "\(String(describing: difference))")
  }

  /// Ten thousand runs in one process need the memory of a few.
  @Test("a run leaves nothing behind", arguments: 1...20 as ClosedRange<UInt64>) func leavesNothing(seed: UInt64) throws
  {
    weak var world: World?
    weak var scheduler: Scheduler?
    weak var journal: Journal?
    weak var kafka: ModelKafka?
    weak var history: History?
    func run() throws {
      let run = try World(Scenario(seed: seed), isTracing: false)
      (world, scheduler, journal, kafka, history) = (run, run.scheduler, run.journal, run.kafka, run.history)
      #expect(try run.run().switches > 0)
    }
    try run()
    #expect(world == nil && scheduler == nil && journal == nil && kafka == nil && history == nil)
  }

  /// Each special ending is reached, and is what it should be.
  @Test(arguments: Scenario.Special.allCases) func specialScenarios(special: Scenario.Special) throws {
    let report = try Campaign(seeds: Array(1...12)).run(special.rawValue) { seed in
      var scenario = Scenario(seed: seed)
      scenario.special = special
      scenario.members = 1 + Int(seed % 3)
      scenario.faultSeconds = 3
      scenario.fit()
      return scenario
    }
    expectNoFailure(report)
    if special.mayRefuse { #expect(report.coverage.counts["refused: \(special.rawValue)"] != nil) }
  }

  private func expectNoFailure(_ report: CampaignReport) {
    for failure in report.failures.prefix(10) {
      let text = failure.violations.prefix(3).map(\.description).joined(separator: "\n")
      Issue.record(
        """
        seed \(failure.scenario.seed): \(text)
        again: make simulate SEED=\(failure.scenario.seed) ARGS="--special \(failure.scenario.special.rawValue) \
        --members \(failure.scenario.members) --trace"
        """)
    }
    #expect(report.failures.isEmpty)
  }
}
