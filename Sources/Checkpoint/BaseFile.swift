// A base: the whole state of one committed epoch, in one file that is written once and then only read.
// File header, head (the epoch's header), chunks of entries, end (totals). Each key is there once, with its value.
import CXXHash

/// What identifies a base and bounds it.
struct BaseInfo: Sendable {
  var version = Format.version
  var header: EpochHeader
  var chain: UInt64
  var previousChain: UInt64
  var fileBytes: UInt64
  var totals: BaseTotals
  /// The first byte after the head.
  var chunksStart: UInt64
  var headBytes: Int

  var lineage: Lineage { header.lineage }
  var epoch: UInt64 { header.epoch }
  var name: String { FileName(.base, epoch).text }
  /// The first byte after the chunks.
  var chunksEnd: UInt64 { fileBytes - UInt64(Format.Chunk.endBytes) }
}

struct BaseTotals: Hashable, Sendable {
  var entryCount: UInt64 = 0
  var keyBytes: UInt64 = 0
  var valueBytes: UInt64 = 0
  var chunkCount: UInt64 = 0
  /// Each chunk's checksum folded into the one before.
  var chunksChecksum: UInt64 = 0

  mutating func fold(chunkChecksum: UInt64) {
    chunkCount += 1
    var bytes = chunkChecksum.littleEndian
    let previous = chunksChecksum
    chunksChecksum = withUnsafeBytes(of: &bytes) { tw_xxh3_64($0.baseAddress, $0.count, previous) }
  }

  mutating func count(_ entry: Entry) {
    entryCount += 1
    keyBytes += UInt64(entry.key.count)
    valueBytes += UInt64(entry.value?.count ?? 0)
  }
}

extension BaseInfo {
  /// Reads file header, head and end. The chunks are checked when they are read.
  static func read(
    _ name: FileName, in directory: String, on disk: any Disk
  ) throws(CheckpointError) -> BaseInfo {
    try FileReader.withFile(CheckpointLayout.join(directory, name.text), on: disk) { reader throws(CheckpointError) in
      try read(name, reader)
    }
  }

  private static func read(_ name: FileName, _ reader: FileReader) throws(CheckpointError) -> BaseInfo {
    let file = try FileHeader.read(reader, isBase: true)
    let headStart = UInt64(Format.File.bytes)
    guard file.epoch == name.epoch else { throw reader.damage(at: 0, "its header says epoch \(file.epoch)") }

    let head: (fields: BlockFields, header: EpochHeader)
    switch try reader.frame(at: headStart) {
    case .frame(.baseHead, let bytes):
      guard case .success(let fields) = BlockFields.read(bytes, kind: .baseHead), let header = fields.header(bytes)
      else { throw reader.damage(at: headStart, "the head of the base is malformed") }
      head = (fields, header)
    case .bad(let reason): throw reader.damage(at: headStart, reason)
    default: throw reader.damage(at: headStart, "the head of the base is missing")
    }
    guard head.fields.tag == EpochTag(lineage: file.lineage, epoch: file.epoch, chain: file.chain) else {
      throw reader.damage(at: headStart, "the head is of \(head.fields.tag), the file of epoch \(file.epoch)")
    }

    guard head.fields.version == file.version else {
      throw reader.damage(at: headStart, "the head is of format \(head.fields.version), the file of \(file.version)")
    }
    let chunksStart = headStart + UInt64(head.fields.length)
    guard reader.size >= chunksStart + UInt64(Format.Chunk.endBytes) else {
      throw reader.damage(at: chunksStart, "the end of the base is missing")
    }
    let endStart = reader.size - UInt64(Format.Chunk.endBytes)
    switch try reader.frame(at: endStart) {
    case .frame(.baseEnd, let bytes)
    where EntryReader.owner(of: bytes) == (file.lineage, file.epoch)
      && bytes.load(UInt32.self, at: Format.Frame.version) == file.version:
      let totals = BaseTotals(
        entryCount: bytes.load(UInt64.self, at: Format.Chunk.entryCount),
        keyBytes: bytes.load(UInt64.self, at: Format.Chunk.keyBytes),
        valueBytes: bytes.load(UInt64.self, at: Format.Chunk.valueBytes),
        chunkCount: bytes.load(UInt64.self, at: Format.Frame.chain),
        chunksChecksum: bytes.load(UInt64.self, at: Format.Chunk.chunksChecksum))
      return BaseInfo(
        version: file.version, header: head.header, chain: file.chain, previousChain: head.fields.previousChain,
        fileBytes: reader.size, totals: totals, chunksStart: chunksStart, headBytes: head.fields.length)
    case .bad(let reason): throw reader.damage(at: endStart, "the end of the base: \(reason)")
    default: throw reader.damage(at: endStart, "the end of the base is missing")
    }
  }
}

/// Writes a base, chunk by chunk, to a temporary file.
struct BaseFileWriter: ~Copyable {
  private let file: any DiskFile
  private let header: EpochHeader
  private let chain: UInt64
  private let previousChain: UInt64
  private var at: UInt64
  private var chunk = RawBuffer(capacity: CheckpointLimits.baseChunkBytes + (64 << 10))
  private var chunkEntries: UInt64 = 0
  private var compressor: EntryCompressor
  private var totals = BaseTotals()
  private var unsyncedBytes = 0
  private let chunksStart: UInt64

  /// Creates the file and writes its head.
  static func create(
    _ path: String, on disk: any Disk, header: EpochHeader, chain: UInt64, previousChain: UInt64, shape: ValueShape?
  ) throws(CheckpointError) -> BaseFileWriter {
    var head = EntryWriter(capacity: 4096)
    try head.begin(header, kind: .baseHead, previousChain: previousChain)
    head.sealFrame(chain: chain)
    let fileHeader = FileHeader(isBase: true, lineage: header.lineage, epoch: header.epoch, chain: chain).encoded()
    let file: any DiskFile
    do {
      file = try disk.open(path, .create)
      try fileHeader.withBytes { bytes throws(DiskError) in try file.write(bytes, at: 0) }
      let headStart = UInt64(fileHeader.count)
      try head.buffer.withBytes { bytes throws(DiskError) in try file.write(bytes, at: headStart) }
    } catch { throw .disk(error) }
    return BaseFileWriter(
      file: file, header: header, chain: chain, previousChain: previousChain,
      chunksStart: UInt64(fileHeader.count + head.buffer.count), shape: shape)
  }

  private init(
    file: any DiskFile, header: EpochHeader, chain: UInt64, previousChain: UInt64, chunksStart: UInt64,
    shape: ValueShape?
  ) {
    compressor = EntryCompressor(shape, ArrangingMemory())
    self.file = file
    self.header = header
    self.chain = chain
    self.previousChain = previousChain
    self.chunksStart = chunksStart
    at = chunksStart
  }

  /// `entry` is live and its key was not added before.
  mutating func add(_ entry: Entry) throws(CheckpointError) {
    guard let value = entry.value else { return assertionFailure("a base has no tombstones") }
    if chunkEntries == 0 {
      beginFrame(.baseChunk, headBytes: Format.Chunk.headBytes(Format.version))
      chunk.append(UInt64(0))  // bytes before compression
    }
    chunk.append(UInt32(value.count))
    chunk.append(UInt16(entry.key.count))
    chunk.append(entry.key)
    chunk.append(value)
    chunkEntries += 1
    totals.count(entry)
    if chunk.count >= CheckpointLimits.baseChunkBytes { try flushChunk() }
  }

  /// Writes the end and makes the file durable.
  mutating func finish() throws(CheckpointError) -> BaseInfo {
    if chunkEntries > 0 { try flushChunk() }
    beginFrame(.baseEnd, headBytes: Format.Chunk.keyBytes)
    chunk.store(totals.entryCount, at: Format.Chunk.entryCount)
    chunk.append(totals.keyBytes)
    chunk.append(totals.valueBytes)
    chunk.append(totals.chunksChecksum)
    assert(chunk.count == Format.Chunk.endBytes)
    try sealAndWrite(chain: totals.chunkCount)
    do { try file.sync() } catch { throw .disk(error) }
    return BaseInfo(
      header: header, chain: chain, previousChain: previousChain, fileBytes: at, totals: totals,
      chunksStart: chunksStart, headBytes: Int(chunksStart) - Format.File.bytes)
  }

  private mutating func beginFrame(_ kind: FrameKind, headBytes: Int) {
    chunk.clear()
    chunk.append(UInt64(0))  // checksum
    chunk.append(kind.rawValue)
    chunk.append(Format.version)
    chunk.append(UInt32(0))  // length
    chunk.append(UInt32(headBytes))
    chunk.append(UInt64(0))  // index
    chunk.append(header.lineage.high)
    chunk.append(header.lineage.low)
    chunk.append(header.epoch)
    chunk.append(UInt64(0))  // entries
  }

  private mutating func flushChunk() throws(CheckpointError) {
    let headBytes = Format.Chunk.headBytes(Format.version)
    chunk.store(chunkEntries, at: Format.Chunk.entryCount)
    chunk.store(UInt64(chunk.count - headBytes), at: Format.Chunk.plainBytes)
    compressor.compress(&chunk, from: headBytes)
    try sealAndWrite(chain: totals.chunkCount)
    totals.fold(chunkChecksum: chunk.bytes.load(UInt64.self, at: Format.Frame.checksum))
    chunkEntries = 0
  }

  private mutating func sealAndWrite(chain: UInt64) throws(CheckpointError) {
    chunk.store(UInt32(chunk.count), at: Format.Frame.length)
    chunk.store(chain, at: Format.Frame.chain)
    chunk.store(checksum(chunk.bytes.slice(8, chunk.count)), at: Format.Frame.checksum)
    do {
      try file.write(chunk.bytes, at: at)
      unsyncedBytes += chunk.count
      if unsyncedBytes >= CheckpointLimits.baseSyncBytes {
        try file.sync()
        unsyncedBytes = 0
      }
    } catch { throw .disk(error) }
    at += UInt64(chunk.count)
  }
}
