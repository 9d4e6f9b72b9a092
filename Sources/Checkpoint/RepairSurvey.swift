// Reading every file of a damaged directory by itself, as far as it is good, to find what can be put together from them.

/// A log as far as it is good.
struct IntactLog: Sendable {
  var name: FileName
  var fileBytes: UInt64
  /// Nil when not even the header is good.
  var segment: Segment?
  var lineage: Lineage?
  var isFirst = false
  var damage: Damage?
  /// The newest block that is whole behind the damage; it continues nothing that is left.
  var newestBehind: EpochHeader?
  var tornTail: TornTail?

  /// The newest epoch of which there is a trace in the file.
  var newestTrace: UInt64? {
    if let newestBehind { return newestBehind.epoch }
    guard let segment, !segment.blocks.isEmpty else { return name.epoch > 0 ? name.epoch - 1 : nil }
    return segment.nextEpoch - 1
  }
}

/// All files of a directory.
struct RepairSurvey: Sendable {
  var bases: [BaseInfo] = []
  var logs: [IntactLog] = []
  /// Of bases that cannot be used.
  var damagedBases: [(name: FileName, damage: Damage)] = []

  /// Reads every byte.
  /// - Throws: `.unsupportedFormat`, `.disk`: then nothing can be said about the rest either.
  init(_ directory: String, on disk: any Disk) throws(CheckpointError) {
    let names: [String]
    do { names = try disk.list(directory) } catch { throw .disk(error) }
    let files = names.compactMap { FileName($0) }.filter { !$0.isTemporary }.sorted { $0.epoch < $1.epoch }
    let lastLog = files.last { $0.kind == .log }
    for file in files {
      switch file.kind {
      case .log: logs.append(try Self.log(file, in: directory, on: disk, isLast: file == lastLog))
      case .base:
        do throws(CheckpointError) {
          let base = try BaseInfo.read(file, in: directory, on: disk)
          var entries = EntryReader(ReadPlan(directory: directory, base: base, segments: []), on: disk)
          while try entries.next() != nil {}
          bases.append(base)
        } catch {
          guard case .damaged(let damage) = error else { throw error }
          damagedBases.append((file, damage))
        }
      }
    }
  }

  private static func log(
    _ name: FileName, in directory: String, on disk: any Disk, isLast: Bool
  ) throws(CheckpointError) -> IntactLog {
    try FileReader.withFile(CheckpointLayout.join(directory, name.text), on: disk) { reader throws(CheckpointError) in
      var log = IntactLog(name: name, fileBytes: reader.size)
      do throws(CheckpointError) {
        let header = try FileHeader.read(reader, isBase: false)
        guard header.epoch == name.epoch else {
          throw reader.damage(at: 0, "its header says that it begins with epoch \(header.epoch)")
        }
        log.lineage = header.lineage
        log.isFirst = header.isFirst
        var decompressor = EntryDecompressor()
        var segment = Segment(firstEpoch: header.epoch, startChain: header.chain, version: header.version)
        log.segment = segment
        let scan = try LogScan.scan(name, in: directory, on: disk, from: nil, isLast: isLast) {
          (fields, bytes, offset) throws(CheckpointError) in
          guard fields.header(bytes) != nil else { throw reader.damage(at: offset, BlockFields.malformedHeader) }
          try fields.checkEntries(bytes, with: &decompressor, in: reader.path, at: offset)
          segment.partition = fields.partition
          segment.blocks.append(BlockLocation(offset: offset, length: bytes.count, chain: fields.chain))
          log.segment = segment
        }
        log.tornTail = scan.tornTail
      } catch {
        guard case .damaged(let damage) = error else { throw error }
        log.damage = damage
        if let lineage = log.lineage {
          log.newestBehind = try newestBlock(reader, behind: damage.offset, lineage: lineage)
        }
      }
      return log
    }
  }

  private static func newestBlock(
    _ reader: FileReader, behind damage: UInt64, lineage: Lineage
  ) throws(CheckpointError) -> EpochHeader? {
    var newest: EpochHeader?
    var from = damage + 1
    while let offset = try LogScan.laterBlock(reader, from: from, lineage: lineage) {
      from = offset + 1
      guard case .frame(.epochBlock, let bytes) = try reader.frame(at: offset) else { continue }
      from = offset + UInt64(bytes.count)
      guard case .success(let fields) = BlockFields.read(bytes, kind: .epochBlock), let header = fields.header(bytes)
      else { continue }
      if newest.map({ $0.epoch < header.epoch }) ?? true { newest = header }
    }
    return newest
  }

  /// Which lineages the good files belong to.
  var lineages: Set<Lineage> { Set(bases.map(\.lineage) + logs.compactMap(\.lineage)) }

  var damages: [Damage] { damagedBases.map(\.damage) + logs.compactMap(\.damage) }

  /// A base, or none, and the good blocks that lead on from it without a gap.
  struct Path: Sendable {
    var base: BaseInfo?
    var segments: [Segment] = []
    var newest: UInt64?
    var chain: UInt64 = 0
    var partition: Int32?
  }

  /// From `base` on, or from the first log. All good files are of one lineage.
  func path(from base: BaseInfo?) -> Path {
    var path = Path(
      base: base, newest: base?.epoch, chain: base?.chain ?? 0, partition: base?.header.partition)
    var next = base.map { $0.epoch + 1 }
    while let log = logs.first(where: { next == nil ? $0.isFirst : $0.name.epoch == next }),
      let segment = log.segment, segment.startChain == path.chain, log.isFirst == (next == nil),
      path.partition == nil || segment.partition == nil || segment.partition == path.partition
    {
      path.segments.append(segment)
      path.partition = segment.partition ?? path.partition
      if let last = segment.blocks.last {
        path.newest = segment.nextEpoch - 1
        path.chain = last.chain
      }
      // An empty log is continued by none; a damaged one by nothing that can be trusted.
      if log.damage != nil || segment.blocks.isEmpty { break }
      next = segment.nextEpoch
    }
    return path
  }

  /// Whether a base is not what the older files lead to: then two histories of one state are mixed up.
  var isContradictory: Bool {
    let starts = [path(from: nil)] + bases.map { path(from: $0) }
    return bases.contains { base in
      starts.contains { start in
        guard let segment = start.segments.last(where: { $0.nextEpoch == base.epoch + 1 }) else { return false }
        return segment.endChain != base.chain || (start.partition ?? base.header.partition) != base.header.partition
      }
    }
  }

  /// The path that leads furthest; of those the one that begins with the newest base.
  var best: Path? {
    var best: Path?
    for candidate in [path(from: nil)] + bases.sorted(by: { $0.epoch < $1.epoch }).map({ path(from: $0) }) {
      guard let newest = candidate.newest else { continue }
      if best?.newest.map({ $0 <= newest }) ?? true { best = candidate }
    }
    return best
  }
}
