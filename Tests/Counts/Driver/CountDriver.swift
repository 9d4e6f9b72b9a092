// `tidewatch-count`: allocations and instructions of one event, by stage, against the thresholds in the repository. For CI:
// counts are the same on a busy machine as on an idle one.

import ArgumentParser
import Benchmarks
import CMallocCount
import CommandSupport
import Foundation
import LoadGenerator

@main struct CountDriver: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "tidewatch-count",
    abstract: "Count allocations and instructions per event, and hold them to thresholds.",
    subcommands: [Check.self, Measure.self], defaultSubcommand: Check.self)
}

/// What the measured child says of itself.
private struct Measured: Codable {
  var events: Int
  var mallocs: UInt64
}

/// Runs one stage to a steady state and measures the events after it.
struct Measure: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Run one stage and print what its steady state has allocated; `check` runs this, also under valgrind.")

  @Option var stage: String
  @Option var customers = 2_000
  @Option(help: "Events before those that are measured.") var warm = 40_000
  @Option(help: "Events that are measured.") var events = 20_000
  @Option var config: String

  /// What the measured function works on.
  private final class Work {
    var stages: EngineStages
    var batch = LineBatch(capacity: 250)
    var refused = 0
    init(_ stage: EngineStage, config: String) throws { stages = try EngineStages(stage, config: config) }
    func run() { refused += stages.run(batch) }
  }

  func run() throws {
    guard let stage = EngineStage(rawValue: stage) else { throw ValidationError("there is no stage \(stage)") }
    var load = LoadOptions()
    load.customers = customers
    load.events = warm + events
    var generator = LoadGenerator(load)
    let work = try Work(stage, config: config)
    while generator.made < warm {
      work.batch.fill(from: &generator)
      work.run()
    }
    var measured = Measured(events: 0, mallocs: 0)
    let context = Unmanaged.passUnretained(work).toOpaque()
    while !generator.isAtEnd {
      work.batch.fill(from: &generator)
      let before = tw_malloc_counted()
      tw_measured({ $0.map { Unmanaged<Work>.fromOpaque($0).takeUnretainedValue().run() } }, context)
      measured.mallocs += tw_malloc_counted().blocks - before.blocks
      measured.events += work.batch.count
    }
    guard work.refused == 0 else { throw BenchmarkError("\(work.refused) events were refused") }
    print(String(decoding: try JSONEncoder().encode(measured), as: UTF8.self))
  }
}

struct Check: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Measure all stages; fail if one takes more than its threshold.")

  @Option(help: "The repository.") var package = FileManager.default.currentDirectoryPath
  @Option(help: ArgumentHelp("The thresholds.", valueName: "file")) var thresholds = "Tests/Counts/thresholds.json"
  @Flag(help: "Write what was measured as the new thresholds.") var update = false
  @Flag(help: "Count allocations only.") var skipInstructions = false
  @Option(help: ArgumentHelp("Also write the table of instructions there, as JSON.", valueName: "file"))
  var table: String?
  @Option(help: ArgumentHelp("Put that table into this page, between its markers.", valueName: "file"))
  var page: String?

  func run() throws {
    var counts = Counts()
    for stage in EngineStage.allCases {
      let measured = try measure(stage, [], events: 20_000, warm: 40_000)
      counts.mallocsPer1000Events[stage.rawValue] =
        round(Double(measured.mallocs) / Double(measured.events) * 1e6) / 1e3
    }
    var modules: [String: Double] = [:]
    if skipInstructions {
      Terminal.writeError("counts: instructions are not counted, as asked\n")
    } else if let valgrind = Self.tool("valgrind") {
      var instructions: [String: Double] = [:]
      let program = try Self.stripped()
      defer { unlink(program) }
      for stage in EngineStage.allCases {
        let profile = try profile(stage, valgrind, program)
        instructions[stage.rawValue] = profile.perEvent.rounded()
        if stage == .rules { modules = profile.modules }
      }
      counts.instructionsPerEvent = instructions
    } else {
      Terminal.writeError("counts: instructions are not counted: there is no valgrind (apt-get install valgrind)\n")
    }
    try writeTable(counts, modules)
    try judge(counts)
  }

  private func judge(_ counts: Counts) throws {
    let path = thresholds.hasPrefix("/") ? thresholds : "\(package)/\(thresholds)"
    if update {
      try counts.json().write(to: URL(fileURLWithPath: path))
      print("counts: wrote \(path)")
      return
    }
    let limits = try Counts(json: Data(contentsOf: URL(fileURLWithPath: path)))
    var hasFailed = false
    for finding in counts.findings(against: limits) {
      var line = "counts: \(finding.what): \(quantity(finding.measured))"
      if let threshold = finding.threshold { line += ", threshold \(quantity(threshold))" }
      switch finding.verdict {
      case .fits: break
      case .isLoose: line += "  <- less than the threshold: lower it with `make counts ARGS=--update`"
      case .hasNoThreshold:
        line += "  <- has no threshold: write one with `make counts ARGS=--update`"
        hasFailed = true
      case .exceeds:
        line += "  <- EXCEEDS: find out why, or `make counts ARGS=--update` and say in the commit why"
        hasFailed = true
      }
      print(line)
    }
    if hasFailed { throw ExitCode(1) }
  }

  private func writeTable(_ counts: Counts, _ modules: [String: Double]) throws {
    guard table != nil || page != nil else { return }
    guard let stages = counts.instructionsPerEvent else {
      throw CommandFailure(.unavailable, "there is no table without valgrind")
    }
    let made = InstructionTable(commit: Versions.current(package: package).commit, stages: stages, modules: modules)
    if let table { try made.json().write(to: URL(fileURLWithPath: table)) }
    guard let page else { return }
    let beforePath = URL(fileURLWithPath: page).deletingLastPathComponent()
      .appendingPathComponent("Resources/instructions-before.json")
    let before = (try? Data(contentsOf: beforePath)).flatMap { try? InstructionTable(json: $0) }
    let text = try replacing(
      "instructions", in: String(contentsOfFile: page, encoding: .utf8), with: made.markdown(before: before))
    try Data(text.utf8).write(to: URL(fileURLWithPath: page))
  }

  // MARK: Children

  private static var own: String { URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath().path }

  /// This program without its debug information, which older releases of valgrind (3.19) cannot read; symbols stay.
  private static func stripped() throws -> String {
    let copy = FileManager.default.temporaryDirectory.appendingPathComponent("tidewatch-count-stripped-\(getpid())")
      .path
    guard let strip = tool("strip") ?? tool("llvm-strip") else {
      throw CommandFailure(
        .unavailable, "there is no strip to prepare the program for valgrind: apt-get install binutils")
    }
    try ChildProcess(
      [strip, "--strip-debug", "-o", copy, own], logs: FileManager.default.temporaryDirectory.path,
      name: "tidewatch-strip-\(getpid())"
    ).finish()
    return copy
  }

  /// A program on the PATH.
  private static func tool(_ name: String) -> String? {
    let path = ProcessInfo.processInfo.environment["PATH"] ?? "/usr/bin"
    return path.split(separator: ":").map { "\($0)/\(name)" }.first {
      FileManager.default.isExecutableFile(atPath: $0)
    }
  }

  /// In a process of its own: what an earlier stage has left must not count.
  private func measure(
    _ stage: EngineStage, _ tool: [String], program: String = Self.own, events: Int, warm: Int
  ) throws -> Measured {
    // Swift's dictionaries are laid out by a seed; equal runs need equal ones.
    setenv("SWIFT_DETERMINISTIC_HASHING", "1", 1)
    let logs = FileManager.default.temporaryDirectory.appendingPathComponent("tidewatch-count-\(getpid())").path
    try FileManager.default.createDirectory(atPath: logs, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: logs) }
    let words =
      tool + [
        program, "measure", "--stage", stage.rawValue, "--events", "\(events)", "--warm", "\(warm)", "--config",
        "\(package)/config",
      ]
    let use = try ChildProcess(words, logs: logs, name: stage.rawValue).finish()
    return try JSONDecoder().decode(Measured.self, from: Data(use.output.utf8))
  }

  private func profile(_ stage: EngineStage, _ valgrind: String, _ program: String) throws -> (
    perEvent: Double, modules: [String: Double]
  ) {
    let file = FileManager.default.temporaryDirectory.appendingPathComponent("tidewatch-callgrind-\(getpid())").path
    defer { unlink(file) }
    Terminal.writeError("counts: \(stage.rawValue) under valgrind\n")
    let tool = [
      valgrind, "--tool=callgrind", "--collect-atstart=no", "--toggle-collect=tw_measured", "--demangle=no",
      "--compress-strings=yes", "--callgrind-out-file=\(file)",
    ]
    let events = 5_000
    let measured = try measure(stage, tool, program: program, events: events, warm: 10_000)
    let profile = CallgrindProfile(text: try String(contentsOfFile: file, encoding: .utf8))
    guard profile.total > 0 else {
      throw BenchmarkError("callgrind has counted nothing: was tw_measured optimised away?")
    }
    let count = Double(measured.events)
    return (Double(profile.total) / count, profile.byModule.mapValues { ($0 == 0 ? 0 : Double($0) / count).rounded() })
  }
}
