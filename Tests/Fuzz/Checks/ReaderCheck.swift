// Whatever lies in a directory: looking, opening, restoring and repairing agree about it, and what is accepted can be
// written again, byte for byte, and continued.

import Checkpoint
import CheckpointTesting

enum ReaderCheck {
  private typealias State = [[UInt8]: [UInt8]]
  private static let directory = "/d"

  static func run(_ input: [UInt8]) throws(FuzzFinding) {
    guard let disk = DirectoryInput(input).disk(directory) else { return }
    do { try run(disk) } catch let finding as FuzzFinding {
      throw finding
    } catch { throw FuzzFinding("an error that is none of those expected: \(error)") }
  }

  private static func run(_ disk: ModelDisk) throws {
    let before = disk.paths.map { disk.contents(of: $0) }
    let inspected = try PartitionReport.inspect(directory, on: disk, blockLimit: 1)
    let verified = try PartitionReport.verify(directory, on: disk, blockLimit: 1)
    let plan = try? PartitionRepair(planning: directory, on: disk)
    try require(disk.paths.map { disk.contents(of: $0) } == before, "looking has changed something")

    var state: State?
    do {
      let store = try PartitionStore(opening: directory, on: disk)
      try require(inspected.error == nil, "opened, though inspect says: \(inspected.error.debugDescription)")
      state = try restored(store)
      if store.newestEpoch != nil {
        try require(
          (state != nil) == (verified.error == nil),
          "restored: \(state != nil), verify says \(verified.error.debugDescription)")
      }
    } catch let error as CheckpointError {
      try require(inspected.error == error, "opening says \(error), inspect \(inspected.error.debugDescription)")
    }

    if verified.isSound, verified.epochs != nil {
      guard let state else { throw FuzzFinding("sound, and not restored") }
      try require(UInt64(state.count) == verified.liveKeyCount, "verify counts other keys than restore gives")
      try writtenAgain(disk)
      try continued(disk, state)
    }
    guard let plan else { return }
    switch plan.verdict {
    case .sound:
      try require(
        verified.isSound,
        "sound for repair, yet \(verified.firstDamage.debugDescription) \(verified.error.debugDescription)")
    case .lossless, .cutBack:
      try require(!verified.isSound, "to be repaired (\(plan)), yet sound")
      try repaired(disk, plan)
    case .nothingIntact: try require(!verified.isSound, "nothing intact, yet sound")
    case .mixed: break
    }
  }

  private static func restored(_ store: PartitionStore) throws(FuzzFinding) -> State? {
    var state: State = [:]
    do {
      try store.restore { key, value in state[Array(key)] = value.map { Array($0) } }
      return state
    } catch let error as CheckpointError {
      if case .damaged = error { return nil }
      if case .noSuchEpoch(_, nil) = error { return nil }
      throw FuzzFinding("restore: \(error)")
    } catch { throw FuzzFinding("restore: \(error)") }
  }

  /// Blocks of this program's format, from the first log of a lineage on: the same header, entries and outbox give the
  /// same bytes, but for the entries, which can be compressed in many ways.
  private static func writtenAgain(_ disk: ModelDisk) throws {
    let snapshot = try PartitionSnapshot(reading: directory, on: disk)
    guard let epochs = snapshot.epochs else { return }
    let blocks = try epochs.map { try snapshot.block(of: $0) }
    guard blocks.allSatisfy({ !$0.isBase && $0.formatVersion == 4 }) else { return }
    let other = ModelDisk(seed: 2)
    let store = try PartitionStore(opening: directory, on: other)
    try store.truncate(after: nil)
    for block in blocks where block.header.epoch < CheckpointLimits.epochMax {
      let epoch = block.header.epoch
      var entries: [(key: [UInt8], value: [UInt8]?)] = []
      try snapshot.entries(of: epoch) { key, value in entries.append((Array(key), value.map { Array($0) })) }
      func fill(_ writer: inout EntryWriter) {
        for (key, value) in entries {
          if let value { writer.put(key: key, value: value) } else { writer.remove(key: key) }
        }
      }
      let outbox = try snapshot.outbox(of: epoch)
      if let outbox {
        _ = try store.append(block.header, outbox: outbox, entries: fill)
      } else {
        _ = try store.append(block.header, entries: fill)
      }
      try store.sync()
      let again = try store.block(of: epoch)
      try require(again.header == block.header, "epoch \(epoch) comes back with another header")
      try require(head(again, other) == head(block, disk), "epoch \(epoch) written again has another head")
      try require(try store.outbox(of: epoch) == outbox, "epoch \(epoch) comes back with another outbox")
      var place = 0
      try PartitionSnapshot(reading: directory, on: other).entries(of: epoch) { key, value in
        let isSame =
          place < entries.count && entries[place].key.elementsEqual(key)
          && entries[place].value.map { value.map($0.elementsEqual) ?? false } ?? (value == nil)
        place = isSame ? place + 1 : Int.max
      }
      try require(place == entries.count, "epoch \(epoch) comes back with other entries")
    }
  }

  /// The head of a block but for its checksums and for the bytes that its entries take.
  private static func head(_ block: EpochBlock, _ disk: ModelDisk) -> [UInt8] {
    let bytes = disk.contents(of: "\(directory)/\(block.file)").map { Array($0.dropFirst(Int(block.offset))) } ?? []
    let count = bytes.dropFirst(20).prefix(4).reversed().reduce(0) { $0 << 8 | Int($1) }
    return Array(bytes[40..<96] + bytes[100..<count])
  }

  /// What is sound can be opened, appended to, rewritten as a base, and is the same state.
  private static func continued(_ disk: ModelDisk, _ state: State) throws {
    let copy = disk.copy(seed: 3)
    do {
      let store = try PartitionStore(opening: directory, on: copy)
      guard let newest = store.newestEpoch, newest < CheckpointLimits.epochMax - 1 else { return }
      try store.truncate(after: newest)
      var header = try store.block(of: newest).header
      header.epoch += 1
      header.cleanShutdown = false
      _ = try store.append(header) { $0.put(key: [1, 2, 3], value: [4]) }
      try store.sync()
      try store.confirm(header.epoch)
      if let rewriter = try store.startRewriteIfDue(evenIfShort: true) {
        store.finishRewrite(.success(try rewriter.run()))
      }
    }
    let report = try PartitionReport.verify(directory, on: copy)
    try require(report.isSound, "sound, and not when continued: \(report.firstDamage.debugDescription)")
    var expected = state
    expected[[1, 2, 3]] = [4]
    let store = try PartitionStore(opening: directory, on: copy)
    try require(try restored(store) == expected, "continued, and another state")
  }

  private static func repaired(_ disk: ModelDisk, _ plan: PartitionRepair) throws {
    let copy = disk.copy(seed: 4)
    let (repair, folder) = try PartitionRepair.apply(directory, on: copy, wallMicroseconds: 1)
    try require(repair.verdict == plan.verdict && folder != nil, "planned \(plan), carried out \(repair)")
    let report = try PartitionReport.verify(directory, on: copy)
    try require(report.isSound, "not sound after the repair: \(report.firstDamage.debugDescription)")
    let store = try PartitionStore(opening: directory, on: copy)
    guard let newest = plan.newest?.tag else { throw FuzzFinding("repaired without a newest epoch") }
    try require(store.tag(of: newest.epoch) == newest, "the repaired directory does not hold \(newest)")
    try require(try restored(store) != nil, "the repaired directory cannot be restored")
    try require(try PartitionRepair(planning: directory, on: copy).verdict == .sound, "not sound for a second repair")
  }
}
