// The engine over a file: the same decoding, clock and rules as live, without Kafka.

import Customers
import Engine
import Events
import Glibc
import InputFiles

/// What to replay, and how.
public struct ReplayOptions: Sendable {
  public var inputs: [String]
  public var output: String
  public var format = WireFormat.native
  public var limits = DecodeLimits()
  public var currencies: CurrencyTable
  /// Events more than `DecodeLimits.maxAhead` after this are dead letters: the time of the run.
  public var ceiling: Instant
  /// Where the clock goes at the end; nil leaves it behind the last event.
  public var until: Instant?
  /// Topic name written into causes and dead letters.
  public var topic = "replay"
  public var maxDeadLetterBytes = 64 << 10
  /// Also write every customer's profile at the end.
  public var profiles = true
  /// Lines that are decoded, applied and written together; changes nothing in the outputs.
  public var batchLines = 1024
  /// Threads that apply events, each to customers of its own; changes nothing in the outputs. 1...`mostThreads`.
  public var threads = 1
  public static let mostThreads = 64
  /// As many as the machine has cores, within reason: one thread reads for all of them, and keeps about six busy, more where
  /// there are many rules.
  public static var defaultThreads: Int { max(1, min(sysconf(Int32(_SC_NPROCESSORS_ONLN)), mostDefaultThreads)) }
  public static let mostDefaultThreads = 16

  public init(inputs: [String], output: String, currencies: CurrencyTable, ceiling: Instant) {
    self.inputs = inputs
    self.output = output
    self.currencies = currencies
    self.ceiling = ceiling
  }
}

/// What `summary.json` holds.
public struct ReplaySummary: Sendable, Equatable {
  public var read = 0
  public var rejectedBy: [RejectReason: Int] = [:]
  public var engine = EngineCounters()
  public var overflows = RecordCounters()
  public var customers = CustomerSums()
  public var stateDigest: UInt64 = 0
  public var elapsedSeconds = 0.0
  public init() {}

  public var rejected: Int { rejectedBy.values.reduce(0, +) }

  /// Every line read that took effect, late ones included.
  public var applied: Int { engine.applied + engine.late }
}

/// How far a replay is.
public struct ReplayProgress: Sendable {
  public var lines: Int
  /// Of the input files together, as they lie on disk; `totalBytes` is 0 when unknown.
  public var bytes: Int
  public var totalBytes: Int
}

/// Threads: one reads and decodes, `ReplayOptions.threads` apply, one puts together and writes what they say; the
/// caller's hands batches on.
public enum Replay {
  /// Of the hash of customer ids. Fixed: the files of two runs are equal to the byte.
  static let seed: UInt64 = 0

  /// Runs the engine over `options.inputs`, in that order, and writes the output files.
  /// - Parameter progress: called after every batch of lines. It begins anew where the input has more names than one
  ///   task holds: only one engine thread can tell which of them are kept.
  /// - Throws: `InputFileError`, `OutputError`, `ThreadError`.
  public static func run(
    _ options: ReplayOptions, settings: EngineSettings, progress: (ReplayProgress) -> Void = { _ in }
  ) throws -> ReplaySummary {
    var settings = settings
    settings.clockMode = .event
    settings.topicNames = [options.topic]
    settings.profiles = false  // all of them are written at the end
    let started = monotonicSeconds()
    var totalBytes = 0
    var canReadTwice = true
    for path in options.inputs {
      var status = stat()
      guard stat(path, &status) == 0 else { continue }
      totalBytes += Int(status.st_size)
      if status.st_mode & S_IFMT != S_IFREG { canReadTwice = false }
    }

    var result: WorkerResult
    do {
      result = try run(options, settings, totalBytes, progress)
    } catch is TooManyNames {
      guard canReadTwice else {
        throw InputFileError(
          description:
            "\(options.inputs.joined(separator: ", ")): there are more than \(settings.records.maxSymbols) names of "
            + "categories, channels, regions and occupations. Which of them are kept only one engine thread can "
            + "tell, and what is not a file cannot be read again: add --threads 1")
      }
      var alone = options
      alone.threads = 1
      result = try run(alone, settings, totalBytes, progress)
    }
    var summary = ReplaySummary()
    summary.read = result.read
    summary.rejectedBy = result.rejected
    summary.engine = result.engine
    summary.overflows = result.overflows
    summary.customers = result.customers
    summary.stateDigest = result.stateDigest
    summary.elapsedSeconds = monotonicSeconds() - started
    progress(ReplayProgress(lines: summary.read, bytes: totalBytes, totalBytes: totalBytes))
    return summary
  }

  private static func run(
    _ options: ReplayOptions, _ settings: EngineSettings, _ totalBytes: Int, _ progress: (ReplayProgress) -> Void
  ) throws -> WorkerResult {
    let engines = min(max(1, options.threads), ReplayOptions.mostThreads)
    // One being filled, one being read by each engine thread, two that even out the pace.
    let batches = engines + 3
    let failure = FirstFailure()
    let writer = try WritingStage(directory: options.output, engines: engines, failure: failure)
    var result = WorkerResult()
    do {
      let reader = try ReadingStage(options, batches: batches)
      defer { reader.stop() }
      let engine = try EngineStage(
        options, settings: settings, sinks: writer.sinks, returns: reader.returns, batches: batches, failure: failure)
      do {
        while let batch = try reader.next() {
          let step = ReplayProgress(lines: Int(batch.endLine), bytes: batch.position, totalBytes: totalBytes)
          try engine.take(batch)
          progress(step)
        }
      } catch {
        failure.note(error)
      }
      result = try engine.finish()
    } catch {
      failure.note(error)
    }
    writer.join()
    if let error = failure.error { throw error }
    return result
  }

  private static func monotonicSeconds() -> Double {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
  }
}
