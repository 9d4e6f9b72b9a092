// Reading the head of an epoch block or of a base, and its entries, out of bytes whose checksum is right.

/// The fixed part of an epoch block or base head.
struct BlockFields {
  var version: UInt32
  var length: Int
  var headBytes: Int
  var chain: UInt64
  var previousChain: UInt64
  var lineage: Lineage
  var epoch: UInt64
  var partition: Int32
  var entryCount: Int
  var tombstoneCount: Int
  /// As they are stored.
  var entryBytes: Int
  /// Before compression; the same where they are stored as they are.
  var plainEntryBytes: Int
  var outboxBytes: Int
  var hasOutbox: Bool

  /// Nil, with a reason, when sizes contradict each other.
  static func read(_ bytes: UnsafeRawBufferPointer, kind: FrameKind) -> Result<BlockFields, MalformedBlock> {
    typealias Block = Format.Block
    let version = bytes.load(UInt32.self, at: Format.Frame.version)
    let fields = BlockFields(
      version: version, length: bytes.count,
      headBytes: Int(bytes.load(UInt32.self, at: Format.Frame.headBytes)),
      chain: bytes.load(UInt64.self, at: Format.Frame.chain),
      previousChain: bytes.load(UInt64.self, at: Block.previousChain),
      lineage: Lineage(
        high: bytes.load(UInt64.self, at: Block.lineageHigh), low: bytes.load(UInt64.self, at: Block.lineageLow)),
      epoch: bytes.load(UInt64.self, at: Block.epoch), partition: bytes.load(Int32.self, at: Block.partition),
      entryCount: Int(bytes.load(UInt32.self, at: Block.entryCount)),
      tombstoneCount: Int(bytes.load(UInt32.self, at: Block.tombstoneCount)),
      entryBytes: Int(bytes.load(UInt32.self, at: Block.entryBytes)),
      plainEntryBytes: Int(
        bytes.load(UInt32.self, at: version >= 3 ? Block.plainEntryBytes : Block.entryBytes)),
      outboxBytes: Int(bytes.load(UInt32.self, at: Block.outboxBytes)),
      hasOutbox: bytes.load(UInt32.self, at: Block.flags) & Block.flagOutbox != 0)
    let headBytesMin = Block.names(version) + 4 * 2 + (version >= 2 ? 2 : 0)
    guard fields.headBytes >= headBytesMin, fields.tombstoneCount <= fields.entryCount,
      fields.headBytes + fields.entryBytes + fields.outboxBytes == bytes.count,
      fields.entryBytes <= fields.plainEntryBytes,
      fields.plainEntryBytes <= CheckpointLimits.blockBytesMax - fields.headBytes
    else { return .failure(MalformedBlock(reason: "the lengths in the block contradict each other")) }
    // What no writer writes is not understood, and must not be dropped in silence when the state is written again.
    let flags = bytes.load(UInt32.self, at: Block.flags)
    guard flags & ~Block.flagsKnown == 0, fields.hasOutbox || fields.outboxBytes == 0,
      version >= 2 || bytes.load(UInt16.self, at: Block.skipCount) == 0,
      kind == .epochBlock || fields.entryCount == 0 && fields.plainEntryBytes == 0 && !fields.hasOutbox
    else { return .failure(MalformedBlock(reason: "the block says what this program does not know")) }
    // The head of a base names the chain of its epoch, which other bytes made.
    if kind == .epochBlock && checksum(bytes.slice(Block.previousChain, bytes.count)) != fields.chain {
      return .failure(MalformedBlock(reason: "the chain checksum does not cover these bytes"))
    }
    return .success(fields)
  }

  /// The entries of the block `bytes`, as they are stored.
  func entries(_ bytes: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer {
    bytes.slice(headBytes, headBytes + entryBytes)
  }

  /// Reads all entries of the block `bytes`, which begins at `offset` of the file.
  /// - Throws: `.damaged` where they cannot be decompressed, are not as many as the block says or do not end where it
  ///   says; `.disk` without memory to read them.
  func checkEntries(
    _ bytes: UnsafeRawBufferPointer, with decompressor: inout EntryDecompressor, in path: String, at offset: UInt64
  ) throws(CheckpointError) {
    var cursor = EntryCursor(
      try decompressor.plain(entries(bytes), bytes: plainEntryBytes, version: version, in: path, at: offset))
    var count = 0
    var tombstones = 0
    while let entry = cursor.next() {
      count += 1
      if entry.value == nil { tombstones += 1 }
    }
    guard cursor.isAtEnd, count == entryCount, tombstones == tombstoneCount else {
      throw .damaged(Damage(path: path, offset: offset, reason: "the entries of the block do not fit"))
    }
  }

  static let malformedHeader = "the header of the block is malformed"

  var tag: EpochTag { EpochTag(lineage: lineage, epoch: epoch, chain: chain) }

  /// The whole header; nil when a name or a list does not fit or says what cannot be.
  func header(_ bytes: UnsafeRawBufferPointer) -> EpochHeader? {
    typealias Block = Format.Block
    var at = Block.names(version)
    func name() -> String? {
      guard at + 2 <= headBytes else { return nil }
      let count = Int(bytes.load(UInt16.self, at: at))
      guard count <= CheckpointLimits.nameBytesMax, at + 2 + count <= headBytes else { return nil }
      defer { at += 2 + count }
      return String(validating: bytes.slice(at + 2, at + 2 + count), as: UTF8.self)
    }
    guard let fingerprint = name(), let model = name(), let engine = name(), let zone = name() else { return nil }
    let topicCount = Int(bytes.load(UInt16.self, at: Block.topicCount))
    guard topicCount <= CheckpointLimits.topicsMax else { return nil }
    var offsets: [TopicOffset] = []
    offsets.reserveCapacity(topicCount)
    for _ in 0..<topicCount {
      guard let topic = name(), at + 8 <= headBytes else { return nil }
      offsets.append(TopicOffset(topic: topic, next: bytes.load(Int64.self, at: at)))
      at += 8
    }
    var skips: [SkippedOffset] = []
    var interventions: [Intervention] = []
    if version >= 2 {
      for _ in 0..<bytes.load(UInt16.self, at: Block.skipCount) {
        guard let topic = name(), at + 8 <= headBytes else { return nil }
        skips.append(SkippedOffset(topic: topic, offset: bytes.load(Int64.self, at: at)))
        at += 8
      }
      guard at + 2 <= headBytes else { return nil }
      let count = bytes.load(UInt16.self, at: at)
      at += 2
      for _ in 0..<count {
        guard let topic = name(), at + Block.interventionBytes <= headBytes,
          let kind = Intervention.Kind(rawValue: bytes.load(UInt16.self, at: at))
        else { return nil }
        interventions.append(
          Intervention(
            kind: kind, topic: topic, from: bytes.load(Int64.self, at: at + 2),
            to: bytes.load(Int64.self, at: at + 10), wallMicroseconds: bytes.load(Int64.self, at: at + 18)))
        at += Block.interventionBytes
      }
    }
    guard at == headBytes else { return nil }
    let header = EpochHeader(
      lineage: lineage, epoch: epoch, clock: bytes.load(Int64.self, at: Block.clock),
      partition: bytes.load(Int32.self, at: Block.partition),
      partitionCount: bytes.load(Int32.self, at: Block.partitionCount), offsets: offsets,
      rulesRevision: bytes.load(UInt64.self, at: Block.rulesRevision), rulesFingerprint: fingerprint,
      modelVersion: model, engineVersion: engine, timeZoneVersion: zone,
      cleanShutdown: bytes.load(UInt32.self, at: Block.flags) & Block.flagCleanShutdown != 0, skips: skips,
      interventions: interventions)
    return header.fault == nil ? header : nil
  }
}

struct MalformedBlock: Error {
  var reason: String
}

/// One stored entry. A nil value is a tombstone: the key is gone.
struct Entry {
  var key: UnsafeRawBufferPointer
  var value: UnsafeRawBufferPointer?
}

/// Walks the entries of one block or chunk.
struct EntryCursor {
  private let bytes: UnsafeRawBufferPointer
  /// Where the next entry begins.
  private(set) var at: Int

  /// `bytes`: the entries alone.
  init(_ bytes: UnsafeRawBufferPointer) {
    self.bytes = bytes
    at = 0
  }

  var isAtEnd: Bool { at == bytes.count }

  /// An entry that `next` has given out before, where `at` was then.
  func entry(at place: Int) -> Entry? {
    var cursor = self
    cursor.at = place
    return cursor.next()
  }

  /// Nil at the end, and where the lengths run over the end: then `isAtEnd` is false.
  mutating func next() -> Entry? {
    guard bytes.count - at >= Format.Entry.prefixBytes else { return nil }
    let valueLength = bytes.load(UInt32.self, at: at)
    let keyLength = Int(bytes.load(UInt16.self, at: at + 4))
    let valueBytes = valueLength == Format.Entry.tombstone ? 0 : Int(valueLength)
    let start = at + Format.Entry.prefixBytes
    guard keyLength <= CheckpointLimits.keyBytesMax, valueBytes <= CheckpointLimits.valueBytesMax,
      keyLength + valueBytes <= bytes.count - start
    else { return nil }
    at = start + keyLength + valueBytes
    return Entry(
      key: bytes.slice(start, start + keyLength),
      value: valueLength == Format.Entry.tombstone ? nil : bytes.slice(start + keyLength, at))
  }
}
