// Building a block in memory: head, entries, which are compressed when all are there, outbox, then checksums. The buffer
// lives as long as the store.

/// Receives the entries of the epoch being appended. Within a block the last entry of a key wins.
///
/// The first entry that breaks a limit is remembered and makes the whole append fail.
public struct EntryWriter: ~Copyable {
  var buffer: RawBuffer
  private var compressor: EntryCompressor
  private var headBytes = 0
  private(set) var entryCount = 0
  private var tombstoneCount = 0
  private(set) var failure: CheckpointError?

  /// - Parameters:
  ///   - shape: of most values.
  ///   - memory: to arrange them in.
  init(capacity: Int, shape: ValueShape? = nil, memory: ArrangingMemory = ArrangingMemory()) {
    buffer = RawBuffer(capacity: capacity)
    compressor = EntryCompressor(shape, memory)
  }

  /// Stores `value` under `key`; both are copied.
  @inline(__always)
  public mutating func put(key: UnsafeRawBufferPointer, value: UnsafeRawBufferPointer) {
    guard accepts(key: key, valueBytes: value.count) else { return }
    buffer.append(UInt32(value.count))
    buffer.append(UInt16(key.count))
    buffer.append(key)
    buffer.append(value)
    entryCount += 1
  }

  /// Stores that `key` is gone.
  public mutating func remove(key: UnsafeRawBufferPointer) {
    guard accepts(key: key, valueBytes: 0) else { return }
    buffer.append(Format.Entry.tombstone)
    buffer.append(UInt16(key.count))
    buffer.append(key)
    entryCount += 1
    tombstoneCount += 1
  }

  public mutating func put(key: [UInt8], value: [UInt8]) {
    key.withUnsafeBytes { key in value.withUnsafeBytes { value in put(key: key, value: value) } }
  }

  public mutating func remove(key: [UInt8]) { key.withUnsafeBytes { remove(key: $0) } }

  @inline(__always)
  private mutating func accepts(key: UnsafeRawBufferPointer, valueBytes: Int) -> Bool {
    if failure != nil { return false }
    let total = buffer.count + Format.Entry.prefixBytes + key.count + valueBytes
    if key.count <= CheckpointLimits.keyBytesMax && valueBytes <= CheckpointLimits.valueBytesMax
      && total <= CheckpointLimits.blockBytesMax
    {
      return true
    }
    if key.count > CheckpointLimits.keyBytesMax {
      failure = .tooLarge(what: "a key", bytes: key.count, limit: CheckpointLimits.keyBytesMax)
    } else if valueBytes > CheckpointLimits.valueBytesMax {
      failure = .tooLarge(what: "a value", bytes: valueBytes, limit: CheckpointLimits.valueBytesMax)
    } else {
      failure = .tooLarge(what: "the epoch block", bytes: total, limit: CheckpointLimits.blockBytesMax)
    }
    return false
  }

  // MARK: The store's side

  /// Starts a block; entries may follow.
  mutating func begin(_ header: EpochHeader, kind: FrameKind, previousChain: UInt64) throws(CheckpointError) {
    try EntryWriter.check(header)
    buffer.clear()
    entryCount = 0
    tombstoneCount = 0
    failure = nil
    buffer.append(UInt64(0))  // checksum
    buffer.append(kind.rawValue)
    buffer.append(Format.version)
    buffer.append(UInt32(0))  // length
    buffer.append(UInt32(0))  // head bytes
    buffer.append(UInt64(0))  // chain
    buffer.append(previousChain)
    buffer.append(header.lineage.high)
    buffer.append(header.lineage.low)
    buffer.append(header.epoch)
    buffer.append(header.clock)
    buffer.append(header.partition)
    buffer.append(header.partitionCount)
    buffer.append(header.cleanShutdown ? Format.Block.flagCleanShutdown : 0)
    buffer.append(UInt32(0))  // entries
    buffer.append(UInt32(0))  // tombstones
    buffer.append(UInt16(header.offsets.count))
    buffer.append(UInt16(header.skips.count))
    buffer.append(UInt32(0))  // entry bytes
    buffer.append(UInt32(0))  // outbox bytes
    buffer.append(header.rulesRevision)
    buffer.append(UInt32(0))  // entry bytes before compression
    assert(buffer.count == Format.Block.names(Format.version))
    buffer.append(name: header.rulesFingerprint)
    buffer.append(name: header.modelVersion)
    buffer.append(name: header.engineVersion)
    buffer.append(name: header.timeZoneVersion)
    for offset in header.offsets {
      buffer.append(name: offset.topic)
      buffer.append(offset.next)
    }
    for skip in header.skips {
      buffer.append(name: skip.topic)
      buffer.append(skip.offset)
    }
    buffer.append(UInt16(header.interventions.count))
    for intervention in header.interventions {
      buffer.append(name: intervention.topic)
      buffer.append(intervention.kind.rawValue)
      buffer.append(intervention.from)
      buffer.append(intervention.to)
      buffer.append(intervention.wallMicroseconds)
    }
    headBytes = buffer.count
    buffer.store(UInt32(headBytes), at: Format.Frame.headBytes)
  }

  /// Ends the block with its outbox and checksums; returns its chain checksum.
  mutating func finish(outbox: UnsafeRawBufferPointer?) throws(CheckpointError) -> UInt64 {
    if let failure { throw failure }
    let plainEntryBytes = buffer.count - headBytes
    compressor.compress(&buffer, from: headBytes)
    let entryBytes = buffer.count - headBytes
    let outboxBytes = outbox?.count ?? 0
    if outboxBytes > CheckpointLimits.blockBytesMax - buffer.count {
      throw .tooLarge(
        what: "the epoch block with its outbox", bytes: buffer.count + outboxBytes,
        limit: CheckpointLimits.blockBytesMax)
    }
    if let outbox {
      buffer.append(outbox)
      let flags = buffer.bytes.load(UInt32.self, at: Format.Block.flags)
      buffer.store(flags | Format.Block.flagOutbox, at: Format.Block.flags)
    }
    buffer.store(UInt32(entryCount), at: Format.Block.entryCount)
    buffer.store(UInt32(tombstoneCount), at: Format.Block.tombstoneCount)
    buffer.store(UInt32(entryBytes), at: Format.Block.entryBytes)
    buffer.store(UInt32(outboxBytes), at: Format.Block.outboxBytes)
    buffer.store(UInt32(plainEntryBytes), at: Format.Block.plainEntryBytes)
    let chain = checksum(buffer.bytes.slice(Format.Block.previousChain, buffer.count))
    sealFrame(chain: chain)
    return chain
  }

  /// Writes length, chain and, over all of them, the checksum.
  mutating func sealFrame(chain: UInt64) {
    buffer.store(UInt32(buffer.count), at: Format.Frame.length)
    buffer.store(chain, at: Format.Frame.chain)
    buffer.store(checksum(buffer.bytes.slice(8, buffer.count)), at: Format.Frame.checksum)
  }

  /// Frees the memory of an unusually large epoch.
  mutating func shrink(toAtMost limit: Int) {
    buffer.shrink(toAtMost: limit)
    compressor.shrink(toAtMost: limit)
  }

  private static func check(_ header: EpochHeader) throws(CheckpointError) {
    let names =
      [header.rulesFingerprint, header.modelVersion, header.engineVersion, header.timeZoneVersion]
      + header.offsets.map(\.topic) + header.interventions.map(\.topic)
    for name in names where name.utf8.count > CheckpointLimits.nameBytesMax {
      throw .tooLarge(
        what: "the name \(name.prefix(40))", bytes: name.utf8.count, limit: CheckpointLimits.nameBytesMax)
    }
    if header.offsets.count > CheckpointLimits.topicsMax {
      throw .tooLarge(what: "the list of topics", bytes: header.offsets.count, limit: CheckpointLimits.topicsMax)
    }
    if let fault = header.fault { throw .misuse("append of a block with \(fault)") }
  }
}
