// `tidewatch-simulate planted`: does the simulator find what is wrong?

import ArgumentParser
import CommandSupport
import Configuration
import Simulation

#if PlantedBugs
  import PlantedBugs
#endif

struct Planted: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Switch known defects on, one at a time, and see which check finds each.",
    discussion: """
      Needs a build with the defects in it: swift build --traits PlantedBugs --scratch-path .build/planted, as \
      `make planted` does. Prints a Markdown table; fails if one is not found.
      """)

  @Option(help: "The most seeds to try for a defect.")
  var seeds: Int = 400
  @Option(help: "The first seed.")
  var seed: UInt64 = 1
  @Option(help: "Only this defect.")
  var bug: String?
  @Option(help: "How many runs at a time. Default: one for each core.")
  var jobs: Int?
  @Flag(help: "Print everything that happens in the run that finds it.")
  var trace = false

  func run() throws {
    #if PlantedBugs
      let bugs = PlantedBug.allCases.filter { bug == nil || "\($0)" == bug }
      if bugs.isEmpty { throw ValidationError("no such defect; there are \(PlantedBug.allCases)") }
      say("| defect | found by | at seed | seeds tried | what it said |")
      say("| --- | --- | --- | --- | --- |")
      var missed = 0
      for bug in bugs {
        PlantedBug.plant(bug)
        defer { PlantedBug.plant(nil) }
        // The seeds beside the ordinary ones that a defect needs to have a chance.
        var campaign = Campaign(
          seeds: (0..<UInt64(max(1, seeds))).map { seed &+ $0 }, jobs: jobs, isTracing: trace)
        campaign.stopsAtFailure = true
        let report = try campaign.run("\(bug)") { Self.scenario(of: bug, seed: $0) }
        if trace { for line in report.trace { print(line) } }
        if let failure = report.failures.first, let violation = failure.violations.first {
          let said = violation.text.prefix(100).replacing("|", with: "/")
          say("| \(bug) | \(violation.check) | \(failure.scenario.seed) | \(report.runs) | \(said) |")
        } else {
          say("| \(bug) | NOT FOUND | | \(report.runs) | |")
          missed += 1
        }
      }
      if missed > 0 { throw ExitCode(ExitStatus.failure.rawValue) }
    #else
      throw CleanExit.message("this build has no defects in it: use `make planted`")
    #endif
  }

  /// At once: each line may take its time.
  private func say(_ line: String) { _ = Terminal.write(line + "\n") }

  #if PlantedBugs
    /// As the seed says, but where a defect can only show in one mode of delivery or one special scenario: that.
    private static func scenario(of bug: PlantedBug, seed: UInt64) -> Scenario {
      var scenario = Scenario(seed: seed)
      switch bug {
      case .skipOutbox: scenario.delivery = .atLeastOnce
      case .keepQueueOfLost:
        // A member must lose its partitions with something in its producer's queue.
        scenario.delivery = .atLeastOnce
        scenario.members = 2 + Int(seed % 2)
        scenario.faultSeconds = 1
      case .trustUnconfirmed: scenario.network.passedOverBatch = 300
      case .acceptTornTail:
        // Under exactly_once the committed tag says what is beyond the truth.
        scenario.delivery = .atLeastOnce
        scenario.special = .powerLoss
        scenario.faultSeconds = 1 + Int(seed % 2)
      case .matchNumberOnly:
        scenario.special = .ownDisks
        scenario.members = 2 + Int(seed % 2)
      case .skipCleanShutdown: scenario.special = .expired
      case .staleWarmState:
        // A member must be put out between giving its partitions back and getting them again.
        scenario.delivery = .exactlyOnce
        scenario.special = .silentJoiners
        scenario.members = 2 + Int(seed % 2)
        scenario.faultSeconds = 1
        scenario.logic = .counting
      case .newerMembership:
        scenario.delivery = .exactlyOnce
        scenario.members = 2 + Int(seed % 2)
      case .ignoreLock: scenario.members = 2 + Int(seed % 2)
      default: scenario.delivery = .exactlyOnce
      }
      scenario.fit()
      return scenario
    }
  #endif
}
