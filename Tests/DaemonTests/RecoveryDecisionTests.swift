// `recover` and `skip` as pure decisions: every halt of the start-up table, and every way to be interrupted.

import Checkpoint
import Configuration
import Daemon
import Kafka
import Testing

/// Disk and group of one partition, changed by steps as the real ones are, and cut short anywhere.
private struct World {
  struct Block {
    var facts: BlockFacts
    /// The epoch whose state this is: blocks that a recovery appends repeat it.
    var content: UInt64
    /// The epoch whose outputs wait in this block's outbox.
    var outbox: UInt64?
  }

  static let lineage = Lineage(high: 1, low: 2)
  var delivery: Configuration.Delivery
  var blocks: [Block] = []
  var committed: [CommittedTopic] = [CommittedTopic(topic: "a", offset: nil), CommittedTopic(topic: "b", offset: nil)]
  var available: [String: Watermarks] = [:]
  var chains: UInt64 = 100

  /// Epoch n stands at offset 10 n of `a` and n of `b`.
  init(_ delivery: Configuration.Delivery, epochs: ClosedRange<UInt64>, outboxes: Bool = false) {
    self.delivery = delivery
    for epoch in epochs {
      add(
        epoch, offsets: [TopicOffset(topic: "a", next: Int64(epoch) * 10), TopicOffset(topic: "b", next: Int64(epoch))])
      if outboxes, epoch > 0 {
        blocks[blocks.count - 1].outbox = epoch
        blocks[blocks.count - 1].facts.hasOutbox = true
      }
    }
  }

  mutating func add(_ epoch: UInt64, offsets: [TopicOffset]) {
    chains += 1
    let header = EpochHeader(
      lineage: Self.lineage, epoch: epoch, clock: 0, partition: 3, partitionCount: 4, offsets: offsets)
    let tag = EpochTag(lineage: Self.lineage, epoch: epoch, chain: chains)
    blocks.append(Block(facts: BlockFacts(tag: tag, header: header), content: epoch))
  }

  mutating func commit(_ epoch: UInt64) {
    guard let block = blocks.first(where: { $0.facts.tag.epoch == epoch }) else { return }
    committed = block.facts.header.offsets.map {
      CommittedTopic(topic: $0.topic, offset: $0.next, metadata: "\(block.facts.tag)")
    }
  }

  var evidence: PartitionEvidence {
    let tagged = Set(committed.compactMap { EpochTag($0.metadata) })
    let facts = blocks.map(\.facts).enumerated().filter {
      $0.offset + 2 >= blocks.count || tagged.contains($0.element.tag)
    }
    return PartitionEvidence(
      partition: 3, partitionCount: 4, committed: committed, epochs: blocks.map(\.facts.tag),
      blocks: facts.map(\.element),
      available: available)
  }

  var health: PartitionHealth { evidence.health(delivery) }

  func decide(_ action: RecoveryAction, isChosen: Bool = true) -> RecoveryDecision {
    RecoveryPlanner(
      delivery: delivery, evidence: evidence, commands: OperatorCommands(configurationFile: "t.yaml", partition: 3),
      directory: "/state/g/p3", isChosen: isChosen, wall: 5
    ).decide(action)
  }

  /// The worlds after 0, 1, 2, ... of the changes that the steps make; the last has them all.
  func interrupted(_ steps: RecoverySteps) -> [World] {
    var world = self
    var all = [world]
    func commit(_ offsets: [TopicOffset], _ tag: EpochTag) {
      for offset in offsets {
        guard let index = world.committed.firstIndex(where: { $0.topic == offset.topic }) else { continue }
        world.committed[index] = CommittedTopic(topic: offset.topic, offset: offset.next, metadata: "\(tag)")
      }
      all.append(world)
    }
    if let mark = steps.mark { commit(mark, steps.base) }
    var first: EpochTag?
    if !steps.blocks.isEmpty {
      world.blocks.removeAll { $0.facts.tag.epoch > steps.base.epoch }
      all.append(world)
      guard let base = world.blocks.last else { return all }
      for block in steps.blocks {
        world.add(world.blocks[world.blocks.count - 1].facts.tag.epoch + 1, offsets: block.offsets)
        let last = world.blocks.count - 1
        world.blocks[last].content = base.content
        world.blocks[last].facts.header.cleanShutdown = base.facts.header.cleanShutdown
        world.blocks[last].facts.header.skips = block.skips
        world.blocks[last].facts.header.interventions = block.interventions
        if block.carriesOutbox {
          world.blocks[last].outbox = base.outbox
          world.blocks[last].facts.hasOutbox = base.outbox != nil
        }
        first = first ?? world.blocks[last].facts.tag
        all.append(world)
      }
    }
    switch steps.commit {
    case .none: break
    case .existing(let tag): commit(steps.offsets, tag)
    case .first: if let first { commit(steps.offsets, first) }
    }
    return all
  }

  /// What the daemon would start from; nil when it halts or begins anew.
  var start: (content: UInt64, offsets: [TopicOffset], resent: UInt64?, block: BlockFacts)? {
    switch decideStart(committed: committed, disk: evidence.disk, delivery: delivery) {
    case .halt, .begin: return nil
    case .resume(let epoch, _), .commitFromDisk(let epoch, false, _):
      return blocks.first { $0.facts.tag.epoch == epoch }.map { ($0.content, $0.facts.header.offsets, nil, $0.facts) }
    case .commitFromDisk(let epoch, true, _):
      return blocks.first { $0.facts.tag.epoch == epoch }.map {
        ($0.content, $0.facts.header.offsets, $0.outbox, $0.facts)
      }
    }
  }
}

private func offsets(_ a: Int64, _ b: Int64) -> [TopicOffset] {
  [TopicOffset(topic: "a", next: a), TopicOffset(topic: "b", next: b)]
}

/// One halt and what recovering from it must lead to.
private struct Halt: Sendable, CustomTestStringConvertible {
  var name: String
  var action: RecoveryAction
  var delivery: Configuration.Delivery
  var make: @Sendable (inout World) -> Void
  /// The epoch whose state goes on.
  var content: UInt64
  var offsets: [TopicOffset]
  var kinds: [Intervention.Kind]
  var testDescription: String { "\(delivery.rawValue), \(action): \(name)" }
}

/// Both deliveries; `once` and `least`: the state that must go on in each.
private func both(
  _ name: String, _ action: RecoveryAction, once: (UInt64, [TopicOffset]), least: (UInt64, [TopicOffset]),
  _ kinds: [Intervention.Kind], _ make: @escaping @Sendable (inout World) -> Void
) -> [Halt] {
  [
    Halt(
      name: name, action: action, delivery: .exactlyOnce, make: make, content: once.0, offsets: once.1, kinds: kinds),
    Halt(
      name: name, action: action, delivery: .atLeastOnce, make: make, content: least.0, offsets: least.1, kinds: kinds),
  ]
}

private func setOffset(_ world: inout World, _ topic: Int, _ offset: Int64?, metadata: String? = nil) {
  world.committed[topic].offset = offset
  if let metadata { world.committed[topic].metadata = metadata }
}

private let halts: [Halt] =
  both(
    "the commits have expired", .adoptDisk, once: (6, offsets(60, 6)), least: (7, offsets(70, 7)), [.adoptedDisk]
  ) { _ in }
  + both(
    "the commits have expired, and the newest epoch is held as a base", .adoptDisk, once: (7, offsets(70, 7)),
    least: (7, offsets(70, 7)), [.adoptedDisk]
  ) { world in
    world.blocks.removeFirst(world.blocks.count - 1)
    world.blocks[0].facts.isBase = true
    world.blocks[0].facts.hasOutbox = false
    world.blocks[0].outbox = nil
  }
  + both(
    "an older state was brought back", .adoptDisk, once: (6, offsets(60, 6)), least: (7, offsets(70, 7)), [.adoptedDisk]
  ) { world in
    let tag = EpochTag(lineage: World.lineage, epoch: 9, chain: 9)
    setOffset(&world, 0, 90, metadata: "\(tag)")
    setOffset(&world, 1, 9, metadata: "\(tag)")
  }
  + both(
    "an older state was brought back that ends cleanly", .adoptDisk, once: (7, offsets(70, 7)),
    least: (7, offsets(70, 7)), [.adoptedDisk]
  ) { world in
    world.blocks[world.blocks.count - 1].facts.header.cleanShutdown = true
    let tag = EpochTag(lineage: Lineage(high: 8, low: 8), epoch: 9, chain: 9)
    setOffset(&world, 0, 90, metadata: "\(tag)")
    setOffset(&world, 1, 9, metadata: "\(tag)")
  }
  + both(
    "a reset is undone", .adoptDisk, once: (6, offsets(60, 6)), least: (7, offsets(70, 7)), [.adoptedDisk]
  ) { world in
    setOffset(&world, 0, 5)
    setOffset(&world, 1, 0)
  }
  + both(
    "a reset of one topic is undone: the other proves its epoch", .adoptDisk, once: (7, offsets(70, 7)),
    least: (7, offsets(70, 7)), [.adoptedDisk]
  ) { world in
    world.commit(7)
    setOffset(&world, 0, 5, metadata: "")
  }
  + both(
    "reset to the beginning, nothing proved: the epoch before the newest, for all of the newest is read again",
    .acceptOffsets, once: (6, offsets(0, 0)), least: (7, offsets(0, 0)), [.acceptedOffsets, .acceptedOffsets]
  ) { world in
    setOffset(&world, 0, 0)
    setOffset(&world, 1, 0)
  }
  + both(
    "reset to the end, nothing proved: the newest", .acceptOffsets, once: (7, offsets(500, 400)),
    least: (7, offsets(500, 400)), [.acceptedOffsets, .acceptedOffsets]
  ) { world in
    setOffset(&world, 0, 500)
    setOffset(&world, 1, 400)
  }
  + both(
    "reset after a clean end: the newest", .acceptOffsets, once: (7, offsets(10, 1)), least: (7, offsets(10, 1)),
    [.acceptedOffsets, .acceptedOffsets]
  ) { world in
    world.blocks[world.blocks.count - 1].facts.header.cleanShutdown = true
    setOffset(&world, 0, 10)
    setOffset(&world, 1, 1)
  }
  + both(
    "one topic reset, the other proves an epoch", .acceptOffsets, once: (6, offsets(5, 6)), least: (7, offsets(5, 6)),
    [.acceptedOffsets]
  ) { world in
    world.commit(6)
    setOffset(&world, 0, 5, metadata: "")
    // at_least_once goes on from the newest, so `b` moves too: its kinds are looked at in exactly_once only.
  }
  + both(
    "offsets moved under their tags", .acceptOffsets, once: (7, offsets(69, 7)), least: (7, offsets(69, 7)),
    [.acceptedOffsets]
  ) { world in
    world.commit(7)
    setOffset(&world, 0, 69)
  }
  + both(
    "reset to where the state stands", .acceptOffsets, once: (7, offsets(70, 7)), least: (7, offsets(70, 7)),
    [.acceptedOffsets]
  ) { world in
    setOffset(&world, 0, 70)
    setOffset(&world, 1, 7)
  }
  + both(
    "a topic was away for a while", .acceptOffsets,
    once: (7, offsets(70, 7) + [TopicOffset(topic: "c", next: 33)]),
    least: (7, offsets(70, 7) + [TopicOffset(topic: "c", next: 33)]), [.acceptedOffsets]
  ) { world in
    world.commit(7)
    let tag = EpochTag(lineage: World.lineage, epoch: 2, chain: 77)
    world.committed.append(CommittedTopic(topic: "c", offset: 33, metadata: "\(tag)"))
  }
  + both(
    "a topic was recreated, and its commits went with it", .acceptOffsets, once: (7, offsets(0, 7)),
    least: (7, offsets(0, 7)), [.acceptedOffsets]
  ) { world in
    world.commit(7)
    setOffset(&world, 0, nil, metadata: "")
    world.available = ["a": Watermarks(earliest: 0, latest: 400), "b": Watermarks(earliest: 0, latest: 7)]
  }
  + both(
    "the commits of one topic were removed", .adoptDisk, once: (7, offsets(70, 7)), least: (7, offsets(70, 7)),
    [.adoptedDisk]
  ) { world in
    world.commit(7)
    setOffset(&world, 0, nil, metadata: "")
    world.available = ["a": Watermarks(earliest: 0, latest: 400), "b": Watermarks(earliest: 0, latest: 7)]
  }
  + both(
    "records were deleted", .skipGap(beyondEnd: nil), once: (7, offsets(75, 7)), least: (7, offsets(75, 7)),
    [.skippedGap]
  ) { world in
    world.commit(7)
    world.available = ["a": Watermarks(earliest: 75, latest: 90), "b": Watermarks(earliest: 0, latest: 7)]
  }
  + both(
    "records were deleted, and the newest epoch is not committed", .skipGap(beyondEnd: nil), once: (6, offsets(75, 6)),
    least: (7, offsets(75, 7)), [.skippedGap]
  ) { world in
    world.commit(6)
    world.available = ["a": Watermarks(earliest: 75, latest: 90), "b": Watermarks(earliest: 0, latest: 7)]
  }
  + both(
    "a topic was recreated", .skipGap(beyondEnd: .earliest), once: (7, offsets(0, 7)), least: (7, offsets(0, 7)),
    [.restartedTopic]
  ) { world in
    world.commit(7)
    world.available = ["a": Watermarks(earliest: 0, latest: 4), "b": Watermarks(earliest: 0, latest: 7)]
  }
  + both(
    "a topic's log was cut", .skipGap(beyondEnd: .end), once: (7, offsets(64, 7)), least: (7, offsets(64, 7)),
    [.restartedTopic]
  ) { world in
    world.commit(7)
    world.available = ["a": Watermarks(earliest: 0, latest: 64), "b": Watermarks(earliest: 0, latest: 7)]
  }
  + both(
    "a record is to be skipped", .skip([RecordAddress(topic: "a", partition: 3, offset: 72)]),
    once: (7, offsets(70, 7)),
    least: (7, offsets(70, 7)), [.skippedRecord]
  ) { world in
    world.commit(7)
    world.available = ["a": Watermarks(earliest: 0, latest: 80), "b": Watermarks(earliest: 0, latest: 7)]
  }
  + both(
    "a record is to be skipped, and the newest epoch is not committed",
    .skip([RecordAddress(topic: "a", partition: 3, offset: 72)]), once: (6, offsets(60, 6)),
    least: (7, offsets(70, 7)), [.skippedRecord]
  ) { world in world.commit(6) }

@Suite struct RecoveryDecisionTests {
  private func world(_ halt: Halt) -> World {
    var world = World(halt.delivery, epochs: 3...7, outboxes: halt.delivery == .atLeastOnce)
    halt.make(&world)
    return world
  }

  @Test(arguments: halts) fileprivate func goesOnFromTheRightState(_ halt: Halt) throws {
    let before = world(halt)
    let decision = before.decide(halt.action)
    guard case .apply(let steps) = decision.kind else {
      Issue.record("\(decision.sentences)")
      return
    }
    let after = try #require(before.interrupted(steps).last)
    guard case .sound = after.health else {
      Issue.record("\(after.health)")
      return
    }
    let start = try #require(after.start)
    #expect(start.content == halt.content)
    #expect(start.offsets == halt.offsets)
    let kinds = after.blocks.flatMap { $0.facts.header.interventions.map(\.kind) }
    if halt.delivery == .exactlyOnce { #expect(kinds == halt.kinds) } else { #expect(Set(kinds) == Set(halt.kinds)) }
    if case .skip(let records) = halt.action {
      #expect(start.block.header.skips == records.map { SkippedOffset(topic: $0.topic, offset: $0.offset) })
    }
  }

  /// An outbox is sent before anything says that it was.
  @Test(arguments: halts) fileprivate func noOutboxIsLost(_ halt: Halt) throws {
    guard halt.delivery == .atLeastOnce else { return }
    let before = world(halt)
    guard let waiting = before.blocks.last?.outbox, case .apply(let steps) = before.decide(halt.action).kind else {
      return
    }
    let tag = try #require(before.blocks.last?.facts.tag)
    // Every tag says that the newest was committed, after its outputs were sent.
    if before.committed.allSatisfy({ $0.metadata == "\(tag)" }), steps.commit == .none { return }
    #expect(before.interrupted(steps).last?.start?.resent == waiting)
  }

  /// After every single change: halted, or right, or as before; and the same command again ends as if it had never been
  /// interrupted.
  @Test(arguments: halts) fileprivate func canBeInterruptedAnywhere(_ halt: Halt) throws {
    let before = world(halt)
    guard case .apply(let steps) = before.decide(halt.action).kind else { return }
    for (count, found) in before.interrupted(steps).enumerated() {
      try checkStart(of: found, halt, before, "after \(count) changes")
      // Again, and interrupted once more.
      guard case .apply(let again) = found.decide(halt.action).kind else { continue }
      for (more, late) in found.interrupted(again).enumerated() {
        try checkStart(of: late, halt, before, "after \(count) and \(more) changes")
        var last = late
        if case .apply(let third) = late.decide(halt.action).kind { last = try #require(late.interrupted(third).last) }
        let start = try #require(last.start, "after \(count) and \(more) changes and a whole run")
        #expect(start.content == halt.content, "after \(count) and \(more) changes and a whole run")
        #expect(start.offsets == halt.offsets, "after \(count) and \(more) changes and a whole run")
      }
    }
  }

  private func checkStart(of found: World, _ halt: Halt, _ before: World, _ when: String) throws {
    guard let start = found.start else { return }
    if let old = before.start, old.content == start.content, old.offsets == start.offsets { return }
    #expect(start.content == halt.content, "\(when)")
    #expect(start.offsets == halt.offsets, "\(when)")
    if halt.delivery == .atLeastOnce, let waiting = before.blocks.last?.outbox, before.start == nil {
      #expect(start.resent == waiting, "\(when)")
    }
  }

  @Test(arguments: halts) fileprivate func saysWhatItMeans(_ halt: Halt) {
    let decision = world(halt).decide(halt.action)
    #expect(!decision.sentences.isEmpty)
    for sentence in decision.sentences {
      #expect(sentence.hasSuffix("."), "\(sentence)")
      #expect(!sentence.contains("Optional("), "\(sentence)")
    }
  }

  // MARK: What is refused

  @Test(arguments: Configuration.Delivery.allCases) func whatItCannotHelp(delivery: Configuration.Delivery) {
    func kind(_ world: World, _ action: RecoveryAction, isChosen: Bool = true) -> RecoveryDecision.Kind {
      world.decide(action, isChosen: isChosen).kind
    }
    let all: [RecoveryAction] = [.adoptDisk, .acceptOffsets, .skipGap(beyondEnd: .earliest)]

    var sound = World(delivery, epochs: 3...7)
    sound.commit(7)
    for action in all { #expect(kind(sound, action) == .leave) }

    var nothing = sound
    nothing.blocks = []
    nothing.committed = nothing.committed.map { CommittedTopic(topic: $0.topic, offset: nil) }
    for action in all { #expect(kind(nothing, action) == .leave) }
    #expect(kind(nothing, .skip([RecordAddress(topic: "a", partition: 3, offset: 1)])) == .refuse)

    // Never an empty state in place of a lost one.
    var lost = sound
    lost.blocks = []
    for action in all { #expect(kind(lost, action) == .refuse) }
    var empty = sound
    empty.blocks = World(delivery, epochs: 0...0).blocks
    for action in all { #expect(kind(empty, action, isChosen: false) == .refuse) }

    // A reset that the operator did not ask to undo by name; a state that is elsewhere.
    var reset = sound
    setOffset(&reset, 0, 5, metadata: "")
    #expect(kind(reset, .adoptDisk, isChosen: false) == .refuse)
    #expect(kind(reset, .skipGap(beyondEnd: nil)) == .refuse)
    var expired = sound
    expired.committed = expired.committed.map { CommittedTopic(topic: $0.topic, offset: nil) }
    #expect(kind(expired, .acceptOffsets) == .refuse)

    // Where to go on in a topic that ends too early is the operator's to say.
    var recreated = sound
    recreated.available = ["a": Watermarks(earliest: 0, latest: 4)]
    #expect(kind(recreated, .skipGap(beyondEnd: nil)) == .refuse)

    // Other halts.
    var mixed = sound
    for index in mixed.blocks.indices { mixed.blocks[index].facts.header.partition = 2 }
    var moved = sound
    for index in moved.blocks.indices { moved.blocks[index].facts.header.partitionCount = 2 }
    for action in all {
      #expect(kind(mixed, action) == .refuse)
      #expect(kind(moved, action) == .refuse)
    }
  }

  @Test func recordsThatCannotBeSkipped() {
    var world = World(.exactlyOnce, epochs: 3...7)
    world.commit(7)
    world.available = ["a": Watermarks(earliest: 60, latest: 80), "b": Watermarks(earliest: 0, latest: 7)]
    func refusal(_ topic: String, _ offset: Int64) -> String {
      let decision = world.decide(.skip([RecordAddress(topic: topic, partition: 3, offset: offset)]))
      #expect(decision.kind == .refuse)
      return decision.sentences.joined()
    }
    #expect(refusal("a", 69).contains("has been read already"))
    #expect(refusal("a", 80).contains("does not exist"))
    #expect(refusal("b", 7).contains("does not exist"))
    #expect(refusal("c", 7).contains("no input"))
    // What waits already is no error.
    world.blocks[world.blocks.count - 1].facts.header.skips = [SkippedOffset(topic: "a", offset: 75)]
    #expect(world.decide(.skip([RecordAddress(topic: "a", partition: 3, offset: 75)])).kind == .leave)
    guard case .apply(let steps) = world.decide(.skip([RecordAddress(topic: "a", partition: 3, offset: 76)])).kind
    else {
      Issue.record("a record to come can be skipped")
      return
    }
    #expect(steps.blocks[0].skips.map(\.offset) == [75, 76])
  }

  @Test func addressesOfRecords() {
    #expect(RecordAddress("orders:3:8812") == RecordAddress(topic: "orders", partition: 3, offset: 8812))
    for text in ["orders:3", "orders:3:x", ":3:1", "orders:-1:1", "orders:1:-1", "a:b:1:2", ""] {
      #expect(RecordAddress(text) == nil)
    }
  }

  @Test func commandsCanBePasted() {
    let plain = OperatorCommands(configurationFile: "/etc/tidewatch.yaml", partition: 3)
    #expect(plain.recover(.skipGap) == "`tidewatch recover --skip-gap --partition 3 --config /etc/tidewatch.yaml`")
    let odd = OperatorCommands(configurationFile: "/tmp/it's here.yaml", partition: nil)
    #expect(odd.recover(.adoptDisk) == "`tidewatch recover --adopt-disk --config '/tmp/it'\\''s here.yaml'`")
  }
}
