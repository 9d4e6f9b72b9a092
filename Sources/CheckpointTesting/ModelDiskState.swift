// What the modelled disk holds: for each file and for the names, what can be read now and what would survive.
import Checkpoint
import Glibc

/// A small seeded generator (SplitMix64).
public struct SeededGenerator: RandomNumberGenerator, Sendable {
  private var state: UInt64

  public init(seed: UInt64) { state = seed }

  public mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }
}

/// One file's bytes, now and after a crash.
struct ModelFileState: Sendable {
  enum Pending: Sendable {
    case write(offset: Int, bytes: [UInt8])
    case truncate(size: Int)
  }

  static let sectorBytes = 512

  private(set) var current: [UInt8] = []
  private var durable: [UInt8] = []
  private var pending: [Pending] = []

  mutating func write(_ bytes: [UInt8], at offset: Int) {
    Self.put(bytes, at: offset, into: &current)
    pending.append(.write(offset: offset, bytes: bytes))
  }

  mutating func truncate(to size: Int) {
    Self.resize(&current, to: size)
    pending.append(.truncate(size: size))
  }

  mutating func sync() {
    for step in pending {
      switch step {
      case .write(let offset, let bytes): Self.put(bytes, at: offset, into: &durable)
      case .truncate(let size): Self.resize(&durable, to: size)
      }
    }
    pending = []
  }

  /// What a crash leaves when nothing unsynced survives.
  var durableBytes: [UInt8] { durable }

  var unsyncedBytes: Int {
    pending.reduce(0) { sum, step in if case .write(_, let bytes) = step { sum + bytes.count } else { sum } }
  }

  mutating func replace(_ bytes: [UInt8]) {
    current = bytes
    durable = bytes
    pending = []
  }

  mutating func crash(using random: inout SeededGenerator) {
    settle(using: &random)
    current = durable
  }

  /// Decides, step by step, what of the unsynced changes reaches the disk.
  mutating func settle(using random: inout SeededGenerator) {
    for step in pending {
      let fate = Int.random(in: 0..<3, using: &random)
      switch step {
      case .truncate(let size): if fate > 0 { Self.resize(&durable, to: size) }
      case .write(let offset, let bytes):
        if fate == 0 { continue }
        if fate == 1 {
          Self.put(bytes, at: offset, into: &durable)
        } else {
          tear(bytes, at: offset, using: &random)
        }
      }
    }
    pending = []
  }

  /// Some sectors of a write arrive, others do not; the file may have grown for them all the same.
  private mutating func tear(_ bytes: [UInt8], at offset: Int, using random: inout SeededGenerator) {
    let kept = Int.random(in: 0...bytes.count, using: &random)
    let inOrder = Bool.random(using: &random)
    let fill: UInt8? = Bool.random(using: &random) ? 0 : nil
    var start = 0
    while start < (inOrder ? kept : bytes.count) {
      let at = offset + start
      let end = min(inOrder ? kept : bytes.count, start + Self.sectorBytes - at % Self.sectorBytes)
      if inOrder || Bool.random(using: &random) {
        Self.put(Array(bytes[start..<end]), at: at, into: &durable)
      } else if offset + end > durable.count, Bool.random(using: &random) {
        let hole = max(at, durable.count)
        let garbage = (hole..<(offset + end)).map { _ in fill ?? UInt8.random(in: 0...255, using: &random) }
        Self.put(garbage, at: hole, into: &durable)
      }
      start = end
    }
  }

  private static func put(_ bytes: [UInt8], at offset: Int, into target: inout [UInt8]) {
    if target.count < offset { resize(&target, to: offset) }
    target.replaceSubrange(offset..<min(target.count, offset + bytes.count), with: bytes)
  }

  private static func resize(_ target: inout [UInt8], to size: Int) {
    if target.count > size {
      target.removeLast(target.count - size)
    } else {
      target.append(contentsOf: repeatElement(0, count: size - target.count))
    }
  }
}

struct ModelDiskState: Sendable {
  var random: SeededGenerator
  var faults = ModelDisk.Faults()
  var files: [ModelFileState] = []
  var names: [String: Int] = [:]
  var durableNames: [String: Int] = [:]
  /// Each step changes its names together or not at all.
  var pendingNames: [[(String, Int?)]] = []
  var directories: Set<String> = []
  /// Who holds each lock.
  var locks: [String: Int] = [:]
  var changeCount = 0
  /// Counts the starts, of the disk's own user and of processes that mounted it; files and locks of one that ended are
  /// dead.
  private var lives = 1
  private var alive: Set<Int> = [0]
  /// The life of whoever uses the disk directly.
  private(set) var life = 0
  private var isStopped = false

  init(seed: UInt64) { random = SeededGenerator(seed: seed) }

  func isAlive(_ life: Int) -> Bool { alive.contains(life) }

  mutating func beginLife() -> Int {
    defer { lives += 1 }
    alive.insert(lives)
    return lives
  }

  /// A process ends: its locks are free, what it wrote stays.
  mutating func endLife(_ life: Int) {
    alive.remove(life)
    locks = locks.filter { $0.value != life }
  }

  var totalBytes: Int { names.values.reduce(0) { $0 + files[$1].current.count } }

  mutating func addFile() -> Int {
    files.append(ModelFileState())
    return files.count - 1
  }

  mutating func setName(_ path: String, _ number: Int?) {
    names[path] = number
    pendingNames.append([(path, number)])
  }

  /// Makes what happened to names in one directory durable.
  mutating func syncNames(in directory: String) {
    let directory = directory == "/" ? "" : directory
    var others: [[(String, Int?)]] = []
    for step in pendingNames {
      // A file moved to another directory has its new name when that is synced, and loses the old one with the other.
      applyDurably(step.filter { Self.parent(of: $0.0) == directory })
      let rest = step.filter { Self.parent(of: $0.0) != directory }
      if !rest.isEmpty { others.append(rest) }
    }
    pendingNames = others
  }

  private static func parent(of path: String) -> Substring {
    path.lastIndex(of: "/").map { path[..<$0] } ?? ""
  }

  mutating func applyDurably(_ step: [(String, Int?)]) {
    for (path, number) in step { durableNames[path] = number }
  }

  /// Counts a changing call and fails it if a fault says so.
  mutating func change(_ operation: DiskError.Operation, _ path: String) throws(DiskError) {
    changeCount += 1
    if isStopped { throw DiskError(operation, path: path, code: ENODEV) }
    if faults.isReadOnly { throw DiskError(operation, path: path, code: EROFS) }
    if let left = faults.stopAfterChanges {
      if left <= 0 {
        isStopped = true
        throw DiskError(operation, path: path, code: ENODEV)
      }
      faults.stopAfterChanges = left - 1
    }
  }

  mutating func write(_ bytes: [UInt8], at offset: Int, file: Int, path: String) throws(DiskError) {
    do { try change(.write, path) } catch {
      // The call during which the disk goes away may have been carried out in part.
      if error.code == ENODEV { writePart(bytes, at: offset, file: file) }
      throw error
    }
    if let code = faults.nextWrite {
      faults.nextWrite = nil
      writePart(bytes, at: offset, file: file)
      throw DiskError(.write, path: path, offset: UInt64(offset), code: code)
    }
    let growth = max(0, offset + bytes.count - files[file].current.count)
    if let capacity = faults.capacity, totalBytes + growth > capacity {
      let fits = max(0, min(bytes.count, bytes.count - (totalBytes + growth - capacity)))
      if fits > 0 { files[file].write(Array(bytes[..<fits]), at: offset) }
      throw DiskError(.write, path: path, offset: UInt64(offset + fits), code: ENOSPC)
    }
    files[file].write(bytes, at: offset)
  }

  mutating func writePart(_ bytes: [UInt8], at offset: Int, file: Int) {
    let count = Int.random(in: 0...bytes.count, using: &random)
    if count > 0 { files[file].write(Array(bytes[..<count]), at: offset) }
  }

  mutating func crash() {
    for number in files.indices { files[number].crash(using: &random) }
    for step in pendingNames where Bool.random(using: &random) { applyDurably(step) }
    pendingNames = []
    names = durableNames
    restart()
  }

  mutating func restart() {
    alive = []
    life = beginLife()
    locks = [:]
    faults = ModelDisk.Faults()
    isStopped = false
  }
}
