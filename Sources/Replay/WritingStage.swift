// The thread of a replay that writes. A fixed number of chunks goes round between it and each engine thread.

import Engine
import Handoff

/// Writes the output files.
struct WritingStage {
  /// For each engine thread, where its outputs go.
  let sinks: [OutputMerge.Source]
  private let thread: DedicatedThread

  /// Chunks of an engine thread: one being filled, one being written, two that even out the pace.
  private static let chunks = 4

  /// - Parameters:
  ///   - engines: how many threads write to it; each finishes its lane in the end.
  ///   - failure: written to when writing fails. When something is there in the end, the files keep their temporary
  ///     names.
  /// - Throws: `OutputError`, `ThreadError`.
  init(directory: String, engines: Int, failure: FirstFailure) throws {
    let sinks = (0..<engines).map { _ in
      OutputMerge.Source(full: Lane(capacity: Self.chunks), free: Lane(capacity: Self.chunks))
    }
    for sink in sinks {
      for _ in 0..<Self.chunks { _ = sink.free.put(OutputChunk()) }
    }
    // Opened here: what is wrong with the directory is said before anything is read.
    let files = Transferred(try OutputFiles(directory: directory))
    thread = try DedicatedThread("replay writer") {
      do throws(OutputError) {
        var merge = OutputMerge()
        try merge.run(sinks, into: files.value)
        if failure.error == nil { try files.value.finish() }
      } catch {
        failure.note(error)
        for sink in sinks {
          sink.full.abandon()
          sink.free.finish()
        }
      }
    }
    self.sinks = sinks
  }

  /// Waits until all is written; the engine threads have ended, as far as there are any.
  func join() {
    for sink in sinks { sink.full.finish() }
    thread.join()
  }
}
