// The checkpoint of one partition: opening it, what it holds, and reading it back.
// Writing is in PartitionStore+Write.swift, the rewrite of the base in PartitionStore+Rewrite.swift.

/// The log-structured key-value store of one partition. Its unit is the epoch block.
///
/// Life: `init(opening:)` looks, changes nothing and finds which epochs are there; the caller decides which is the
/// truth (the broker's committed tag, or the newest); `restore(upTo:)` reads that state; `truncate(after:)` cuts what
/// lies behind it and makes the store writable. From then on each epoch is `prepare`, `write`, `sync` and, once the outside
/// knows of it, `confirm`. One thread at a time uses a store; only a `BaseRewriter` it handed out may run beside it.
public final class PartitionStore {
  /// When to rewrite the base, and how large the disk may grow.
  ///
  /// A rewrite is due when the log has more bytes than `logRatio` times the base and more than `logBytesMin`. Two
  /// generations are kept, so with a live state of L bytes the files take at most about `(2 + 2 * logRatio) * L`, plus
  /// another L and what is appended meanwhile during a rewrite, where `logRatio * L` is at least `logBytesMin`.
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
    /// One block was built in memory.
    case prepared(EpochHeader, chain: UInt64)
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
  var writer = EntryWriter(capacity: 1 << 20)
  var rewriting: UInt64?
  /// After a failed rewrite: the log size below which no other is tried.
  var retryAtLogBytes: UInt64 = 0

  /// Opens the directory, creating it if absent, takes its lock, and checks every block of the log.
  ///
  /// The chunks of the base are checked by `restore`, which reads them anyway.
  /// - Throws: `.locked`, `.damaged`, `.unsupportedFormat`, `.disk`. On damage nothing is changed.
  public init(
    opening directory: String, on disk: any Disk = PosixDisk(), policy: Policy = Policy()
  ) throws(CheckpointError) {
    let lock: (any DiskLock)?
    let names: [String]
    do {
      try disk.createDirectories(directory)
      lock = try disk.lock(CheckpointLayout.join(directory, CheckpointLayout.lockName))
      names = try disk.list(directory)
    } catch { throw .disk(error) }
    guard let lock else { throw .locked(directory: directory) }

    generation = try Generation.scan(directory, names: names, on: disk)
    self.directory = directory
    self.policy = policy
    self.disk = disk
    self.lock = lock
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
