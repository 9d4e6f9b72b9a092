// The engine over a file: the same decoding, clock and rules as live, without Kafka.

import Engine
import Events
import Glibc

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
  /// Outputs are written out after so many lines; changes nothing in them.
  public var batchLines = 1024

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
  public var rejected = 0
  public var engine = EngineCounters()
  public var customers = CustomerSums()
  public var stateDigest: UInt64 = 0
  public var elapsedSeconds = 0.0

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

public enum Replay {
  /// Runs the engine over `options.inputs`, in that order, and writes the output files.
  /// - Parameter progress: called about every 64 Ki lines.
  /// - Throws: `InputError`, `OutputError`.
  public static func run(
    _ options: ReplayOptions, settings: EngineSettings, progress: (ReplayProgress) -> Void = { _ in }
  ) throws -> ReplaySummary {
    var settings = settings
    settings.clockMode = .event
    settings.topicNames = [options.topic]
    settings.profiles = false  // all of them are written at the end
    // A fixed seed: the files of two runs are equal to the byte.
    var task = EngineTask(settings: settings, seed: 0)
    var clock = TaskClock(mode: .event, required: [false], sourceStall: .minutes(15))
    var files = try OutputFiles(directory: options.output)
    var decoder = EventDecoder(format: options.format, limits: options.limits, currencies: options.currencies)
    var summary = ReplaySummary()
    let started = monotonicSeconds()
    var event = Event()
    var readBefore = 0
    var totalBytes = 0
    for path in options.inputs {
      var status = stat()
      if stat(path, &status) == 0 { totalBytes += Int(status.st_size) }
    }

    for path in options.inputs {
      var reader = try LineReader(path: path)
      var more = true
      while more {
        more = try reader.next { line in
          if line.isEmpty { return }
          let origin = Origin(topic: 0, partition: 0, offset: Int64(summary.read))
          summary.read += 1
          var reason = decoder.decode(line, key: nil, origin: origin, ceiling: options.ceiling, into: &event)
          if reason == nil, task.apply(event) == .tooLate { reason = .tooLate }
          if let reason {
            summary.rejected += 1
            DeadLetter.encode(
              reason: reason, origin: origin, topicName: options.topic, key: nil, payload: line, brokerTimestamp: nil,
              emittedAt: clock.now, maxPayloadBytes: options.maxDeadLetterBytes, into: &task.outputs)
          } else {
            clock.observe(topic: 0, eventTime: event.time)
            task.advance(to: clock.update(wall: .distantPast))
          }
          if summary.read % options.batchLines == 0 {
            decoder.reset()
            try files.take(&task.outputs)
          }
        }
        if summary.read & 0xffff == 0 {
          progress(ReplayProgress(lines: summary.read, bytes: readBefore + reader.position, totalBytes: totalBytes))
        }
      }
      readBefore += reader.fileBytes
    }

    clock.reachedEnd(of: 0)
    if let until = options.until { clock.advance(to: until) }
    task.advance(to: clock.update(wall: .distantPast))
    try files.take(&task.outputs)
    task.emitAllProfiles()
    try files.take(&task.outputs)
    try files.finish()
    summary.engine = task.counters
    summary.customers = task.sums()
    summary.stateDigest = task.digest()
    summary.elapsedSeconds = monotonicSeconds() - started
    progress(ReplayProgress(lines: summary.read, bytes: totalBytes, totalBytes: totalBytes))
    return summary
  }

  private static func monotonicSeconds() -> Double {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
  }
}
