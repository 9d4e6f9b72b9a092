// Reading a log from front to back: which blocks are whole and in order, and how it ends.

/// Where a block of a log lies. Its epoch is the segment's first epoch plus its index.
struct BlockLocation: Hashable, Sendable {
  var offset: UInt64
  var length: Int
  var chain: UInt64
  var end: UInt64 { offset + UInt64(length) }
}

/// One log file and the whole blocks in it.
struct Segment: Sendable {
  var firstEpoch: UInt64
  /// Chain checksum before the first block.
  var startChain: UInt64
  var version = Format.version
  /// Of its blocks and those before; nil while there are none.
  var partition: Int32?
  var blocks: [BlockLocation] = []

  var name: String { FileName(.log, firstEpoch).text }
  /// End of the last whole block.
  var validEnd: UInt64 { blocks.last?.end ?? UInt64(Format.File.bytes) }
  var endChain: UInt64 { blocks.last?.chain ?? startChain }
  /// The epoch the next block must have.
  var nextEpoch: UInt64 { firstEpoch + UInt64(blocks.count) }
  var blockBytes: UInt64 { validEnd - UInt64(Format.File.bytes) }
}

/// An unfinished block at the end of the last log: written but never made durable, so nothing rests on it.
public struct TornTail: Hashable, Sendable, CustomStringConvertible {
  public var path: String
  /// First byte of it.
  public var offset: UInt64
  public var bytes: UInt64
  public var reason: String

  public var description: String { "\(path): \(bytes) bytes from byte \(offset) are an unfinished block (\(reason))" }
}

/// What must come next in a log.
struct LogPosition {
  /// Nil only at the first log of a lineage.
  var lineage: Lineage?
  var epoch: UInt64
  var chain: UInt64
  /// Nil where no block came before.
  var partition: Int32?
}

struct LogScan {
  var segment: Segment
  var lineage: Lineage
  var tornTail: TornTail?

  /// Checks every block of `name` against its checksums and the order of epochs and chains.
  ///
  /// At most one block is ever unsynced, and nothing follows it. So a bad block in the last log is a torn tail if no
  /// whole block of this lineage lies behind it, and damage if one does; in any earlier log it is damage.
  /// Without `position`, whatever the file says it begins with is believed.
  static func scan(
    _ name: FileName, in directory: String, on disk: any Disk, from position: LogPosition?, isLast: Bool,
    visit: (BlockFields, UnsafeRawBufferPointer, UInt64) throws(CheckpointError) -> Void = { (_, _, _) in }
  ) throws(CheckpointError) -> LogScan {
    try FileReader.withFile(CheckpointLayout.join(directory, name.text), on: disk) { reader throws(CheckpointError) in
      try scan(name, reader, from: position, isLast: isLast, visit: visit)
    }
  }

  private static func scan(
    _ name: FileName, _ reader: FileReader, from position: LogPosition?, isLast: Bool,
    visit: (BlockFields, UnsafeRawBufferPointer, UInt64) throws(CheckpointError) -> Void
  ) throws(CheckpointError) -> LogScan {
    let header = try FileHeader.read(reader, isBase: false)
    guard header.epoch == name.epoch else {
      throw reader.damage(at: 0, "its header says that it begins with epoch \(header.epoch)")
    }
    if let position { try check(header, continues: position, reader) }

    var segment = Segment(
      firstEpoch: header.epoch, startChain: header.chain, version: header.version, partition: position?.partition)
    while true {
      let offset = segment.validEnd
      switch try reader.frame(at: offset) {
      case .endOfFile: return LogScan(segment: segment, lineage: header.lineage)
      case .bad(let reason):
        guard isLast else { throw reader.damage(at: offset, reason) }
        if let later = try laterBlock(reader, from: offset + 1, lineage: header.lineage) {
          throw reader.damage(at: offset, "\(reason), yet a whole block follows at byte \(later)")
        }
        let torn = TornTail(path: reader.path, offset: offset, bytes: reader.size - offset, reason: reason)
        return LogScan(segment: segment, lineage: header.lineage, tornTail: torn)
      case .frame(let kind, let bytes):
        guard kind == .epochBlock else { throw reader.damage(at: offset, "a frame of a base inside a log") }
        let fields: BlockFields
        switch BlockFields.read(bytes, kind: kind) {
        case .success(let read): fields = read
        case .failure(let malformed): throw reader.damage(at: offset, malformed.reason)
        }
        guard fields.version == header.version else {
          throw reader.damage(
            at: offset, "the block is of format \(fields.version), the file of format \(header.version)")
        }
        guard fields.lineage == header.lineage else {
          throw reader.damage(at: offset, "the block is of lineage \(fields.lineage), the file of \(header.lineage)")
        }
        guard fields.epoch == segment.nextEpoch else {
          throw reader.damage(at: offset, "the block is of epoch \(fields.epoch), expected \(segment.nextEpoch)")
        }
        guard segment.partition.map({ $0 == fields.partition }) ?? true else {
          throw reader.damage(at: offset, "the block is of partition \(fields.partition), those before are of another")
        }
        segment.partition = fields.partition
        guard fields.previousChain == segment.endChain else {
          throw reader.damage(at: offset, "epoch \(fields.epoch) does not continue the block before it")
        }
        try visit(fields, bytes, offset)
        segment.blocks.append(BlockLocation(offset: offset, length: bytes.count, chain: fields.chain))
      }
    }
  }

  private static func check(
    _ header: FileHeader, continues position: LogPosition, _ reader: FileReader
  ) throws(CheckpointError) {
    if position.lineage == nil {
      if header.isFirst { return }
      throw reader.damage(at: 0, "the base before this log, of epoch \(header.epoch &- 1), is missing")
    }
    if header.isFirst || header.epoch != position.epoch {
      throw reader.damage(at: 0, "the log that holds epoch \(position.epoch) is missing before this one")
    }
    if header.lineage != position.lineage || header.chain != position.chain {
      throw reader.damage(at: 0, "this log does not continue the file before it; it belongs to another state")
    }
  }

  /// The first byte at or after `start` at which a whole block of this lineage begins.
  static func laterBlock(
    _ reader: FileReader, from start: UInt64, lineage: Lineage
  ) throws(CheckpointError) -> UInt64? {
    let headBytes = FrameKind.epochBlock.bytesMin
    var offset = start
    while offset < reader.size, reader.size - offset >= UInt64(headBytes) {
      let span = Int(min(reader.size - offset, UInt64(CheckpointLimits.readWindowBytes)))
      guard let bytes = try reader.bytes(at: offset, count: span) else { return nil }
      // Only bytes that also carry the random lineage are worth a checksum, so stored values cannot feign blocks.
      var candidates: [UInt64] = []
      for at in 0...(span - headBytes)
      where bytes.load(UInt32.self, at: at + Format.Frame.kind) == FrameKind.epochBlock.rawValue
        && bytes.load(UInt64.self, at: at + Format.Block.lineageHigh) == lineage.high
        && bytes.load(UInt64.self, at: at + Format.Block.lineageLow) == lineage.low
      {
        candidates.append(offset + UInt64(at))
      }
      for candidate in candidates {
        if case .frame(.epochBlock, _) = try reader.frame(at: candidate) { return candidate }
      }
      offset += UInt64(span - headBytes + 1)
    }
    return nil
  }
}
