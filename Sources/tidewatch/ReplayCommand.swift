// `tidewatch replay`: the engine over a file, without Kafka.

import ArgumentParser
import CommandSupport
import Configuration
import Engine
import Events
import Foundation
import InputFiles
import Replay

struct ReplayCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "replay",
    abstract: "Run the engine over a file of events, without Kafka.",
    discussion: """
      Reads NDJSON, plain or gzip, one event a line, in order of arrival, and writes into the output directory \
      tag-changes.ndjson, churn-alerts.ndjson, dead-letters.ndjson, profiles.ndjson and summary.json. Time moves with \
      the events, never with the wall: two runs over one input write the same files to the byte (but for the elapsed \
      time in summary.json), with however many --threads.

      With --journal it makes the calls again that `tidewatch run --journal` has written down, ticks of the wall clock \
      included, and writes what that run has committed, to the byte. Replay with the run's own configuration, after the \
      run has ended in good order: after a crash the newest epochs of the journal may not have been committed (the next \
      run replaces them).

      Of the configuration it uses the rules, the model, currency, time zone, limits and alerts; Kafka is not contacted.
      """)

  @Option(name: .shortAndLong, help: "The configuration file.")
  var config: String

  @Option(name: .shortAndLong, help: "A file of events; may be given more than once, read in that order.")
  var input: [String] = []

  @Option(
    help: ArgumentHelp("The journal of a run, in place of --input.", valueName: "directory"))
  var journal: String?

  @Option(name: .shortAndLong, help: "The directory for the results; made if it is missing, files in it are replaced.")
  var output: String

  @Option(help: "Let time pass up to here after the last event (RFC 3339).")
  var until: String?

  @Option(help: "Format of the events: native or segment. Default: that of the configuration's first input.")
  var format: String?

  @Option(
    help: "Events more than 5 minutes after this are rejected as from the future (RFC 3339). Default: now.")
  var ceiling: String?

  @Option(
    help: """
      Threads that apply events, 1 to \(ReplayOptions.mostThreads), each for customers of its own; changes nothing in the \
      results. Another reads and one writes. Default: the machine's cores, at most \(ReplayOptions.mostDefaultThreads). Not with \
      --journal, which is replayed by one.
      """)
  var threads: Int?

  @Flag(inversion: .prefixedNo, help: "Write every customer's profile at the end.")
  var profiles = true

  func validate() throws {
    guard input.isEmpty == (journal != nil) else {
      throw ValidationError("give either --input, once or more, or --journal")
    }
    if journal != nil, until != nil || format != nil || ceiling != nil {
      throw ValidationError("--until, --format and --ceiling are for --input: a journal has its own")
    }
    if journal != nil, threads != nil {
      throw ValidationError("--threads is for --input: a journal is replayed by one thread, leave it out")
    }
    if let threads, !(1...ReplayOptions.mostThreads).contains(threads) {
      throw ValidationError("--threads \(threads) cannot be; give 1 to \(ReplayOptions.mostThreads)")
    }
  }

  func run() throws {
    if let journal {
      return try JournalReplaying(config: config, journal: journal, output: output).run()
    }
    let settings: EngineSettings
    var options: ReplayOptions
    let configuration: Configuration
    do {
      configuration = try Configuration.load(file: config)
      settings = try configuration.engineSettings()
      options = ReplayOptions(
        inputs: input, output: output, currencies: try configuration.currencyTable(),
        ceiling: Instant(microseconds: Int64(Date().timeIntervalSince1970 * 1e6)))
    } catch {
      throw CommandFailure(.configuration, "the configuration cannot be used:\n\(error)")
    }
    options.limits = configuration.decodeLimits
    options.maxDeadLetterBytes = configuration.limits.deadLetterBytes
    options.format = try wireFormat(configuration)
    options.profiles = profiles
    options.threads = threads ?? ReplayOptions.defaultThreads
    if let until { options.until = try instant(until, "--until") }
    if let ceiling { options.ceiling = try instant(ceiling, "--ceiling") }
    for warning in configuration.warnings { Terminal.writeError("warning: \(warning)\n") }
    if format == nil, Set(configuration.inputs.map(\.format)).count > 1 {
      Terminal.writeError(
        "warning: the configuration's inputs differ in their format; --input is read as \(options.format.rawValue), that of the "
          + "first. Give --format if it is another\n")
    }

    let sizes = input.map {
      (try? FileManager.default.attributesOfItem(atPath: $0)[.size] as? NSNumber)?.uint64Value ?? 0
    }
    let totalBytes = sizes.reduce(0, +)
    var progress = Progress("replay", unit: "events", total: totalBytes > 0 ? totalBytes : nil)
    let summary: ReplaySummary
    do {
      summary = try Replay.run(options, settings: settings) { step in
        progress.update(done: UInt64(step.bytes), items: UInt64(step.lines))
      }
    } catch let error as InputFileError {
      let isThere = input.allSatisfy { FileManager.default.isReadableFile(atPath: $0) }
      throw CommandFailure(isThere ? .data : .noInput, error.description)
    } catch let error as OutputError {
      throw CommandFailure(error.isCreation ? .cannotCreate : .inputOutput, error.description)
    }
    progress.finish(done: totalBytes, items: UInt64(summary.read))
    let document = summary.json(currency: configuration.currency.reporting)
    guard FileManager.default.createFile(atPath: "\(output)/summary.json", contents: Data(document.utf8)) else {
      throw CommandFailure(.cannotCreate, "cannot write \(output)/summary.json; is the disk full?")
    }
    try Terminal.writeResult(document)
    // Seldom what anybody wants: a currency without a rate, another format.
    if summary.rejected * 2 > summary.read, let most = summary.rejectedBy.max(by: { $0.value < $1.value }) {
      Terminal.writeError(
        "warning: \(summary.rejected) of \(summary.read) events were rejected, \(most.value) of them as \(most.key.rawValue): "
          + "\(most.key.message) All of them are in \(output)/dead-letters.ndjson\n")
    }
    if summary.customers.buyers > 0 {
      let share = Double(summary.customers.everArmed) / Double(summary.customers.buyers) * 100
      Terminal.writeError(
        "churn alerts can watch \(summary.customers.everArmed) of \(summary.customers.buyers) customers with an order "
          + "(\(String(format: "%.1f", share)) % were ever armed); the others have the `silent` alert\n")
    }
  }

  private func wireFormat(_ configuration: Configuration) throws -> WireFormat {
    let name = format ?? configuration.inputs.first?.format.rawValue ?? WireFormat.native.rawValue
    guard let found = WireFormat(rawValue: name) else {
      let known = WireFormat.allCases.map(\.rawValue).joined(separator: ", ")
      throw CommandFailure(.usage, "--format \(name) is not known; it can be \(known)")
    }
    return found
  }

  private func instant(_ text: String, _ option: String) throws -> Instant {
    let parsed = Array(text.utf8).withUnsafeBufferPointer { Instant(rfc3339: $0) }
    guard let instant = parsed else {
      throw CommandFailure(.usage, "\(option) \(text) is no time; write it like 2026-03-01T00:00:00Z")
    }
    return instant
  }
}
