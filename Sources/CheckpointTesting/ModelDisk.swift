// A disk in memory that does to unsynced data what a real one may do at a crash: loses it, keeps it, or keeps some
// sectors of it. Seeded, so that every run can be repeated. For tests and the simulator.
import Checkpoint
import Glibc
import Synchronization

/// A modelled file system with fault injection.
///
/// What is guaranteed at a crash is only what POSIX guarantees: file content as of the last successful `sync` of that
/// file, and names as of the last successful `syncDirectory` of that directory. Of the rest any part may survive, write
/// by write and sector by sector; sectors that did not make it into a grown file read as zeros or as old garbage.
public final class ModelDisk: Disk {
  /// What may be made to fail. All are off at first.
  public struct Faults: Sendable {
    /// The disk goes away after this many more changing calls: the next is not carried out (a write: in part), and it
    /// and all later ones fail until `crash()`.
    public var stopAfterChanges: Int?
    /// The next write fails with this errno after writing a part of its bytes.
    public var nextWrite: Int32?
    /// The next sync of a file fails with this errno; what was unsynced may be lost though it can still be read.
    public var nextSync: Int32?
    /// The next sync of a directory fails with this errno.
    public var nextDirectorySync: Int32?
    /// Reads fail with this errno.
    public var reads: Int32?
    /// All changing calls fail with EROFS.
    public var isReadOnly = false
    /// Bytes of all files together; beyond them writes fail with ENOSPC.
    public var capacity: Int?

    public init() {}
  }

  let state: Mutex<ModelDiskState>

  public init(seed: UInt64) { state = Mutex(ModelDiskState(seed: seed)) }

  // MARK: Control

  public func setFaults(_ change: (inout Faults) -> Void) { state.withLock { change(&$0.faults) } }

  /// Changing calls so far: writes, truncations, syncs, creations, renames, removals.
  public var changeCount: Int { state.withLock { $0.changeCount } }

  /// The machine loses power and starts again: unsynced data is lost, kept or torn, faults are cleared, locks are free.
  /// Files opened before must not be used any more; they fail.
  public func crash() { state.withLock { $0.crash() } }

  /// The process dies and the machine goes on: all that was written can be read, synced or not. Faults are cleared.
  public func killProcess() { state.withLock { $0.restart() } }

  /// Full paths of all files, sorted.
  public var paths: [String] { state.withLock { $0.names.keys.sorted() } }

  public var totalBytes: Int { state.withLock { $0.totalBytes } }

  /// Of writes to some files, by path: what a power loss now may lose.
  public func unsyncedBytes(where isMeant: (String) -> Bool) -> Int {
    state.withLock { state in
      state.names.reduce(0) { isMeant($1.key) ? $0 + state.files[$1.value].unsyncedBytes : $0 }
    }
  }

  /// A file's bytes as they would be read now; nil if there is no such file.
  public func contents(of path: String) -> [UInt8]? {
    state.withLock { state in state.names[path].map { state.files[$0].current } }
  }

  /// Changes a file durably, as if it had always been so; nil removes it.
  public func setContents(_ bytes: [UInt8]?, of path: String) {
    state.withLock { state in
      if let bytes {
        let number = state.names[path] ?? state.addFile()
        state.files[number].replace(bytes)
        state.names[path] = number
        state.durableNames[path] = number
      } else {
        state.names[path] = nil
        state.durableNames[path] = nil
      }
    }
  }

  public func flipBit(_ bit: Int, of path: String) {
    guard var bytes = contents(of: path), bit / 8 < bytes.count else { return }
    bytes[bit / 8] ^= 1 << UInt8(bit % 8)
    setContents(bytes, of: path)
  }

  /// What would be found if the machine lost power now: with `losingEverything`, nothing unsynced survives; else as much
  /// as `seed` decides. An independent disk without faults.
  public func afterCrash(losingEverything: Bool, seed: UInt64) -> ModelDisk {
    let copy = ModelDisk(seed: seed)
    state.withLock { old in
      copy.state.withLock { new in
        new.files = old.files
        new.names = old.names
        new.durableNames = old.durableNames
        new.pendingNames = losingEverything ? [] : old.pendingNames
        new.directories = old.directories
        if losingEverything {
          for number in new.files.indices { new.files[number].replace(new.files[number].durableBytes) }
        }
        new.crash()
      }
    }
    return copy
  }

  /// An independent disk with the same files, all durable, and no faults.
  public func copy(seed: UInt64) -> ModelDisk {
    let copy = ModelDisk(seed: seed)
    for path in paths { copy.setContents(contents(of: path), of: path) }
    state.withLock { old in copy.state.withLock { $0.directories = old.directories } }
    return copy
  }

  // MARK: Disk

  private var life: Int { state.withLock { $0.life } }

  public func createDirectories(_ path: String) throws(DiskError) { try createDirectories(path, life: life) }
  public func list(_ directory: String) throws(DiskError) -> [String] { try list(directory, life: life) }
  public func open(_ path: String, _ mode: OpenMode) throws(DiskError) -> any DiskFile {
    try openFile(path, mode, life: life)
  }
  public func rename(_ from: String, to: String) throws(DiskError) { try rename(from, to: to, life: life) }
  public func remove(_ path: String) throws(DiskError) { try remove(path, life: life) }
  public func syncDirectory(_ path: String) throws(DiskError) { try syncDirectory(path, life: life) }
  public func lock(_ path: String) throws(DiskError) -> (any DiskLock)? { try lock(path, life: life) }

  // MARK: The same for one life

  private func use<T>(
    _ life: Int, _ operation: DiskError.Operation, _ path: String,
    _ body: (inout ModelDiskState) throws(DiskError) -> sending T
  ) throws(DiskError) -> sending T {
    try state.withLock { state throws(DiskError) in
      guard state.isAlive(life) else { throw DiskError(operation, path: path, code: ENODEV) }
      return try body(&state)
    }
  }

  func createDirectories(_ path: String, life: Int) throws(DiskError) {
    try use(life, .createDirectory, path) { state throws(DiskError) in
      if state.directories.contains(path) { return }
      try state.change(.createDirectory, path)
      state.directories.insert(path)
    }
  }

  func list(_ directory: String, life: Int) throws(DiskError) -> [String] {
    try use(life, .list, directory) { state throws(DiskError) in
      guard state.directories.contains(directory) else { throw DiskError(.list, path: directory, code: ENOENT) }
      let prefix = directory + "/"
      // Of what lies deeper only the directory is listed.
      let below = (Array(state.names.keys) + state.directories).filter { $0.hasPrefix(prefix) }
      return Set(below.map { String($0.dropFirst(prefix.count).prefix { $0 != "/" }) }).sorted()
    }
  }

  func openFile(_ path: String, _ mode: OpenMode, life: Int) throws(DiskError) -> ModelFile {
    try use(life, .open, path) { state throws(DiskError) in
      if case .create = mode {
        try state.change(.open, path)
        if let number = state.names[path] {
          state.files[number].truncate(to: 0)
        } else {
          state.setName(path, state.addFile())
        }
      }
      guard let number = state.names[path] else { throw DiskError(.open, path: path, code: ENOENT) }
      if case .readWrite = mode, state.faults.isReadOnly { throw DiskError(.open, path: path, code: EROFS) }
      return ModelFile(self, path: path, number: number, life: life)
    }
  }

  func rename(_ from: String, to: String, life: Int) throws(DiskError) {
    try use(life, .rename, from) { state throws(DiskError) in
      guard let number = state.names[from] else { throw DiskError(.rename, path: from, code: ENOENT) }
      try state.change(.rename, from)
      state.names[from] = nil
      state.names[to] = number
      state.pendingNames.append([(from, nil), (to, number)])
    }
  }

  func remove(_ path: String, life: Int) throws(DiskError) {
    try use(life, .remove, path) { state throws(DiskError) in
      guard state.names[path] != nil else { throw DiskError(.remove, path: path, code: ENOENT) }
      try state.change(.remove, path)
      state.setName(path, nil)
    }
  }

  func syncDirectory(_ path: String, life: Int) throws(DiskError) {
    try use(life, .sync, path) { state throws(DiskError) in
      try state.change(.sync, path)
      if let code = state.faults.nextDirectorySync {
        state.faults.nextDirectorySync = nil
        throw DiskError(.sync, path: path, code: code)
      }
      state.syncNames(in: path)
    }
  }

  func lock(_ path: String, life: Int) throws(DiskError) -> (any DiskLock)? {
    let file: any DiskFile
    do { file = try openFile(path, .readWrite, life: life) } catch {
      if error.kind != .notFound { throw error }
      file = try openFile(path, .create, life: life)
    }
    _ = file
    return state.withLock { state in
      guard state.locks[path] == nil else { return nil }
      state.locks[path] = life
      return ModelLock(self, path: path, life: life)
    }
  }
}

private final class ModelLock: DiskLock {
  private let disk: ModelDisk
  private let path: String
  private let life: Int

  init(_ disk: ModelDisk, path: String, life: Int) {
    self.disk = disk
    self.path = path
    self.life = life
  }

  deinit {
    disk.state.withLock { state in
      // A lock of a process that died was freed then and may have another owner now.
      if state.isAlive(life) { state.locks[path] = nil }
    }
  }
}

final class ModelFile: DiskFile {
  let disk: ModelDisk
  let path: String
  let number: Int
  let life: Int

  init(_ disk: ModelDisk, path: String, number: Int, life: Int) {
    self.disk = disk
    self.path = path
    self.number = number
    self.life = life
  }

  private func use<T>(
    _ operation: DiskError.Operation, _ body: (inout ModelDiskState) throws(DiskError) -> sending T
  ) throws(DiskError) -> sending T {
    try disk.state.withLock { state throws(DiskError) in
      guard state.isAlive(life) else { throw DiskError(operation, path: path, code: ENODEV) }
      return try body(&state)
    }
  }

  func size() throws(DiskError) -> UInt64 {
    try use(.read) { state throws(DiskError) in UInt64(state.files[number].current.count) }
  }

  func read(into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) throws(DiskError) -> Int {
    let bytes = try use(.read) { state throws(DiskError) in
      if let code = state.faults.reads { throw DiskError(.read, path: path, offset: offset, code: code) }
      return state.files[number].current
    }
    if offset >= UInt64(bytes.count) { return 0 }
    let count = min(buffer.count, bytes.count - Int(offset))
    bytes.withUnsafeBytes { all in
      buffer.copyMemory(from: UnsafeRawBufferPointer(rebasing: all[Int(offset)..<(Int(offset) + count)]))
    }
    return count
  }

  func write(_ bytes: UnsafeRawBufferPointer, at offset: UInt64) throws(DiskError) {
    let data = [UInt8](bytes)
    try use(.write) { state throws(DiskError) in
      try state.write(data, at: Int(offset), file: number, path: path)
    }
  }

  func truncate(to size: UInt64) throws(DiskError) {
    try use(.truncate) { state throws(DiskError) in
      try state.change(.truncate, path)
      state.files[number].truncate(to: Int(size))
    }
  }

  func sync() throws(DiskError) {
    try use(.sync) { state throws(DiskError) in
      try state.change(.sync, path)
      if let code = state.faults.nextSync {
        state.faults.nextSync = nil
        // Pages that failed to be written count as clean from now on: readable, never written again.
        state.files[number].settle(using: &state.random)
        throw DiskError(.sync, path: path, code: code)
      }
      state.files[number].sync()
    }
  }
}
