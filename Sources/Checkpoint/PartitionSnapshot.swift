// Reading a partition's state without its lock, also while its owner appends, rewrites the base and removes old files.

/// The newest generation of a directory as it was at one moment. Changes nothing and takes no lock.
///
/// Blocks that were whole stay as they are; the newest may still be cut, when its epoch is aborted. Files may vanish under
/// a snapshot after two more rewrites of the base: then reading it throws, and a new one has to be opened.
public struct PartitionSnapshot {
  public let directory: String
  let generation: Generation
  let disk: any Disk

  /// How often a directory that changes while it is looked at is looked at again.
  public static let attempts = 8

  /// - Throws: `.damaged` when two looks see the same damage, `.unsupportedFormat`, `.disk`.
  public init(reading directory: String, on disk: any Disk = PosixDisk()) throws(CheckpointError) {
    self.directory = directory
    self.disk = disk
    generation = try settled { () throws(CheckpointError) in
      let names: [String]
      do throws(DiskError) { names = try disk.list(directory) } catch { throw .disk(error) }
      return try Generation.scan(directory, names: names, on: disk)
    }
  }

  /// Opens a snapshot and does `body` with it; again, with a new one, when files have vanished under it.
  public static func read<T>(
    _ directory: String, on disk: any Disk = PosixDisk(), _ body: (PartitionSnapshot) throws(CheckpointError) -> T
  ) throws(CheckpointError) -> T {
    try settled { () throws(CheckpointError) in try body(PartitionSnapshot(reading: directory, on: disk)) }
  }

  /// The epochs that can be restored; nil if there are none.
  public var epochs: ClosedRange<UInt64>? { generation.epochs }

  /// The newest epoch that is committed for sure, judging by the files alone: the one that was made a base, one with
  /// another behind it, or one that its process ended with. While the daemon runs that is the newest or the one before.
  /// Epoch 0 counts as such, for it holds no customer.
  public func settledEpoch() throws(CheckpointError) -> UInt64? {
    guard let epochs else { return nil }
    let newest = epochs.upperBound
    if newest == epochs.lowerBound { return newest }
    let header = try block(of: newest).header
    return header.cleanShutdown ? newest : newest - 1
  }

  public var tornTail: TornTail? { generation.tornTail }

  public func tag(of epoch: UInt64) -> EpochTag? { generation.tag(of: epoch) }

  /// - Throws: `.noSuchEpoch`, `.damaged`, `.disk`.
  public func block(of epoch: UInt64) throws(CheckpointError) -> EpochBlock {
    try generation.block(of: epoch, on: disk)
  }

  public func outbox(of epoch: UInt64) throws(CheckpointError) -> [UInt8]? {
    try generation.outbox(of: epoch, on: disk)
  }

  /// The entries of one block of the log, as they were written. A base has none of its own.
  package func entries(
    of epoch: UInt64, _ body: (_ key: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer?) -> Void
  ) throws(CheckpointError) {
    var plan = generation.plan(upTo: epoch)
    guard var segment = plan.segments.last(where: { !$0.blocks.isEmpty }), segment.nextEpoch == epoch + 1 else {
      return
    }
    segment.blocks.removeFirst(segment.blocks.count - 1)
    plan.segments = [segment]
    var entries = EntryReader(plan, on: disk, includeBase: false)
    while let entry = try entries.next() { body(entry.key, entry.value) }
  }

  /// As `PartitionStore.restore(upTo:apply:)`.
  @discardableResult
  public func restore(
    upTo epoch: UInt64,
    apply: (_ key: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer?) throws(CheckpointError) -> Void
  ) throws(CheckpointError) -> EpochBlock {
    let block = try block(of: epoch)
    var entries = EntryReader(generation.plan(upTo: epoch), on: disk)
    while let entry = try entries.next() { try apply(entry.key, entry.value) }
    return block
  }
}

/// Does `look` until it succeeds or fails twice in the same way: in a directory in use a file may vanish, or the end of a
/// log be another one, between two reads, and look like damage.
func settled<T>(_ look: () throws(CheckpointError) -> T) throws(CheckpointError) -> T {
  var last: CheckpointError?
  for _ in 1..<PartitionSnapshot.attempts {
    do { return try look() } catch {
      switch error {
      case .damaged where error != last: last = error
      case .disk(let failure) where failure.kind == .notFound && error != last: last = error
      default: throw error
      }
    }
  }
  return try look()
}
