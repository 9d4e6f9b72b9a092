// Every halt in a simulated cluster, and a recovery that dies at any call to Kafka or to the disk: whatever comes in between,
// the daemon ends with exactly the state that the operator's choice means, and never with another.

import Checkpoint
import CheckpointTesting
import Configuration
import Daemon
import Engine
import Events
import Handoff
import Kafka
import Simulation
import Testing

/// What happens to a group and its state between two runs.
private enum Harm: String, CaseIterable, Sendable {
  case commitsExpired, oldBackup, resetToZero, resetSomewhere, resetOneTopic, movedUnderItsTag, recordsDeleted, logCut
}

/// Kafka for a recovery that may die.
private final class FakeRecoveryPort: RecoveryPort {
  private let cluster: FakeCluster
  private var random: SeededGenerator
  private var callsLeft: Int

  init(_ cluster: FakeCluster, seed: UInt64, callsLeft: Int) {
    self.cluster = cluster
    random = SeededGenerator(seed: seed)
    self.callsLeft = callsLeft
  }

  private func call(_ operation: String) throws(KafkaError) {
    callsLeft -= 1
    if callsLeft < 0 { throw FakeFaults.death(operation) }
    if callsLeft > 1_000, Int.random(in: 0..<10, using: &random) == 0 { throw FakeFaults.late(operation) }
  }

  func members(timeoutMilliseconds: Int32) throws(KafkaError) -> [String]? {
    try call("members")
    return []
  }
  func committed(for partitions: [TopicPartition], timeoutMilliseconds: Int32) throws(KafkaError) -> [CommittedOffset] {
    try call("committed")
    return partitions.map { CommittedOffset(partition: $0, committed: cluster.committed[$0]) }
  }
  func watermarks(of partition: TopicPartition, timeoutMilliseconds: Int32) throws(KafkaError) -> Watermarks {
    try call("watermarks")
    return cluster.watermarks(of: partition)
  }
  func commitSync(_ offsets: [PartitionOffset], timeoutMilliseconds: Int32) throws(KafkaError) {
    // The answer is lost, or the request.
    let isKnown = Bool.random(using: &random)
    do { try call("commit") } catch {
      if isKnown { for offset in offsets { cluster.committed[offset.partition] = offset } }
      throw error
    }
    for offset in offsets { cluster.committed[offset.partition] = offset }
  }
  func sleep(milliseconds: Int32) {}
}

extension FakeCluster {
  func watermarks(of partition: TopicPartition) -> Watermarks {
    let topic = topics.firstIndex(of: partition.topic) ?? 0
    return Watermarks(
      earliest: earliest[partition] ?? 0, latest: Int64(inputs[topic][Int(partition.partition)].count))
  }
}

@Suite struct RecoverySimulationTests {
  @Test(arguments: Configuration.Delivery.allCases, 0..<200 as Range<UInt64>)
  func endsAsTheOperatorChose(delivery: Configuration.Delivery, seed: UInt64) throws {
    let harm = Harm.allCases[Int(seed) % Harm.allCases.count]
    var story = try Story(delivery, seed: seed)
    try story.liveAWhile()
    try story.suffer(harm)
    try story.goOn()
    try story.check(harm)
  }
}

/// One seed.
private struct Story {
  let delivery: Configuration.Delivery
  let configuration: Configuration
  let seed: UInt64
  var random: SeededGenerator
  let cluster = FakeCluster(topics: ["a", "b"], partitions: 2)
  var disk: ModelDisk
  var produced = 0
  var lives: UInt64 = 0
  /// The inputs before a log was cut.
  var original: [[[FakeCluster.Record]]] = []
  /// By partition and topic: where the state stood when the daemon first halted there, and where it had to go on.
  var standing: [[[Int64]]] = []
  var goingOn: [[Int64?]] = [[nil, nil], [nil, nil]]

  init(_ delivery: Configuration.Delivery, seed: UInt64) throws {
    self.delivery = delivery
    self.seed = seed
    random = SeededGenerator(seed: seed &+ 77)
    disk = ModelDisk(seed: seed)
    configuration = try cluster.configuration(delivery)
  }

  // MARK: Lives

  mutating func produce(_ count: Int) {
    for number in produced..<produced + count {
      let partition = number % 2
      let record = FakeCluster.Record(
        key: Array("k\(partition)-\(number / 2 % 5)".utf8), value: Array("\(number)".utf8))
      cluster.inputs[Int.random(in: 0..<2, using: &random)][partition].append(record)
    }
    produced += count
  }

  mutating func daemon(_ faults: FakeFaults) throws -> DataPlaneEnd {
    var settings = DataPlaneSettings(
      configuration: configuration, factory: CountingFactory(topics: 2), log: Log(level: .error, sink: { _, _ in }))
    settings.disk = disk
    settings.configuration.state.rewriteMinimumBytes = 900
    return try cluster.run(settings, faults)
  }

  mutating func die() { if Bool.random(using: &random) { disk.crash() } else { disk.killProcess() } }

  private mutating func nextSeed() -> UInt64 {
    lives += 1
    return seed &* 1_000 &+ lives
  }

  /// A life that is cut short, mostly.
  private mutating func shortLife() throws -> DataPlaneEnd {
    let isLong = Int.random(in: 0..<4, using: &random) == 0
    let faults = FakeFaults(
      seed: nextSeed(), callsLeft: isLong ? .max : Int.random(in: 40...400, using: &random))
    faults.retryPercent = Int.random(in: 0...10, using: &random)
    faults.abortPercent = Int.random(in: 0...5, using: &random)
    // A refused commit waits for one.
    faults.rebalancePercent = Int.random(in: 3...10, using: &random)
    let end = try daemon(faults)
    die()
    return end
  }

  mutating func liveAWhile() throws {
    for _ in 0..<Int.random(in: 1...3, using: &random) {
      produce(Int.random(in: 20...80, using: &random))
      _ = try shortLife()
    }
  }

  // MARK: Harm

  mutating func suffer(_ harm: Harm) throws {
    original = cluster.inputs
    func committedPartitions() -> [TopicPartition] { cluster.committed.keys.sorted() }
    switch harm {
    case .commitsExpired: cluster.committed = [:]
    case .oldBackup:
      let backup = disk.copy(seed: seed)
      produce(60)
      _ = try shortLife()
      _ = try shortLife()
      disk = backup
    case .resetToZero:
      for place in committedPartitions() { cluster.committed[place] = PartitionOffset(place, offset: 0) }
    case .resetSomewhere:
      for place in committedPartitions() {
        let end = cluster.watermarks(of: place).latest
        cluster.committed[place] = PartitionOffset(place, offset: Int64.random(in: 0...end, using: &random))
      }
    case .resetOneTopic:
      for place in committedPartitions() where place.topic == "a" {
        cluster.committed[place] = PartitionOffset(place, offset: (cluster.committed[place]?.offset ?? 0) / 2)
      }
    case .movedUnderItsTag:
      for place in committedPartitions() where (cluster.committed[place]?.offset ?? 0) > 0 {
        cluster.committed[place]?.offset -= 1
      }
    case .recordsDeleted:
      produce(60)
      for place in committedPartitions() {
        let range = (cluster.committed[place]?.offset ?? 0)...cluster.watermarks(of: place).latest
        cluster.earliest[place] = Int64.random(in: range, using: &random)
      }
    case .logCut:
      for place in committedPartitions() {
        let topic = place.topic == "a" ? 0 : 1
        let next = Int(cluster.committed[place]?.offset ?? 0)
        let keep = max(0, next - Int.random(in: 0...5, using: &random))
        cluster.inputs[topic][Int(place.partition)].removeSubrange(keep...)
      }
    }
  }

  // MARK: Recovering

  /// Starts the daemon, and does what it says, until it has read everything.
  mutating func goOn() throws {
    for _ in 0..<12 {
      let end = try daemon(FakeFaults(seed: nextSeed()))
      die()
      if end.status == .ok { return }
      let reason = end.reason
      #expect(end.status == .stateRefused || end.status == .halted, "\(reason)")
      guard let start = reason.range(of: "`tidewatch recover ") else {
        Issue.record("no command in: \(reason)")
        return
      }
      let words = reason[start.upperBound...].prefix { $0 != "`" }.split(separator: " ").map(String.init)
      // A log that was cut: the second of the two commands.
      let beyondEnd: RestartPoint? = words.contains("--beyond-end") ? .end : nil
      let action: RecoveryAction
      switch RecoveryOption(rawValue: words[0]) {
      case .adoptDisk: action = .adoptDisk
      case .acceptOffsets: action = .acceptOffsets
      case .skipGap: action = .skipGap(beyondEnd: beyondEnd)
      case nil:
        Issue.record("an unknown command in: \(reason)")
        return
      }
      let place = try #require(words.firstIndex(of: "--partition"))
      let partition = try #require(Int32(words[place + 1]))
      note(partition, action)
      guard try recover(action, partition) else { return }
    }
    Issue.record("still halted")
  }

  /// Where the state stands and where it is to go on, before anything is touched.
  private mutating func note(_ partition: Int32, _ action: RecoveryAction) {
    if standing.isEmpty { standing = [[], []] }
    guard goingOn[Int(partition)].allSatisfy({ $0 == nil }) else { return }
    guard let store = try? PartitionStore(opening: "/state/g/p\(partition)", on: disk.copy(seed: 1)) else { return }
    standing[Int(partition)] = store.tags.compactMap { tag in
      guard let header = try? store.block(of: tag.epoch).header else { return nil }
      return cluster.topics.map { topic in header.offsets.first { $0.topic == topic }?.next ?? 0 }
    }
    for (index, topic) in cluster.topics.enumerated() {
      let place = TopicPartition(topic, partition)
      let range = cluster.watermarks(of: place)
      switch action {
      case .acceptOffsets: goingOn[Int(partition)][index] = cluster.committed[place]?.offset ?? 0
      case .skipGap(let beyondEnd): goingOn[Int(partition)][index] = beyondEnd == .end ? range.latest : range.earliest
      case .adoptDisk, .skip: break
      }
    }
  }

  /// Runs the command, dying on the way a few times; in between the daemon may try. False when there is nothing to be done.
  private mutating func recover(_ action: RecoveryAction, _ partition: Int32) throws -> Bool {
    for attempt in 0..<30 {
      // The last attempts live.
      let isLast = attempt >= 12
      let port = FakeRecoveryPort(
        cluster, seed: nextSeed(), callsLeft: isLast ? .max : Int.random(in: 0...30, using: &random))
      if !isLast, Bool.random(using: &random) {
        let stopAfter = Int.random(in: 0...14, using: &random)
        disk.setFaults { $0.stopAfterChanges = stopAfter }
      }
      let isDone: Bool
      do {
        let recovery = Recovery(configuration, port: port, partitionCount: cluster.partitions, disk: disk)
        try recovery.look(at: [partition])
        let finding = try #require(recovery.findings.first)
        if finding.failure != nil { throw RecoveryError.topics("the disk died") }
        let decision = recovery.decide(action, finding, isChosen: true, wall: 1)
        switch decision.kind {
        case .leave: isDone = true
        case .refuse:
          // After an earlier attempt that got further than it knew, the next halt may be another.
          if attempt == 0 {
            #expect(decision.sentences.joined().contains("kafka.group"), "\(decision.sentences)")
            return false
          }
          isDone = true
        case .apply(let steps):
          try recovery.checkGroupIsEmpty()
          try recovery.apply(steps, to: finding)
          isDone = true
        }
      } catch is RecoveryError { isDone = false }
      die()
      if isDone { return true }
      if Int.random(in: 0..<3, using: &random) == 0 {
        let end = try shortLife()
        #expect([.ok, .stateRefused, .halted, .restart].contains(end.status), "\(end.reason)")
      }
    }
    Issue.record("the recovery did not end")
    return false
  }

  // MARK: Checking

  /// The state on disk holds each input as often as the choice means.
  func check(_ harm: Harm) throws {
    for partition in 0..<2 {
      guard let store = try? PartitionStore(opening: "/state/g/p\(partition)", on: disk.copy(seed: 1)),
        store.newestEpoch ?? 0 > 0
      else { continue }
      let logic = CountingLogic(topics: 2, mode: .wall)
      _ = try store.restore { key, value in try logic.restore(key: key, value: value) }
      let header = try store.block(of: try #require(store.newestEpoch)).header
      let isAtEnd = cluster.topics.allSatisfy { topic in
        header.offsets.first { $0.topic == topic }?.next
          == cluster.watermarks(of: TopicPartition(topic, Int32(partition))).latest
      }
      // A partition that no command could help stands where it stood.
      guard isAtEnd else { continue }
      let found = logic.cells
      let candidates = expected(partition, harm)
      #expect(
        candidates.contains { $0 == found },
        "partition \(partition) after \(harm): \(found.values.map(\.count)) is none of \(candidates.map { $0.values.map(\.count) })"
      )
    }
    if harm == .commitsExpired || harm == .oldBackup { checkEveryInputWasSaid() }
  }

  /// Counts of the state that stood at one of the last two epochs (or at a committed one), with what was read from where it
  /// went on.
  private func expected(_ partition: Int, _ harm: Harm) -> [[[UInt8]: CountingLogic.Cell]] {
    let moved = goingOn[partition]
    if standing.isEmpty || moved.allSatisfy({ $0 == nil }) { return [cells(partition, cluster.inputs) { _, _ in 1 }] }
    return standing[partition].map { stood in
      // What was cut and had been read is in the state; nothing came after.
      if harm == .logCut { return cells(partition, original) { topic, offset in offset < stood[topic] ? 1 : 0 } }
      return cells(partition, cluster.inputs) { topic, offset in
        let isInState = offset < stood[topic]
        // A gap only moves forward.
        let next = moved[topic].map { harm == .recordsDeleted ? max($0, stood[topic]) : $0 } ?? stood[topic]
        return (isInState ? 1 : 0) + (offset >= next ? 1 : 0)
      }
    }
  }

  private func cells(_ partition: Int, _ inputs: [[[FakeCluster.Record]]], _ times: (Int, Int64) -> Int64)
    -> [[UInt8]: CountingLogic.Cell]
  {
    var cells: [[UInt8]: CountingLogic.Cell] = [:]
    for topic in 0..<2 {
      for (offset, record) in inputs[topic][partition].enumerated() {
        let count = times(topic, Int64(offset))
        guard count > 0, let number = Int64(String(decoding: record.value, as: UTF8.self)) else { continue }
        cells[record.key, default: CountingLogic.Cell(count: 0, sum: 0)].count += count
        cells[record.key, default: CountingLogic.Cell(count: 0, sum: 0)].sum += number * count
      }
    }
    return cells
  }

  /// Adopting the disk loses no output.
  private func checkEveryInputWasSaid() {
    let said = Set(cluster.outputs.map(\.id))
    for topic in 0..<2 {
      for partition in 0..<2 where isHelped(partition) {
        for offset in cluster.inputs[topic][partition].indices {
          #expect(said.contains("\(partition)-\(topic)-\(offset)"), "no output of \(partition)-\(topic)-\(offset)")
        }
      }
    }
  }

  private func isHelped(_ partition: Int) -> Bool {
    cluster.topics.allSatisfy { topic in
      let place = TopicPartition(topic, Int32(partition))
      return cluster.committed[place]?.offset == cluster.watermarks(of: place).latest
    }
  }
}
