// A file that a command reads from its beginning to its end, plain or gzip.

import CZlib
import Glibc

/// A file could not be opened or read, or is of a kind that is not read. Says what to do.
public struct InputFileError: Error, CustomStringConvertible {
  public let description: String
  public init(description: String) { self.description = description }
}

/// Reads a file: as it is, or unpacked if it is gzip, whatever its name. Any number of gzip members follow each other; what is
/// neither a member nor padding by zeros is an error, where zlib's own files would just end. A byte-order mark is passed over.
public struct InputFile: ~Copyable {
  public let path: String
  private let descriptor: Int32
  /// Bytes of the file on disk; 0 when unknown (a pipe).
  public let fileBytes: Int
  /// Bytes of the file (compressed, if it is) consumed so far.
  public private(set) var position = 0

  /// Read from the file and not used yet.
  private var packed: UnsafeMutableRawBufferPointer
  private var start = 0
  private var end = 0
  private var kind = Kind.unknown
  /// The beginning of the content, where `read` has not given it out yet.
  private var head: [UInt8] = []
  /// Of gzip only, from the first member on. In memory that stays where it is: zlib remembers its address.
  private var stream: UnsafeMutablePointer<z_stream>?
  private var isInMember = false
  private var atEndOfFile = false

  private enum Kind { case unknown, plain, gzip }
  private static let bufferBytes = 1 << 20

  /// - Throws: when the file cannot be opened.
  public init(path: String) throws(InputFileError) {
    self.path = path
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    var status = stat()
    let isFound = descriptor >= 0 && fstat(descriptor, &status) == 0
    fileBytes = isFound && status.st_mode & S_IFMT == S_IFREG ? Int(status.st_size) : 0
    self.descriptor = descriptor
    packed = .allocate(byteCount: Self.bufferBytes, alignment: 64)
    guard isFound else {
      throw InputFileError(description: "cannot open \(path): \(reason()); check the path and its permissions")
    }
  }

  deinit {
    if descriptor >= 0 { close(descriptor) }
    if let stream {
      inflateEnd(stream)
      stream.deinitialize(count: 1)
      stream.deallocate()
    }
    packed.deallocate()
  }

  /// Reads on into `buffer`, which is not empty.
  ///
  /// - Returns: how many bytes; 0 only at the end of the file.
  /// - Throws: when it cannot be read, is damaged, or is of a kind that is not read.
  public mutating func read(into buffer: UnsafeMutableRawBufferPointer) throws(InputFileError) -> Int {
    if kind == .unknown {
      try recognise()
      try readHead()
    }
    guard head.isEmpty else {
      let count = min(head.count, buffer.count)
      buffer.copyBytes(from: head[..<count])
      head.removeFirst(count)
      return count
    }
    return try readOn(into: buffer)
  }

  // MARK: Kinds

  private mutating func recognise() throws(InputFileError) {
    while end < 2, try fill() {}
    guard end >= 2, packed[0] == 0x1f, packed[1] == 0x8b else {
      kind = .plain
      if path.hasSuffix(".gz") {
        throw InputFileError(
          description:
            "\(path) is no gzip file, whatever its name says: does it have its first bytes? Plain text needs another "
            + "name")
      }
      return
    }
    kind = .gzip
    let new = UnsafeMutablePointer<z_stream>.allocate(capacity: 1)
    new.initialize(to: z_stream())
    stream = new
    guard tidewatch_inflate_gzip(new) == Z_OK else {
      throw InputFileError(description: "cannot read \(path): zlib does not start; is there memory left?")
    }
    isInMember = true
  }

  /// The first bytes of the content, looked at and kept for `read`.
  private mutating func readHead() throws(InputFileError) {
    var bytes = [UInt8](repeating: 0, count: 10)
    var count = 0
    while count < bytes.count {
      var found = 0
      var failure: InputFileError?
      bytes.withUnsafeMutableBytes { buffer in
        do throws(InputFileError) {
          found = try readOn(into: UnsafeMutableRawBufferPointer(rebasing: buffer[count...]))
        } catch { failure = error }
      }
      if let failure { throw failure }
      if found == 0 { break }
      count += found
    }
    head = Array(bytes[..<count])
    if head.starts(with: [0xef, 0xbb, 0xbf]) { head.removeFirst(3) }
    let others: [(bytes: [UInt8], what: String, advice: String)] = [
      ([0x28, 0xb5, 0x2f, 0xfd], "is compressed with zstd", "zstd -d"),
      ([0xfd, 0x37, 0x7a, 0x58, 0x5a], "is compressed with xz", "xz -d"),
      ([0x04, 0x22, 0x4d, 0x18], "is compressed with lz4", "lz4 -d"),
      ([0x1f, 0x9d], "is compressed with compress", "uncompress"),
      ([0x1f, 0x8b], "is compressed with gzip twice", "gzip -d"),
      (Array("PK".utf8) + [3, 4], "is a zip archive", "unzip"),
      ([0xff, 0xfe, 0, 0], "is UTF-32", "iconv -f UTF-32 -t UTF-8"),
      ([0xff, 0xfe], "is UTF-16", "iconv -f UTF-16 -t UTF-8"),
      ([0xfe, 0xff], "is UTF-16", "iconv -f UTF-16 -t UTF-8"),
    ]
    var other = others.first { head.starts(with: $0.bytes) }
    // Its first three bytes alone might begin a text.
    if head.starts(with: Array("BZh".utf8)), head.dropFirst(4).elementsEqual("1AY&SY".utf8) {
      other = ([], "is compressed with bzip2", "bzip2 -d")
    }
    guard let other else { return }
    throw InputFileError(
      description:
        "\(path) \(other.what), which is not read: plain text and gzip are. Convert it first (`\(other.advice)`)")
  }

  /// Whether there was more.
  private mutating func fill() throws(InputFileError) -> Bool {
    if start > 0 {
      packed.copyMemory(from: UnsafeRawBufferPointer(rebasing: packed[start..<end]))
      (start, end) = (0, end - start)
    }
    let count = try read(into: UnsafeMutableRawBufferPointer(rebasing: packed[end...]), from: descriptor)
    end += count
    return count > 0
  }

  private mutating func read(into buffer: UnsafeMutableRawBufferPointer, from descriptor: Int32) throws(InputFileError)
    -> Int
  {
    if atEndOfFile { return 0 }
    while true {
      let count = Glibc.read(descriptor, buffer.baseAddress, buffer.count)
      if count < 0, errno == EINTR { continue }
      if count < 0 { throw failure(reason()) }
      atEndOfFile = count == 0
      return count
    }
  }

  // MARK: Reading

  private mutating func readOn(into buffer: UnsafeMutableRawBufferPointer) throws(InputFileError) -> Int {
    let count = kind == .gzip ? try inflate(into: buffer) : try readPlain(into: buffer)
    if count == 0, position < fileBytes { throw failure("it became shorter while it was read") }
    return count
  }

  private mutating func readPlain(into buffer: UnsafeMutableRawBufferPointer) throws(InputFileError) -> Int {
    guard start < end else {
      let count = try read(into: buffer, from: descriptor)
      position += count
      return count
    }
    let count = min(end - start, buffer.count)
    buffer.copyMemory(from: UnsafeRawBufferPointer(rebasing: packed[start..<start + count]))
    start += count
    position += count
    return count
  }

  private mutating func inflate(into buffer: UnsafeMutableRawBufferPointer) throws(InputFileError) -> Int {
    while true {
      if !isInMember {
        guard try beginMember() else { return 0 }
      }
      if start == end, try !fill() { throw failure("it ends in the middle") }
      let (count, isOver) = try inflateOnce(into: buffer)
      if isOver { isInMember = false }
      if count > 0 { return count }
    }
  }

  private mutating func inflateOnce(into buffer: UnsafeMutableRawBufferPointer) throws(InputFileError) -> (Int, Bool) {
    guard let stream, let input = packed.baseAddress, let output = buffer.baseAddress else { return (0, true) }
    let room = UInt32(min(buffer.count, 1 << 30))
    stream.pointee.next_in = input.assumingMemoryBound(to: UInt8.self) + start
    stream.pointee.avail_in = UInt32(end - start)
    stream.pointee.next_out = output.assumingMemoryBound(to: UInt8.self)
    stream.pointee.avail_out = room
    let code = CZlib.inflate(stream, Z_NO_FLUSH)
    let used = end - start - Int(stream.pointee.avail_in)
    start += used
    position += used
    guard code == Z_OK || code == Z_STREAM_END || code == Z_BUF_ERROR else {
      throw failure(stream.pointee.msg.map { String(cString: $0) } ?? "zlib error \(code)")
    }
    return (Int(room - stream.pointee.avail_out), code == Z_STREAM_END)
  }

  /// Whether there is another member; false at the end of the file, or when only zeros are left.
  private mutating func beginMember() throws(InputFileError) -> Bool {
    while end - start < 2, try fill() {}
    if end - start >= 2, packed[start] == 0x1f, packed[start + 1] == 0x8b {
      guard let stream, inflateReset(stream) == Z_OK else { throw failure("zlib does not start again") }
      isInMember = true
      return true
    }
    repeat {
      guard packed[start..<end].allSatisfy({ $0 == 0 }) else {
        throw failure("after the end of a gzip member there is something else")
      }
      position += end - start
      start = end
    } while try fill()
    return false
  }

  private func failure(_ what: String) -> InputFileError {
    InputFileError(description: "cannot read \(path) at about byte \(position): \(what); is the file whole?")
  }
}

private func reason() -> String { String(cString: strerror(errno)) }
