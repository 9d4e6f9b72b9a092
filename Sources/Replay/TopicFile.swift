// One output file of a replay: lines gathered in memory and written by whole blocks, past the page cache where that is faster.

import Glibc

/// Appends lines to a file under a temporary name. One thread at a time.
///
/// Gigabytes that nobody reads soon cost the page cache a new page for every four kilobytes and a copy of each, a tenth of a
/// replay. A disk that is fast enough takes them as they are (`O_DIRECT`); others, and file systems that cannot, get them
/// through the page cache.
package struct TopicFile: ~Copyable {
  /// Lengths and addresses of direct writes are multiples of this.
  private static let blockBytes = 4096
  private static let flushBytes = 4 << 20
  /// `O_DIRECT`, which the C library's module has not: it depends on the processor.
  #if arch(arm64)
    private static let direct: Int32 = 0o200000
  #else
    private static let direct: Int32 = 0o40000
  #endif

  private let descriptor: Int32
  /// What the disk must do to be written to directly: less, and the replay would wait for it.
  private let leastBytesPerSecond: Double
  /// Written before that is judged.
  private let judgedAfter: Int
  private var isDirect = true
  private var directBytes = 0
  private var directSeconds = 0.0
  private var behind = WriteBehind()
  /// Lines on their way: memory that stays, and grows for one that is longer than all of it.
  private var memory: UnsafeMutableRawBufferPointer
  private var count = 0

  /// - Parameters:
  ///   - leastBytesPerSecond: a disk that does less is written to through the page cache.
  ///   - judgedAfter: so many bytes.
  /// - Throws: `Errno`.
  package init(
    path: String, leastBytesPerSecond: Double = 500 * 1_048_576, judgedAfter: Int = 64 << 20
  ) throws(Errno) {
    self.leastBytesPerSecond = leastBytesPerSecond
    self.judgedAfter = judgedAfter
    let flags = O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC
    var descriptor = open(path, flags | Self.direct, 0o644)
    if descriptor < 0, errno == EINVAL {
      descriptor = open(path, flags, 0o644)
      isDirect = false
    }
    if descriptor < 0 { throw Errno() }
    self.descriptor = descriptor
    memory = .allocate(byteCount: Self.flushBytes + (64 << 10), alignment: Self.blockBytes)
  }

  deinit {
    close(descriptor)
    memory.deallocate()
  }

  /// It is time to flush.
  @inline(__always) package var isFull: Bool { count >= Self.flushBytes }

  package mutating func append(line: UnsafeRawBufferPointer) {
    let end = count + line.count + 1
    if end > memory.count { grow(to: end) }
    let place = memory.baseAddress.unsafelyUnwrapped + count
    if let source = line.baseAddress { place.copyMemory(from: source, byteCount: line.count) }
    place.storeBytes(of: 10, toByteOffset: line.count, as: UInt8.self)
    count = end
  }

  private mutating func grow(to size: Int) {
    let larger = UnsafeMutableRawBufferPointer.allocate(byteCount: size, alignment: Self.blockBytes)
    larger.copyMemory(from: UnsafeRawBufferPointer(rebasing: memory[..<count]))
    memory.deallocate()
    memory = larger
  }

  /// Writes what there is; directly, all but a part of a block.
  /// - Throws: `Errno`.
  package mutating func flush() throws(Errno) {
    if isDirect {
      let whole = count & ~(Self.blockBytes - 1)
      try writeDirectly(whole)
    }
    if !isDirect {
      var written = 0
      try write(count, written: &written)
      behind.wrote(count, to: descriptor)
      count = 0
    }
  }

  /// Writes the rest.
  /// - Throws: `Errno`.
  package mutating func finish() throws(Errno) {
    try flush()
    leaveDirect()
    try flush()
  }

  private mutating func writeDirectly(_ bytes: Int) throws(Errno) {
    let began = Self.seconds
    var written = 0
    do { try write(bytes, written: &written) } catch {
      // What the file system said yes to when the file was opened it may still not do, or not from where a write has ended.
      guard error.code == EINVAL else { throw error }
      leaveDirect()
    }
    directSeconds += Self.seconds - began
    directBytes += written
    count -= written
    let base = memory.baseAddress.unsafelyUnwrapped
    memmove(base, base + written, count)
    if directBytes >= judgedAfter, Double(directBytes) < directSeconds * leastBytesPerSecond {
      leaveDirect()
    }
  }

  /// Goes on through the page cache.
  private mutating func leaveDirect() {
    guard isDirect else { return }
    isDirect = false
    _ = fcntl(descriptor, F_SETFL, 0)
  }

  /// The first `bytes`.
  /// - Parameter written: how many were, also when the rest could not be.
  private func write(_ bytes: Int, written: inout Int) throws(Errno) {
    while written < bytes {
      let count = Glibc.write(descriptor, memory.baseAddress.unsafelyUnwrapped + written, bytes - written)
      if count < 0, errno == EINTR { continue }
      if count < 0 { throw Errno() }
      written += count
    }
  }

  private static var seconds: Double {
    var now = timespec()
    clock_gettime(CLOCK_MONOTONIC, &now)
    return Double(now.tv_sec) + Double(now.tv_nsec) / 1e9
  }
}

/// What a system call has failed with.
package struct Errno: Error {
  package let code = errno
  var text: String { String(cString: strerror(code)) }
}
