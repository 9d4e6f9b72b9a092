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
    /// In `bytes`.
    var start = 0
    var count = 0
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
  /// The lines as they were read: a dead letter keeps them.
  private var bytes: UnsafeMutableRawBufferPointer
  private var used = 0
  /// Bytes of the input files read when it was full.
  var position = 0
  /// Engine threads that have not given it back yet.
  private let users = Shared(0)

  init(lines: Int, decoder: EventDecoder) {
    let lines = max(1, lines)
    self.lines = .allocate(capacity: lines)
    self.lines.initialize(repeating: Line())
    hashes = .allocate(capacity: lines)
    hashes.initialize(repeating: 0)
    clocks = .allocate(capacity: lines)
    clocks.initialize(repeating: .distantPast)
    self.decoder = decoder
    bytes = .allocate(byteCount: 1 << 20, alignment: 64)
  }

  deinit {
    lines.deallocate()
    hashes.deallocate()
    clocks.deallocate()
    bytes.deallocate()
  }

  var isFull: Bool { count == lines.count }

  /// Number of the line behind its last one.
  var endLine: Int64 { firstLine + Int64(count) }

  func removeAll(firstLine: Int64) {
    self.firstLine = firstLine
    count = 0
    used = 0
    decoder.reset()
  }

  /// Takes in a line; there is room.
  func append(_ line: UnsafeRawBufferPointer, ceiling: Instant, clock: inout LineClock) {
    if used + line.count > bytes.count {
      let larger = UnsafeMutableRawBufferPointer.allocate(
        byteCount: max(bytes.count * 2, used + line.count), alignment: 64)
      larger.copyMemory(from: UnsafeRawBufferPointer(rebasing: bytes[..<used]))
      bytes.deallocate()
      bytes = larger
    }
    UnsafeMutableRawBufferPointer(rebasing: bytes[used..<used + line.count]).copyMemory(from: line)
    let origin = Origin(topic: 0, partition: 0, offset: endLine)
    lines[count].start = used
    lines[count].count = line.count
    let rejected = decoder.decode(line, key: nil, origin: origin, ceiling: ceiling, into: &lines[count].event)
    lines[count].rejected = rejected
    lines[count].event.origin = origin
    if rejected == nil {
      hashes[count] = EngineTask.hash(
        ofCustomer: UnsafeRawBufferPointer(lines[count].event.customer.buffer), seed: Replay.seed)
      clocks[count] = clock.pass(lines[count].event.time)
    } else {
      // Spread by line, so that a file of nothing else is not one thread's work.
      hashes[count] = UInt64(bitPattern: origin.offset) &* 0x9E37_79B9_7F4A_7C15
      clocks[count] = clock.now
    }
    used += line.count
    count += 1
  }

  func bytes(of line: borrowing Line) -> UnsafeRawBufferPointer {
    UnsafeRawBufferPointer(rebasing: bytes[line.start..<line.start + line.count])
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
