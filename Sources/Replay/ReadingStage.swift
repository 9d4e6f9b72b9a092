// The thread of a replay that reads and decodes. A fixed number of batches goes round between it and the engine
// threads, so that memory stays bounded whichever is the slowest.

import Engine
import Events
import Handoff
import InputFiles

/// Reads and decodes the input files, in their order.
struct ReadingStage {
  private let full: Lane<DecodedBatch>
  private let free: Lane<DecodedBatch>
  private let failure = Shared<InputFileError?>(nil)
  private let thread: DedicatedThread

  /// - Parameter batches: on their way at most.
  /// - Throws: `ThreadError`.
  init(_ options: ReplayOptions, batches: Int) throws {
    let full = Lane<DecodedBatch>(capacity: batches)
    let free = Lane<DecodedBatch>(capacity: batches)
    let failure = failure
    for _ in 0..<batches {
      _ = free.put(
        DecodedBatch(
          lines: options.batchLines,
          decoder: EventDecoder(format: options.format, limits: options.limits, currencies: options.currencies)))
    }
    thread = try DedicatedThread("replay reader") {
      do { try Self.read(options, free: free, full: full) } catch {
        failure.write(error as? InputFileError ?? InputFileError(description: "\(error)"))
      }
      full.finish()
    }
    self.full = full
    self.free = free
  }

  private static func read(_ options: ReplayOptions, free: Lane<DecodedBatch>, full: Lane<DecodedBatch>) throws {
    var clock = LineClock()
    var before = 0
    guard var batch = free.take() else { return }
    for path in options.inputs {
      var reader = try LineReader(path: path)
      reading: while true {
        switch try reader.next(in: &batch.memory) {
        case .line(let line):
          if line.isEmpty { continue }
          batch.append(line, ceiling: options.ceiling, clock: &clock)
          if !batch.isFull { continue }
        case .full: break
        case .end: break reading
        }
        batch.position = before + reader.position
        guard let next = free.take() else { return }
        next.begin(after: batch)
        guard full.put(batch) else { return }
        batch = next
      }
      before += reader.fileBytes
    }
    batch.position = before
    _ = full.put(batch)
  }

  /// The next batch; nil at the end.
  /// - Throws: `InputFileError` when reading failed, after all full batches that came before it.
  func next() throws -> DecodedBatch? {
    if let batch = full.take() { return batch }
    if let error = failure.read() { throw error }
    return nil
  }

  /// Where batches go that are done with.
  var returns: Lane<DecodedBatch> { free }

  /// Ends the thread, also in the middle of a file.
  func stop() {
    full.abandon()
    free.finish()
    thread.join()
  }
}
