// The journal: whatever a task was told under the wall's clock, its replay says again to the byte, through restarts,
// aborts, sweeps and a wandering wall.

import Checkpoint
import CheckpointTesting
import Configuration
import Customers
import Daemon
import Engine
import Events
import Simulation
import Testing

/// One output as bytes.
private struct Said: Hashable {
  var topic: OutputTopic
  var key: [UInt8]
  var id: [UInt8]
  var value: [UInt8]
  var at: Instant
}

private func said(_ buffer: OutputBuffer) -> [Said] {
  buffer.entries.map {
    Said(
      topic: $0.topic, key: Array(buffer.bytes[$0.key]), id: Array(buffer.bytes[$0.id]),
      value: Array(buffer.bytes[$0.value]), at: $0.emittedAt)
  }
}

private let topics = ["clicks", "orders"]
private let directory = "/journal"
private let path = "/journal/p0.twj"

/// Rules that change in silence at many instants, and alerts that are held back until the inputs are caught up with.
private func realFactory(profiles: Bool = true) throws -> EngineFactory {
  let root = #filePath.replacing("Tests/DaemonTests/JournalTests.swift", with: "")
  return try EngineFactory(
    Configuration.load(
      text: """
        kafka: { bootstrap: 'x:1', group: g }
        inputs: [{ topic: clicks }, { topic: orders, required: true }]
        outputs: { customer_profiles: { enabled: \(profiles) } }
        rules: \(root)config/tags.yaml
        churn: { preset: cdnow, horizon: 60d }
        alerts: { silent_after: 5d, backfill_per_second: 2 }
        source_stall: 30m
        currency: { reporting: CNY }
        """, file: "t.yaml"))
}

/// A daemon's life as one task sees it: epochs that are committed, aborted or lost in a crash.
private struct JournalledShop {
  var random: SeededGenerator
  let disk: ModelDisk
  let factory: JournalingFactory
  var logic: any TaskLogic
  /// What the checkpoint holds: a base, then what came after it.
  private var entries: [([UInt8], [UInt8])] = []
  private var savedClock = Instant.distantPast
  private(set) var committed: [Said] = []
  private var epoch: UInt64 = 0
  private var wall = Instant(seconds: 1_772_368_000)
  private var offset: Int64 = 0
  private var savedOffset: Int64 = 0
  private(set) var restores = 0
  private let epoch0: UInt64

  init(_ base: any TaskFactory, seed: UInt64, disk: ModelDisk) throws {
    random = SeededGenerator(seed: seed)
    self.disk = disk
    factory = JournalingFactory(base, directory: directory, group: "g", topics: topics, disk: disk)
    logic = try factory.makeTask(partition: 0, partitionCount: 1, seed: 7)
    epoch0 = 0
    try commit()
  }

  /// Takes over a state that was not journalled.
  init(
    _ base: any TaskFactory, seed: UInt64, disk: ModelDisk, entries: [([UInt8], [UInt8])], clock: Instant, epoch: UInt64
  ) throws {
    random = SeededGenerator(seed: seed)
    self.disk = disk
    factory = JournalingFactory(base, directory: directory, group: "g", topics: topics, disk: disk)
    logic = try factory.makeTask(partition: 0, partitionCount: 1, seed: 7)
    self.entries = entries
    savedClock = clock
    self.epoch = epoch
    epoch0 = epoch
    try restore()
  }

  func chance(_ percent: Int, _ random: inout SeededGenerator) -> Bool {
    Int.random(in: 0..<100, using: &random) < percent
  }

  mutating func round() throws {
    for _ in 0..<Int.random(in: 1...12, using: &random) { step() }
    switch Int.random(in: 0..<20, using: &random) {
    case 3: try giveBack()
    case 0: try abort()
    case 1: try crash(afterSealing: true)
    case 2: try crash(afterSealing: false)
    default: try commit()
    }
  }

  private mutating func step() {
    switch Int.random(in: 0..<100, using: &random) {
    case 0..<45: record()
    case 45..<85:
      // Mostly small steps, now and then a day, now and then back.
      let jump =
        switch Int.random(in: 0..<30, using: &random) {
        case 0: Int64.random(in: 0...86_400, using: &random) * 1_000_000
        case 1: -Int64.random(in: 0...30_000_000, using: &random)
        default: Int64.random(in: 0...2_000_000, using: &random)
        }
      wall = Instant(microseconds: wall.microseconds + jump)
      _ = logic.tick(wall: wall, maxTimers: Int.random(in: 1...20, using: &random))
    case 85..<92: logic.reachedEnd(of: Int.random(in: 0..<2, using: &random))
    default: logic.topicGrew(Int.random(in: 0..<2, using: &random), at: wall)
    }
  }

  private mutating func record() {
    let customer = "c-\(Int.random(in: 0..<40, using: &random))"
    let late = chance(10, &random) ? Int64.random(in: 0...200_000, using: &random) : 0
    let time = wall.microseconds / 1_000 - late * 1_000 - Int64.random(in: 0...5_000, using: &random)
    // Brokers' clocks are not ours.
    let stamp = Instant(microseconds: wall.microseconds + Int64.random(in: -3_000_000...3_000_000, using: &random))
    let number = offset
    offset += 1
    let kind = chance(60, &random) ? "order_paid" : "page_view"
    let text =
      chance(4, &random)
      ? "{broken"
      : #"{"id":"e\#(number)","type":"\#(kind)","customer":"\#(customer)","ts":\#(time),"order":"o\#(number)","#
        + #""amount":\#(number % 90 * 100 + 1),"category":"c/\#(number % 7)"}"#
    let isKeyed = !chance(2, &random)
    Array(customer.utf8).withUnsafeBytes { key in
      Array(text.utf8).withUnsafeBytes { value in
        logic.consume(
          InputItem(
            kind: .record, topic: kind == "order_paid" ? 1 : 0, partition: 0, offset: number, key: isKeyed ? key : nil,
            value: value, timestamp: chance(95, &random) ? stamp : nil), wall: wall)
      }
    }
  }

  private mutating func seal() throws -> (entries: [([UInt8], [UInt8])], outputs: [Said]) {
    try logic.endEpoch(epoch)
    var changed: [([UInt8], [UInt8])] = []
    let changes = ChangeList()
    logic.takeChanges(into: changes)
    changes.readEntries { key, value in
      if let value { changed.append((Array(key), Array(value))) }
    }
    return (changed, said(logic.takeOutputs(leaving: OutputBuffer())))
  }

  mutating func commit() throws {
    let sealed = try seal()
    entries += sealed.entries
    committed += sealed.outputs
    savedClock = logic.clock
    savedOffset = offset
    epoch += 1
  }

  /// The epoch was sealed, and perhaps the next one begun; the transaction was refused.
  private mutating func abort() throws {
    _ = try seal()
    if chance(50, &random) {
      for _ in 0..<3 { step() }
    }
    try reload()
  }

  private mutating func crash(afterSealing: Bool) throws {
    if afterSealing { _ = try seal() }
    disk.killProcess()
    try reload()
  }

  /// The partition goes to another member, which commits nothing, and comes back.
  private mutating func giveBack() throws {
    try commit()
    // The clock may have gone on meanwhile.
    for _ in 0..<3 where !logic.isDirty {
      wall = Instant(microseconds: wall.microseconds + 100_000)
      _ = logic.tick(wall: wall, maxTimers: 5)
    }
    guard !logic.isDirty else { return try commit() }
    if chance(70, &random) {
      let other = try factory.makeTask(partition: 0, partitionCount: 1, seed: 7)
      for (key, value) in entries {
        try key.withUnsafeBytes { key in try value.withUnsafeBytes { try other.restore(key: key, value: $0) } }
      }
      try other.finishRestore(epoch: epoch - 1, clock: savedClock)
      _ = other.tick(wall: wall, maxTimers: 5)
      if chance(50, &random) { try other.endEpoch(epoch) }
    }
    logic.resume(epoch: epoch - 1, clock: savedClock)
  }

  private mutating func reload() throws {
    offset = savedOffset
    logic = try factory.makeTask(partition: 0, partitionCount: 1, seed: 7)
    try restore()
  }

  private mutating func restore() throws {
    if chance(30, &random) {
      // A rewrite of the base: keys that have changed since move behind those that have not.
      var last: [[UInt8]: Int] = [:]
      for (place, entry) in entries.enumerated() { last[entry.0] = place }
      entries = entries.enumerated().filter { last[$0.element.0] == $0.offset }.map(\.element)
    }
    for (key, value) in entries {
      try key.withUnsafeBytes { key in try value.withUnsafeBytes { try logic.restore(key: key, value: $0) } }
    }
    try logic.finishRestore(epoch: epoch - 1, clock: savedClock)
    restores += 1
  }

  var state: (entries: [([UInt8], [UInt8])], clock: Instant, epoch: UInt64) { (entries, savedClock, epoch) }
}

private func replay(_ factory: any TaskFactory, on disk: ModelDisk) throws -> (said: [Said], summary: JournalSummary) {
  var all: [Said] = []
  let summaries = try JournalReplay(factory, group: "g", topics: topics, disk: disk).run(directory: directory) {
    all += said($1)
  }
  return (all, try #require(summaries.first))
}

@Suite struct JournalTests {
  @Test("the replay says what was committed, to the byte", arguments: 0..<40 as Range<UInt64>)
  func sameBytes(seed: UInt64) throws {
    let factory = try realFactory(profiles: seed % 2 == 0)
    let disk = ModelDisk(seed: seed)
    var shop = try JournalledShop(factory, seed: seed, disk: disk)
    for _ in 0..<120 { try shop.round() }
    // Ends in good order.
    try shop.commit()
    let again = try replay(factory, on: disk)
    #expect(shop.committed.count > 100 && shop.restores > 0, "seed \(seed) shows too little")
    #expect(again.said == shop.committed, "seed \(seed)")
  }

  @Test("a journal may begin with a state that was made without one", arguments: 100..<110 as Range<UInt64>)
  func begunLater(seed: UInt64) throws {
    let factory = try realFactory()
    var before = try JournalledShop(factory, seed: seed, disk: ModelDisk(seed: seed))
    for _ in 0..<40 { try before.round() }
    try before.commit()
    let disk = ModelDisk(seed: seed)
    var shop = try JournalledShop(
      factory, seed: seed + 1, disk: disk, entries: before.state.entries, clock: before.state.clock,
      epoch: before.state.epoch)
    for _ in 0..<40 { try shop.round() }
    try shop.commit()
    let again = try replay(factory, on: disk)
    #expect(!shop.committed.isEmpty && again.said == shop.committed, "seed \(seed)")
    #expect(again.summary.epochs?.lowerBound == before.state.epoch)
  }

  @Test("idle ticks are kept from filling the journal") func idleTicks() throws {
    let factory = try realFactory()
    let disk = ModelDisk(seed: 1)
    let logic = try JournalingFactory(factory, directory: directory, group: "g", topics: topics, disk: disk)
      .makeTask(partition: 0, partitionCount: 1, seed: 7)
    var wall = Instant(seconds: 1_772_368_000)
    for topic in 0..<2 {
      logic.topicGrew(topic, at: wall)
      logic.reachedEnd(of: topic)
    }
    for _ in 0..<1_000 {
      wall = wall + .seconds(1)
      _ = logic.tick(wall: wall, maxTimers: 10)
    }
    try logic.endEpoch(0)
    let again = try replay(factory, on: disk)
    #expect(again.summary.ticks < 10 && again.summary.clock == logic.clock && logic.clock == wall)
  }

  @Test("a torn last frame is left out, and the next run replaces it", arguments: 1..<60)
  func tornTail(cut: Int) throws {
    let factory = try realFactory()
    let disk = ModelDisk(seed: 3)
    var shop = try JournalledShop(factory, seed: 3, disk: disk)
    for _ in 0..<5 { try shop.commit() }
    let whole = try #require(disk.contents(of: path))
    let committed = shop.committed
    for _ in 0..<3 { try shop.round() }
    let longer = try #require(disk.contents(of: path))
    disk.setContents(Array(longer[..<min(longer.count - 1, whole.count + cut)]), of: path)
    let again = try replay(factory, on: disk)
    #expect(again.said.starts(with: committed))
    #expect(again.summary.epochs?.upperBound ?? 0 >= 5)
  }

  @Test("damage below the end is named with its byte and never replayed over") func damage() throws {
    let factory = try realFactory()
    let disk = ModelDisk(seed: 4)
    var shop = try JournalledShop(factory, seed: 4, disk: disk)
    for _ in 0..<10 { try shop.round() }
    let below = try #require(disk.contents(of: path)).count
    for _ in 0..<2 { try shop.commit() }
    let good = try #require(disk.contents(of: path))
    for bit in stride(from: 0, to: below * 8, by: 197) {
      disk.setContents(good, of: path)
      disk.flipBit(bit, of: path)
      #expect(throws: JournalError.self, "bit \(bit)") { try replay(factory, on: disk) }
    }
  }

  @Test("a full disk stops the epoch, and after more room nothing is missing") func fullDisk() throws {
    let factory = try realFactory()
    let disk = ModelDisk(seed: 5)
    var shop = try JournalledShop(factory, seed: 5, disk: disk)
    for _ in 0..<5 { try shop.round() }
    let room = disk.totalBytes + 30
    disk.setFaults { $0.capacity = room }
    let error = #expect(throws: CheckpointError.self) { for _ in 0..<50 { try shop.round() } }
    #expect(error.map { "\($0)" }?.contains(path) == true)
    // The same task never goes on behind a failed write.
    disk.setFaults { $0.capacity = nil }
    #expect(throws: CheckpointError.self) { try shop.commit() }
    disk.killProcess()
    let again = try replay(factory, on: disk)
    #expect(again.said == shop.committed)
  }

  @Test("a journal of another group, state or rules is refused, and so is a gap") func refusals() throws {
    let factory = try realFactory()
    let disk = ModelDisk(seed: 6)
    var shop = try JournalledShop(factory, seed: 6, disk: disk)
    for _ in 0..<5 { try shop.round() }
    func journaling(_ group: String) -> JournalingFactory {
      JournalingFactory(factory, directory: directory, group: group, topics: topics, disk: disk)
    }
    #expect(throws: JournalError.self) { try journaling("h").makeTask(partition: 0, partitionCount: 1, seed: 7) }
    #expect(throws: JournalError.self) { try journaling("g").makeTask(partition: 0, partitionCount: 2, seed: 7) }
    #expect(throws: JournalError.self) { try journaling("g").makeTask(partition: 0, partitionCount: 1, seed: 8) }
    let later = try journaling("g").makeTask(partition: 0, partitionCount: 1, seed: 7)
    let gap = #expect(throws: JournalError.self) { try later.finishRestore(epoch: 1_000, clock: .distantPast) }
    #expect(gap.map { "\($0)" }?.contains("without --journal") == true)
    var versions = TaskVersions()
    versions.rulesRevision = 99
    #expect(throws: JournalError.self) { try replay(CountingFactory(topics: 2, versions: versions), on: disk) }
    #expect(throws: JournalError.self) {
      try JournalReplay(factory, group: "g", topics: topics, disk: disk).run(directory: "/elsewhere") { _, _ in }
    }
  }
}
