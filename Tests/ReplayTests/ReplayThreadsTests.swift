// With however many threads, a replay writes what one task would say, to the byte; and it ends, whatever fails.

import CZlib
import Customers
import Engine
import Events
import Foundation
import InputFiles
import Models
import ReferenceTesting
import Replay
import Rules
import Testing

/// The default rules, the preset model and a zone with an offset.
func defaultSettings() throws -> EngineSettings {
  let file = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent().appendingPathComponent("config/tags.yaml")
  let rules = try RuleSet(text: String(contentsOf: file, encoding: .utf8), file: "tags.yaml", exponent: 2)
  let churn = try ChurnModel(parameters: ChurnModelPreset.cdnow.parameters, horizon: .days(180), version: "test")
  return EngineSettings(rules: rules, churn: churn, calendar: try ZonedCalendar(identifier: "Asia/Shanghai"))
}

private func options(_ inputs: [String], _ output: String) throws -> ReplayOptions {
  let cny = try #require(Currency("CNY"))
  return ReplayOptions(
    inputs: inputs, output: output, currencies: try CurrencyTable(reporting: cny, assumed: cny),
    ceiling: Instant(seconds: 4_000_000_000))
}

private let fileNames: [(OutputTopic, String)] = [
  (.tagChanges, "tag-changes.ndjson"), (.churnAlerts, "churn-alerts.ndjson"), (.profiles, "profiles.ndjson"),
  (.deadLetters, "dead-letters.ndjson"),
]

struct ReplayThreadsTests {
  @Test(arguments: testSeeds(60)) func sayWhatOneTaskSays(seed: UInt64) throws {
    var random = Seeded(seed)
    let scratch = try Scratch()
    let input = ReplayInput(random: &random)
    let cut = random.index(input.lines.count)
    let inputs = [
      try scratch.write(random.chance(0.5) ? "a.ndjson" : "a.gz", input.lines[..<cut]),
      try scratch.write(random.chance(0.5) ? "b.ndjson" : "b.gz", input.lines[cut...]),
    ]
    var settings = try defaultSettings()
    settings.retention = .days(random.pick([400, 450, 1095]))
    if random.chance(0.2) { settings.records.maxSymbols = 4 + random.index(12) }
    var plain = try options(inputs, "")
    if random.chance(0.7) { plain.until = input.last + .days(random.int(0...900)) }
    plain.profiles = random.chance(0.8)
    let wanted = PlainReplay(input.lines, plain, settings)

    for threads in [1, 2, 3, 7] {
      let name = "out\(threads)"
      var options = plain
      options.output = scratch.path(name)
      options.threads = threads
      options.batchLines = random.pick([1, 2, 7, 100, 1024])
      var summary = try Replay.run(options, settings: settings)
      summary.elapsedSeconds = 0
      #expect(summary == wanted.summary, "\(threads) threads")
      for (topic, file) in fileNames {
        let isSame = try scratch.bytes("\(name)/\(file)") == wanted.files[topic, default: []]
        #expect(isSame, "\(file), \(threads) threads, batches of \(options.batchLines)")
      }
    }
  }

  @Test(arguments: [1, 2, 3, 7, 16, 64]) func customersAreSpread(threads: Int) {
    var counts = Array(repeating: 0, count: threads)
    for number in 0..<threads * 1000 {
      let hash = Array("c-\(number)".utf8).withUnsafeBytes { EngineTask.hash(ofCustomer: $0, seed: 0) }
      counts[Sharding.thread(of: hash, among: threads)] += 1
    }
    #expect(counts.allSatisfy { (800...1200).contains($0) }, "\(counts)")
    #expect(Sharding.thread(of: .max, among: threads) == threads - 1)
    #expect(Sharding.thread(of: .max << 32, among: threads) == 0)
  }

  @Test func progressGoesForward() throws {
    var random = Seeded(1)
    let scratch = try Scratch()
    let input = ReplayInput(random: &random)
    var options = try options([scratch.write("a.ndjson", input.lines)], scratch.path("out"))
    options.threads = 3
    options.batchLines = 16
    var seen: [Int] = []
    let summary = try Replay.run(options, settings: defaultSettings()) { seen.append($0.lines) }
    #expect(seen == seen.sorted())
    #expect(seen.last == summary.read && summary.read == input.lines.count { !$0.isEmpty })
  }

  /// Names beyond the limit are taken in by their order, which several threads do not know.
  @Test func moreNamesThanOneTaskHolds() throws {
    var random = Seeded(2)
    let scratch = try Scratch()
    let input = ReplayInput(random: &random)
    var settings = try defaultSettings()
    settings.records.maxSymbols = 6
    var options = try options([scratch.write("a.ndjson", input.lines)], scratch.path("out"))
    options.threads = 3
    options.batchLines = 16
    let wanted = PlainReplay(input.lines, options, settings)
    #expect(try Replay.run(options, settings: settings).stateDigest == wanted.summary.stateDigest)

    // What cannot be read again: said, not guessed.
    let pipe = scratch.path("pipe")
    #expect(mkfifo(pipe, 0o600) == 0)
    options.inputs = [pipe]
    let lines = input.lines
    let writer = Thread {
      signal(SIGPIPE, SIG_IGN)
      try? Data(lines.joined(separator: "\n").utf8).write(to: URL(fileURLWithPath: pipe))
    }
    writer.start()
    let refused = options
    let usual = settings
    let error = #expect(throws: InputFileError.self) { try Replay.run(refused, settings: usual) }
    #expect(error?.description.contains("--threads 1") == true)
  }

  // MARK: Failures end all threads

  @Test(arguments: [1, 2, 7]) func aFullDiskEndsIt(threads: Int) throws {
    let scratch = try Scratch()
    let line = "{\"broken" + String(repeating: "x", count: 2000)
    var options = try options(
      [scratch.write("a.ndjson", repeatElement(line, count: 5000))], scratch.path("out"))
    options.threads = threads
    options.batchLines = 10
    try FileManager.default.createDirectory(atPath: options.output, withIntermediateDirectories: true)
    try FileManager.default.createSymbolicLink(
      atPath: scratch.path("out/dead-letters.ndjson.partial"), withDestinationPath: "/dev/full")
    let full = options
    let error = #expect(throws: OutputError.self) { try Replay.run(full, settings: defaultSettings()) }
    #expect(error?.description.contains("dead-letters.ndjson") == true)
    #expect(!FileManager.default.fileExists(atPath: scratch.path("out/tag-changes.ndjson")))
  }

  /// Nothing is written out before the end.
  @Test func aDiskFullAtTheEndIsNoticed() throws {
    let scratch = try Scratch()
    var options = try options([scratch.write("a.ndjson", ["{\"broken"])], scratch.path("out"))
    options.threads = 2
    try FileManager.default.createDirectory(atPath: options.output, withIntermediateDirectories: true)
    try FileManager.default.createSymbolicLink(
      atPath: scratch.path("out/dead-letters.ndjson.partial"), withDestinationPath: "/dev/full")
    let full = options
    #expect(throws: OutputError.self) { try Replay.run(full, settings: defaultSettings()) }
  }

  @Test(arguments: [1, 2, 7]) func anInputThatCannotBeReadEndsIt(threads: Int) throws {
    var random = Seeded(3)
    let scratch = try Scratch()
    let input = ReplayInput(random: &random)
    var options = try options(
      [scratch.write("a.ndjson", input.lines), scratch.path("none.ndjson")], scratch.path("out"))
    options.threads = threads
    options.batchLines = 10
    let missing = options
    let error = #expect(throws: InputFileError.self) { try Replay.run(missing, settings: defaultSettings()) }
    #expect(error?.description.contains("none.ndjson") == true)
    for (_, file) in fileNames { #expect(!FileManager.default.fileExists(atPath: scratch.path("out/\(file)"))) }
  }
}
