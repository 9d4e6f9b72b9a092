// Lines of a file, decoded, on their way from the thread that reads to the one that applies.

import Engine
import Events

/// Some hundred lines in their order. Whoever has it owns it: the reader fills it, the engine's thread empties it and
/// hands it back to be filled again.
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
  private var lines: [Line]
  private var decoder: EventDecoder
  /// The lines as they were read: a dead letter keeps them.
  private var bytes: UnsafeMutableRawBufferPointer
  private var used = 0
  /// Bytes of the input files read when it was full.
  var position = 0

  init(lines: Int, decoder: EventDecoder) {
    self.lines = Array(repeating: Line(), count: max(1, lines))
    self.decoder = decoder
    bytes = .allocate(byteCount: 1 << 20, alignment: 64)
  }

  deinit { bytes.deallocate() }

  var isFull: Bool { count == lines.count }

  func removeAll() {
    count = 0
    used = 0
    decoder.reset()
  }

  /// Takes in a line; there is room.
  func append(_ line: UnsafeRawBufferPointer, origin: Origin, ceiling: Instant) {
    if used + line.count > bytes.count {
      let larger = UnsafeMutableRawBufferPointer.allocate(
        byteCount: max(bytes.count * 2, used + line.count), alignment: 64)
      larger.copyMemory(from: UnsafeRawBufferPointer(rebasing: bytes[..<used]))
      bytes.deallocate()
      bytes = larger
    }
    UnsafeMutableRawBufferPointer(rebasing: bytes[used..<used + line.count]).copyMemory(from: line)
    lines[count].start = used
    lines[count].count = line.count
    lines[count].rejected = decoder.decode(
      line, key: nil, origin: origin, ceiling: ceiling, into: &lines[count].event)
    lines[count].event.origin = origin
    used += line.count
    count += 1
  }

  /// Calls back with each line in order.
  func forEach(in range: Range<Int>, _ body: (borrowing Line) -> Void) {
    lines.withUnsafeBufferPointer { lines in
      for place in range { body(lines[place]) }
    }
  }

  func bytes(of line: borrowing Line) -> UnsafeRawBufferPointer {
    UnsafeRawBufferPointer(rebasing: bytes[line.start..<line.start + line.count])
  }
}
