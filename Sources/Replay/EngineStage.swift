// The engine threads of a replay. Each gets every batch; the last to be done with one sends it back to the reader.

import Engine
import Events
import Handoff

struct EngineStage {
  private let lanes: [Lane<DecodedBatch>]
  private let threads: [DedicatedThread]
  private let total = Shared(WorkerResult())
  private let failure: FirstFailure

  /// - Parameters:
  ///   - sinks: for each thread, where its outputs go.
  ///   - returns: where batches go that all are done with.
  ///   - failure: written to, if nothing is there yet, when a thread cannot go on; when something is there, the threads
  ///     only give back what they are given.
  /// - Throws: `ThreadError`.
  init(
    _ options: ReplayOptions, settings: EngineSettings, sinks: [OutputMerge.Source], returns: Lane<DecodedBatch>,
    batches: Int, failure: FirstFailure
  ) throws {
    var lanes: [Lane<DecodedBatch>] = []
    var threads: [DedicatedThread] = []
    let names = sinks.count > 1 ? NameCensus() : nil
    let total = total
    do {
      for (number, sink) in sinks.enumerated() {
        let lane = Lane<DecodedBatch>(capacity: batches)
        threads.append(
          try DedicatedThread("replay eng \(number)") {
            do {
              var worker = EngineWorker(
                number, of: sinks.count, options: options, settings: settings, sink: sink, names: names)
              while let batch = lane.take() {
                defer { if batch.isLastToGiveBack() { _ = returns.put(batch) } }
                try worker.apply(batch)
              }
              if failure.error == nil {
                let result = try worker.finish()
                total.withLock { $0.add(result) }
              }
            } catch {
              // A writer that stopped has said why.
              failure.note(error)
              while let batch = lane.take() {
                if batch.isLastToGiveBack() { _ = returns.put(batch) }
              }
            }
            sink.full.finish()
          })
        lanes.append(lane)
      }
    } catch {
      failure.note(error)
      for lane in lanes { lane.finish() }
      for thread in threads { thread.join() }
      throw error
    }
    self.lanes = lanes
    self.threads = threads
    self.failure = failure
  }

  /// Gives a batch to all threads.
  /// - Throws: what has ended one of them.
  func take(_ batch: DecodedBatch) throws {
    batch.lend(to: lanes.count)
    for lane in lanes { _ = lane.put(batch) }
    if let error = failure.error { throw error }
  }

  /// After the last batch, or when something has failed: waits until all threads have ended.
  /// - Throws: what has ended one of them early.
  func finish() throws -> WorkerResult {
    for lane in lanes { lane.finish() }
    for thread in threads { thread.join() }
    if let error = failure.error { throw error }
    return total.read()
  }
}
