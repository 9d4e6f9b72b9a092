// What can go wrong, as values: each says what happened, where, and what to do.

/// Stored bytes that are not what was written.
public struct Damage: Hashable, Sendable, CustomStringConvertible {
  /// Path of the file.
  public var path: String
  /// First byte of the block, chunk or header found bad.
  public var offset: UInt64
  public var reason: String

  public init(path: String, offset: UInt64, reason: String) {
    self.path = path
    self.offset = offset
    self.reason = reason
  }

  public var description: String { "\(path) at byte \(offset): \(reason)" }
}

/// Every error of this module.
public enum CheckpointError: Error, Hashable, Sendable, CustomStringConvertible {
  /// The disk refused. After a failed write or sync the store is poisoned.
  case disk(DiskError)
  /// A checksum, a sequence or a file is wrong in bytes that were once durable.
  case damaged(Damage)
  /// The file is whole but of a format this program does not know. `release`: the first of Tidewatch that does, if the
  /// file names it.
  case unsupportedFormat(path: String, version: UInt32, release: String?)
  /// Another process holds the directory.
  case locked(directory: String)
  /// An earlier write or sync failed: what is on disk is unknown until the directory is opened again.
  case poisoned(directory: String, cause: String)
  /// A call that the state of the store does not allow, a programming error of the caller.
  case misuse(String)
  /// A `CheckpointLimits` bound would be exceeded; nothing was written.
  case tooLarge(what: String, bytes: Int, limit: Int)
  /// The epoch asked for is not on disk.
  case noSuchEpoch(UInt64, available: ClosedRange<UInt64>?)
  /// The rewrite was told to stop; nothing was changed.
  case cancelled

  public var description: String {
    switch self {
    case .disk(let error): return error.description
    case .damaged(let damage):
      let directory = CheckpointLayout.parent(of: damage.path)
      return "damaged checkpoint: \(damage). Nothing was changed. "
        + "Stop the daemon and run `tidewatch checkpoint repair \(directory)`, which shows what can be saved and changes "
        + "nothing before it is told to"
    case .unsupportedFormat(let path, let version, let release):
      let needed =
        release.map { "tidewatch \($0) or newer" } ?? "the version of tidewatch that wrote it, or a newer one"
      return "\(path) has checkpoint format \(version); this program reads formats \(Format.readable.lowerBound) to "
        + "\(Format.readable.upperBound). Nothing was changed. Run \(needed)"
    case .locked(let directory):
      return "\(directory) is in use by another tidewatch process. Stop that one, or give this one its own state.dir"
    case .poisoned(let directory, let cause):
      return "checkpoint \(directory) was closed after a failure: \(cause). Open it again before writing to it"
    case .misuse(let what): return "checkpoint used wrongly: \(what)"
    case .tooLarge(let what, let bytes, let limit): return "\(what) has \(bytes) bytes, more than the limit of \(limit)"
    case .noSuchEpoch(let epoch, let available):
      let held = available.map { "it holds \($0.lowerBound) to \($0.upperBound)" } ?? "it holds none"
      return "epoch \(epoch) is not in this checkpoint; \(held)"
    case .cancelled: return "the rewrite of the base was stopped"
    }
  }
}
