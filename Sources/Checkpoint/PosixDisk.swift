// The real disk: plain POSIX calls, without Foundation.
import Glibc

/// The machine's file system.
public struct PosixDisk: Disk {
  public init() {}

  public func createDirectories(_ path: String) throws(DiskError) {
    var prefix = path.hasPrefix("/") ? "/" : ""
    for part in path.split(separator: "/") {
      prefix += prefix.isEmpty || prefix.hasSuffix("/") ? String(part) : "/" + part
      if mkdir(prefix, 0o750) == 0 {
        // A new directory is an entry of its parent, which must be durable before files in it count as such.
        try syncDirectory(CheckpointLayout.parent(of: prefix))
        continue
      }
      let code = errno
      var status = stat()
      if stat(prefix, &status) == 0, status.st_mode & S_IFMT == S_IFDIR { continue }
      throw DiskError(.createDirectory, path: prefix, code: code)
    }
  }

  public func list(_ directory: String) throws(DiskError) -> [String] {
    guard let stream = opendir(directory) else { throw DiskError(.list, path: directory, code: errno) }
    defer { closedir(stream) }
    var names: [String] = []
    while true {
      errno = 0
      guard let entry = readdir(stream) else {
        if errno != 0 { throw DiskError(.list, path: directory, code: errno) }
        return names
      }
      let name = withUnsafeBytes(of: &entry.pointee.d_name) { bytes in
        String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
      }
      if name != "." && name != ".." { names.append(name) }
    }
  }

  public func open(_ path: String, _ mode: OpenMode) throws(DiskError) -> any DiskFile {
    let flags =
      switch mode {
      case .read: O_RDONLY
      case .readWrite: O_RDWR
      case .create: O_RDWR | O_CREAT | O_TRUNC
      }
    // A pipe of that name must not keep whoever opens it waiting for its other end.
    let descriptor = try Descriptor(opening: path, flags: flags | O_NONBLOCK)
    var status = stat()
    if fstat(descriptor.number, &status) != 0 { throw DiskError(.open, path: path, code: errno) }
    guard status.st_mode & S_IFMT != S_IFIFO else { throw DiskError(.open, path: path, code: EINVAL) }
    return PosixFile(descriptor, path: path)
  }

  public func rename(_ from: String, to: String) throws(DiskError) {
    if Glibc.rename(from, to) != 0 { throw DiskError(.rename, path: from, code: errno) }
  }

  public func remove(_ path: String) throws(DiskError) {
    if unlink(path) != 0 { throw DiskError(.remove, path: path, code: errno) }
  }

  public func syncDirectory(_ path: String) throws(DiskError) {
    let descriptor = try Descriptor(opening: path, flags: O_RDONLY | O_DIRECTORY)
    if fsync(descriptor.number) != 0 { throw DiskError(.sync, path: path, code: errno) }
  }

  public func lock(_ path: String) throws(DiskError) -> (any DiskLock)? {
    let descriptor = try Descriptor(opening: path, flags: O_RDWR | O_CREAT)
    while flock(descriptor.number, LOCK_EX | LOCK_NB) != 0 {
      if errno == EINTR { continue }
      if errno == EWOULDBLOCK { return nil }
      throw DiskError(.lock, path: path, code: errno)
    }
    return PosixLock(descriptor)
  }
}

/// The one owner of an open file descriptor.
private struct Descriptor: ~Copyable {
  let number: Int32

  init(opening path: String, flags: Int32) throws(DiskError) {
    var opened = Glibc.open(path, flags | O_CLOEXEC, 0o640)
    while opened < 0 && errno == EINTR { opened = Glibc.open(path, flags | O_CLOEXEC, 0o640) }
    if opened < 0 { throw DiskError(.open, path: path, code: errno) }
    number = opened
  }

  deinit { close(number) }
}

private final class PosixLock: DiskLock {
  private let descriptor: Descriptor
  init(_ descriptor: consuming Descriptor) { self.descriptor = descriptor }
}

private final class PosixFile: DiskFile {
  private let descriptor: Descriptor
  private let path: String

  init(_ descriptor: consuming Descriptor, path: String) {
    self.descriptor = descriptor
    self.path = path
  }

  func size() throws(DiskError) -> UInt64 {
    var status = stat()
    if fstat(descriptor.number, &status) != 0 { throw DiskError(.read, path: path, code: errno) }
    return UInt64(status.st_size)
  }

  func read(into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) throws(DiskError) -> Int {
    var done = 0
    while done < buffer.count {
      let got = pread(
        descriptor.number, buffer.baseAddress?.advanced(by: done), buffer.count - done, off_t(offset) + off_t(done))
      if got == 0 { break }
      if got < 0 {
        if errno == EINTR { continue }
        throw DiskError(.read, path: path, offset: offset + UInt64(done), code: errno)
      }
      done += got
    }
    return done
  }

  func write(_ bytes: UnsafeRawBufferPointer, at offset: UInt64) throws(DiskError) {
    var done = 0
    while done < bytes.count {
      let put = pwrite(
        descriptor.number, bytes.baseAddress?.advanced(by: done), bytes.count - done, off_t(offset) + off_t(done))
      if put <= 0 {
        if put < 0 && errno == EINTR { continue }
        throw DiskError(.write, path: path, offset: offset + UInt64(done), code: put == 0 ? ENOSPC : errno)
      }
      done += put
    }
  }

  func truncate(to size: UInt64) throws(DiskError) {
    while ftruncate(descriptor.number, off_t(size)) != 0 {
      if errno != EINTR { throw DiskError(.truncate, path: path, offset: size, code: errno) }
    }
  }

  func sync() throws(DiskError) {
    // Never tried again: after a failed fdatasync the kernel may have dropped the pages and report success next time.
    if fdatasync(descriptor.number) != 0 { throw DiskError(.sync, path: path, code: errno) }
    // A file without a name is gone with its process, however well it was synced.
    var status = stat()
    if fstat(descriptor.number, &status) == 0, status.st_nlink == 0 {
      throw DiskError(.sync, path: path, code: ENOENT)
    }
  }
}

extension DiskError {
  public var kind: Kind {
    switch code {
    case ENOSPC, EDQUOT, EFBIG: .noSpace
    case EIO: .inputOutput
    case EROFS: .readOnly
    case ENOENT: .notFound
    case EACCES, EPERM: .permissionDenied
    case EMFILE, ENFILE: .tooManyFiles
    default: .other
    }
  }

  public var description: String {
    let place = offset.map { " at byte \($0)" } ?? ""
    let cause = String(cString: strerror(code))
    return "cannot \(operation.rawValue) \(path)\(place): \(cause). \(advice)"
  }

  private var advice: String {
    switch kind {
    case .noSpace:
      "Free space or enlarge the volume of state.dir (or the quota, or the limit on the size of files), then start again"
    case .inputOutput: "The device or its file system failed: look into the kernel log, replace it, then start again"
    case .readOnly: "Mount the volume of state.dir writable; a file system that turned read-only has seen an error"
    case .notFound where operation == .sync:
      "It was deleted while in use, and what was written since is not committed. Bring state.dir back from a backup "
        + "(`tidewatch checkpoint backup` makes them) and run `tidewatch recover --adopt-disk` with the configuration"
    case .notFound: "Check state.dir; if the file was there before, run `tidewatch checkpoint verify` on its directory"
    case .permissionDenied: "Give the user of this process read and write access to state.dir"
    case .tooManyFiles: "Raise the limit of open files (LimitNOFILE in the unit)"
    case .other where operation == .open && code == EINVAL:
      "It is a pipe, not a file: see what made it, and move it away"
    case .other: "Check the volume of state.dir, then start again"
    }
  }
}
