// The stored entries of a state, in the order they were written or, of the log, against it. One pass over the files.

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
  enum Order {
    /// The base, then the log.
    case asWritten
    /// The log from its last entry to its first, then the base, as it was written: the first entry of a key that is met is
    /// the one that counts.
    case newestFirst
  }

  private enum Source {
    case base(BaseInfo)
    case log(Segment)
  }

  private let disk: any Disk
  private let directory: String
  private let order: Order
  /// The next one last.
  private var sources: [Source]
  private var file: FileReader?
  private var at: UInt64 = 0
  /// Blocks of the log that were begun.
  private var blockCount = 0
  private var totals = BaseTotals()
  private var decompressor = EntryDecompressor()
  private var cursor = EntryCursor(UnsafeRawBufferPointer(start: nil, count: 0))
  private var cursorStart: UInt64 = 0
  private var remaining: UInt64 = 0
  private var remainingTombstones: UInt64 = 0
  /// Where the entries of a block lie that is read against its order, the next one last.
  private var places: [Int] = []

  init(_ plan: ReadPlan, on disk: any Disk, _ order: Order = .asWritten, includeBase: Bool = true) {
    self.disk = disk
    directory = plan.directory
    self.order = order
    let log = plan.segments.filter { !$0.blocks.isEmpty }.map { Source.log($0) }
    let base = includeBase ? plan.base.map { [Source.base($0)] } ?? [] : []
    sources = order == .asWritten ? log.reversed() + base : base + log
  }

  /// The next entry, its bytes valid until the next call; nil at the end.
  mutating func next() throws(CheckpointError) -> Entry? {
    while true {
      if let place = places.popLast() { return cursor.entry(at: place) }
      if let entry = try nextOfRun() {
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

  private mutating func nextOfRun() throws(CheckpointError) -> Entry? {
    guard let entry = cursor.next() else { return nil }
    if remaining == 0 { throw malformed("more entries than it says") }
    remaining -= 1
    if entry.value == nil {
      if remainingTombstones == 0 { throw malformed("more removals than it says") }
      remainingTombstones -= 1
    }
    return entry
  }

  /// The key of an entry to come, where it is known where that lies.
  func keyAhead(by distance: Int) -> UnsafeRawBufferPointer? {
    places.count >= distance ? cursor.entry(at: places[places.count - distance])?.key : nil
  }

  /// The entry given out last is the base's.
  var isInBase: Bool { if case .base = sources.last { true } else { false } }

  private func malformed(_ reason: String) -> CheckpointError {
    .damaged(Damage(path: file?.path ?? directory, offset: cursorStart, reason: reason))
  }

  private mutating func endSource() {
    sources.removeLast()
    file = nil
    blockCount = 0
    cursor = EntryCursor(UnsafeRawBufferPointer(start: nil, count: 0))
    // The blocks of a log may be far larger than the chunks of the base that is read next.
    decompressor.shrink(toAtMost: 4 * CheckpointLimits.baseChunkBytes)
  }

  private mutating func reader(
    _ name: String, start: UInt64, limit: UInt64, backwards: Bool = false
  ) throws(CheckpointError) -> FileReader {
    if let file { return file }
    let opened = try FileReader(
      CheckpointLayout.join(directory, name), on: disk, limit: limit, backwards: backwards)
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
      try begin(
        stored, plainBytes: Int(plainBytes), version: base.version,
        count: bytes.load(UInt64.self, at: Format.Chunk.entryCount), file)
      at += UInt64(bytes.count)
    case .bad(let reason): throw file.damage(at: at, reason)
    default: throw file.damage(at: at, "a chunk is missing")
    }
  }

  private mutating func advance(in segment: Segment) throws(CheckpointError) {
    if blockCount == segment.blocks.count { return endSource() }
    let isBackwards = order == .newestFirst
    let block = segment.blocks[isBackwards ? segment.blocks.count - 1 - blockCount : blockCount]
    let file = try reader(segment.name, start: block.offset, limit: segment.validEnd, backwards: isBackwards)
    at = block.offset
    let (fields, bytes) = try file.block(at: block)
    try begin(
      fields.entries(bytes), plainBytes: fields.plainEntryBytes, version: fields.version,
      count: UInt64(fields.entryCount), tombstones: UInt64(fields.tombstoneCount), file)
    blockCount += 1
    if isBackwards {
      repeat { places.append(cursor.at) } while try nextOfRun() != nil
      places.removeLast()
    }
  }

  private mutating func begin(
    _ stored: UnsafeRawBufferPointer, plainBytes: Int, version: UInt32, count: UInt64, tombstones: UInt64 = 0,
    _ file: FileReader
  ) throws(CheckpointError) {
    cursor = EntryCursor(try decompressor.plain(stored, bytes: plainBytes, version: version, in: file.path, at: at))
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
