// Lines of a file, plain or gzip, as borrowed bytes.

import Glibc
import InputFiles

/// Reads a file line by line. Holds one buffer, as long as the longest line.
struct LineReader: ~Copyable {
  private var file: InputFile
  private var buffer: UnsafeMutableRawBufferPointer
  private var start = 0
  private var end = 0
  private var atEnd = false

  /// Far more than any limit of a record: a file that has one is no file of events.
  private static let longestLine = 64 << 20

  init(path: String) throws(InputFileError) {
    file = try InputFile(path: path)
    buffer = .allocate(byteCount: 4 << 20, alignment: 64)
  }

  deinit { buffer.deallocate() }

  /// Size of the file on disk, 0 when unknown (a pipe).
  var fileBytes: Int { file.fileBytes }

  /// Bytes of the file (compressed, if it is) consumed so far.
  var position: Int { file.position }

  /// Calls back with the next line without its line end; false at the end of the file.
  mutating func next(_ body: (UnsafeRawBufferPointer) throws -> Void) throws -> Bool {
    var scanned = start
    while true {
      let from = buffer.baseAddress.unsafelyUnwrapped
      if end > scanned, let newline = memchr(from + scanned, 10, end - scanned) {
        let stop = newline - UnsafeMutableRawPointer(from)
        let line = slice(start, stop)
        start = stop + 1
        try body(line)
        return true
      }
      scanned = end
      if atEnd {
        guard end > start else { return false }
        let line = slice(start, end)
        start = end
        try body(line)
        return true
      }
      scanned -= try refill()
    }
  }

  private func slice(_ from: Int, _ to: Int) -> UnsafeRawBufferPointer {
    let base = buffer.baseAddress.unsafelyUnwrapped
    let hasCR = to > from && base.load(fromByteOffset: to - 1, as: UInt8.self) == 13
    return UnsafeRawBufferPointer(start: base + from, count: to - from - (hasCR ? 1 : 0))
  }

  /// Makes room and reads on; returns by how much the kept bytes moved towards the front.
  private mutating func refill() throws(InputFileError) -> Int {
    let moved = start
    let kept = end - start
    if kept == buffer.count {
      guard kept < Self.longestLine else {
        throw InputFileError(
          description: "\(file.path): a line has more than \(Self.longestLine >> 20) MiB; is it one event a line?")
      }
      let larger = UnsafeMutableRawBufferPointer.allocate(byteCount: buffer.count * 2, alignment: 64)
      larger.copyMemory(from: UnsafeRawBufferPointer(buffer))
      buffer.deallocate()
      buffer = larger
    } else if start > 0 {
      let base = buffer.baseAddress.unsafelyUnwrapped
      memmove(base, base + start, kept)
      start = 0
      end = kept
    }
    let count = try file.read(into: UnsafeMutableRawBufferPointer(rebasing: buffer[end...]))
    end += count
    if count == 0 { atEnd = true }
    return moved
  }
}
