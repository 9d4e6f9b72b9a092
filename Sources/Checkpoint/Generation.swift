// A base and the logs after it: finding them among the files of a directory, and finding epochs in them.

/// A base (none before the first rewrite) and the logs that continue it.
struct Generation {
  let directory: String
  var base: BaseInfo?
  var segments: [Segment] = []
  var lineage: Lineage?
  var tornTail: TornTail?

  // MARK: Scanning

  /// The newest generation of the directory.
  static func scan(
    _ directory: String, names: [String], on disk: any Disk
  ) throws(CheckpointError) -> Generation {
    let files = names.compactMap { FileName($0) }.filter { !$0.isTemporary }
    let base = files.filter { $0.kind == .base }.max { $0.epoch < $1.epoch }
    return try scan(directory, base: base, files: files, on: disk)
  }

  /// The generation that starts from `base`; from the first log when nil.
  static func scan(
    _ directory: String, base baseName: FileName?, files: [FileName], on disk: any Disk
  ) throws(CheckpointError) -> Generation {
    var generation = Generation(directory: directory)
    var position = LogPosition(lineage: nil, epoch: 0, chain: 0)
    var logs = files.filter { $0.kind == .log }.sorted { $0.epoch < $1.epoch }
    if let baseName {
      let base: BaseInfo
      do { base = try BaseInfo.read(baseName, in: directory, on: disk) } catch {
        throw Generation.withAdvice(error, base: baseName, files: files)
      }
      generation.base = base
      generation.lineage = base.lineage
      position = LogPosition(
        lineage: base.lineage, epoch: base.epoch + 1, chain: base.chain, partition: base.header.partition)
      logs.removeAll { $0.epoch <= base.epoch }
      // The log after a base is made before the base is.
      guard let first = logs.first, first.epoch == position.epoch else {
        let missing = FileName(.log, position.epoch).text
        throw .damaged(
          Damage(
            path: CheckpointLayout.join(directory, missing), offset: 0,
            reason: "this file is missing, the base before it and \(logs.count) logs after it are there"))
      }
    }
    for (index, log) in logs.enumerated() {
      let scan = try LogScan.scan(log, in: directory, on: disk, from: position, isLast: index == logs.count - 1)
      generation.segments.append(scan.segment)
      generation.lineage = scan.lineage
      generation.tornTail = scan.tornTail
      position = LogPosition(
        lineage: scan.lineage, epoch: scan.segment.nextEpoch, chain: scan.segment.endChain,
        partition: scan.segment.partition)
    }
    return generation
  }

  /// Names the way back, if there is one, in the error about a damaged base.
  static func withAdvice(_ error: CheckpointError, base: FileName, files: [FileName]) -> CheckpointError {
    guard case .damaged(var damage) = error else { return error }
    let older = files.filter { $0.kind == .base && $0.epoch < base.epoch }.max { $0.epoch < $1.epoch }
    if (older.map { files.contains(FileName(.log, $0.epoch + 1)) } ?? false) || files.contains(FileName(.log, 0)) {
      damage.reason += "; the files of the generation before it are kept, and may lead to the same state"
    }
    return .damaged(damage)
  }

  // MARK: Epochs

  /// From the base's epoch, or the first ever, to the newest; nil if there is none.
  var epochs: ClosedRange<UInt64>? {
    guard let newest = newestEpoch else { return nil }
    return (base?.epoch ?? segments[0].firstEpoch)...newest
  }

  var newestEpoch: UInt64? {
    for segment in segments.reversed() where !segment.blocks.isEmpty { return segment.nextEpoch - 1 }
    return base?.epoch
  }

  var logBytes: UInt64 { segments.reduce(0) { $0 + $1.blockBytes } }

  func tag(of epoch: UInt64) -> EpochTag? {
    guard let lineage else { return nil }
    if let place = locate(epoch) {
      return EpochTag(lineage: lineage, epoch: epoch, chain: segments[place.segment].blocks[place.block].chain)
    }
    if let base, base.epoch == epoch { return EpochTag(lineage: lineage, epoch: epoch, chain: base.chain) }
    return nil
  }

  func block(of epoch: UInt64, on disk: any Disk) throws(CheckpointError) -> EpochBlock {
    if let place = locate(epoch) {
      let segment = segments[place.segment]
      let location = segment.blocks[place.block]
      return try withFile(of: segment, on: disk) { file throws(CheckpointError) in
        let (fields, bytes) = try file.block(at: location)
        guard let header = fields.header(bytes) else {
          throw file.damage(at: location.offset, BlockFields.malformedHeader)
        }
        return EpochBlock(header: header, fields: fields, file: segment.name, offset: location.offset)
      }
    }
    if let base, base.epoch == epoch { return EpochBlock(base: base) }
    throw .noSuchEpoch(epoch, available: epochs)
  }

  func outbox(of epoch: UInt64, on disk: any Disk) throws(CheckpointError) -> [UInt8]? {
    guard let place = locate(epoch) else {
      if base?.epoch == epoch { return nil }
      throw .noSuchEpoch(epoch, available: epochs)
    }
    let segment = segments[place.segment]
    return try withFile(of: segment, on: disk) { file throws(CheckpointError) in
      let (fields, bytes) = try file.block(at: segment.blocks[place.block])
      return fields.hasOutbox ? [UInt8](bytes.slice(bytes.count - fields.outboxBytes, bytes.count)) : nil
    }
  }

  /// The files up to and with `epoch`, which is held.
  func plan(upTo epoch: UInt64) -> ReadPlan {
    var parts: [Segment] = []
    for var segment in segments where segment.firstEpoch <= epoch {
      let count = min(segment.blocks.count, Int(epoch - segment.firstEpoch) + 1)
      segment.blocks.removeLast(segment.blocks.count - count)
      parts.append(segment)
    }
    return ReadPlan(directory: directory, base: base, segments: parts)
  }

  func withFile<T>(
    of segment: Segment, on disk: any Disk, _ body: (FileReader) throws(CheckpointError) -> T
  ) throws(CheckpointError) -> T {
    try FileReader.withFile(
      CheckpointLayout.join(directory, segment.name), on: disk, limit: segment.validEnd, body)
  }

  /// Index of the segment and of the block in it.
  private func locate(_ epoch: UInt64) -> (segment: Int, block: Int)? {
    for (index, segment) in segments.enumerated() where segment.firstEpoch <= epoch && epoch < segment.nextEpoch {
      return (index, Int(epoch - segment.firstEpoch))
    }
    return nil
  }
}

extension EpochBlock {
  init(header: EpochHeader, fields: BlockFields, file: String, offset: UInt64) {
    self.init(
      header: header, tag: fields.tag, file: file, offset: offset, formatVersion: fields.version,
      bytes: fields.length,
      entryCount: UInt64(fields.entryCount), tombstoneCount: UInt64(fields.tombstoneCount),
      outboxBytes: fields.outboxBytes, hasOutbox: fields.hasOutbox, isBase: false)
  }

  init(base: BaseInfo) {
    self.init(
      header: base.header, tag: EpochTag(lineage: base.lineage, epoch: base.epoch, chain: base.chain),
      file: base.name, offset: UInt64(Format.File.bytes), formatVersion: base.version, bytes: base.headBytes,
      entryCount: base.totals.entryCount, tombstoneCount: 0, outboxBytes: 0, hasOutbox: false, isBase: true)
  }
}
