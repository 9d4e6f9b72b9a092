// The few operations a checkpoint needs of a disk. Two implementations: `PosixDisk`, and the modelled one of
// CheckpointTesting, which loses, tears and flips what a real disk may lose, tear and flip.

/// A file system. Calls are made once an epoch or once a file, never once a record.
public protocol Disk: Sendable {
  /// Creates the directory and those above it; no error if it is there.
  func createDirectories(_ path: String) throws(DiskError)
  /// Names in the directory, in any order, without `.` and `..`.
  func list(_ directory: String) throws(DiskError) -> [String]
  func open(_ path: String, _ mode: OpenMode) throws(DiskError) -> any DiskFile
  /// Atomically replaces `to`. Durable only after `syncDirectory`.
  func rename(_ from: String, to: String) throws(DiskError)
  /// Durable only after `syncDirectory`.
  func remove(_ path: String) throws(DiskError)
  /// Makes creations, renames and removals in the directory durable.
  func syncDirectory(_ path: String) throws(DiskError)
  /// Takes the lock of that file, creating it, without waiting; nil when another owner has it.
  /// The lock is held as long as the returned object lives.
  func lock(_ path: String) throws(DiskError) -> (any DiskLock)?
}

public enum OpenMode: Sendable {
  /// An existing file, to read.
  case read
  /// An existing file, to read and write.
  case readWrite
  /// A new or emptied file, to read and write.
  case create
}

/// An open file; closed when released. Used by one thread at a time.
public protocol DiskFile: AnyObject {
  func size() throws(DiskError) -> UInt64
  /// Fills the buffer from `offset`; returns fewer bytes only at the end of the file.
  func read(into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) throws(DiskError) -> Int
  /// Writes all the bytes or throws, having written any part of them.
  func write(_ bytes: UnsafeRawBufferPointer, at offset: UInt64) throws(DiskError)
  func truncate(to size: UInt64) throws(DiskError)
  /// Makes content and size durable. After an error the unsynced writes may be lost although they can still be read.
  func sync() throws(DiskError)
}

public protocol DiskLock: AnyObject {}

/// A refused disk operation.
public struct DiskError: Error, Hashable, Sendable, CustomStringConvertible {
  public enum Operation: String, Hashable, Sendable {
    case createDirectory = "create directory"
    case list, open, read, write, truncate, sync, rename, remove, lock
  }

  public enum Kind: Hashable, Sendable {
    case noSpace, inputOutput, readOnly, notFound, permissionDenied, tooManyFiles, other
  }

  public var operation: Operation
  public var path: String
  /// Byte at which a read or write was to begin.
  public var offset: UInt64?
  /// errno.
  public var code: Int32

  public init(_ operation: Operation, path: String, offset: UInt64? = nil, code: Int32) {
    self.operation = operation
    self.path = path
    self.offset = offset
    self.code = code
  }
}
