// One process's view of a modelled disk that several processes use: its locks and open files end with it.
import Checkpoint
import Glibc
import Synchronization

/// A disk as seen by one process. What it writes is seen by all; when it is killed, its locks are free, a write under way
/// is carried out in part, and every later call of it fails.
public final class ModelDiskMount: Disk {
  /// A call that is about to be made.
  public struct Call: Sendable {
    public var operation: DiskError.Operation
    /// Of a write or read, else 0.
    public var bytes: Int
  }

  private struct Write: Sendable {
    var file: Int
    var offset: Int
    var bytes: [UInt8]
  }

  public let disk: ModelDisk
  private let life: Int
  private let before: @Sendable (Call) -> Void
  /// Writes that were begun and not done, by a number of their own.
  private let underWay = Mutex<(next: Int, writes: [Int: Write])>((0, [:]))

  /// - Parameter before: called before each call, outside of any lock: may take its (simulated) time.
  public init(_ disk: ModelDisk, before: @escaping @Sendable (Call) -> Void = { _ in }) {
    self.disk = disk
    self.before = before
    life = disk.state.withLock { $0.beginLife() }
  }

  /// The process dies, the machine goes on.
  public func kill() {
    let writes = underWay.withLock { $0.writes.sorted { $0.key < $1.key }.map(\.value) }
    disk.state.withLock { state in
      guard state.isAlive(life) else { return }
      for write in writes { state.writePart(write.bytes, at: write.offset, file: write.file) }
      state.endLife(life)
    }
  }

  public var isAlive: Bool { disk.state.withLock { $0.isAlive(life) } }

  public func createDirectories(_ path: String) throws(DiskError) {
    before(Call(operation: .createDirectory, bytes: 0))
    try disk.createDirectories(path, life: life)
  }
  public func list(_ directory: String) throws(DiskError) -> [String] {
    before(Call(operation: .list, bytes: 0))
    return try disk.list(directory, life: life)
  }
  public func open(_ path: String, _ mode: OpenMode) throws(DiskError) -> any DiskFile {
    before(Call(operation: .open, bytes: 0))
    return MountedFile(self, try disk.openFile(path, mode, life: life))
  }
  public func rename(_ from: String, to: String) throws(DiskError) {
    before(Call(operation: .rename, bytes: 0))
    try disk.rename(from, to: to, life: life)
  }
  public func remove(_ path: String) throws(DiskError) {
    before(Call(operation: .remove, bytes: 0))
    try disk.remove(path, life: life)
  }
  public func syncDirectory(_ path: String) throws(DiskError) {
    before(Call(operation: .sync, bytes: 0))
    try disk.syncDirectory(path, life: life)
  }
  public func lock(_ path: String) throws(DiskError) -> (any DiskLock)? {
    before(Call(operation: .lock, bytes: 0))
    return try disk.lock(path, life: life)
  }

  private final class MountedFile: DiskFile {
    private let mount: ModelDiskMount
    private let file: ModelFile

    init(_ mount: ModelDiskMount, _ file: ModelFile) {
      self.mount = mount
      self.file = file
    }

    func size() throws(DiskError) -> UInt64 { try file.size() }

    func read(into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) throws(DiskError) -> Int {
      mount.before(Call(operation: .read, bytes: buffer.count))
      return try file.read(into: buffer, at: offset)
    }

    func write(_ bytes: UnsafeRawBufferPointer, at offset: UInt64) throws(DiskError) {
      let write = Write(file: file.number, offset: Int(offset), bytes: [UInt8](bytes))
      let number = mount.underWay.withLock { underWay in
        underWay.next += 1
        underWay.writes[underWay.next] = write
        return underWay.next
      }
      defer { mount.underWay.withLock { _ = $0.writes.removeValue(forKey: number) } }
      mount.before(Call(operation: .write, bytes: bytes.count))
      try file.write(bytes, at: offset)
    }

    func truncate(to size: UInt64) throws(DiskError) {
      mount.before(Call(operation: .truncate, bytes: 0))
      try file.truncate(to: size)
    }

    func sync() throws(DiskError) {
      mount.before(Call(operation: .sync, bytes: 0))
      try file.sync()
    }
  }
}
