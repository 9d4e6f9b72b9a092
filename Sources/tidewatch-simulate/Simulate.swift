// `tidewatch-simulate`: the daemon's own code against a modelled Kafka, disk and clock, one seed after the other. A tool of
// those who work on Tidewatch; operators do not need it.

import ArgumentParser
import CommandSupport
import Configuration
import Dispatch
import Foundation
import Simulation

@main struct Simulate: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "tidewatch-simulate",
    abstract: "Run the daemon against a modelled Kafka, disk and clock, with faults, and check that nothing is lost.",
    discussion: """
      Everything that happens in a run follows from its seed. A seed that fails is printed with the command that runs it \
      again; with --trace that command tells the whole story.
      """,
    subcommands: [Run.self, Planted.self], defaultSubcommand: Run.self)
}

/// What fixes parts of a scenario that the seed would choose.
struct ScenarioOptions: ParsableArguments {
  @Option(help: "exactly_once or at_least_once. Default: as the seed says.")
  var delivery: String?
  @Option(help: "counting or engine. Default: as the seed says.")
  var logic: String?
  @Option(help: "none, bitFlips, ownDisks, retention, expired, powerLoss or silentJoiners. Default: as the seed says.")
  var special: String?
  @Option(help: "How many members, 1 to 3. Default: as the seed says.")
  var members: Int?

  func scenario(_ seed: UInt64) throws -> Scenario {
    var scenario = Scenario(seed: seed)
    if let delivery {
      guard let value = Configuration.Delivery(rawValue: delivery) else {
        throw ValidationError("--delivery: \(delivery)?")
      }
      scenario.delivery = value
    }
    if let logic {
      guard let value = Scenario.Logic(rawValue: logic) else { throw ValidationError("--logic: \(logic)?") }
      scenario.logic = value
    }
    if let special {
      guard let value = Scenario.Special(rawValue: special) else { throw ValidationError("--special: \(special)?") }
      scenario.special = value
      scenario.fit()
    }
    if let members {
      guard (1...3).contains(members) else { throw ValidationError("--members takes 1 to 3") }
      scenario.members = members
    }
    return scenario
  }

  /// The options as they were given, for the command that repeats a run.
  var text: String {
    [("delivery", delivery), ("logic", logic), ("special", special), ("members", members.map(String.init))]
      .map { name, value in value.map { " --\(name) \($0)" } ?? "" }.joined()
  }
}

struct Run: ParsableCommand {
  static let configuration = CommandConfiguration(abstract: "Run seeds and check each (the default).")

  @Option(help: "The first seed. Default: from the clock.")
  var seed: UInt64?
  @Option(help: "How many seeds, one after the other.")
  var seeds: Int = 1
  @Option(help: "How many runs at a time. Default: one for each core.")
  var jobs: Int?
  @Flag(help: "Print everything that happens.")
  var trace = false
  @Flag(help: "Print how often each state and fault was reached.")
  var coverage = false
  @OptionGroup var options: ScenarioOptions

  func run() throws {
    let first = seed ?? UInt64(Date().timeIntervalSince1970)
    let campaign = Campaign(
      seeds: (0..<UInt64(max(1, seeds))).map { first &+ $0 }, jobs: trace ? 1 : jobs, isTracing: trace)
    let report = try campaign.run("simulate") { try options.scenario($0) }
    if trace { for line in report.trace { print(line) } }
    print(report.summary(first: first))
    if coverage || seeds > 1 { print(report.coverageText) }
    guard !report.failures.isEmpty else { return }
    for failure in report.failures.prefix(20) {
      print("seed \(failure.scenario.seed) failed:")
      for violation in failure.violations.prefix(5) { print("  \(violation)") }
      print("  again: .build/release/tidewatch-simulate --seed \(failure.scenario.seed)\(options.text) --trace")
    }
    throw ExitCode(ExitStatus.failure.rawValue)
  }
}
