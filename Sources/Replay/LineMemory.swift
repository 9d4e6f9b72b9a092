// Memory that a file is read into and whose lines stay where they are: a decoded event points into its line, and a dead letter
// keeps it. So a line is copied once, by the system.

import Events
import Glibc

/// What lies in it: lines that are kept, what was given out behind them, and what was read and not given out yet.
struct LineMemory: ~Copyable {
  /// Bytes that are read at a time, and for all lines together: only a longer line makes it larger.
  private let step: Int
  /// Behind it comes `EventDecoder.padding`.
  private var capacity: Int
  private var base: UnsafeMutableRawPointer
  /// Lines are kept up to here.
  private var kept = 0
  /// Not given out yet.
  private var start = 0
  private var end = 0

  init(bytes: Int) {
    step = max(256, bytes)
    capacity = step
    base = Self.allocate(capacity)
  }

  deinit { base.deallocate() }

  private static func allocate(_ capacity: Int) -> UnsafeMutableRawPointer {
    .allocate(byteCount: capacity + EventDecoder.padding, alignment: 64)
  }

  /// Begins anew, with what the memory before did not give out.
  mutating func begin(after before: borrowing LineMemory) {
    let rest = before.end - before.start
    kept = 0
    start = 0
    end = 0
    grow(to: rest)
    memcpy(base, before.base + before.start, rest)
    end = rest
  }

  // MARK: Lines

  /// The next line with the byte that ends it, taken out; nil when no line has its end here. The first `searched` bytes are
  /// known to have none.
  mutating func next(searched: inout Int) -> UnsafeRawBufferPointer? {
    guard let newline = memchr(base + start + searched, 10, end - start - searched) else {
      searched = end - start
      return nil
    }
    let line = UnsafeRawBufferPointer(start: base + start, count: newline - (base + start))
    start += line.count + 1
    return line
  }

  /// What is left, a line without an end.
  mutating func rest() -> UnsafeRawBufferPointer {
    defer { start = end }
    return UnsafeRawBufferPointer(start: base + start, count: end - start)
  }

  /// The lines given out so far stay as they are until `begin`.
  mutating func keep() { kept = start }

  // MARK: Reading

  /// How long the line that has no end here is so far.
  var pending: Int { end - start }

  /// Far more than any limit of a record: a file that has one is no file of events. With the byte that ends it.
  static let longestLine = 64 << 20

  /// Where to read on; nil when it is full of lines that are kept. `pending` is less than `longestLine`.
  mutating func room() -> UnsafeMutableRawBufferPointer? {
    if kept > 0 {
      return end < step ? UnsafeMutableRawBufferPointer(start: base + end, count: step - end) : nil
    }
    if start > 0 {
      memmove(base, base + start, pending)
      end -= start
      start = 0
    }
    if end == capacity { grow(to: capacity * 2) }
    return UnsafeMutableRawBufferPointer(start: base + end, count: min(step, min(capacity, Self.longestLine) - end))
  }

  mutating func wasRead(_ count: Int) { end += count }

  private mutating func grow(to needed: Int) {
    guard needed > capacity else { return }
    let larger = Self.allocate(needed)
    memcpy(larger, base, end)
    base.deallocate()
    base = larger
    capacity = needed
  }
}
