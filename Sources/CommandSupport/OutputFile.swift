// A file a command writes: buffered, and under its name only once it is whole.

import Glibc

/// Writes to `PATH.part`, renamed to `PATH` by `finish`; `-` or nil is standard output. Dropped unfinished, it removes
/// the part, so that a name never stands for half a result.
public struct OutputFile: ~Copyable {
  /// As the user named it, for messages.
  public let name: String
  private let path: String?
  private let descriptor: Int32
  private var buffer: [UInt8] = []
  private var isFinished = false

  private static let bufferBytes = 1 << 20

  /// - Throws: `CommandFailure(.cannotCreate)`.
  public init(_ path: String?) throws(CommandFailure) {
    guard let path, path != "-" else {
      name = "standard output"
      self.path = nil
      descriptor = 1
      return
    }
    name = path
    self.path = path
    descriptor = open(path + ".part", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
    if descriptor < 0 {
      throw CommandFailure(
        .cannotCreate, "cannot create \(path).part: \(reason()); check that the directory exists and may be written to")
    }
    buffer.reserveCapacity(Self.bufferBytes + (64 << 10))
  }

  deinit {
    guard let path else { return }
    close(descriptor)
    if !isFinished { unlink(path + ".part") }
  }

  /// - Throws: `CommandFailure(.inputOutput)`, for instance when the disk is full.
  public mutating func write(_ bytes: some Collection<UInt8>) throws(CommandFailure) {
    buffer.append(contentsOf: bytes)
    if buffer.count >= Self.bufferBytes { try flush() }
  }

  /// Writes what is left and gives the file its name.
  /// - Throws: `CommandFailure(.inputOutput)`.
  public consuming func finish() throws(CommandFailure) {
    try flush()
    guard let path else { return }
    if fsync(descriptor) != 0 && errno != EINVAL || rename(path + ".part", path) != 0 {
      throw CommandFailure(.inputOutput, "cannot finish \(path): \(reason())")
    }
    isFinished = true
  }

  private mutating func flush() throws(CommandFailure) {
    var written = 0
    var failure: CommandFailure?
    buffer.withUnsafeBytes { bytes in
      while written < bytes.count {
        let count = Glibc.write(descriptor, bytes.baseAddress.map { $0 + written }, bytes.count - written)
        if count < 0 && errno == EINTR { continue }
        if count <= 0 {
          failure = CommandFailure(.inputOutput, "cannot write to \(name): \(reason()); free space and run it again")
          return
        }
        written += count
      }
    }
    if let failure { throw failure }
    buffer.removeAll(keepingCapacity: true)
  }
}

private func reason() -> String { String(cString: strerror(errno)) }
