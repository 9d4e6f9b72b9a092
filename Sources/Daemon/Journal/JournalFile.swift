// One partition's journal on disk: finding its frames, and adding to it.

import Checkpoint

/// Where a frame is, and what of.
struct JournalFrame: Hashable {
  var kind: JournalFormat.Kind
  /// Of an epoch: its number. Of a life: the restored epoch, 0 for a new state.
  var epoch: UInt64
  var bodyOffset: UInt64
  var bodyBytes: Int
  var checksum: UInt64
  var end: UInt64 { bodyOffset + UInt64(bodyBytes) }
}

/// The frames of a journal that count.
struct JournalContents {
  let path: String
  var identity: JournalIdentity
  var frames: [JournalFrame] = []
  /// Where the whole frames end; what lies behind was not finished.
  var end: UInt64
  var tornBytes: UInt64 = 0

  /// nil while no life has begun: the copy of the state it was to begin with was not finished.
  var lastEpoch: UInt64? { frames.last { $0.kind != .state }?.epoch }

  /// Where the journal ends as of that epoch; nil when it does not hold it.
  func end(ofEpoch epoch: UInt64) -> UInt64? {
    frames.last { $0.epoch == epoch && $0.kind == .epoch }?.end
      ?? frames.last { $0.epoch == epoch && $0.kind == .life }?.end
  }

  /// nil when the file has no whole header: its process died while making it.
  static func read(_ file: any DiskFile, path: String) throws -> JournalContents? {
    let size = try file.size()
    let head = try bytes(of: file, at: 0, count: Int(min(size, 1 << 20)))
    let decoded = try head.withUnsafeBytes { try JournalIdentity.decode($0, path: path) }
    guard let (identity, start) = decoded else {
      let nothing = JournalIdentity(group: "", topics: [], partition: 0, partitionCount: 0, seed: 0)
      if try JournalContents(path: path, identity: nothing, end: 0).laterFrame(file, size: size) != nil {
        throw JournalError.damaged(path: path, offset: 0, reason: "the file's header is not what was written")
      }
      return nil
    }
    var contents = JournalContents(path: path, identity: identity, end: UInt64(start))
    try contents.scan(file, size: size)
    return contents
  }

  /// The body of a frame.
  /// - Throws: `JournalError.damaged` when its checksum is wrong.
  func body(of frame: JournalFrame, in file: any DiskFile) throws -> [UInt8] {
    let body = try Self.bytes(of: file, at: frame.bodyOffset, count: frame.bodyBytes)
    guard body.count == frame.bodyBytes, body.withUnsafeBytes({ JournalFormat.checksum($0) }) == frame.checksum else {
      throw JournalError.damaged(path: path, offset: frame.bodyOffset, reason: "the checksum of a frame is wrong")
    }
    return body
  }

  private static func bytes(of file: any DiskFile, at offset: UInt64, count: Int) throws -> [UInt8] {
    try [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
      initialized = try file.read(into: UnsafeMutableRawBufferPointer(buffer), at: offset)
    }
  }

  private mutating func scan(_ file: any DiskFile, size: UInt64) throws {
    while let frame = try frame(file, at: end, size: size) {
      // The last one may have lost a part that a later write would have followed.
      if frame.end == size, (try? body(of: frame, in: file)) == nil { break }
      end = frame.end
      add(frame)
    }
    tornBytes = size - end
    if tornBytes > 0, let later = try laterFrame(file, size: size) {
      throw JournalError.damaged(
        path: path, offset: end, reason: "no frame begins here, but a whole one does at byte \(later)")
    }
  }

  private mutating func add(_ frame: JournalFrame) {
    switch frame.kind {
    case .state: break
    case .life: frames.removeAll { $0.kind != .state && $0.epoch > frame.epoch }
    case .epoch: frames.removeAll { $0.kind == .epoch && $0.epoch >= frame.epoch }
    }
    frames.append(frame)
  }

  /// nil when no whole frame begins there.
  private func frame(_ file: any DiskFile, at offset: UInt64, size: UInt64) throws -> JournalFrame? {
    guard size - offset >= UInt64(JournalFormat.frameHeaderBytes) else { return nil }
    let header = try Self.bytes(of: file, at: offset, count: JournalFormat.frameHeaderBytes)
    return header.withUnsafeBytes { bytes in
      guard bytes.count == JournalFormat.frameHeaderBytes else { return nil }
      var input = JournalInput(bytes)
      let covered = UnsafeRawBufferPointer(rebasing: bytes[..<32])
      guard input.fixed(UInt32.self) == JournalFormat.frameMark,
        let kind = input.fixed(UInt32.self).flatMap({ UInt8(exactly: $0) }).flatMap(JournalFormat.Kind.init),
        let epoch = input.fixed(UInt64.self), let count = input.fixed(UInt64.self),
        let checksum = input.fixed(UInt64.self), let own = input.fixed(UInt64.self),
        own == JournalFormat.checksum(covered, seed: offset), count <= size - offset - UInt64(bytes.count)
      else { return nil }
      return JournalFrame(
        kind: kind, epoch: epoch, bodyOffset: offset + UInt64(bytes.count), bodyBytes: Int(count), checksum: checksum)
    }
  }

  /// An unfinished frame has nothing behind it; if something is there, these bytes were whole once.
  private func laterFrame(_ file: any DiskFile, size: UInt64) throws -> UInt64? {
    let mark = withUnsafeBytes(of: JournalFormat.frameMark.littleEndian) { Array($0) }
    let step = 1 << 20
    var from = end + 1
    while from < size {
      let part = try Self.bytes(of: file, at: from, count: Int(min(UInt64(step), size - from)))
      for place in part.indices where part[place] == mark[0] && part[place...].starts(with: mark) {
        let offset = from + UInt64(place)
        if let frame = try frame(file, at: offset, size: size), (try? body(of: frame, in: file)) != nil {
          return offset
        }
      }
      if part.count < step { return nil }
      from += UInt64(step - mark.count)
    }
    return nil
  }
}

/// The writing end. Used by the thread that owns the task, while it holds the lock of the partition's checkpoint.
final class JournalWriter {
  let path: String
  private let file: any DiskFile
  /// Where the next frame goes. Whatever lies behind it is void: of an aborted epoch, or of a member that had the partition
  /// in between and committed nothing.
  private var position: UInt64
  private var failure: DiskError?

  init(path: String, file: any DiskFile, position: UInt64) {
    self.path = path
    self.file = file
    self.position = position
  }

  /// Goes on behind that place; what is there now is replaced by the next frame.
  func rewind(to position: UInt64) { self.position = position }

  /// Adds a frame. Not durable before `sync`.
  /// - Throws: `DiskError`; after one, every further call throws it again.
  func add(_ kind: JournalFormat.Kind, epoch: UInt64, _ body: [UInt8]) throws(DiskError) {
    if let failure { throw failure }
    var bytes = JournalBytes()
    bytes.storage.reserveCapacity(JournalFormat.frameHeaderBytes + body.count)
    bytes.fixed(JournalFormat.frameMark)
    bytes.fixed(UInt32(kind.rawValue))
    bytes.fixed(epoch)
    bytes.fixed(UInt64(body.count))
    bytes.fixed(body.withUnsafeBytes { JournalFormat.checksum($0) })
    bytes.fixed(bytes.storage.withUnsafeBytes { JournalFormat.checksum($0, seed: position) })
    bytes.raw(body)
    let place = position
    let frame = bytes.storage
    try guarded { () throws(DiskError) in
      if try file.size() != place { try file.truncate(to: place) }
      try frame.withUnsafeBufferPointer { bytes throws(DiskError) in
        try file.write(UnsafeRawBufferPointer(bytes), at: place)
      }
    }
    position += UInt64(frame.count)
  }

  func sync() throws(DiskError) {
    try guarded { () throws(DiskError) in try file.sync() }
  }

  private func guarded(_ body: () throws(DiskError) -> Void) throws(DiskError) {
    if let failure { throw failure }
    do throws(DiskError) { try body() } catch {
      failure = error
      throw error
    }
  }
}
