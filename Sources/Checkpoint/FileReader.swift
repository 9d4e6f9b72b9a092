// Sequential reading of a file through one window of memory, and the frames in it.

#if PlantedBugs
  import PlantedBugs
#endif

/// Reads a file of known size; the window grows to the largest frame asked for.
final class FileReader {
  let path: String
  let size: UInt64
  private let file: any DiskFile
  private let isBackwards: Bool
  private var window = RawBuffer(capacity: CheckpointLimits.readWindowBytes)
  private var windowStart: UInt64 = 0

  /// - Parameters:
  ///   - limit: what lies beyond is not looked at.
  ///   - backwards: what comes next will lie before what was read last.
  init(_ path: String, on disk: any Disk, limit: UInt64 = .max, backwards: Bool = false) throws(CheckpointError) {
    self.path = path
    isBackwards = backwards
    do {
      file = try disk.open(path, .read)
      size = min(try file.size(), limit)
    } catch { throw .disk(error) }
  }

  /// Opens the file for the length of `body`.
  ///
  /// Bytes read are in memory of the reader, which Swift may free after the reader's last mention even while a pointer
  /// to them is in use. So a reader is either a stored property of whoever uses the bytes, or opened through this.
  static func withFile<T>(
    _ path: String, on disk: any Disk, limit: UInt64 = .max, _ body: (FileReader) throws(CheckpointError) -> T
  ) throws(CheckpointError) -> T {
    let reader = try FileReader(path, on: disk, limit: limit)
    return try withExtendedLifetime(reader) { () throws(CheckpointError) -> T in try body(reader) }
  }

  /// `count` bytes from `offset`, valid until the next call; nil if the file ends before.
  func bytes(at offset: UInt64, count: Int) throws(CheckpointError) -> UnsafeRawBufferPointer? {
    guard offset <= size, UInt64(count) <= size - offset else { return nil }
    if offset < windowStart || offset + UInt64(count) > windowStart + UInt64(window.count) {
      let least = UInt64(max(count, CheckpointLimits.readWindowBytes))
      let end = isBackwards ? offset + UInt64(count) : min(size, offset + least)
      windowStart = isBackwards ? end - min(end, least) : offset
      let wanted = Int(end - windowStart)
      window.clear()
      window.reserve(wanted)
      do {
        let got = try file.read(
          into: UnsafeMutableRawBufferPointer(rebasing: window.writable[..<wanted]), at: windowStart)
        window.setCount(got)
      } catch { throw .disk(error) }
      // A file that became shorter since it was opened: treat it as ending here.
      if windowStart + UInt64(window.count) < offset + UInt64(count) { return nil }
    }
    let start = Int(offset - windowStart)
    return window.bytes.slice(start, start + count)
  }

  func damage(at offset: UInt64, _ reason: String) -> CheckpointError {
    .damaged(Damage(path: path, offset: offset, reason: reason))
  }

  /// Reads again a block found by a scan; it must still be the same.
  func block(at location: BlockLocation) throws(CheckpointError) -> (BlockFields, UnsafeRawBufferPointer) {
    // All of it at once, not its beginning first.
    _ = try bytes(at: location.offset, count: location.length)
    switch try frame(at: location.offset) {
    case .frame(.epochBlock, let bytes):
      guard case .success(let fields) = BlockFields.read(bytes, kind: .epochBlock), fields.chain == location.chain
      else { throw damage(at: location.offset, "the block is not the one that was there") }
      return (fields, bytes)
    case .bad(let reason): throw damage(at: location.offset, reason)
    default: throw damage(at: location.offset, "the block is gone")
    }
  }

  /// The frame at `offset`, checked by its checksum; its bytes are valid until the next call.
  func frame(at offset: UInt64) throws(CheckpointError) -> FrameOutcome {
    if offset == size { return .endOfFile }
    guard let prefix = try bytes(at: offset, count: Format.Frame.prefixBytes) else {
      return .bad("only \(size - offset) bytes are left, too few for a frame")
    }
    guard let kind = FrameKind(rawValue: prefix.load(UInt32.self, at: Format.Frame.kind)) else {
      return .bad("no frame starts here")
    }
    let length = Int(prefix.load(UInt32.self, at: Format.Frame.length))
    guard length >= kind.bytesMin, length <= kind.bytesMax else { return .bad("a length of \(length) is impossible") }
    guard let whole = try bytes(at: offset, count: length) else {
      return .bad("a frame of \(length) bytes, of which only \(size - offset) are there")
    }
    let stored = whole.load(UInt64.self, at: Format.Frame.checksum)
    let computed = checksum(whole.slice(8, length))
    #if PlantedBugs
      let isBad = stored != computed && !PlantedBug.isPlanted(.acceptTornTail)
    #else
      let isBad = stored != computed
    #endif
    if isBad { return .bad("the checksum is \(hex(computed)), stored as \(hex(stored))") }
    let version = whole.load(UInt32.self, at: Format.Frame.version)
    if !Format.readable.contains(version) {
      throw damage(at: offset, "a frame of format \(version) in a file of format \(Format.version) or older")
    }
    return .frame(kind, whole)
  }
}

enum FrameOutcome {
  case frame(FrameKind, UnsafeRawBufferPointer)
  case endOfFile
  /// Not a whole frame, and why.
  case bad(String)
}
