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
  /// Also write every customer's profile at the end.
  public var profiles = true
  /// Lines that are decoded, applied and written together; changes nothing in the outputs.
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
  /// - Parameter progress: called after every batch of lines.
  /// - Throws: `InputError`, `OutputError`, `ThreadError`.
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
    var summary = ReplaySummary()
    let started = monotonicSeconds()
    var totalBytes = 0
    for path in options.inputs {
      var status = stat()
      if stat(path, &status) == 0 { totalBytes += Int(status.st_size) }
    }

    let writer = try WritingStage(directory: options.output)
    do {
      let reader = try ReadingStage(options)
      do {
        while let batch = try reader.next() {
          apply(batch, to: &task, clock: &clock, summary: &summary, options: options)
          let position = batch.position
          reader.giveBack(batch)
          try writer.take(&task.outputs)
          progress(ReplayProgress(lines: summary.read, bytes: position, totalBytes: totalBytes))
        }
      } catch {
        reader.stop()
        throw error
      }
      reader.stop()

      clock.reachedEnd(of: 0)
      if let until = options.until { clock.advance(to: until) }
      let end = clock.update(wall: .distantPast)
      while task.advance(to: end, maxTimers: timersAtOnce) { try writer.take(&task.outputs) }
      if options.profiles {
        let order = task.customersByID()
        for start in stride(from: 0, to: order.count, by: profilesAtOnce) {
          for index in order[start..<min(order.count, start + profilesAtOnce)] { task.emitProfile(of: index) }
          try writer.take(&task.outputs)
        }
      }
      try writer.take(&task.outputs)
    } catch {
      writer.stop()
      throw error
    }
    try writer.finish()
    summary.engine = task.counters
    summary.customers = task.sums()
    summary.stateDigest = task.digest()
    summary.elapsedSeconds = monotonicSeconds() - started
    progress(ReplayProgress(lines: summary.read, bytes: totalBytes, totalBytes: totalBytes))
    return summary
  }

  /// So that no buffer grows large: nothing else depends on them.
  private static let timersAtOnce = 4096
  private static let profilesAtOnce = 1024
  /// Customers whose memory is asked for ahead of their events: few enough to stay in the nearest caches.
  private static let lookAhead = 32

  private static func apply(
    _ batch: DecodedBatch, to task: inout EngineTask, clock: inout TaskClock, summary: inout ReplaySummary,
    options: ReplayOptions
  ) {
    withUnsafeTemporaryAllocation(of: UInt64.self, capacity: lookAhead) { hashes in
      var start = 0
      while start < batch.count {
        let end = min(batch.count, start + lookAhead)
        prefetch(batch, start..<end, hashes, task)
        var place = 0
        batch.forEach(in: start..<end) { line in
          var reason = line.rejected
          if reason == nil, task.apply(line.event, hash: hashes[place]) == .tooLate { reason = .tooLate }
          place += 1
          summary.read += 1
          if let reason {
            summary.rejected += 1
            DeadLetter.encode(
              reason: reason, origin: line.event.origin, topicName: options.topic, key: nil,
              payload: batch.bytes(of: line), brokerTimestamp: nil, emittedAt: clock.now,
              maxPayloadBytes: options.maxDeadLetterBytes, into: &task.outputs)
          } else {
            clock.observe(topic: 0, eventTime: line.event.time)
            task.advance(to: clock.update(wall: .distantPast))
          }
        }
        start = end
      }
    }
  }

  /// Hashes the ids of some lines and asks for their customers' memory.
  private static func prefetch(
    _ batch: DecodedBatch, _ range: Range<Int>, _ hashes: UnsafeMutableBufferPointer<UInt64>,
    _ task: borrowing EngineTask
  ) {
    var count = 0
    batch.forEach(in: range) { line in
      hashes[count] = line.rejected == nil ? task.hash(ofCustomer: line.event.customer) : 0
      if line.rejected == nil { task.prefetchIndex(hashes[count]) }
      count += 1
    }
    for place in 0..<count { task.prefetchRecord(hashes[place]) }
    for place in 0..<count { task.prefetchTail(hashes[place]) }
  }

  private static func monotonicSeconds() -> Double {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
  }
}
