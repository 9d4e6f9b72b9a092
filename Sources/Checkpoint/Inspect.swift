// Looking at a partition's directory without its lock and without changing it, for the command line.

/// What is in one partition's directory, good or bad.
public struct PartitionReport: Sendable {
  public enum FileKind: String, Sendable { case base, log, temporary, lock, foreign }

  public struct File: Sendable {
    public var name: String
    public var kind: FileKind
    public var bytes: UInt64
    /// Of a base or log whose header is good.
    public var formatVersion: UInt32?
    /// Epochs in the file as far as it is good; a base has one.
    public var epochs: ClosedRange<UInt64>?
    /// Blocks of a log, chunks of a base.
    public var blockCount: UInt64 = 0
    /// Entries, tombstones included.
    public var entryCount: UInt64 = 0
    public var tombstoneCount: UInt64 = 0
    /// Part of the newest generation, which is what opening uses; the others are kept or left over.
    public var isCurrent = false
    public var damage: Damage?
  }

  public struct RecordedIntervention: Hashable, Sendable {
    public var epoch: UInt64
    public var intervention: Intervention
  }

  public var directory: String
  /// The oldest first.
  public var files: [File] = []
  /// Whose state it is, by the newest block.
  public var place: PartitionPlace?
  /// What the newest generation can restore.
  public var epochs: ClosedRange<UInt64>?
  /// The newest epochs of it, newest last.
  public var blocks: [EpochBlock] = []
  public var tornTail: TornTail?
  /// Set when the files of the older generation lead to this epoch only (one was lost, or set aside by a repair), so that it
  /// could not stand in for the newest base. No damage: nothing rests on it.
  public var olderEnd: UInt64?
  /// What operators did, in all good blocks and bases, the oldest first.
  public var interventions: [RecordedIntervention] = []
  /// Of the newest epoch; only after `verify` and without damage.
  public var liveKeyCount: UInt64?
  public var liveBytes: UInt64?
  /// What opening (after `verify`: opening and restoring) would fail with; nil if it would succeed.
  public var error: CheckpointError?

  public var bytes: UInt64 { files.reduce(0) { $0 + $1.bytes } }
  public var firstDamage: Damage? {
    if case .damaged(let damage) = error { return damage }
    return files.lazy.compactMap(\.damage).first
  }
  /// Every checksum looked at was right. An older generation may be bad while the newest is good.
  public var isSound: Bool { error == nil && files.allSatisfy { $0.damage == nil } }
}

extension PartitionReport {
  /// Reads headers and checks the logs. `blockLimit`: how many of the newest epochs to list.
  ///
  /// Also of a directory in use: what looks damaged or is gone is looked at again, until two looks agree. The end of a
  /// log may look torn there.
  /// - Throws: when the directory cannot be listed; everything else is in the report.
  public static func inspect(
    _ directory: String, on disk: any Disk = PosixDisk(), blockLimit: Int = 16
  ) throws(DiskError) -> PartitionReport {
    try read(directory, on: disk, blockLimit: blockLimit, reads: .heads)
  }

  /// Also reads every byte of both generations and counts the live keys.
  public static func verify(
    _ directory: String, on disk: any Disk = PosixDisk(), blockLimit: Int = 16
  ) throws(DiskError) -> PartitionReport {
    try read(directory, on: disk, blockLimit: blockLimit, reads: .everything)
  }

  private enum Reads { case heads, everything }

  private static func read(
    _ directory: String, on disk: any Disk, blockLimit: Int, reads: Reads
  ) throws(DiskError) -> PartitionReport {
    var report = try look(directory, on: disk, blockLimit: blockLimit, reads: reads)
    for _ in 1..<PartitionSnapshot.attempts where !report.isSound {
      let next = try look(directory, on: disk, blockLimit: blockLimit, reads: reads)
      let isSettled =
        next.error == report.error && next.files.map(\.name) == report.files.map(\.name)
        && next.files.map(\.damage) == report.files.map(\.damage)
      report = next
      if isSettled { break }
    }
    return report
  }

  private static func look(
    _ directory: String, on disk: any Disk, blockLimit: Int, reads: Reads
  ) throws(DiskError) -> PartitionReport {
    let names = try disk.list(directory)
    var report = PartitionReport(directory: directory)
    var walk = Walk(directory: directory, disk: disk, checkEntries: reads == .everything)
    let known = names.compactMap { FileName($0) }
    let bases = known.filter { $0.kind == .base && !$0.isTemporary }.map(\.epoch).sorted()
    walk.olderBase = bases.dropLast().last
    walk.lastLog = known.filter { $0.kind == .log && !$0.isTemporary }.map(\.epoch).max()
    // A base of epoch E belongs between the log that ends with E and the log that begins with E + 1.
    for name in known.sorted(by: { ($0.epoch, $0.kind == .base ? 1 : 0) < ($1.epoch, $1.kind == .base ? 1 : 0) }) {
      report.files.append(walk.visit(name))
    }
    report.olderEnd = walk.olderEnd
    report.interventions = walk.interventions
    for name in names.sorted() where FileName(name) == nil {
      let size = try? disk.open(CheckpointLayout.join(directory, name), .read).size()
      let kind: FileKind = name == CheckpointLayout.lockName ? .lock : .foreign
      report.files.append(File(name: name, kind: kind, bytes: size ?? 0))
    }
    do throws(CheckpointError) {
      let newest = try Generation.scan(directory, names: names, on: disk)
      try report.describe(newest, on: disk, blockLimit: blockLimit, reads: reads)
    } catch { report.error = error }
    return report
  }

  private mutating func describe(
    _ generation: Generation, on disk: any Disk, blockLimit: Int, reads: Reads
  ) throws(CheckpointError) {
    tornTail = generation.tornTail
    let current = Set(generation.segments.map(\.name) + (generation.base.map { [$0.name] } ?? []))
    for index in files.indices { files[index].isCurrent = current.contains(files[index].name) }

    epochs = generation.epochs
    guard let epochs else { return }
    // The newest is read in any case: it tells whose state this is.
    for epoch in epochs.suffix(max(1, blockLimit)) { blocks.append(try generation.block(of: epoch, on: disk)) }
    place = blocks.last.map { PartitionPlace(directory, $0.header) }
    if blockLimit < 1 { blocks = [] }
    if reads == .heads { return }
    var live = LiveEntryReader(generation.plan(upTo: epochs.upperBound), on: disk)
    var totals = BaseTotals()
    while let entry = try live.next() { totals.count(entry) }
    liveKeyCount = totals.entryCount
    liveBytes = totals.keyBytes + totals.valueBytes
  }

  /// Goes through the files in the order of their epochs.
  private struct Walk {
    let directory: String
    let disk: any Disk
    /// Those of logs and of bases.
    let checkEntries: Bool
    var lastLog: UInt64?
    /// The base of the generation before the newest: from here on the files lead from one to the next. What lies before is
    /// left over.
    var olderBase: UInt64?
    private var isPastOlderBase = false
    /// Where that chain is cut, the last epoch before.
    private(set) var olderEnd: UInt64?
    /// What the next log must continue; nil when the file before it is missing or bad.
    private var position: LogPosition?
    private(set) var interventions: [RecordedIntervention] = []

    init(directory: String, disk: any Disk, checkEntries: Bool) {
      self.directory = directory
      self.disk = disk
      self.checkEntries = checkEntries
    }

    /// The next file must begin with `epoch`; older ones that do not lead there could not stand in for the newest base.
    private mutating func expect(_ epoch: UInt64) {
      if isPastOlderBase, let position, position.epoch < epoch { olderEnd = position.epoch - 1 }
    }

    mutating func visit(_ name: FileName) -> File {
      let path = CheckpointLayout.join(directory, name.text)
      var file = File(name: name.text, kind: name.kind == .base ? .base : .log, bytes: 0)
      do {
        file.bytes = try disk.open(path, .read).size()
        if name.isTemporary {
          file.kind = .temporary
          return file
        }
      } catch {
        file.damage = Damage(path: path, offset: 0, reason: error.description)
        return file
      }
      do throws(CheckpointError) {
        if name.kind == .base { try visitBase(name, &file) } else { try visitLog(name, &file) }
      } catch {
        position = nil
        if case .damaged(let damage) = error {
          file.damage = damage
        } else {
          file.damage = Damage(path: path, offset: 0, reason: error.description)
        }
      }
      return file
    }

    private mutating func visitBase(_ name: FileName, _ file: inout File) throws(CheckpointError) {
      let base = try BaseInfo.read(name, in: directory, on: disk)
      file.formatVersion = base.version
      file.epochs = base.epoch...base.epoch
      note(base.header)
      file.blockCount = base.totals.chunkCount
      file.entryCount = base.totals.entryCount
      if let position, position.epoch == base.epoch + 1,
        position.chain != base.chain || position.lineage != base.lineage
          || (position.partition ?? base.header.partition) != base.header.partition
      {
        throw .damaged(
          Damage(
            path: CheckpointLayout.join(directory, base.name), offset: 0,
            reason: "the base is not of the state that the log before it leads to"))
      }
      expect(base.epoch + 1)
      if base.epoch == olderBase { isPastOlderBase = true }
      position = LogPosition(
        lineage: base.lineage, epoch: base.epoch + 1, chain: base.chain, partition: base.header.partition)
      if !checkEntries { return }
      var entries = EntryReader(ReadPlan(directory: directory, base: base, segments: []), on: disk)
      while try entries.next() != nil {}
    }

    /// The base of an epoch says the same as its block.
    private mutating func note(_ header: EpochHeader) {
      if header.interventions.isEmpty || interventions.contains(where: { $0.epoch == header.epoch }) { return }
      interventions += header.interventions.map { RecordedIntervention(epoch: header.epoch, intervention: $0) }
    }

    private mutating func visitLog(_ name: FileName, _ file: inout File) throws(CheckpointError) {
      let path = CheckpointLayout.join(directory, name.text)
      expect(name.epoch)
      // A log whose predecessor was removed with an older generation is judged by itself.
      let expected = position?.epoch == name.epoch ? position : nil
      var decompressor = EntryDecompressor()
      let scan = try LogScan.scan(
        name, in: directory, on: disk, from: expected, isLast: name.epoch == lastLog
      ) { (fields, bytes, offset) throws(CheckpointError) in
        guard let header = fields.header(bytes) else {
          throw .damaged(Damage(path: path, offset: offset, reason: BlockFields.malformedHeader))
        }
        if checkEntries { try fields.checkEntries(bytes, with: &decompressor, in: path, at: offset) }
        note(header)
        file.formatVersion = fields.version
        file.blockCount += 1
        file.entryCount += UInt64(fields.entryCount)
        file.tombstoneCount += UInt64(fields.tombstoneCount)
        file.epochs = (file.epochs?.lowerBound ?? fields.epoch)...fields.epoch
      }
      file.formatVersion = scan.segment.version
      position = LogPosition(
        lineage: scan.lineage, epoch: scan.segment.nextEpoch, chain: scan.segment.endChain,
        partition: scan.segment.partition)
    }
  }
}
