// Lines of a file, plain or gzip, as borrowed bytes.

import InputFiles

/// Reads a file line by line, into memory of others.
struct LineReader: ~Copyable {
  private var file: InputFile
  private var atEnd = false

  enum Step {
    /// A line without its line end.
    case line(UnsafeRawBufferPointer)
    /// The memory is full: the next line comes when it has begun anew, or another with what it did not give out.
    case full
    case end
  }

  init(path: String) throws(InputFileError) { file = try InputFile(path: path) }

  /// Size of the file on disk, 0 when unknown (a pipe).
  var fileBytes: Int { file.fileBytes }

  /// Bytes of the file (compressed, if it is) consumed so far.
  var position: Int { file.position }

  mutating func next(in memory: inout LineMemory) throws(InputFileError) -> Step {
    var searched = 0
    while true {
      if let line = memory.next(searched: &searched) { return .line(Self.withoutCR(line)) }
      if atEnd { return memory.pending > 0 ? .line(Self.withoutCR(memory.rest())) : .end }
      guard memory.pending < LineMemory.longestLine else {
        throw InputFileError(
          description: "\(file.path): a line has more than \(LineMemory.longestLine >> 20) MiB; is it one event a line?"
        )
      }
      guard let room = memory.room() else { return .full }
      let count = try file.read(into: room)
      memory.wasRead(count)
      if count == 0 { atEnd = true }
    }
  }

  private static func withoutCR(_ line: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer {
    line.last == 13 ? UnsafeRawBufferPointer(rebasing: line.dropLast()) : line
  }
}
