// What one engine thread says, on its way to the thread that writes.

import Engine
import Events

/// Where outputs belong in the order of a replay: first by line, and behind a line's own outputs those of the timers
/// that it let fire, by the instant at which they were due. Of one place, in one thread's outputs, records follow the
/// customer id; a line's own (`due` is `.distantPast`) are all of one thread.
struct OutputPlace {
  /// Behind the last line: `Int64.max`.
  var line: Int64
  var due: Instant

  static func < (a: OutputPlace, b: OutputPlace) -> Bool {
    a.line != b.line ? a.line < b.line : a.due < b.due
  }

  /// A line's own outputs.
  static func line(_ line: Int64) -> OutputPlace { OutputPlace(line: line, due: .distantPast) }
  /// Behind everything that comes of a line.
  static func end(of line: Int64) -> OutputPlace { OutputPlace(line: line, due: .distantFuture) }
  /// Behind all timers.
  static let profiles = OutputPlace(line: .max, due: .distantFuture)
}

/// Outputs in their order. Who has it owns it.
final class OutputChunk {
  /// The entries up to `end`, from those of the mark before, belong to `place`.
  struct Mark {
    var place: OutputPlace
    var end: Int
  }

  var outputs = OutputBuffer()
  /// In the order of their places. One without entries says that nothing before its place will come any more.
  var marks: [Mark] = []

  func removeAll() {
    outputs.removeAll()
    marks.removeAll(keepingCapacity: true)
  }
}
