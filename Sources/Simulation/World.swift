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
  package let scheduler: Scheduler
  package let journal: Journal
  package let kafka: ModelKafka
  package let history = History()
  let factory: any TaskFactory
  let isTracing: Bool
  private(set) var members: [Member] = []
  private(set) var checks: Checks
  /// Wall microseconds for each simulated one.
  let wallRate: Int64
  var hasExpired = false
  private var shownAt: Int64 = 0
  /// The latest of the members' walls when everything had healed and was read, and the earliest when all were asked to stop.
  private(set) var healedAt: Int64 = 0
  private(set) var stoppedAt: Int64 = 0
  /// What the group had committed before it forgot it.
  var forgotten: [TopicPartition: PartitionOffset] = [:]
  var random: SeededGenerator
  private var shop: Shop
  private(set) var recordCount = 0
  /// Refused or halted for good, with the reason: allowed in special scenarios only.
  private(set) var refused: [Int32: String] = [:]
  /// Where there was no commit yet when records were deleted: a group that begins later begins with what is left, and what was
  /// before is nobody's loss.
  var beginnings: [TopicPartition: Int64] = [:]
  /// The disk as it was before its bits were flipped.
  var undamaged: ModelDisk?
  /// Whose files are not what was written: of the others everything is promised.
  var damaged: Int32?

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
  func percent(_ value: Int) -> Bool { Int.random(in: 0..<100, using: &random) < value }

  // MARK: A run

  /// Runs the scenario to its end.
  package static func run(_ scenario: Scenario, isTracing: Bool = false) throws -> RunResult {
    try World(scenario, isTracing: isTracing).run()
  }

  /// Once: the cluster is dissolved at the end.
  package func run() throws -> RunResult {
    defer { kafka.dissolve() }
    _ = try scheduler.start("director") { [self] in direct() }
    scheduler.run()
    return RunResult(
      scenario: scenario, violations: journal.violations, coverage: journal.coverage,
      simulatedMicroseconds: scheduler.now, switches: scheduler.switches, records: recordCount, trace: journal.trace)
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

  // MARK: Supervision

  func supervise() {
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
        // A task that was never given an event has no time yet.
        let begun = shown.clock.flatMap { $0 >= Self.firstInstant - .days(1) ? $0 : nil }
        let behind = begun.map { (scheduler.now * wallRate + member.wallOffset - $0.microseconds) / wallRate / 1_000 }
        journal.say(
          "\(member.name): partition \(shown.partition) \(shown.phase), \(behind.map(String.init) ?? "?") ms behind; "
            + shown.detail)
      }
    }
  }

  func judge(_ member: Member, _ life: Life, _ end: DataPlaneEnd) {
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
    kafka.outputsAwayUntil = .min
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
