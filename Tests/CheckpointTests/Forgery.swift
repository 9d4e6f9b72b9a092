// Files with other entries in them, right by their lengths and checksums.
import CXXHash
import CZstd
import Checkpoint
import CheckpointTesting
import Testing

let log = directory + "/log-000000000000.tw"
let base = directory + "/base-000000000000.tw"

/// Where a block's parts are, as the format's page says.
struct Parts {
  let headBytes: Int
  let storedBytes: Int
  let plainBytes: Int

  /// - Parameter block: begins with the frame's prefix.
  init(_ block: ArraySlice<UInt8>) {
    func number(_ at: Int) -> Int {
      block[(block.startIndex + at)..<(block.startIndex + at + 4)].reversed().reduce(0) { $0 << 8 | Int($1) }
    }
    headBytes = number(20)
    storedBytes = number(96)
    plainBytes = number(112)
  }
}

private func store(_ value: UInt64, bytes count: Int, at offset: Int, in bytes: inout Bytes) {
  for index in 0..<count { bytes[offset + index] = UInt8(truncatingIfNeeded: value >> UInt64(8 * index)) }
}

/// The one block of a log, or the one chunk of a base, with other bytes in place of its compressed entries, and all
/// lengths and checksums as they must be for these.
struct Forgery {
  let path: String
  let original: Bytes
  /// First byte of the frame, of the entries, and the first behind them.
  let frame: Int
  let entries: Range<Int>

  init(_ disk: ModelDisk, _ path: String) throws {
    self.path = path
    original = try #require(disk.contents(of: path))
    if path == log {
      frame = 64
      let parts = Parts(original[64...])
      #expect(parts.storedBytes < parts.plainBytes, "compressed, or nothing is tested here")
      entries = 64 + parts.headBytes..<64 + parts.headBytes + parts.storedBytes
      #expect(entries.upperBound == original.count)
    } else {
      let head = original[(64 + 16)..<(64 + 20)].reversed().reduce(0) { $0 << 8 | Int($1) }
      frame = 64 + head
      entries = frame + 72..<original.count - 88
    }
  }

  func bytes(_ content: Bytes, plainBytes: UInt64? = nil) -> Bytes {
    var bytes = Array(original[..<entries.lowerBound]) + content + Array(original[entries.upperBound...])
    let end = frame + (entries.lowerBound - frame) + content.count
    store(UInt64(end - frame), bytes: 4, at: frame + 16, in: &bytes)
    if path == log {
      store(UInt64(content.count), bytes: 4, at: frame + 96, in: &bytes)
      if let plainBytes { store(plainBytes, bytes: 4, at: frame + 112, in: &bytes) }
      let chain = testChecksum(Array(bytes[(frame + 32)...]))
      store(chain, bytes: 8, at: frame + 24, in: &bytes)
      setChecksum(&bytes, from: frame, to: end)
    } else {
      if let plainBytes { store(plainBytes, bytes: 8, at: frame + 64, in: &bytes) }
      setChecksum(&bytes, from: frame, to: end)
      let chunks = Array(bytes[frame..<frame + 8]).withUnsafeBytes { tw_xxh3_64($0.baseAddress, $0.count, 0) }
      store(chunks, bytes: 8, at: end + 80, in: &bytes)
      setChecksum(&bytes, from: end, to: bytes.count)
    }
    return bytes
  }

  var content: Bytes { Array(original[entries]) }

  /// Opens a copy in which `path` has other bytes; nil for damage there.
  func outcome(_ disk: ModelDisk, _ bytes: Bytes) throws -> State? {
    let copy = disk.copy(seed: 2)
    copy.setContents(bytes, of: path)
    if path == log {
      // Nothing but the log, whose chain is another one now.
      for name in [base, directory + "/log-000000000001.tw"] { copy.setContents(nil, of: name) }
    }
    let report = try PartitionReport.verify(directory, on: copy)
    do {
      let state = try PartitionStore(opening: directory, on: copy).state()
      #expect(report.isSound)
      return state
    } catch {
      let found = try #require(damage(of: error), "\(error)")
      #expect(found.path == path && found.offset == UInt64(frame), "\(found)")
      #expect(report.firstDamage?.path == path)
      copy.killProcess()
      // A repair sees it too, and makes nothing up.
      let verdict = try PartitionRepair(planning: directory, on: copy).verdict
      #expect(verdict != .sound)
      return nil
    }
  }
}

/// A small state of one epoch, as the one block of a log and as the one chunk of a base.
func forgeable(_ changes: Epoch, shape: ValueShape? = nil) throws -> (disk: ModelDisk, state: State) {
  let disk = ModelDisk(seed: 1)
  let store = try openNewest(disk, shape: shape)
  try store.commit(changes, header(0))
  #expect(try store.rewriteNow())
  var state: State = [:]
  changes.apply(to: &state)
  disk.killProcess()
  return (disk, state)
}

/// What a zstd frame holds.
func decompressed(_ frame: Bytes) throws -> Bytes {
  let count = frame.withUnsafeBytes { ZSTD_getFrameContentSize($0.baseAddress, $0.count) }
  try #require(count < 1 << 30)
  return try Bytes(unsafeUninitializedCapacity: Int(count)) { target, made in
    made = frame.withUnsafeBytes { ZSTD_decompress(target.baseAddress, target.count, $0.baseAddress, $0.count) }
    try #require(ZSTD_isError(made) == 0)
  }
}

func compressed(_ bytes: Bytes) throws -> Bytes {
  try Bytes(unsafeUninitializedCapacity: ZSTD_compressBound(bytes.count)) { target, made in
    made = bytes.withUnsafeBytes { ZSTD_compress(target.baseAddress, target.count, $0.baseAddress, $0.count, 1) }
    try #require(ZSTD_isError(made) == 0)
  }
}
