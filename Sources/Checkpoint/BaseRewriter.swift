// Making a new base out of the older one and the closed logs behind it, from files alone, on a thread of its own.

/// A finished base, to be given to `PartitionStore.finishRewrite`.
public struct NewBase: Sendable {
  let info: BaseInfo

  public var epoch: UInt64 { info.epoch }
  public var bytes: UInt64 { info.fileBytes }
  public var keyCount: UInt64 { info.totals.entryCount }
}

/// One rewrite. It reads only files that nobody writes any more.
///
/// One pass: the log from its end to its beginning, of which each key's first entry is copied; then the base, of which the
/// keys that the log has not are copied. Memory: the key and about 30 bytes for each key in the log.
public struct BaseRewriter: Sendable {
  let plan: ReadPlan
  let header: EpochHeader
  let chain: UInt64
  let disk: any Disk
  let shape: ValueShape?

  /// The epoch the new base will hold.
  public var epoch: UInt64 { header.epoch }

  /// Writes the base beside the old one, makes it durable, and only then removes generations older than two.
  ///
  /// Blocks on the disk. On an error the older files are as they were.
  /// - Parameter isCancelled: asked every few thousand entries.
  public func run(isCancelled: () -> Bool = { false }) throws(CheckpointError) -> NewBase {
    var name = FileName(.base, epoch)
    let path = CheckpointLayout.join(plan.directory, name.text)
    name.isTemporary = true
    let temporary = CheckpointLayout.join(plan.directory, name.text)
    let info: BaseInfo
    do throws(CheckpointError) { info = try write(to: temporary, isCancelled: isCancelled) } catch {
      try? disk.remove(temporary)
      throw error
    }
    // From the rename on the next opening may find the new base or the old one: both are whole, until the name of the
    // new one is durable and the old ones go.
    do {
      try disk.rename(temporary, to: path)
      try disk.syncDirectory(plan.directory)
    } catch { throw .disk(error) }
    removeOldGenerations()
    return NewBase(info: info)
  }

  private func write(to path: String, isCancelled: () -> Bool) throws(CheckpointError) -> BaseInfo {
    guard let last = plan.segments.last(where: { !$0.blocks.isEmpty }), last.endChain == chain,
      last.nextEpoch == epoch + 1
    else { throw .misuse("a rewrite whose log does not end with epoch \(epoch)") }
    let previousChain = last.blocks.count > 1 ? last.blocks[last.blocks.count - 2].chain : last.startChain
    var output = try BaseFileWriter.create(
      path, on: disk, header: header, chain: chain, previousChain: previousChain, shape: shape)
    var live = LiveEntryReader(plan, on: disk)
    var count = 0
    while let entry = try live.next() {
      try output.add(entry)
      count += 1
      if count & 0xFFF == 0 && isCancelled() { throw .cancelled }
    }
    return try output.finish()
  }

  /// The new base and the one it was made from stay, with the logs after that one. Failing here costs only space: the
  /// next opening removes them.
  private func removeOldGenerations() {
    guard let kept = plan.base?.epoch, let names = try? disk.list(plan.directory) else { return }
    for file in names.compactMap({ FileName($0) }) where !file.isTemporary {
      let isOld = file.kind == .base ? file.epoch < kept : file.epoch <= kept
      if isOld { try? disk.remove(CheckpointLayout.join(plan.directory, file.text)) }
    }
    try? disk.syncDirectory(plan.directory)
  }
}

/// Pulls each live key of a state once, with its latest value: those of the log, the newest first, then the others.
struct LiveEntryReader: ~Copyable {
  private var entries: EntryReader
  /// Those that the log has.
  private var keys: KeySet
  private static let lookAhead = 12

  init(_ plan: ReadPlan, on disk: any Disk) {
    // A seed that those who choose the keys do not know keeps them from choosing keys that collide.
    keys = KeySet(seed: (plan.base?.lineage.high ?? 0) ^ (plan.segments.last?.endChain ?? 0))
    entries = EntryReader(plan, on: disk, .newestFirst)
  }

  /// The next live entry, its bytes valid until the next call; nil at the end.
  mutating func next() throws(CheckpointError) -> Entry? {
    while let entry = try entries.next() {
      // The set is far larger than the caches.
      if let coming = entries.keyAhead(by: Self.lookAhead) { keys.prefetch(coming) }
      let isNew = entries.isInBase ? !keys.contains(entry.key) : keys.insert(entry.key)
      if isNew, entry.value != nil { return entry }
    }
    return nil
  }
}
