// Lines of a file, decoded, on their way from the thread that reads to those that apply.

import Engine
import Events
import Handoff

/// Some hundred lines in their order. The reader fills it; then all engine threads read it, and the last of them to
/// give it back hands it to the reader again.
final class DecodedBatch {
  struct Line {
    /// Why it is not an event; `event` then means nothing.
    var rejected: RejectReason?
    var event = Event()
    /// As it was read, in `memory`: a dead letter keeps it.
    var bytes = UnsafeRawBufferPointer(start: nil, count: 0)
  }

  private(set) var count = 0
  /// Number of its first line, counted over all input files from 0.
  private(set) var firstLine: Int64 = 0
  let lines: UnsafeMutableBufferPointer<Line>
  /// Of each line's customer, as its task hashes it; of a line without one some number: whichever thread it falls to
  /// takes it.
  let hashes: UnsafeMutableBufferPointer<UInt64>
  /// Where the clock stands behind each line: never goes back.
  let clocks: UnsafeMutableBufferPointer<Instant>
  private var decoder: EventDecoder
  /// Where its lines are read into.
  var memory: LineMemory
  /// Bytes of the input files read when it was full.
  var position = 0
  /// Engine threads that have not given it back yet.
  private let users = Shared(0)

  /// Of its memory for each line that it has room for. What is shorter fills the lines first, what is longer the memory: about as
  /// much as an event takes, so that what one thread writes is still near when another reads it. With half of that, threads wait
  /// for each other more often, which costs more than it saves.
  private static let bytesPerLine = 256

  init(lines: Int, decoder: EventDecoder) {
    let lines = max(1, lines)
    self.lines = .allocate(capacity: lines)
    self.lines.initialize(repeating: Line())
    hashes = .allocate(capacity: lines)
    hashes.initialize(repeating: 0)
    clocks = .allocate(capacity: lines)
    clocks.initialize(repeating: .distantPast)
    self.decoder = decoder
    memory = LineMemory(bytes: lines * Self.bytesPerLine)
  }

  deinit {
    lines.deallocate()
    hashes.deallocate()
    clocks.deallocate()
  }

  var isFull: Bool { count == lines.count }

  /// Number of the line behind its last one.
  var endLine: Int64 { firstLine + Int64(count) }

  /// Begins where `before` ends.
  func begin(after before: DecodedBatch) {
    firstLine = before.endLine
    count = 0
    decoder.reset()
    memory.begin(after: before.memory)
  }

  /// Takes in a line, the last that its memory gave out; there is room.
  func append(_ line: UnsafeRawBufferPointer, ceiling: Instant, clock: inout LineClock) {
    memory.keep()
    let origin = Origin(topic: 0, partition: 0, offset: endLine)
    let place = lines.baseAddress.unsafelyUnwrapped + count
    place.pointee.bytes = line
    let rejected = decoder.decodeInPlace(line, origin: origin, ceiling: ceiling, into: &place.pointee.event)
    place.pointee.rejected = rejected
    if rejected == nil {
      hashes[count] = EngineTask.hash(
        ofCustomer: UnsafeRawBufferPointer(place.pointee.event.customer.buffer), seed: Replay.seed)
      clocks[count] = clock.pass(place.pointee.event.time)
    } else {
      place.pointee.event.origin = origin
      // Spread by line, so that a file of nothing else is not one thread's work.
      hashes[count] = UInt64(bitPattern: origin.offset) &* 0x9E37_79B9_7F4A_7C15
      clocks[count] = clock.now
    }
    count += 1
  }

  // MARK: Shared by the engine threads

  /// So many will read it.
  func lend(to count: Int) { users.write(count) }

  /// One of them is done with it; true for the last.
  func isLastToGiveBack() -> Bool {
    users.withLock {
      $0 -= 1
      return $0 == 0
    }
  }
}
