// The outputs of several engine threads in the order in which one alone would have said them.

import Engine
import Events
import Handoff

/// Takes chunks from every engine thread and gives them back when they are written.
///
/// It waits for a thread only when all that it has of that thread comes before what it has of the others. No two wait
/// for each other: every thread ends a batch of lines with a mark behind its last line, so one that is waited for has
/// not got the next batch yet or is at work on it, and no other can have all its chunks full without having seen that
/// batch.
struct OutputMerge {
  /// Chunks of one engine thread: full ones come, empty ones go back.
  struct Source: Sendable {
    let full: Lane<OutputChunk>
    let free: Lane<OutputChunk>
  }

  /// A chunk and what of it comes next.
  private struct Cursor {
    let source: Source
    let chunk: OutputChunk
    var mark = 0
    var entry = 0
    /// Of the next entry's customer id.
    var prefix = SortingPrefix()

    var isAtEnd: Bool { mark == chunk.marks.count }
    var place: OutputPlace { chunk.marks[mark].place }
    /// Whether the mark has no entries (left).
    var isBare: Bool { entry == chunk.marks[mark].end }

    /// Of the next entry.
    func withKey<Result>(_ body: (UnsafeRawBufferPointer) -> Result) -> Result {
      let range = chunk.outputs.entries[entry].key
      return chunk.outputs.bytes.withUnsafeBytes { body(UnsafeRawBufferPointer(rebasing: $0[range])) }
    }

    mutating func readPrefix() {
      prefix = isAtEnd || isBare ? SortingPrefix() : withKey { SortingPrefix(of: $0) }
    }
  }

  private var cursors: [Cursor] = []

  /// Writes all that comes from `sources`, up to the end of each.
  mutating func run(_ sources: [Source], into files: OutputFiles) throws(OutputError) {
    for source in sources {
      if let cursor = Self.next(of: source) { cursors.append(cursor) }
    }
    while cursors.count > 1 {
      let (first, second) = firstTwo()
      try write(first, before: second, into: files)
      if cursors[first].isAtEnd { refill(first) }
    }
    guard let last = cursors.first else { return }
    cursors = []
    try files.append(last.chunk.outputs, last.entry..<last.chunk.outputs.entries.count)
    Self.giveBack(last.chunk, to: last.source)
    while let chunk = last.source.full.take() {
      try files.append(chunk.outputs, 0..<chunk.outputs.entries.count)
      Self.giveBack(chunk, to: last.source)
    }
  }

  /// Nil at the source's end.
  private static func next(of source: Source) -> Cursor? {
    while let chunk = source.full.take() {
      var cursor = Cursor(source: source, chunk: chunk)
      if cursor.isAtEnd {
        giveBack(chunk, to: source)
        continue
      }
      cursor.readPrefix()
      return cursor
    }
    return nil
  }

  private static func giveBack(_ chunk: OutputChunk, to source: Source) {
    chunk.removeAll()
    _ = source.free.put(chunk)
  }

  private mutating func refill(_ number: Int) {
    let cursor = cursors.remove(at: number)
    Self.giveBack(cursor.chunk, to: cursor.source)
    if let next = Self.next(of: cursor.source) { cursors.append(next) }
  }

  /// The two that come first; there are two.
  private func firstTwo() -> (Int, Int) {
    var (first, second) = precedes(1, 0) ? (1, 0) : (0, 1)
    for number in 2..<max(2, cursors.count) {
      if precedes(number, first) {
        (first, second) = (number, first)
      } else if precedes(number, second) {
        second = number
      }
    }
    return (first, second)
  }

  private func precedes(_ a: Int, _ b: Int) -> Bool {
    let (placeA, placeB) = (cursors[a].place, cursors[b].place)
    if placeA < placeB { return true }
    if placeB < placeA { return false }
    return precedesByID(a, b)
  }

  /// Of two at one place.
  private func precedesByID(_ a: Int, _ b: Int) -> Bool {
    if cursors[a].isBare || cursors[b].isBare { return cursors[a].isBare && !cursors[b].isBare }
    if cursors[a].prefix != cursors[b].prefix { return cursors[a].prefix < cursors[b].prefix }
    return cursors[a].withKey { key in cursors[b].withKey { key.precedes($0) } }
  }

  /// Writes what one of them has before the next entry of the other; at least one entry or mark.
  private mutating func write(_ number: Int, before other: Int, into files: OutputFiles) throws(OutputError) {
    let bound = cursors[other].place
    repeat {
      if cursors[number].place < bound {
        // All of it, up to the bound.
        let start = cursors[number].entry
        repeat {
          cursors[number].entry = cursors[number].chunk.marks[cursors[number].mark].end
          cursors[number].mark += 1
        } while !cursors[number].isAtEnd && cursors[number].place < bound
        try files.append(cursors[number].chunk.outputs, start..<cursors[number].entry)
      } else {
        if !cursors[number].isBare {
          try files.append(cursors[number].chunk.outputs, cursors[number].entry..<cursors[number].entry + 1)
          cursors[number].entry += 1
        }
        if cursors[number].isBare { cursors[number].mark += 1 }
      }
      cursors[number].readPrefix()
    } while !cursors[number].isAtEnd && !precedes(other, number)
  }
}
