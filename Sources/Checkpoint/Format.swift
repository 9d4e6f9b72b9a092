// Where every byte of a checkpoint file is. The page Checkpoint.docc/Format.md says the same in prose; change both.

/// The checkpoint format of this program.
enum Format {
  /// Written in every file and frame.
  static let version: UInt32 = 4
  /// The versions that are read. In a file all frames are of the file's own version.
  static let readable: ClosedRange<UInt32> = 1...4
  /// The first release of Tidewatch that reads `version`. Each file names it, so that an older program, which knows
  /// nothing else of a newer format, can say what is needed.
  static let release = Release(major: 0, minor: 4, patch: 0)

  /// "TWLOG" and "TWBASE", padded with zeros, read as a little-endian UInt64.
  static let logMagic: UInt64 = 0x0000_0047_4F4C_5754
  static let baseMagic: UInt64 = 0x0000_4553_4142_5754

  /// Sizes and offsets of the header that opens each file.
  enum File {
    static let bytes = 64
    static let checksum = 0
    static let magic = 8
    static let version = 16
    static let flags = 20
    static let lineageHigh = 24
    static let lineageLow = 32
    static let epoch = 40
    static let chain = 48
    /// Release that reads the file: three UInt16, major, minor and patch, and two zeros. In format 1 all zero.
    /// These bytes, and those before them, are the same in every version to come.
    static let release = 56

    /// The first log of a lineage: no base and no log came before it.
    static let flagFirst: UInt32 = 1
  }

  /// Sizes and offsets of the prefix common to all frames.
  enum Frame {
    static let prefixBytes = 32
    static let checksum = 0
    static let kind = 8
    static let version = 12
    static let length = 16
    /// Bytes before the body: the entries.
    static let headBytes = 20
    /// Epoch block and base head: chain checksum. Chunk: its index. End: the number of chunks.
    static let chain = 24
  }

  /// Epoch block (in a log) and base head: what follows the prefix.
  enum Block {
    static let previousChain = 32
    static let lineageHigh = 40
    static let lineageLow = 48
    static let epoch = 56
    static let clock = 64
    static let partition = 72
    static let partitionCount = 76
    static let flags = 80
    static let entryCount = 84
    static let tombstoneCount = 88
    static let topicCount = 92
    /// Records still to be skipped; zero in format 1.
    static let skipCount = 94
    /// Of the entries as they are stored.
    static let entryBytes = 96
    static let outboxBytes = 100
    static let rulesRevision = 104
    /// Of the entries before compression; from format 3 on.
    static let plainEntryBytes = 112

    static func names(_ version: UInt32) -> Int { version >= 3 ? 116 : 112 }

    /// An intervention without its topic: kind, from, to, wall clock.
    static let interventionBytes = 2 + 3 * 8

    static let flagCleanShutdown: UInt32 = 1
    static let flagOutbox: UInt32 = 2
    static let flagsKnown: UInt32 = 3
  }

  /// Chunk and end of a base: what follows the prefix.
  enum Chunk {
    static let lineageHigh = 32
    static let lineageLow = 40
    static let epoch = 48
    /// Chunk: entries in it. End: entries in the base.
    static let entryCount = 56
    /// Chunk only, from format 3 on: bytes of the entries before compression.
    static let plainBytes = 64
    /// End only: key and value bytes of the base, and the checksum of the chunks' checksums.
    static let keyBytes = 64
    static let valueBytes = 72
    static let chunksChecksum = 80
    static let endBytes = 88

    /// Bytes of a chunk before its entries.
    static func headBytes(_ version: UInt32) -> Int { version >= 3 ? 72 : 64 }
  }

  /// An entry: UInt32 value length, UInt16 key length, key, value.
  enum Entry {
    static let prefixBytes = 6
    /// Value length of a tombstone, which has no value.
    static let tombstone = UInt32.max
  }
}

/// What a frame is, by its four magic letters.
enum FrameKind: UInt32 {
  /// "TWEB"
  case epochBlock = 0x4245_5754
  /// "TWBH"
  case baseHead = 0x4842_5754
  /// "TWBC"
  case baseChunk = 0x4342_5754
  /// "TWBE"
  case baseEnd = 0x4542_5754

  /// Fixed bytes, the least a frame of this kind has, of whatever version.
  var bytesMin: Int {
    switch self {
    case .epochBlock, .baseHead: Format.Block.names(1) + 4 * 2
    case .baseChunk: Format.Chunk.headBytes(1)
    case .baseEnd: Format.Chunk.endBytes
    }
  }

  var bytesMax: Int {
    switch self {
    case .epochBlock, .baseHead: CheckpointLimits.blockBytesMax
    case .baseChunk:
      Format.Chunk.headBytes(Format.version) + CheckpointLimits.chunkEntryBytesMax
    case .baseEnd: Format.Chunk.endBytes
    }
  }
}

/// A release of Tidewatch.
struct Release: Hashable, CustomStringConvertible {
  var major: UInt16
  var minor: UInt16
  var patch: UInt16

  var description: String { "\(major).\(minor).\(patch)" }
}

/// The header that opens a file.
struct FileHeader: Hashable {
  var isBase: Bool
  var version = Format.version
  var isFirst = false
  var lineage: Lineage
  /// Log: the epoch of its first block. Base: its epoch.
  var epoch: UInt64
  /// Log: the chain checksum before its first block. Base: that of its epoch.
  var chain: UInt64

  func encoded() -> RawBuffer {
    var buffer = RawBuffer(capacity: Format.File.bytes)
    buffer.append(UInt64(0))
    buffer.append(isBase ? Format.baseMagic : Format.logMagic)
    buffer.append(Format.version)
    buffer.append(isFirst ? Format.File.flagFirst : 0)
    buffer.append(lineage.high)
    buffer.append(lineage.low)
    buffer.append(epoch)
    buffer.append(chain)
    buffer.append(Format.release.major)
    buffer.append(Format.release.minor)
    buffer.append(Format.release.patch)
    buffer.append(UInt16(0))
    assert(buffer.count == Format.File.bytes)
    buffer.store(checksum(buffer.bytes.slice(8, Format.File.bytes)), at: Format.File.checksum)
    return buffer
  }

  /// Reads and checks the header of `reader`'s file.
  static func read(_ reader: FileReader, isBase: Bool) throws(CheckpointError) -> FileHeader {
    guard let bytes = try reader.bytes(at: 0, count: Format.File.bytes) else {
      throw reader.damage(at: 0, "the file has only \(reader.size) bytes, too few for a header")
    }
    guard checksum(bytes.slice(8, Format.File.bytes)) == bytes.load(UInt64.self, at: Format.File.checksum) else {
      throw reader.damage(at: 0, "the checksum of the file header is wrong")
    }
    guard bytes.load(UInt64.self, at: Format.File.magic) == (isBase ? Format.baseMagic : Format.logMagic) else {
      throw reader.damage(at: 0, "the file is not a \(isBase ? "base" : "log")")
    }
    let version = bytes.load(UInt32.self, at: Format.File.version)
    if !Format.readable.contains(version) {
      let release = Release(
        major: bytes.load(UInt16.self, at: Format.File.release),
        minor: bytes.load(UInt16.self, at: Format.File.release + 2),
        patch: bytes.load(UInt16.self, at: Format.File.release + 4))
      throw .unsupportedFormat(
        path: reader.path, version: version,
        release: version > Format.version && release != Release(major: 0, minor: 0, patch: 0) ? "\(release)" : nil)
    }
    if bytes.load(UInt32.self, at: Format.File.flags) & ~(isBase ? 0 : Format.File.flagFirst) != 0 {
      throw reader.damage(at: 0, "its header has flags that this program does not know")
    }
    if !isBase, bytes.load(UInt32.self, at: Format.File.flags) & Format.File.flagFirst != 0,
      bytes.load(UInt64.self, at: Format.File.chain) != 0
    {
      throw reader.damage(at: 0, "it is the first log of its lineage and yet continues another")
    }
    if bytes.load(UInt64.self, at: Format.File.epoch) > CheckpointLimits.epochMax {
      throw reader.damage(at: 0, "its epoch is impossibly large")
    }
    return FileHeader(
      isBase: isBase, version: version,
      isFirst: bytes.load(UInt32.self, at: Format.File.flags) & Format.File.flagFirst != 0,
      lineage: Lineage(
        high: bytes.load(UInt64.self, at: Format.File.lineageHigh),
        low: bytes.load(UInt64.self, at: Format.File.lineageLow)),
      epoch: bytes.load(UInt64.self, at: Format.File.epoch), chain: bytes.load(UInt64.self, at: Format.File.chain))
  }
}
