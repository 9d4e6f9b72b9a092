// A file a command writes: buffered, and under its name only once it is whole.

import Glibc

/// Writes to `PATH.part`, renamed to `PATH` by `finish`; `-` or nil is standard output. Dropped unfinished, it removes the
/// part, so that a name never stands for half a result. What is there and is no file (a pipe, a device) is written to as it
/// is, an open file of this process (`/dev/stdout`, `/dev/fd/N`) where it stands, and a symbolic link stays one: what it leads
/// to is replaced.
public struct OutputFile: ~Copyable {
  /// As the user named it, for messages.
  public let name: String
  /// Where the file will be; nil where there is nothing to rename.
  private let path: String?
  private let descriptor: Int32
  private var buffer: [UInt8] = []
  private var isFinished = false

  private static let bufferBytes = 1 << 20

  /// - Throws: `CommandFailure(.cannotCreate)`.
  public init(_ path: String?) throws(CommandFailure) {
    let place = try Self.open(path)
    name = path.flatMap { place.descriptor == 1 ? nil : $0 } ?? "standard output"
    self.path = place.path
    descriptor = place.descriptor
    buffer.reserveCapacity(Self.bufferBytes + (64 << 10))
  }

  private static func open(_ path: String?) throws(CommandFailure) -> (path: String?, descriptor: Int32) {
    guard let path, path != "-" else { return (nil, 1) }
    if let own = ownDescriptor(path) {
      // It goes on where what is written there already ends, however it is shared.
      let descriptor = own == 1 ? 1 : dup(own)
      if descriptor < 0 { throw CommandFailure(.cannotCreate, "cannot write to \(path): \(reason())") }
      return (nil, descriptor)
    }
    if isNoFile(path) {
      let descriptor = Glibc.open(path, O_WRONLY | O_CLOEXEC)
      if descriptor < 0 { throw CommandFailure(.cannotCreate, "cannot write to \(path): \(reason())") }
      return (nil, descriptor)
    }
    let target = try target(of: path)
    let descriptor = Glibc.open(target + ".part", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
    if descriptor < 0 {
      throw CommandFailure(
        .cannotCreate,
        "cannot create \(target).part: \(reason()); check that the directory exists and may be written to")
    }
    return (target, descriptor)
  }

  /// The number in a name of an open file of this process.
  private static func ownDescriptor(_ path: String) -> Int32? {
    switch path {
    case "/dev/stdout": return 1
    case "/dev/stderr": return 2
    default:
      let folder = ["/dev/fd/", "/proc/self/fd/"].first { path.hasPrefix($0) }
      return folder.flatMap { Int32(path.dropFirst($0.count)) }
    }
  }

  /// Whether something is there that a file must not take the place of.
  private static func isNoFile(_ path: String) -> Bool {
    var status = stat()
    return stat(path, &status) == 0 && status.st_mode & S_IFMT != S_IFREG
  }

  /// `path`, or what it leads to as a symbolic link.
  private static func target(of path: String) throws(CommandFailure) -> String {
    var status = stat()
    guard lstat(path, &status) == 0, status.st_mode & S_IFMT == S_IFLNK else { return path }
    guard let resolved = realpath(path, nil) else {
      throw CommandFailure(
        .cannotCreate, "\(path) is a symbolic link that leads nowhere (\(reason())); remove it, or mend what it names")
    }
    defer { free(resolved) }
    return String(cString: resolved)
  }

  deinit {
    guard descriptor != 1 else { return }
    close(descriptor)
    if let path, !isFinished { unlink(path + ".part") }
  }

  /// Nothing is seen of it before it is finished.
  public var isReplaced: Bool { path != nil }

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
