// Appending epochs, making them durable, and cutting those that never happened.

#if PlantedBugs
  import PlantedBugs
#endif

extension PartitionStore {
  /// Makes `epoch` the newest, cutting every later block and any torn tail, and makes the store writable.
  ///
  /// Nil cuts everything; that is allowed only before the first base. To be called once after opening, with the epoch
  /// that is the truth, even if it is the newest already (`truncate(after: newestEpoch)`), and again whenever an epoch
  /// is aborted. The first call writes and syncs the newest block once more: a block that can be read may still be
  /// lost: its writer may have died before the sync, or the sync may have failed.
  /// - Throws: `.noSuchEpoch`, `.misuse` for an epoch below a confirmed one, `.disk`; after `.disk` it is poisoned.
  public func truncate(after epoch: UInt64?) throws(CheckpointError) {
    if case .poisoned(let cause) = phase { throw .poisoned(directory: directory, cause: cause) }
    if let confirmed, epoch.map({ $0 < confirmed }) ?? true {
      throw .misuse(
        "truncate(after: \(epoch.map(String.init) ?? "nil")) would cut epoch \(confirmed), confirmed before")
    }
    if let epoch {
      guard let epochs, epochs.contains(epoch) else { throw .noSuchEpoch(epoch, available: epochs) }
    } else if let base = generation.base {
      throw .misuse("truncate(after: nil) would cut epoch \(base.epoch), which is held as a base")
    }
    let isFirst = if case .recovered = phase { true } else { false }
    do {
      if let epoch {
        try cut(after: epoch)
        try settle(rewriteLast: isFirst)
      } else {
        try cutEverything()
      }
      if isFirst { try removeLeftovers() }
      try leaveOldFormat()
      try disk.syncDirectory(directory)
    } catch {
      let error = (error as? DiskError).map { .disk($0) } ?? error as? CheckpointError ?? .misuse("\(error)")
      poison(error.description)
      throw error
    }
    phase = .ready
    generation.tornTail = nil
    newestHeader = if let newest = newestEpoch { try block(of: newest).header } else { nil }
  }

  /// Builds the block of one epoch and writes it, without making it durable: `sync` comes next.
  ///
  /// `entries` is given a writer for the changed keys. The first block of an empty store starts its lineage; every
  /// later header must be of that lineage and partition, and of the next epoch.
  /// - Returns: the tag of the new epoch, for the commit metadata.
  /// - Throws: `.tooLarge` or `.misuse`, with nothing written; `.disk`, after which the store is poisoned, unless the first
  ///   log could not be begun: then the caller may try again.
  public func append(
    _ header: EpochHeader, outbox: UnsafeRawBufferPointer? = nil, entries: (inout EntryWriter) -> Void
  ) throws(CheckpointError) -> EpochTag {
    try checkOrder(header)
    let previousChain = generation.segments.last?.endChain ?? 0
    try writer.begin(header, kind: .epochBlock, previousChain: previousChain)
    entries(&writer)
    let chain = try writer.finish(outbox: outbox)
    try write(header, chain)
    return EpochTag(lineage: header.lineage, epoch: header.epoch, chain: chain)
  }

  public func append(
    _ header: EpochHeader, outbox: [UInt8], entries: (inout EntryWriter) -> Void
  ) throws(CheckpointError) -> EpochTag {
    try outbox.withUnsafeBufferPointer { bytes throws(CheckpointError) in
      try append(header, outbox: UnsafeRawBufferPointer(bytes), entries: entries)
    }
  }

  /// Writes the block that the writer holds.
  private func write(_ header: EpochHeader, _ chain: UInt64) throws(CheckpointError) {
    defer { writer.shrink(toAtMost: 64 << 20) }
    if newestEpoch == nil { try beginLineage(header) }
    let segment = generation.segments[generation.segments.count - 1]
    guard let active else { throw .misuse("write before truncate(after:)") }
    let location = BlockLocation(offset: segment.validEnd, length: writer.buffer.count, chain: chain)
    assert(header.epoch == segment.nextEpoch)
    do { try active.write(writer.buffer.bytes, at: location.offset) } catch {
      abandonTail(error)
      throw .disk(error)
    }
    phase = .unsynced(location, header)
  }

  /// Gives back the memory in which blocks are made, until the next one.
  public func releaseMemory() { writer.shrink(toAtMost: 0) }

  /// Makes the appended block durable (fdatasync). Does nothing if none is waiting.
  /// - Throws: `.disk`, after which the store is poisoned: a sync that failed once proves nothing when it succeeds
  ///   later.
  public func sync() throws(CheckpointError) {
    switch phase {
    case .ready: return
    case .recovered: throw .misuse("sync before truncate(after:)")
    case .poisoned(let cause): throw .poisoned(directory: directory, cause: cause)
    case .unsynced(let location, let header):
      guard let active else { throw .misuse("sync before truncate(after:)") }
      #if PlantedBugs
        let skipsSync = PlantedBug.isPlanted(.commitBeforeSync)
      #else
        let skipsSync = false
      #endif
      do { if !skipsSync { try active.sync() } } catch {
        abandonTail(error)
        throw .disk(error)
      }
      generation.segments[generation.segments.count - 1].blocks.append(location)
      newestHeader = header
      phase = .ready
    }
  }

  /// Declares `epoch` and all before it committed outside: they will never be truncated, and a base may hold them.
  public func confirm(_ epoch: UInt64) throws(CheckpointError) {
    guard case .ready = phase else { throw .misuse("confirm while the store is \(phaseName)") }
    guard let epochs, epochs.contains(epoch) else { throw .noSuchEpoch(epoch, available: epochs) }
    confirmed = max(confirmed ?? epoch, epoch)
  }

  // MARK: Steps

  var phaseName: String {
    switch phase {
    case .recovered: "opened but not truncated"
    case .ready: "ready"
    case .unsynced: "waiting for a sync"
    case .poisoned: "poisoned"
    }
  }

  func poison(_ cause: String) {
    phase = .poisoned(cause)
    active = nil
  }

  private func checkOrder(_ header: EpochHeader) throws(CheckpointError) {
    switch phase {
    case .ready: break
    case .poisoned(let cause): throw .poisoned(directory: directory, cause: cause)
    case .recovered, .unsynced: throw .misuse("append while the store is \(phaseName)")
    }
    if header.epoch >= CheckpointLimits.epochMax {
      throw .misuse("append of epoch \(header.epoch), too large a number")
    }
    guard let newest = newestHeader else { return }
    if header.lineage != newest.lineage {
      throw .misuse("append of lineage \(header.lineage) to a state of lineage \(newest.lineage)")
    }
    if header.epoch != newest.epoch + 1 {
      throw .misuse("append of epoch \(header.epoch) after epoch \(newest.epoch)")
    }
    if header.partition != newest.partition {
      throw .misuse("append of partition \(header.partition) to the state of partition \(newest.partition)")
    }
  }

  /// An unsynced block failed. Taking it off the end keeps a later opening from reading it out of the page cache and
  /// trusting it; if even that fails, `truncate(after:)` writes it anew.
  private func abandonTail(_ error: DiskError) {
    try? active?.truncate(to: generation.segments[generation.segments.count - 1].validEnd)
    poison(error.description)
  }

  private func beginLineage(_ header: EpochHeader) throws(CheckpointError) {
    assert(generation.segments.isEmpty && generation.base == nil)
    try startSegment(epoch: header.epoch, chain: 0, lineage: header.lineage, isFirst: true)
    generation.lineage = header.lineage
  }

  /// Creates a log, durably and at once whole, and makes it the active one.
  ///
  /// Up to the rename a failure leaves everything as it was; from there on nobody knows, and the store is poisoned.
  func startSegment(
    epoch: UInt64, chain: UInt64, lineage: Lineage, isFirst: Bool
  ) throws(CheckpointError) {
    let segment = Segment(firstEpoch: epoch, startChain: chain)
    let header = FileHeader(isBase: false, isFirst: isFirst, lineage: lineage, epoch: epoch, chain: chain).encoded()
    var name = FileName(.log, epoch)
    name.isTemporary = true
    let temporary = path(name.text)
    do {
      let file = try disk.open(temporary, .create)
      try header.withBytes { bytes throws(DiskError) in try file.write(bytes, at: 0) }
      try file.sync()
    } catch {
      try? disk.remove(temporary)
      throw .disk(error)
    }
    do {
      try disk.rename(temporary, to: path(segment.name))
      #if PlantedBugs
        if !PlantedBug.isPlanted(.renameWithoutSync) { try disk.syncDirectory(directory) }
      #else
        try disk.syncDirectory(directory)
      #endif
      active = try disk.open(path(segment.name), .readWrite)
    } catch {
      poison(error.description)
      throw .disk(error)
    }
    generation.segments.append(segment)
  }

  /// Removes whole logs from the newest back, each removal durable before the next, so that a crash in between leaves a
  /// shorter history and never one with a hole.
  private func cut(after epoch: UInt64) throws(DiskError) {
    active = nil
    while let last = generation.segments.last, last.firstEpoch > epoch + 1 {
      try disk.remove(path(last.name))
      try disk.syncDirectory(directory)
      generation.segments.removeLast()
    }
    guard let last = generation.segments.last else { return assertionFailure("a base without a log") }
    let keep = Int(epoch + 1 - last.firstEpoch)
    assert(keep <= last.blocks.count)
    generation.segments[generation.segments.count - 1].blocks.removeLast(last.blocks.count - keep)
  }

  private func cutEverything() throws(DiskError) {
    active = nil
    while let last = generation.segments.last {
      try disk.remove(path(last.name))
      try disk.syncDirectory(directory)
      generation.segments.removeLast()
    }
    generation.lineage = nil
  }

  /// Opens the last log, ends it where its last block ends, and makes what is there durable.
  private func settle(rewriteLast: Bool) throws {
    let segment = generation.segments[generation.segments.count - 1]
    let file = try disk.open(path(segment.name), .readWrite)
    // The size that can be read may be no more durable than the content: setting it another way first makes it new.
    try file.truncate(to: segment.validEnd + 1)
    try file.truncate(to: segment.validEnd)
    if rewriteLast, let location = segment.blocks.last {
      try generation.withFile(of: segment, on: disk) { reader throws(CheckpointError) in
        let (_, bytes) = try reader.block(at: location)
        do throws(DiskError) { try file.write(bytes, at: location.offset) } catch { throw .disk(error) }
      }
    }
    try file.sync()
    active = file
  }

  /// A file holds blocks of one format: a log of an older one is ended here and continued by a new one.
  private func leaveOldFormat() throws {
    guard let last = generation.segments.last, last.version != Format.version, let lineage = generation.lineage
    else { return }
    // An empty log gives way to one of the same name, by the rename that makes the new one. It is not the first: an
    // epoch is held, so it is in a file before.
    if last.blocks.isEmpty { generation.segments.removeLast() }
    try startSegment(epoch: last.nextEpoch, chain: last.endChain, lineage: lineage, isFirst: false)
  }

  /// Removes what an interrupted rewrite left: temporary files, and generations older than two.
  private func removeLeftovers() throws(DiskError) {
    let files = try disk.list(directory).compactMap { FileName($0) }
    let bases = files.filter { $0.kind == .base && !$0.isTemporary }.map(\.epoch).sorted()
    let oldestKept = bases.count >= 2 ? bases[bases.count - 2] : nil
    for file in files {
      let isOld = oldestKept.map { file.kind == .base ? file.epoch < $0 : file.epoch <= $0 } ?? false
      if file.isTemporary || isOld { try disk.remove(path(file.text)) }
    }
  }
}
