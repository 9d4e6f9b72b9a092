// Runs of entries as files hold them: one zstd frame of them or of their arranged form, where that is smaller than the
// entries themselves.
import CZstd
import Glibc

/// Compresses the runs of one writer; what it needs for that is kept from run to run.
struct EntryCompressor: ~Copyable {
  /// Of a block with 14,017 customers, 4.2 MB by field, on one core: level -1 makes 114 bytes of each in 0.29 us, 1 makes 101 in
  /// 0.36 us, 3 makes 100 in 0.57 us. One behind the other: 149 in 0.61, 136 in 0.70, 128 in 1.21.
  static let level: Int32 = 1

  private var context: OpaquePointer?
  private let arranger: RunArranger
  private var frame = RawBuffer(capacity: 0)

  /// - Parameters:
  ///   - shape: of most values.
  ///   - memory: to arrange them in.
  init(_ shape: ValueShape?, _ memory: ArrangingMemory) { arranger = RunArranger(shape, memory) }

  deinit { ZSTD_freeCCtx(context) }

  /// Puts one zstd frame in the place of what `buffer` holds from `start` on, unless that would not be smaller.
  mutating func compress(_ buffer: inout RawBuffer, from start: Int) {
    let plainBytes = buffer.count - start
    if plainBytes == 0 { return }
    if context == nil { context = ZSTD_createCCtx() }
    // Without memory for it the entries stay as they are.
    guard let context else { return }
    buffer.reserve(buffer.count + roughness)
    let plain = buffer.bytes.slice(start, buffer.count)
    frame.clear()
    frame.reserve(plainBytes)
    let target = frame.writable.baseAddress
    // It fails where the frame needs more room than this.
    func compress(_ source: UnsafeRawBufferPointer) -> Int {
      ZSTD_compressCCtx(context, target, plainBytes - 1, source.baseAddress, source.count, Self.level)
    }
    let made = arranger.withArranged(plain) { compress($0 ?? plain) }
    if ZSTD_isError(made) != 0 { return }
    frame.setCount(made)
    buffer.setCount(start)
    buffer.append(frame.bytes)
  }

  /// Frees the memory of an unusually large run.
  mutating func shrink(toAtMost limit: Int) {
    frame.shrink(toAtMost: limit)
    arranger.shrink(toAtMost: limit)
  }
}

/// Decompresses the runs of one reader, into memory that grows to the largest.
struct EntryDecompressor: ~Copyable {
  private var context: OpaquePointer?
  private var buffer = RawBuffer(capacity: 0)
  private var restorer = RunRestorer()
  private var rows = RawBuffer(capacity: 0)

  deinit { ZSTD_freeDCtx(context) }

  /// The entries of a run, valid until the next call and as long as `stored`.
  ///
  /// - Parameters:
  ///   - plainBytes: their length, which is within the limits.
  ///   - version: the format's.
  ///   - offset: of the block or chunk, for the error.
  /// - Throws: `.damaged`; `.disk` without memory to read it.
  mutating func plain(
    _ stored: UnsafeRawBufferPointer, bytes plainBytes: Int, version: UInt32, in path: String, at offset: UInt64
  ) throws(CheckpointError) -> UnsafeRawBufferPointer {
    if stored.count == plainBytes { return stored }
    func damage(_ reason: String) -> CheckpointError {
      .damaged(Damage(path: path, offset: offset, reason: "the entries cannot be decompressed: \(reason)"))
    }
    // Nothing but one frame of today's kind: the library also takes several, and of older kinds.
    guard stored.count >= 4, stored.load(UInt32.self, at: 0) == ZSTD_MAGICNUMBER,
      ZSTD_findFrameCompressedSize(stored.baseAddress, stored.count) == stored.count
    else { throw damage("they are not one zstd frame") }
    // A block of zstd takes at least 4 bytes and makes at most 128 KiB: less memory than a false length could ask for. An
    // arranged entry has at least half the bytes that it has in a row.
    let content = ZSTD_getFrameContentSize(stored.baseAddress, stored.count)
    let contentBytes = content > UInt64(plainBytes) ? Int.max : Int(content)
    guard stored.count < plainBytes, contentBytes <= plainBytes, contentBytes >> 15 <= stored.count,
      plainBytes / 2 <= contentBytes, version >= 4 || contentBytes == plainBytes
    else { throw damage("\(stored.count) bytes do not make \(plainBytes)") }
    if context == nil { context = ZSTD_createDCtx() }
    guard let context else { throw .disk(DiskError(.read, path: path, offset: offset, code: ENOMEM)) }
    buffer.clear()
    buffer.reserve(contentBytes + roughness)
    let made = ZSTD_decompressDCtx(
      context, buffer.writable.baseAddress, contentBytes, stored.baseAddress, stored.count)
    if ZSTD_isError(made) != 0 { throw damage(String(cString: ZSTD_getErrorName(made))) }
    if made != contentBytes { throw damage("they are \(made) bytes, \(contentBytes) are said") }
    buffer.setCount(made)
    if made == plainBytes { return buffer.bytes }
    do throws(RunRestorer.Malformed) { try restorer.restore(buffer.bytes, rowBytes: plainBytes, into: &rows) } catch {
      throw damage(error.reason)
    }
    return rows.bytes
  }

  /// Frees the memory of unusually large runs; what was given out is gone.
  mutating func shrink(toAtMost limit: Int) {
    buffer.shrink(toAtMost: limit)
    restorer.shrink(toAtMost: limit)
    rows.shrink(toAtMost: limit)
  }
}
