// The journal's bytes: the file's header, frames with checksums, and the calls of an epoch. `Journal.md` describes them.

import CXXHash
import Checkpoint
import Events

/// What can be wrong with a journal.
public enum JournalError: Error, Hashable, Sendable, CustomStringConvertible {
  case disk(DiskError)
  /// Bytes that are not what was written, with more behind them.
  case damaged(path: String, offset: UInt64, reason: String)
  case notAJournal(path: String)
  case unsupportedFormat(path: String, version: UInt32)
  /// The file is of another group, other topics, another partition count or another state.
  case ofAnother(path: String, what: String)
  /// The state to go on from is not where the journal ends.
  case gap(path: String, last: UInt64?, state: UInt64)
  /// The journal was made with other rules, models or another engine than the replay has.
  case otherVersions(path: String, epoch: UInt64, recorded: String, here: String)
  /// The replay did not arrive where the run was.
  case diverged(path: String, epoch: UInt64, recorded: Instant, here: Instant)
  case noFiles(directory: String)

  public var description: String {
    switch self {
    case .disk(let error): return "journal: \(error)"
    case .damaged(let path, let offset, let reason):
      return "\(path) at byte \(offset): \(reason). The journal is good up to there only; nothing was changed. "
        + "Restore the file from a copy, or begin a new journal with an empty --journal directory"
    case .notAJournal(let path):
      return "\(path) is not a journal of `tidewatch run --journal`; name the directory that run was given"
    case .unsupportedFormat(let path, let version):
      return "\(path) has journal format \(version); this program reads \(JournalFormat.version). Use the version of "
        + "tidewatch that wrote it"
    case .ofAnother(let path, let what):
      return "\(path) is the journal of \(what). Name an empty directory with --journal: a new journal begins there"
    case .gap(let path, let last, let state):
      let end = last.map { "ends at epoch \($0)" } ?? "holds no epoch"
      return "\(path) \(end), and the state is at epoch \(state): what lies between was run without --journal. Name an "
        + "empty directory with --journal: the new journal begins with a copy of the state"
    case .otherVersions(let path, let epoch, let recorded, let here):
      return
        "\(path): the epochs after \(epoch) were made with \(recorded), this configuration has \(here). Replay with "
        + "the configuration and the program of the run"
    case .diverged(let path, let epoch, let recorded, let here):
      return "\(path): after epoch \(epoch) the run's clock was at \(recorded.microseconds) us and the replay's is at "
        + "\(here.microseconds) us. Replay with the configuration of the run (clock, lateness, source_stall, alerts)"
    case .noFiles(let directory):
      return "no journal (p<partition>.twj) in \(directory); name the directory given to `tidewatch run --journal`"
    }
  }
}

enum JournalFormat {
  static let version: UInt32 = 1
  static let magic = Array("TWJOURNL".utf8)
  static let frameMark: UInt32 = 0x464A_5754  // "TWJF"
  static let frameHeaderBytes = 40
  static let fixedHeaderBytes = 40

  static func fileName(_ partition: Int32) -> String { "p\(partition).twj" }

  static func checksum(_ bytes: UnsafeRawBufferPointer, seed: UInt64 = 0) -> UInt64 {
    tw_xxh3_64(bytes.baseAddress, bytes.count, seed)
  }

  enum Kind: UInt8 {
    /// Entries of the state a journal begins with.
    case state = 1
    /// A life of the task begins: new, or restored at an epoch.
    case life = 2
    /// The calls of one epoch.
    case epoch = 3
  }

  enum Call: UInt8 {
    case consume = 1
    case reachedEnd = 2
    case topicGrew = 3
    case tick = 4
    case advance = 5
    case emitProfiles = 6
    case resume = 7
  }

  /// Bits of a record's flags.
  static let hasKey: UInt8 = 1
  static let hasValue: UInt8 = 2
  static let hasTimestamp: UInt8 = 4
  static let isSkipped: UInt8 = 8
}

/// Whose journal a file is.
struct JournalIdentity: Hashable {
  var group: String
  var topics: [String]
  var partition: Int32
  var partitionCount: Int32
  /// Of the state: what its lineage gives to the tables.
  var seed: UInt64

  func encoded() -> [UInt8] {
    let text = Array(([group] + topics).joined(separator: "\n").utf8)
    var bytes = JournalBytes()
    bytes.raw(JournalFormat.magic)
    bytes.fixed(JournalFormat.version)
    bytes.fixed(partition)
    bytes.fixed(partitionCount)
    bytes.fixed(UInt32(text.count))
    bytes.fixed(seed)
    let fixed = bytes.storage
    let sum = (fixed + text).withUnsafeBytes { JournalFormat.checksum($0) }
    bytes.fixed(sum)
    bytes.raw(text)
    return bytes.storage
  }

  /// nil when `bytes` do not begin with a whole header.
  static func decode(_ bytes: UnsafeRawBufferPointer, path: String) throws -> (JournalIdentity, Int)? {
    guard bytes.count >= JournalFormat.fixedHeaderBytes else { return nil }
    guard bytes.prefix(8).elementsEqual(JournalFormat.magic) else { throw JournalError.notAJournal(path: path) }
    var input = JournalInput(bytes, from: 8)
    guard let version = input.fixed(UInt32.self), let partition = input.fixed(Int32.self),
      let count = input.fixed(Int32.self), let textBytes = input.fixed(UInt32.self),
      let seed = input.fixed(UInt64.self),
      let sum = input.fixed(UInt64.self)
    else { return nil }
    guard version == JournalFormat.version else {
      throw JournalError.unsupportedFormat(path: path, version: version)
    }
    guard let text = input.raw(Int(textBytes)) else { return nil }
    let covered = Array(bytes[..<32]) + Array(text)
    guard covered.withUnsafeBytes({ JournalFormat.checksum($0) }) == sum else { return nil }
    let names = String(decoding: text, as: UTF8.self).split(separator: "\n", omittingEmptySubsequences: false)
      .map(String.init)
    let identity = JournalIdentity(
      group: names[0], topics: Array(names.dropFirst()), partition: partition, partitionCount: count, seed: seed)
    return (identity, input.position)
  }
}

/// Appends numbers: fixed ones little endian, others as LEB128.
struct JournalBytes {
  var storage: [UInt8] = []

  mutating func raw(_ bytes: some Sequence<UInt8>) { storage.append(contentsOf: bytes) }
  mutating func fixed<Value: FixedWidthInteger>(_ value: Value) {
    withUnsafeBytes(of: value.littleEndian) { storage.append(contentsOf: $0) }
  }
  mutating func number(_ value: UInt64) {
    var rest = value
    while rest >= 0x80 {
      storage.append(UInt8(truncatingIfNeeded: rest) | 0x80)
      rest >>= 7
    }
    storage.append(UInt8(rest))
  }
  /// Small whatever the sign.
  mutating func signed(_ value: Int64) { number(UInt64(bitPattern: value << 1 ^ value >> 63)) }
  mutating func bytes(_ bytes: UnsafeRawBufferPointer) {
    number(UInt64(bytes.count))
    storage.append(contentsOf: bytes)
  }
  mutating func text(_ text: String) {
    number(UInt64(text.utf8.count))
    storage.append(contentsOf: text.utf8)
  }
}

/// Reads what `JournalBytes` writes; nil wherever there is less than that.
struct JournalInput {
  let bytes: UnsafeRawBufferPointer
  private(set) var position: Int

  init(_ bytes: UnsafeRawBufferPointer, from position: Int = 0) {
    self.bytes = bytes
    self.position = position
  }

  var isAtEnd: Bool { position >= bytes.count }

  mutating func fixed<Value: FixedWidthInteger & BitwiseCopyable>(_: Value.Type) -> Value? {
    let size = MemoryLayout<Value>.size
    guard bytes.count - position >= size else { return nil }
    defer { position += size }
    return Value(littleEndian: bytes.loadUnaligned(fromByteOffset: position, as: Value.self))
  }
  mutating func number() -> UInt64? {
    var value: UInt64 = 0
    var shift: UInt64 = 0
    while position < bytes.count, shift < 64 {
      let byte = bytes[position]
      position += 1
      value |= UInt64(byte & 0x7F) << shift
      if byte < 0x80 { return value }
      shift += 7
    }
    return nil
  }
  mutating func int() -> Int? { number().flatMap { Int(exactly: $0) } }
  mutating func signed() -> Int64? { number().map { Int64(bitPattern: $0 >> 1) ^ -Int64(bitPattern: $0 & 1) } }
  mutating func raw(_ count: Int) -> UnsafeRawBufferPointer? {
    guard count >= 0, bytes.count - position >= count else { return nil }
    defer { position += count }
    return UnsafeRawBufferPointer(rebasing: bytes[position..<position + count])
  }
  mutating func counted() -> UnsafeRawBufferPointer? { int().flatMap { raw($0) } }
  mutating func text() -> String? { counted().map { String(decoding: $0, as: UTF8.self) } }
}

/// How a life of a task began.
struct JournalLife {
  /// nil for a new state.
  var restoredEpoch: UInt64?
  var clock: Instant
  var versions: TaskVersions
  /// Hashes of the restored keys, in the order in which each first came: it decides the order of sweeps.
  var order: [UInt64]

  func append(to bytes: inout JournalBytes) {
    bytes.storage.append(restoredEpoch == nil ? 0 : 1)
    bytes.number(restoredEpoch ?? 0)
    bytes.fixed(clock.microseconds)
    bytes.number(versions.rulesRevision)
    for text in [versions.rulesFingerprint, versions.model, versions.engine, versions.timeZone] { bytes.text(text) }
    bytes.number(UInt64(order.count))
    for hash in order { bytes.fixed(hash) }
  }

  init?(_ input: inout JournalInput) {
    guard let flag = input.fixed(UInt8.self), let epoch = input.number(), let clock = input.fixed(Int64.self),
      let revision = input.number(), let fingerprint = input.text(), let model = input.text(),
      let engine = input.text(), let timeZone = input.text(), let count = input.int()
    else { return nil }
    restoredEpoch = flag == 0 ? nil : epoch
    self.clock = Instant(microseconds: clock)
    versions = TaskVersions()
    versions.rulesRevision = revision
    versions.rulesFingerprint = fingerprint
    versions.model = model
    versions.engine = engine
    versions.timeZone = timeZone
    order = []
    guard count <= (input.bytes.count - input.position) / 8 else { return nil }
    order.reserveCapacity(count)
    for _ in 0..<count {
      guard let hash = input.fixed(UInt64.self) else { return nil }
      order.append(hash)
    }
  }

  init(restoredEpoch: UInt64?, clock: Instant, versions: TaskVersions, order: [UInt64]) {
    self.restoredEpoch = restoredEpoch
    self.clock = clock
    self.versions = versions
    self.order = order
  }
}
