// What the tests share: headers, epochs to write, and the dictionary that says what a state must be.
import Checkpoint
import CheckpointTesting
import Testing

typealias Bytes = [UInt8]
typealias State = [Bytes: Bytes]

/// One epoch to write; a nil value removes the key.
struct Epoch: Sendable {
  var changes: [(key: Bytes, value: Bytes?)] = []
  var outbox: Bytes?
}

let directory = "/state/group/p3"
let someLineage = Lineage(high: 0x1122_3344_5566_7788, low: 0x99AA_BBCC_DDEE_FF00)

func header(_ epoch: UInt64, lineage: Lineage = someLineage) -> EpochHeader {
  EpochHeader(
    lineage: lineage, epoch: epoch, clock: 1_700_000_000_000_000 + Int64(epoch), partition: 3, partitionCount: 8,
    offsets: [
      TopicOffset(topic: "clickstream", next: Int64(epoch) * 100), TopicOffset(topic: "orders", next: Int64(epoch)),
    ],
    rulesRevision: 7, rulesFingerprint: "f00d", modelVersion: "cdnow-1", engineVersion: "0.1.0",
    timeZoneVersion: "2024a")
}

/// Bytes that do not compress.
func noise(_ count: Int, seed: UInt64 = 1) -> Bytes {
  var random = SeededGenerator(seed: seed)
  var bytes: Bytes = []
  bytes.reserveCapacity(count + 8)
  while bytes.count < count { withUnsafeBytes(of: random.next()) { bytes.append(contentsOf: $0) } }
  bytes.removeLast(bytes.count - count)
  return bytes
}

extension Epoch {
  func apply(to state: inout State) { for (key, value) in changes { state[key] = value } }

  static func random(using random: inout SeededGenerator, keys: Int = 12, valueBytesMax: Int = 900) -> Epoch {
    var epoch = Epoch()
    for _ in 0..<Int.random(in: 0...8, using: &random) {
      let key = Bytes("customer-\(Int.random(in: 0..<keys, using: &random))".utf8)
      if Int.random(in: 0..<4, using: &random) == 0 {
        epoch.changes.append((key, nil))
      } else {
        let count = Int.random(in: 0...valueBytesMax, using: &random)
        let byte = UInt8.random(in: 0...255, using: &random)
        let compresses = Bool.random(using: &random)
        epoch.changes.append(
          (key, compresses ? Bytes(repeating: byte, count: count) : noise(count, seed: random.next())))
      }
    }
    if Bool.random(using: &random) {
      epoch.outbox = Bytes(repeating: 0x6F, count: Int.random(in: 0...300, using: &random))
    }
    return epoch
  }
}

extension PartitionStore {
  @discardableResult
  func write(_ epoch: Epoch, _ header: EpochHeader) throws -> EpochTag {
    func fill(_ writer: inout EntryWriter) {
      for (key, value) in epoch.changes {
        if let value { writer.put(key: key, value: value) } else { writer.remove(key: key) }
      }
    }
    if let outbox = epoch.outbox { return try append(header, outbox: outbox, entries: fill) }
    return try append(header, entries: fill)
  }

  /// Appends, syncs and confirms.
  @discardableResult
  func commit(_ epoch: Epoch, _ header: EpochHeader) throws -> EpochTag {
    let tag = try write(epoch, header)
    try sync()
    try confirm(header.epoch)
    return tag
  }

  func state(upTo epoch: UInt64? = nil) throws -> State {
    var state: State = [:]
    try restore(upTo: epoch) { key, value in state[Bytes(key)] = value.map { Bytes($0) } }
    return state
  }

  /// Starts, runs and finishes a rewrite; false if none could start.
  func rewriteNow() throws -> Bool {
    guard let rewriter = try startRewriteIfDue(evenIfShort: true) else { return false }
    finishRewrite(.success(try rewriter.run()))
    return true
  }
}

/// A store opened on its newest epoch and ready to be appended to.
func openNewest(
  _ disk: any Disk, _ path: String = directory, policy: PartitionStore.Policy = .init(), shape: ValueShape? = nil
) throws -> PartitionStore {
  let store = try PartitionStore(opening: path, on: disk, policy: policy, shape: shape)
  try store.truncate(after: store.newestEpoch)
  return store
}

/// Writes epochs `0..<count` and returns the state after each.
func fill(_ store: PartitionStore, count: Int, seed: UInt64 = 1, valueBytesMax: Int = 900) throws -> [State] {
  var random = SeededGenerator(seed: seed)
  var states: [State] = []
  var state: State = [:]
  for epoch in 0..<UInt64(count) {
    let changes = Epoch.random(using: &random, valueBytesMax: valueBytesMax)
    changes.apply(to: &state)
    try store.commit(changes, header(epoch))
    states.append(state)
  }
  return states
}

func damage(of error: (any Error)?) -> Damage? {
  if case .damaged(let damage)? = error as? CheckpointError { return damage }
  return nil
}
