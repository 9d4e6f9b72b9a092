// The stored entries of a state in the order they were written: the base, then the log. One sequential pass.

/// Which files hold a state, and up to where.
struct ReadPlan: Sendable {
  var directory: String
  var base: BaseInfo?
  /// Only the blocks that belong to the state.
  var segments: [Segment]

  var logBytes: UInt64 { segments.reduce(0) { $0 + $1.blockBytes } }
}

/// Pulls entries; every block and chunk is checked by its checksum before the first of its entries is given out.
struct EntryReader: ~Copyable {
  private enum Source {
    case base(BaseInfo)
    case log(Segment)
  }

  private let disk: any Disk
  private let directory: String
  private var sources: [Source]
  private var file: FileReader?
  private var at: UInt64 = 0
  private var blockIndex = 0
  private var totals = BaseTotals()
  private var decompressor = EntryDecompressor()
  private var cursor = EntryCursor(UnsafeRawBufferPointer(start: nil, count: 0))
  private var cursorStart: UInt64 = 0
  private var remaining: UInt64 = 0
  private var remainingTombstones: UInt64 = 0

  init(_ plan: ReadPlan, on disk: any Disk, includeBase: Bool = true, includeLog: Bool = true) {
    self.disk = disk
    directory = plan.directory
    sources = []
    if includeLog {
      for segment in plan.segments.reversed() where !segment.blocks.isEmpty { sources.append(.log(segment)) }
    }
    if includeBase, let base = plan.base { sources.append(.base(base)) }
  }

  /// The next entry, its bytes valid until the next call; nil at the end.
  mutating func next() throws(CheckpointError) -> Entry? {
    while true {
      if let entry = cursor.next() {
        if remaining == 0 { throw malformed("more entries than it says") }
        remaining -= 1
        if entry.value == nil {
          if remainingTombstones == 0 { throw malformed("more removals than it says") }
          remainingTombstones -= 1
        }
        if case .base = sources.last { totals.count(entry) }
        return entry
      }
      if !cursor.isAtEnd { throw malformed("the lengths of an entry run over the end") }
      if remaining != 0 || remainingTombstones != 0 { throw malformed("fewer entries than it says") }
      guard let source = sources.last else { return nil }
      switch source {
      case .base(let base): try advance(in: base)
      case .log(let segment): try advance(in: segment)
      }
    }
  }

  private func malformed(_ reason: String) -> CheckpointError {
    .damaged(Damage(path: file?.path ?? directory, offset: cursorStart, reason: reason))
  }

  private mutating func endSource() {
    sources.removeLast()
    file = nil
    blockIndex = 0
    cursor = EntryCursor(UnsafeRawBufferPointer(start: nil, count: 0))
  }

  private mutating func reader(_ name: String, start: UInt64, limit: UInt64) throws(CheckpointError) -> FileReader {
    if let file { return file }
    let opened = try FileReader(CheckpointLayout.join(directory, name), on: disk, limit: limit)
    file = opened
    at = start
    return opened
  }

  private mutating func advance(in base: BaseInfo) throws(CheckpointError) {
    let file = try reader(base.name, start: base.chunksStart, limit: base.fileBytes)
    if at == base.chunksEnd {
      if totals != base.totals { throw file.damage(at: at, "the base does not hold what its end says") }
      return endSource()
    }
    switch try file.frame(at: at) {
    case .frame(.baseChunk, let bytes):
      let headBytes = Format.Chunk.headBytes(base.version)
      guard EntryReader.owner(of: bytes) == (base.lineage, base.epoch),
        bytes.load(UInt64.self, at: Format.Frame.chain) == totals.chunkCount,
        bytes.load(UInt32.self, at: Format.Frame.headBytes) == headBytes, bytes.count >= headBytes,
        bytes.load(UInt32.self, at: Format.Frame.version) == base.version
      else { throw file.damage(at: at, "a chunk of another base, or out of order") }
      totals.fold(chunkChecksum: bytes.load(UInt64.self, at: Format.Frame.checksum))
      let stored = bytes.slice(headBytes, bytes.count)
      let plainBytes =
        base.version >= 3 ? bytes.load(UInt64.self, at: Format.Chunk.plainBytes) : UInt64(stored.count)
      guard plainBytes <= CheckpointLimits.chunkEntryBytesMax else {
        throw file.damage(at: at, "a chunk of \(plainBytes) bytes is impossible")
      }
      try begin(stored, plainBytes: Int(plainBytes), count: bytes.load(UInt64.self, at: Format.Chunk.entryCount), file)
      at += UInt64(bytes.count)
    case .bad(let reason): throw file.damage(at: at, reason)
    default: throw file.damage(at: at, "a chunk is missing")
    }
  }

  private mutating func advance(in segment: Segment) throws(CheckpointError) {
    if blockIndex == segment.blocks.count { return endSource() }
    let block = segment.blocks[blockIndex]
    let file = try reader(segment.name, start: block.offset, limit: segment.validEnd)
    at = block.offset
    let (fields, bytes) = try file.block(at: block)
    try begin(
      fields.entries(bytes), plainBytes: fields.plainEntryBytes, count: UInt64(fields.entryCount),
      tombstones: UInt64(fields.tombstoneCount), file)
    blockIndex += 1
  }

  private mutating func begin(
    _ stored: UnsafeRawBufferPointer, plainBytes: Int, count: UInt64, tombstones: UInt64 = 0, _ file: FileReader
  ) throws(CheckpointError) {
    cursor = EntryCursor(try decompressor.plain(stored, bytes: plainBytes, in: file.path, at: at))
    cursorStart = at
    remaining = count
    remainingTombstones = tombstones
  }

  /// Whose chunk or end this is.
  static func owner(of bytes: UnsafeRawBufferPointer) -> (Lineage, UInt64) {
    let lineage = Lineage(
      high: bytes.load(UInt64.self, at: Format.Chunk.lineageHigh),
      low: bytes.load(UInt64.self, at: Format.Chunk.lineageLow))
    return (lineage, bytes.load(UInt64.self, at: Format.Chunk.epoch))
  }
}
