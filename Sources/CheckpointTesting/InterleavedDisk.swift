// A disk on which something else happens between any two operations, in the same thread: races without threads.
import Checkpoint

/// Passes every call on to `base`, and calls `turn` before each.
///
/// What `turn` does goes to `base` or to another `InterleavedDisk`; through this one it would come back here.
public struct InterleavedDisk: Disk {
  private let base: any Disk
  private let turn: @Sendable (_ operation: DiskError.Operation, _ path: String) -> Void

  public init(_ base: any Disk, turn: @escaping @Sendable (_ operation: DiskError.Operation, _ path: String) -> Void) {
    self.base = base
    self.turn = turn
  }

  public func createDirectories(_ path: String) throws(DiskError) {
    turn(.createDirectory, path)
    try base.createDirectories(path)
  }

  public func list(_ directory: String) throws(DiskError) -> [String] {
    turn(.list, directory)
    return try base.list(directory)
  }

  public func open(_ path: String, _ mode: OpenMode) throws(DiskError) -> any DiskFile {
    turn(.open, path)
    return File(file: try base.open(path, mode), path: path, turn: turn)
  }

  public func rename(_ from: String, to: String) throws(DiskError) {
    turn(.rename, from)
    try base.rename(from, to: to)
  }

  public func remove(_ path: String) throws(DiskError) {
    turn(.remove, path)
    try base.remove(path)
  }

  public func syncDirectory(_ path: String) throws(DiskError) {
    turn(.sync, path)
    try base.syncDirectory(path)
  }

  public func lock(_ path: String) throws(DiskError) -> (any DiskLock)? {
    turn(.lock, path)
    return try base.lock(path)
  }

  private final class File: DiskFile {
    let file: any DiskFile
    let path: String
    let turn: @Sendable (DiskError.Operation, String) -> Void

    init(file: any DiskFile, path: String, turn: @escaping @Sendable (DiskError.Operation, String) -> Void) {
      self.file = file
      self.path = path
      self.turn = turn
    }

    func size() throws(DiskError) -> UInt64 {
      turn(.read, path)
      return try file.size()
    }

    func read(into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) throws(DiskError) -> Int {
      turn(.read, path)
      return try file.read(into: buffer, at: offset)
    }

    func write(_ bytes: UnsafeRawBufferPointer, at offset: UInt64) throws(DiskError) {
      turn(.write, path)
      try file.write(bytes, at: offset)
    }

    func truncate(to size: UInt64) throws(DiskError) {
      turn(.truncate, path)
      try file.truncate(to: size)
    }

    func sync() throws(DiskError) {
      turn(.sync, path)
      try file.sync()
    }
  }
}
