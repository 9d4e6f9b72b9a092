// Lines of a file, plain or gzip, as borrowed bytes.

import CZlib
import Glibc

/// An input file that could not be read.
public struct InputError: Error, CustomStringConvertible {
  public let description: String
}

/// Reads a file line by line through zlib, which passes plain files through. Holds one buffer, as long as the longest line.
struct LineReader: ~Copyable {
  private let file: gzFile
  private let path: String
  private var buffer: UnsafeMutableRawBufferPointer
  private var start = 0
  private var end = 0
  private var atEnd = false
  /// Size of the file on disk, 0 when unknown (a pipe).
  let fileBytes: Int

  init(path: String) throws(InputError) {
    guard let file = gzopen(path, "rb") else {
      throw InputError(
        description: "cannot open \(path): \(String(cString: strerror(errno))); check the path and its permissions")
    }
    self.file = file
    self.path = path
    gzbuffer(file, 1 << 20)
    buffer = .allocate(byteCount: 4 << 20, alignment: 64)
    var status = stat()
    fileBytes = stat(path, &status) == 0 ? Int(status.st_size) : 0
  }

  deinit {
    gzclose(file)
    buffer.deallocate()
  }

  /// Bytes of the file (compressed, if it is) consumed so far.
  var position: Int { Int(gzoffset(file)) }

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
  private mutating func refill() throws(InputError) -> Int {
    let moved = start
    let kept = end - start
    if kept == buffer.count {
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
    let count = gzread(file, buffer.baseAddress.unsafelyUnwrapped + end, UInt32(min(buffer.count - end, 1 << 30)))
    // A compressed file that ends too early reads as one that just ends, but for the error it leaves behind.
    var code: Int32 = 0
    let text = count <= 0 ? gzerror(file, &code).map { String(cString: $0) } ?? "unknown error" : ""
    if count < 0 || code != Z_OK {
      throw InputError(description: "cannot read \(path) at about byte \(position): \(text); is the file whole?")
    }
    end += Int(count)
    if count == 0 { atEnd = true }
    return moved
  }
}
