// The threads of a replay: one reads and decodes, the caller's applies, one writes. Batches and buffers go round between
// them in a fixed number, so that memory stays bounded whichever is the slowest.

import Engine
import Events
import Handoff

/// Reads and decodes the input files, in their order.
struct ReadingStage {
  private let full: Lane<DecodedBatch>
  private let free: Lane<DecodedBatch>
  private let failure = Shared<InputError?>(nil)
  private let thread: DedicatedThread

  /// Batches on their way: one being filled, one being applied, two that even out the pace.
  private static let batches = 4

  /// - Throws: `ThreadError`.
  init(_ options: ReplayOptions) throws {
    let full = Lane<DecodedBatch>(capacity: Self.batches)
    let free = Lane<DecodedBatch>(capacity: Self.batches)
    let failure = failure
    for _ in 0..<Self.batches {
      _ = free.put(
        DecodedBatch(
          lines: options.batchLines,
          decoder: EventDecoder(format: options.format, limits: options.limits, currencies: options.currencies)))
    }
    thread = try DedicatedThread("replay reader") {
      do { try Self.read(options, free: free, full: full) } catch {
        failure.write(error as? InputError ?? InputError(description: "\(error)"))
      }
      full.finish()
    }
    self.full = full
    self.free = free
  }

  private static func read(_ options: ReplayOptions, free: Lane<DecodedBatch>, full: Lane<DecodedBatch>) throws {
    var offset: Int64 = 0
    var before = 0
    guard var batch = free.take() else { return }
    for path in options.inputs {
      var reader = try LineReader(path: path)
      var more = true
      while more {
        more = try reader.next { line in
          if line.isEmpty { return }
          batch.append(line, origin: Origin(topic: 0, partition: 0, offset: offset), ceiling: options.ceiling)
          offset += 1
        }
        guard batch.isFull else { continue }
        batch.position = before + reader.position
        guard full.put(batch), let next = free.take() else { return }
        batch = next
        batch.removeAll()
      }
      before += reader.fileBytes
    }
    batch.position = before
    _ = full.put(batch)
  }

  /// The next batch, to be given back; nil at the end.
  /// - Throws: `InputError` when reading failed, after all that came before it.
  func next() throws -> DecodedBatch? {
    if let batch = full.take() { return batch }
    if let error = failure.read() { throw error }
    return nil
  }

  func giveBack(_ batch: DecodedBatch) { _ = free.put(batch) }

  /// Ends the thread, also in the middle of a file.
  func stop() {
    full.abandon()
    free.finish()
    thread.join()
  }
}

/// Writes the output files.
struct WritingStage {
  private let full: Lane<OutputBuffer>
  private let free: Lane<OutputBuffer>
  private let failure = Shared<OutputError?>(nil)
  private let thread: DedicatedThread

  private static let buffers = 3

  /// - Throws: `OutputError`, `ThreadError`.
  init(directory: String) throws {
    let full = Lane<OutputBuffer>(capacity: Self.buffers)
    let free = Lane<OutputBuffer>(capacity: Self.buffers)
    let failure = failure
    for _ in 1..<Self.buffers { _ = free.put(OutputBuffer()) }
    // Opened here: what is wrong with the directory is said before anything is read.
    let files = Transferred(try OutputFiles(directory: directory))
    thread = try DedicatedThread("replay writer") {
      do throws(OutputError) {
        while var buffer = full.take() {
          try files.value.take(&buffer)
          _ = free.put(buffer)
        }
        if failure.read() == nil { try files.value.finish() }
      } catch {
        failure.write(error)
        full.abandon()
        free.finish()
      }
    }
    self.full = full
    self.free = free
  }

  /// Hands over what was said so far, and leaves an empty buffer in its place.
  /// - Throws: `OutputError` when writing failed.
  func take(_ outputs: inout OutputBuffer) throws {
    guard var said = free.take() else { throw ended }
    swap(&said, &outputs)
    guard full.put(said) else { throw ended }
  }

  private var ended: OutputError {
    failure.read() ?? OutputError(description: "the writer of the output files has ended; run the replay again")
  }

  /// Writes what is left and gives the files their names.
  /// - Throws: `OutputError`.
  func finish() throws {
    full.finish()
    thread.join()
    if let error = failure.read() { throw error }
  }

  /// Ends the thread and leaves the files under their temporary names.
  func stop() {
    failure.write(OutputError(description: "stopped"))
    full.finish()
    free.finish()
    thread.join()
  }
}
