// One run: the cluster, the members and their disks, and the director who makes things go wrong and heals them.

import Checkpoint
import CheckpointTesting
import Configuration
import Daemon
import Events
import Foundation
import Kafka

/// How a run ended.
package struct RunResult: Sendable {
  package var scenario: Scenario
  package var violations: [Violation]
  package var coverage: Coverage
  package var simulatedMicroseconds: Int64
  package var switches: Int
  package var records: Int
  package var trace: [String]
}

package final class World {
  let scenario: Scenario
  let scheduler: Scheduler
  let journal: Journal
  let kafka: ModelKafka
  let history = History()
  let factory: any TaskFactory
  let isTracing: Bool
  private(set) var members: [Member] = []
  private(set) var checks: Checks
  /// Wall microseconds for each simulated one.
  let wallRate: Int64
  private(set) var hasExpired = false
  private var shownAt: Int64 = 0
  /// The latest of the members' walls when everything had healed and was read, and the earliest when all were asked to stop.
  private(set) var healedAt: Int64 = 0
  private(set) var stoppedAt: Int64 = 0
  /// What the group had committed before it forgot it.
  private(set) var forgotten: [TopicPartition: PartitionOffset] = [:]
  private var random: SeededGenerator
  private var shop: Shop
  private(set) var recordCount = 0
  /// Refused or halted for good, with the reason: allowed in special scenarios only.
  private(set) var refused: [Int32: String] = [:]
  /// The disk as it was before its bits were flipped.
  private(set) var undamaged: ModelDisk?

  /// - Throws: when the scenario's configuration does not load, a defect of the simulator.
  package init(_ scenario: Scenario, isTracing: Bool) throws {
    self.scenario = scenario
    self.isTracing = isTracing
    let scheduler = Scheduler(seed: scenario.seed)
    self.scheduler = scheduler
    journal = Journal(isTracing: isTracing) { scheduler.now }
    random = SeededGenerator(seed: scenario.seed ^ 0x776F_726C_64)
    shop = Shop(scenario)
    wallRate = scenario.logic == .engine && scenario.clock == .wall ? 20_000 : 1
    let topics = Array(["orders", "clicks"].prefix(scenario.topics))
    kafka = ModelKafka(
      topics: topics, partitions: scenario.partitions, seed: scenario.seed, journal: journal
    ) { scheduler.now }
    checks = Checks(journal: journal)
    let base = try Self.configuration(scenario, topics: topics, instance: "m0")
    switch scenario.logic {
    case .counting:
      factory = CountingFactory(topics: topics.count, mode: scenario.clock == .event ? .event : .wall)
    case .engine: factory = try EngineFactory(base)
    }
    let shared = ModelDisk(seed: scenario.seed)
    for number in 0..<scenario.members {
      members.append(
        Member(
          self, name: "m\(number)",
          configuration: try Self.configuration(scenario, topics: topics, instance: "m\(number)"),
          disk: scenario.special == .ownDisks ? ModelDisk(seed: scenario.seed &+ UInt64(number)) : shared,
          wallOffset: Self.firstInstant.microseconds))
    }
    kafka.faults = scenario.network
    kafka.onCommit = { [unowned self] offsets, membership in
      checks.check(offsets, by: membership, in: self)
    }
  }

  /// 2026-01-01.
  static let firstInstant = Instant(seconds: 1_767_225_600)

  /// The rules' file, written once a process: the configuration knows files only.
  private static let rulesPath: String = {
    let path = FileManager.default.temporaryDirectory
      .appendingPathComponent("tidewatch-simulate-\(ProcessInfo.processInfo.processIdentifier).yaml").path
    try? SimulatedRules.text.write(toFile: path, atomically: true, encoding: .utf8)
    return path
  }()

  private static func configuration(_ scenario: Scenario, topics: [String], instance: String) throws -> Configuration {
    let inputs = topics.map { "{ topic: \($0), required: false }" }.joined(separator: ", ")
    let text = """
      kafka: { bootstrap: 'x:1', group: g, instance: \(instance) }
      inputs: [\(inputs)]
      delivery: \(scenario.delivery.rawValue)
      clock: \(scenario.clock.rawValue)
      epoch: { interval: \(scenario.epochMilliseconds)ms, max_events: \(scenario.epochEvents) }
      state: { dir: /state }
      alerts: { silent_after: 6d }
      churn: { preset: cdnow, horizon: 30d }
      \(scenario.logic == .engine ? "rules: '\(rulesPath)'" : "")
      """
    var configuration = try Configuration.load(text: text, file: "simulated.yaml")
    // So small that bases are rewritten all the time.
    configuration.state.rewriteMinimumBytes = scenario.rewriteMinimumBytes
    configuration.state.rewriteRatio = 1.5
    return configuration
  }

  func draw(_ range: ClosedRange<Int64>) -> Int64 { Int64.random(in: range, using: &random) }
  func makeLineage() -> Lineage { .random(using: &random) }
  private func percent(_ value: Int) -> Bool { Int.random(in: 0..<100, using: &random) < value }

  // MARK: A run

  /// Runs the scenario to its end.
  package static func run(_ scenario: Scenario, isTracing: Bool = false) throws -> RunResult {
    let world = try World(scenario, isTracing: isTracing)
    _ = try world.scheduler.start("director") { world.direct() }
    world.scheduler.run()
    return RunResult(
      scenario: scenario, violations: world.journal.violations, coverage: world.journal.coverage,
      simulatedMicroseconds: world.scheduler.now, switches: world.scheduler.switches, records: world.recordCount,
      trace: world.journal.trace)
  }

  private func direct() {
    for member in members {
      member.start()
      if percent(50) { sleep(draw(0...3_000_000)) }
    }
    feed()
    let end = scheduler.now + Int64(scenario.loadSeconds) * 1_000_000
    var nextFault = scheduler.now + faultGap()
    while scheduler.now < end, !journal.hasFailed {
      sleep(max(1, min(500_000, nextFault - scheduler.now)))
      if scheduler.now >= nextFault {
        breakSomething()
        nextFault = scheduler.now + faultGap()
      }
      supervise()
    }
    heal()
    if !journal.hasFailed { waitForEnd() }
    if !journal.hasFailed, passesTime { waitInSilence() }
    if !journal.hasFailed { stopAll() }
    for member in members { member.kill() }
    kafka.advance()
    if !journal.hasFailed { checks.checkEnd(of: self) }
    // What was written down keeps everything alive.
    kafka.onCommit = { _, _ in }
  }

  private func faultGap() -> Int64 {
    scenario.faultSeconds == 0 ? .max / 4 : draw(1_000...2_000_000 * Int64(scenario.faultSeconds))
  }

  func sleep(_ microseconds: Int64) {
    scheduler.sleep(microseconds: microseconds)
    kafka.advance()
  }

  // MARK: Load

  /// Records come for as long as the load lasts.
  private func feed() {
    let end = scheduler.now + Int64(scenario.loadSeconds) * 1_000_000
    func appendNext() {
      let isBurst = percent(3)
      for _ in 0..<(isBurst ? Int.random(in: 20...200, using: &random) : 1) { append() }
      let next = kafka.now + draw(1...2_000_000 / Int64(scenario.recordsPerSecond))
      if next < end { kafka.at(next) { appendNext() } }
    }
    // With a disk for each, members first take turns with nothing to do.
    let start = scenario.special == .ownDisks ? end - (end - scheduler.now) / 3 : scheduler.now
    kafka.at(start) { appendNext() }
  }

  private func append() {
    recordCount += 1
    let brokerTime: Instant
    let eventTime: Instant
    if scenario.clock == .event, scenario.logic == .engine {
      // Days of the shop in minutes; the brokers live later.
      eventTime = Instant(microseconds: Self.firstInstant.microseconds + scheduler.now * 30_000)
      brokerTime = eventTime + .days(1_000)
    } else {
      brokerTime = Instant(microseconds: Self.firstInstant.microseconds + kafka.now * wallRate)
      eventTime = brokerTime
    }
    let record = shop.next(at: eventTime)
    let partition = TopicPartition(kafka.topics[record.topic], record.partition)
    kafka.append(
      partition, key: record.key, value: record.value, timestamp: brokerTime,
      markers: percent(10) ? Int64.random(in: 1...3, using: &random) : 0)
    if percent(3) { kafka.appendMarker(partition) }
  }

  // MARK: Faults

  private func breakSomething() {
    guard let member = members.randomElement(using: &random) else { return }
    switch Int.random(in: 0..<22, using: &random) {
    case 0..<3:
      guard member.isUp else { return }
      journal.note("fault: kill -9")
      member.kill()
      member.startAt = scheduler.now + draw(100_000...8_000_000)
    case 3:
      journal.note("fault: power loss")
      crash(member.disk)
    case 4..<6:
      journal.note("fault: SIGTERM")
      member.terminate()
    case 6..<8:
      journal.note("fault: SIGSTOP")
      member.pause(microseconds: percent(60) ? draw(10_500_000...25_000_000) : draw(1_000...9_000_000))
    case 8..<10:
      journal.note("fault: cut off")
      member.cutOff(microseconds: percent(50) ? draw(10_500_000...25_000_000) : draw(1_000...9_000_000))
    case 10:
      journal.note("fault: brokers away")
      kafka.isAway = true
      kafka.at(kafka.now + draw(100_000...15_000_000)) { self.kafka.isAway = false }
    case 11..<13:
      journal.note("fault: coordinator moves")
      kafka.coordinatorAwayUntil = kafka.now + draw(100_000...8_000_000)
    case 13: failDisk(member, "fault: write error") { $0.nextWrite = EIO }
    case 14: failDisk(member, "fault: sync error") { $0.nextSync = EIO }
    case 15: failDisk(member, "fault: directory sync error") { $0.nextDirectorySync = EIO }
    case 16:
      let room = member.disk.totalBytes + Int(draw(0...3_000))
      failDisk(member, "fault: disk full") { $0.capacity = room }
    case 17:
      journal.note("fault: wall jumps")
      member.jumpWall(percent(50) ? draw(-7_200_000_000 ... -1_000) : draw(1_000...7_200_000_000))
    case 21:
      if !member.isUp { return }
      journal.note("fault: another process with the same name")
      // An operator starts a second one by mistake: the first is fenced.
      kafka.send(
        "init transactions", from: ModelClient(name: "double", process: SimulatedProcess(scheduler)), to: .coordinator,
        serve: { self.kafka.transaction(of: "g-\(member.name)").initialize() }, answered: { _ in })
    case 19 where scenario.special == .bitFlips: flipBit(member)
    case 18..<20 where scenario.special == .ownDisks: bringForeignState(member)
    case 20 where scenario.special == .retention: expire()
    case 18...20 where scenario.special == .expired: forgetOffsets()
    default: expireSafely()
    }
  }

  private func failDisk(_ member: Member, _ name: String, _ change: (inout ModelDisk.Faults) -> Void) {
    journal.note(name)
    journal.say(name)
    member.disk.setFaults(change)
    for other in members where other.disk === member.disk { other.life?.hadDiskFault = true }
  }

  private func crash(_ disk: ModelDisk) {
    let affected = members.filter { $0.disk === disk }
    for member in affected { member.kill() }
    disk.crash()
    for member in affected { member.startAt = scheduler.now + draw(1_000_000...10_000_000) }
  }

  private func flipBit(_ member: Member) {
    guard undamaged == nil else { return }
    for other in members where other.disk === member.disk {
      other.kill()
      other.startAt = scheduler.now + draw(1_000_000...5_000_000)
    }
    let paths = member.disk.paths.filter { !(member.disk.contents(of: $0) ?? []).isEmpty }
    guard let path = paths.randomElement(using: &random), let bytes = member.disk.contents(of: path) else { return }
    journal.note("fault: bit flipped")
    journal.say("a bit of \(path) is flipped")
    undamaged = member.disk.afterCrash(losingEverything: true, seed: 1)
    member.disk.flipBit(Int.random(in: 0..<bytes.count * 8, using: &random), of: path)
  }

  /// By mistake an operator puts a checkpoint of another life of this group in place: as far along, and another history.
  private func bringForeignState(_ member: Member) {
    guard undamaged == nil, let partition = (0..<scenario.partitions).randomElement(using: &random) else { return }
    let committed = kafka.topics.compactMap { kafka.committed[TopicPartition($0, partition)] }
    guard committed.count == kafka.topics.count, let tag = EpochTag(committed[0].metadata), tag.epoch < 500 else {
      return
    }
    journal.note("fault: checkpoint of another state")
    journal.say("\(member.name) is given another state of partition \(partition)")
    member.kill()
    member.startAt = scheduler.now + draw(1_000_000...5_000_000)
    undamaged = member.disk.afterCrash(losingEverything: true, seed: 1)
    let directory = Checks.directory(partition)
    for path in member.disk.paths where path.hasPrefix(directory + "/") { member.disk.setContents(nil, of: path) }
    do {
      let store = try PartitionStore(opening: directory, on: member.disk)
      try store.truncate(after: nil)
      let lineage = makeLineage()
      let clock = try undamaged.map {
        try PartitionStore(opening: directory, on: $0.copy(seed: 1)).block(of: tag.epoch).header.clock
      }
      for epoch in 0...tag.epoch {
        let header = EpochHeader(
          lineage: lineage, epoch: epoch, clock: clock ?? 0, partition: partition, partitionCount: scenario.partitions,
          offsets: committed.map { TopicOffset(topic: $0.partition.topic, next: $0.offset) })
        _ = try store.append(header) { _ in }
        try store.sync()
      }
    } catch { journal.say("it has no state of it: \(error)") }
  }

  /// Below what is committed nobody needs anything.
  private func expireSafely() {
    guard let partition = kafka.all.randomElement(using: &random), let offset = kafka.committed[partition]?.offset
    else { return }
    kafka.expire(partition, below: offset)
  }

  private func expire() {
    guard let partition = kafka.all.randomElement(using: &random), let end = kafka.logs[partition]?.end else { return }
    kafka.expire(partition, below: end)
  }

  /// Everybody is down for so long that the group's offsets expire.
  private func forgetOffsets() {
    guard !hasExpired else { return }
    hasExpired = true
    journal.note("fault: offsets expired")
    let isClean = percent(50)
    if isClean {
      for member in members {
        member.startAt = nil
        member.terminate()
      }
      let deadline = scheduler.now + 60_000_000
      while members.contains(where: \.isUp), scheduler.now < deadline {
        sleep(200_000)
        for member in members {
          if let (life, end) = member.reap() { judge(member, life, end) }
          member.startAt = nil
        }
      }
    }
    for member in members {
      member.kill()
      member.startAt = scheduler.now + draw(15_000_000...20_000_000)
    }
    // What was open has timed out by then.
    sleep(14_000_000)
    forgotten = kafka.committed
    kafka.committed = [:]
    journal.say("the group has forgotten its offsets")
  }

  // MARK: Supervision

  private func supervise() {
    if isTracing { showClocks() }
    for member in members {
      if let (life, end) = member.reap() { judge(member, life, end) }
      if let life = member.life, !life.isAskedToStop {
        for (partition, reason) in member.haltedPartitions { judgeHalt(member, life, partition, reason) }
      }
      if let startAt = member.startAt, startAt <= scheduler.now {
        // An operator has looked at the disk.
        member.disk.setFaults { $0 = ModelDisk.Faults() }
        member.start()
      }
    }
  }

  private func showClocks() {
    guard passesTime, scheduler.now / 5_000_000 != shownAt else { return }
    shownAt = scheduler.now / 5_000_000
    for member in members {
      for shown in member.life?.published.read().partitions ?? [] {
        let behind = shown.clock.map {
          (scheduler.now * wallRate + member.wallOffset - $0.microseconds) / wallRate / 1_000
        }
        journal.say(
          "\(member.name): partition \(shown.partition) \(shown.phase), \(behind.map(String.init) ?? "?") ms behind; "
            + shown.detail)
      }
    }
  }

  private func judge(_ member: Member, _ life: Life, _ end: DataPlaneEnd) {
    var isFinal = false
    switch end.status {
    case .ok:
      if !life.isAskedToStop { journal.violate("end", "\(life.client.name) ended without being asked") }
    case .restart: break
    case .halted, .stateRefused:
      if !isAllowed(life, end.reason, isRefusal: end.status == .stateRefused) {
        journal.violate("halt", "\(life.client.name) ended \(end.status): \(end.reason)")
      }
      isFinal = !refused.isEmpty && scenario.special == .retention
    case .failure, .badTopics, .badConfiguration:
      journal.violate("end", "\(life.client.name) ended \(end.status): \(end.reason)")
    }
    if !isFinal { member.startAt = scheduler.now + draw(200_000...4_000_000) }
  }

  /// A partition stands still while others go on: an operator restarts the process.
  private func judgeHalt(_ member: Member, _ life: Life, _ partition: Int32, _ reason: String) {
    journal.note("partition halted")
    guard isAllowed(life, reason, isRefusal: false) else {
      return journal.violate("halt", "partition \(partition) of \(life.client.name) halted: \(reason)")
    }
    if refused.isEmpty { member.terminate() }
  }

  /// Whether a halt is what the scenario asks for. A final one must name a command or a file.
  private func isAllowed(_ life: Life, _ reason: String, isRefusal: Bool) -> Bool {
    if life.hadDiskFault, !isRefusal { return true }
    // A member that lost the partition without knowing it still holds its files.
    if reason.contains("in use by another tidewatch process") {
      journal.note("halt: files in use by a member that does not know yet")
      return true
    }
    switch scenario.special {
    case .bitFlips where undamaged != nil:
      guard reason.contains("tidewatch "), reason.contains("/state/") || isRefusal else { return false }
      note(refusal: reason)
      return true
    case .ownDisks:
      guard reason.contains("the state is elsewhere") || reason.contains("--adopt-disk") else { return false }
      note(refusal: reason)
      return true
    case .expired where hasExpired:
      guard reason.contains("--adopt-disk") else { return false }
      note(refusal: reason)
      return true
    case .retention:
      guard reason.contains("--skip-gap") else { return false }
      note(refusal: reason)
      return true
    default: return false
    }
  }

  private func note(refusal reason: String) {
    journal.note("refused: \(scenario.special.rawValue)")
    refused[Int32(refused.count)] = reason
  }

  // MARK: The end

  private func heal() {
    journal.say("everything heals")
    kafka.faults = NetworkFaults()
    kafka.isAway = false
    kafka.coordinatorAwayUntil = .min
    for member in members {
      member.disk.setFaults { $0 = ModelDisk.Faults() }
      member.heal()
      if !member.isUp { member.startAt = member.startAt ?? scheduler.now }
    }
  }

  private func waitForEnd() {
    let deadline = scheduler.now + 300_000_000
    while !journal.hasFailed {
      kafka.advance()
      if kafka.isAllCommitted { return }
      // Of what is refused nothing more comes; the others have had time enough.
      if !refused.isEmpty, scheduler.now > deadline - 240_000_000 { return }
      if scheduler.now > deadline {
        let behind = kafka.all.filter { kafka.committed[$0]?.offset != kafka.logs[$0]?.end }
        return journal.violate(
          "liveness", "not everything is read and committed 300 s after everything has healed: \(behind)")
      }
      sleep(500_000)
      supervise()
    }
  }

  /// Days in which nothing happens: only time is left to change what is true of the customers.
  private func waitInSilence() {
    healedAt = members.map { scheduler.now * wallRate + $0.wallOffset }.max() ?? 0
    let end = scheduler.now + draw(20_000_000...60_000_000)
    while scheduler.now < end, !journal.hasFailed {
      sleep(500_000)
      supervise()
    }
  }

  /// The real engine, and the wall's time.
  var passesTime: Bool { scenario.logic == .engine && scenario.clock == .wall }

  private func stopAll() {
    // Where the clocks of all members have got to.
    stoppedAt = members.map { scheduler.now * wallRate + $0.wallOffset }.min() ?? 0
    for member in members {
      member.startAt = nil
      member.terminate()
    }
    let deadline = scheduler.now + 60_000_000
    while members.contains(where: \.isUp), !journal.hasFailed {
      if scheduler.now > deadline { return journal.violate("liveness", "a process did not end when asked to") }
      sleep(200_000)
      for member in members {
        if let (life, end) = member.reap() { judge(member, life, end) }
        member.startAt = nil
      }
    }
    // The last markers are written after the answer.
    while kafka.hasPendingOutputs, scheduler.now < deadline { sleep(200_000) }
  }

  var hasRefusals: Bool { !refused.isEmpty }
}
