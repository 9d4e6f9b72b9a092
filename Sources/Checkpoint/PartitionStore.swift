// The checkpoint of one partition: opening it, what it holds, and reading it back.
// Writing is in PartitionStore+Write.swift, the rewrite of the base in PartitionStore+Rewrite.swift.

#if PlantedBugs
  import PlantedBugs
#endif

/// The log-structured key-value store of one partition. Its unit is the epoch block.
///
/// Life: `init(opening:)` looks, changes nothing and finds which epochs are there; the caller decides which is the
/// truth (the broker's committed tag, or the newest); `restore(upTo:)` reads that state; `truncate(after:)` cuts what
/// lies behind it and makes the store writable. From then on each epoch is `append`, `sync` and, once the outside knows of it,
/// `confirm`. One thread at a time uses a store; only a `BaseRewriter` it handed out may run beside it.
public final class PartitionStore {
  /// When to rewrite the base, and how large the disk may grow.
  ///
  /// A rewrite is due when the log has more bytes than `logRatio` times the base and more than `logBytesMin`. Two
  /// generations are kept. So with a base of at most S bytes (the live keys and values, 6 bytes for each, 72 for each MiB,
  /// and less than 2 KiB), blocks of at most B bytes, and M bytes appended while a rewrite goes on, the files take at most
  ///
  ///     2 S + 2 (max(logBytesMin, logRatio S, M) + B)     between rewrites: with the defaults, four times the state
  ///     3 S + 2 (max(logBytesMin, logRatio S, M) + B) + M during one: five times, and what is appended meanwhile
  ///
  /// and 64 bytes a file. After a failed rewrite the log grows by another `logBytesMin` before the next attempt.
  public struct Policy: Sendable {
    public let logRatio: Double
    public let logBytesMin: UInt64

    /// `logRatio` is taken as no less than 0.1 and no more than 100.
    public init(logRatio: Double = 1, logBytesMin: UInt64 = 64 << 20) {
      self.logRatio = logRatio.isNaN ? 1 : min(max(logRatio, 0.1), 100)
      self.logBytesMin = logBytesMin
    }
  }

  enum Phase {
    /// Opened; nothing was changed yet. `truncate(after:)` comes next.
    case recovered
    /// All written blocks are durable.
    case ready
    /// One block was written and not synced.
    case unsynced(BlockLocation, EpochHeader)
    case poisoned(String)
  }

  public let directory: String
  public let policy: Policy

  let disk: any Disk
  let lock: any DiskLock
  var phase: Phase
  var generation: Generation
  /// The header of the newest synced epoch.
  var newestHeader: EpochHeader?
  var confirmed: UInt64?
  /// The last segment, open for writing.
  var active: (any DiskFile)?
  let shape: ValueShape?
  var writer: EntryWriter
  var rewriting: UInt64?
  /// After a failed rewrite: the log size below which no other is tried.
  var retryAtLogBytes: UInt64 = 0

  /// Opens the directory, creating it if absent, takes its lock, and checks every block of the log.
  ///
  /// The chunks of the base are checked by `restore`, which reads them anyway.
  /// - Parameters:
  ///   - shape: of most values that will be written; what is written without it takes more room.
  ///   - memory: for several stores together.
  /// - Throws: `.locked`, `.damaged`, `.unsupportedFormat`, `.disk`. On damage nothing is changed.
  public convenience init(
    opening directory: String, on disk: any Disk = PosixDisk(), policy: Policy = Policy(), shape: ValueShape? = nil,
    memory: ArrangingMemory = ArrangingMemory()
  ) throws(CheckpointError) {
    let lock: (any DiskLock)?
    do {
      try disk.createDirectories(directory)
      lock = try disk.lock(CheckpointLayout.join(directory, CheckpointLayout.lockName))
    } catch { throw .disk(error) }
    #if PlantedBugs
      let held: (any DiskLock)? = lock ?? (PlantedBug.isPlanted(.ignoreLock) ? NoLock() : nil)
    #else
      let held = lock
    #endif
    guard let held else { throw .locked(directory: directory) }
    try self.init(locked: directory, lock: held, on: disk, policy: policy, shape: shape, memory: memory)
  }

  /// Opens the directory under a lock that the caller has taken.
  init(
    locked directory: String, lock: any DiskLock, on disk: any Disk, policy: Policy = Policy(),
    shape: ValueShape? = nil, memory: ArrangingMemory = ArrangingMemory()
  ) throws(CheckpointError) {
    let names: [String]
    do { names = try disk.list(directory) } catch { throw .disk(error) }
    generation = try Generation.scan(directory, names: names, on: disk)
    self.directory = directory
    self.policy = policy
    self.disk = disk
    self.lock = lock
    self.shape = shape
    writer = EntryWriter(capacity: 1 << 20, shape: shape, memory: memory)
    phase = .recovered
    if let newest = newestEpoch { newestHeader = try block(of: newest).header }
  }

  // MARK: What is there

  /// The epochs that can be restored: from the base's (or the first ever) to the newest synced one; nil if none.
  public var epochs: ClosedRange<UInt64>? { generation.epochs }

  public var newestEpoch: UInt64? { generation.newestEpoch }

  /// The tag of an epoch held here, without reading the disk; nil if it is not held.
  public func tag(of epoch: UInt64) -> EpochTag? { generation.tag(of: epoch) }

  /// The tags of all epochs held, newest last.
  public var tags: [EpochTag] { epochs.map { $0.compactMap { tag(of: $0) } } ?? [] }

  /// The header, offsets and counts of an epoch held here; read from the disk.
  /// - Throws: `.noSuchEpoch`, `.damaged`, `.disk`.
  public func block(of epoch: UInt64) throws(CheckpointError) -> EpochBlock {
    try generation.block(of: epoch, on: disk)
  }

  /// An unfinished block found at the end when the store was opened. Nothing rests on it; `truncate(after:)` cuts it.
  public var tornTail: TornTail? { generation.tornTail }

  /// Bytes of the blocks behind the base.
  public var logBytes: UInt64 { generation.logBytes }

  /// The epoch of the base; nil before the first rewrite.
  public var baseEpoch: UInt64? { generation.base?.epoch }

  /// Bytes of the base; 0 before the first rewrite.
  public var baseBytes: UInt64 { generation.base?.fileBytes ?? 0 }

  // MARK: Reading back

  /// Streams the state as of the end of `epoch` (default: the newest) into `apply`, and returns that epoch.
  ///
  /// One sequential pass, the base and then the log: `apply` is called for every stored entry *in the order written*,
  /// so a key may come several times and its last call is the truth; a nil value means the key is gone (also for a key
  /// never seen before). So apply them as upserts and deletes into a table and no sorting or index is needed. The bytes
  /// are valid during the call only. On an error what was applied so far is to be thrown away.
  /// - Throws: `.damaged`, `.noSuchEpoch`, `.disk`, and what `apply` throws.
  @discardableResult
  public func restore(
    upTo epoch: UInt64? = nil,
    apply: (_ key: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer?) throws -> Void
  ) throws -> EpochBlock {
    if case .poisoned(let cause) = phase { throw CheckpointError.poisoned(directory: directory, cause: cause) }
    guard let epochs, let wanted = epoch ?? newestEpoch, epochs.contains(wanted) else {
      throw CheckpointError.noSuchEpoch(epoch ?? 0, available: epochs)
    }
    var entries = EntryReader(generation.plan(upTo: wanted), on: disk)
    while let entry = try entries.next() { try apply(entry.key, entry.value) }
    return try block(of: wanted)
  }

  /// The outbox appended with `epoch`; nil if it had none, or if the epoch is held as a base, which is made of
  /// confirmed epochs only.
  public func outbox(of epoch: UInt64) throws(CheckpointError) -> [UInt8]? {
    try generation.outbox(of: epoch, on: disk)
  }

  func path(_ name: String) -> String { CheckpointLayout.join(directory, name) }
}

#if PlantedBugs
  private final class NoLock: DiskLock {}
#endif
