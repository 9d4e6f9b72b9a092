// `tidewatch-bench`: measures this build on this machine. A tool of those who work on Tidewatch; operators do not need it.

import ArgumentParser
import Benchmarks
import CommandSupport
import Foundation

@main struct TidewatchBench: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "tidewatch-bench",
    abstract: "Measure throughput, memory, latency and restarts of Tidewatch on this machine.",
    discussion: """
      Each figure is the median of several runs, with the least and the most, and where it makes sense the ratio to a raw \
      librdkafka consumer in the same round. Compare figures of one run only.
      """,
    subcommands: [Run.self, Page.self], defaultSubcommand: Run.self)
}

struct Run: ParsableCommand {
  static let configuration = CommandConfiguration(abstract: "Measure, print a table, write a JSON file.")

  @Option(
    help: ArgumentHelp(
      "Parts, comma-separated: \(BenchPart.allCases.map(\.rawValue).joined(separator: ", ")). Default: all.",
      valueName: "parts"))
  var only: String?

  @Option(help: "Events of the workload.") var events = 5_000_000
  @Option(help: "Customers of the workload.") var customers = 1_000_000
  @Option(help: "Seed of the workload.") var seed: UInt64 = 1
  @Option(help: "Partitions of the input topic.") var partitions: Int32 = 4
  @Option(help: "How often each figure is taken.") var runs = 3

  @Option(help: ArgumentHelp("A Kafka broker. Default: the embedded one.", valueName: "host:port"))
  var bootstrap: String?

  @Flag(help: "Also 10 million customers: takes long and about 10 GB of memory and disk.") var large = false

  @Option(help: "The tidewatch binary.") var binary: String?
  @Option(help: "A directory for workload, state and logs; made, and removed at the end.") var scratch: String?
  @Flag(help: "Leave that directory.") var keep = false
  @Option(help: "The repository.") var package = FileManager.default.currentDirectoryPath
  @Option(help: ArgumentHelp("Where the results go.", valueName: "file")) var json = ".build/bench.json"

  func validate() throws {
    _ = try parts()
    guard events >= 1_000, customers >= 100, runs >= 1, partitions >= 1 else {
      throw ValidationError("at least 1000 --events, 100 --customers, 1 of --runs and of --partitions")
    }
  }

  private func parts() throws -> Set<BenchPart> {
    guard let only else { return Set(BenchPart.allCases) }
    return Set(
      try only.split(separator: ",").map { name in
        guard let part = BenchPart(rawValue: name.trimmingCharacters(in: .whitespaces)) else {
          throw ValidationError(
            "--only: there is no part '\(name)'; there are \(BenchPart.allCases.map(\.rawValue).joined(separator: ", "))"
          )
        }
        return part
      })
  }

  func run() throws {
    let own = URL(fileURLWithPath: CommandLine.arguments[0]).resolvingSymlinksInPath().deletingLastPathComponent()
    var options = BenchOptions(
      binary: binary ?? own.appendingPathComponent("tidewatch").path,
      scratch: scratch ?? "\(package)/.build/bench-\(getpid())", config: "\(package)/config", package: package)
    options.parts = try parts()
    options.events = events
    options.customers = customers
    options.seed = seed
    options.partitions = partitions
    options.runs = runs
    options.bootstrap = bootstrap
    options.large = large
    options.keepsScratch = keep
    if bootstrap == nil { options.fitEmbeddedBroker() }
    let report = try BenchRun.run(options)
    print(report.text)
    try report.json().write(to: URL(fileURLWithPath: json))
    Terminal.writeError("bench: results are in \(json)\n")
    // A figure that is missing is no figure.
    if report.warnings.contains(where: { $0.contains("not measured") }) { throw ExitCode(1) }
  }
}

struct Page: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Put results into the documentation: the table and the chart.")

  @Option(help: ArgumentHelp("What `run` has written.", valueName: "file")) var json = ".build/bench.json"
  @Option(help: ArgumentHelp("The page; what stands between its markers is replaced.", valueName: "file"))
  var page = "Sources/Benchmarks/Benchmarks.docc/Benchmarks.md"
  @Option(help: ArgumentHelp("Where the charts go.", valueName: "directory"))
  var resources = "Sources/Benchmarks/Benchmarks.docc/Resources"

  func run() throws {
    let report = try BenchmarkReport(json: Data(contentsOf: URL(fileURLWithPath: json)))
    let text = try String(contentsOfFile: page, encoding: .utf8)
    try Data(replacing("results", in: text, with: report.markdown).utf8).write(to: URL(fileURLWithPath: page))
    try FileManager.default.createDirectory(atPath: resources, withIntermediateDirectories: true)
    try report.json().write(to: URL(fileURLWithPath: "\(resources)/benchmarks.json"))
    for (name, chart) in report.charts {
      try Data(chart.utf8).write(to: URL(fileURLWithPath: "\(resources)/\(name).svg"))
    }
  }
}
