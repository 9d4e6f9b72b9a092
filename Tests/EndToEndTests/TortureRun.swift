// One torture: the members, who starts them again, and what is done to them.

import Foundation
import Kafka
import ReferenceTesting

/// Confined to one thread.
final class TortureRun {
  /// A process that is started again whenever it ends, as systemd would.
  private final class Member {
    let number: Int
    let clock: SettableClock
    var process: DaemonProcess
    var restarts = 0
    init(_ number: Int, _ clock: SettableClock, _ process: DaemonProcess) {
      self.number = number
      self.clock = clock
      self.process = process
    }
  }

  private let scenario: TortureScenario
  private let stream: CrashStream
  private let bench: CrashBench
  private var random: Seeded
  private var members: [Member] = []
  private let feed: TortureFeed
  private var done: [TortureScenario.Kind: Int] = [:]
  /// Ends with status 75.
  private var asked = 0
  private var logs: [String] = []
  private var resent = 0
  private var longestWait = 0.0

  init(_ scenario: TortureScenario, _ stream: CrashStream) throws {
    self.scenario = scenario
    self.stream = stream
    random = Seeded(scenario.seed)
    bench = try CrashBench(
      realBroker: scenario.realBroker, stream, delivery: scenario.delivery, partitions: scenario.partitions,
      options: CrashOptions(
        members: scenario.members, clock: scenario.clock.rawValue, epochs: max(80, scenario.cycles * 20)))
    let client = try bench.client(["batch.num.messages": "20", "message.timeout.ms": "120000"])
    switch scenario.clock {
    case .event:
      feed = TortureFeed(RecordedSource(stream.records), client, topic: bench.input, perSecond: 400)
    case .wall:
      let shop = LivingShop(customers: max(100, scenario.cycles * 50), seed: scenario.seed)
      feed = TortureFeed(shop, client, topic: bench.input, perSecond: 400)
    }
  }

  // MARK: The members

  private func start(_ number: Int, _ clock: SettableClock) throws -> DaemonProcess {
    try bench.start(["--journal", bench.journalDirectory], member: number, clock: clock)
  }

  /// Keeps the log of a process that has ended, and complains about what no log may say.
  private func bury(_ member: Member) throws {
    let log = member.process.log
    resent += log.split(separator: "\n").filter { $0.contains("resending") }.count
    logs.append(log)
    if log.contains("is halted") {
      throw BinaryError(description: "member \(member.number) halted: \(log.suffix(4_000))")
    }
  }

  /// Starts again whoever has ended by itself; only status 75 is a reason.
  private func revive() throws {
    for member in members where !member.process.isRunning {
      let status = try member.process.wait(limitSeconds: 5)
      guard status == 75 else {
        throw BinaryError(
          description: "member \(member.number) ended with \(status) by itself: \(member.process.log.suffix(4_000))")
      }
      asked += 1
      try restart(member)
    }
  }

  private func restart(_ member: Member) throws {
    try bury(member)
    member.restarts += 1
    member.process = try start(member.number, member.clock)
  }

  // MARK: The cycles

  func torment() throws {
    members = try (0..<scenario.members).map { number in
      let clock = try SettableClock("clock-\(number)", in: bench.scratch)
      return Member(number, clock, try start(number, clock))
    }
    feed.allow(scenario.recordsPerCycle)
    for cycle in 0..<scenario.cycles {
      feed.allow(scenario.recordsPerCycle)
      // At work again, whatever was done to it before.
      try waitForProgress("cycle \(cycle)")
      usleep(UInt32(random.int(0...400_000)))
      try perform(pick())
    }
    feed.allow(scenario.recordsPerCycle)
    try waitForProgress("the end")
    try feed.finish(limitSeconds: 240)
    let produced = feed.produced
    do {
      try wait(for: "all \(produced) records to be committed", limitSeconds: 180) {
        (bench.committedRecords() ?? 0) >= Int64(produced)
      }
    } catch {
      // Which of the two: the broker does not have them, or they are not read.
      let ends = (try? bench.logEnds(scenario.partitions)).map { "\($0)" } ?? "unknown"
      let committed = bench.committedByPartition().map { "\($0)" } ?? "unknown"
      throw BinaryError(
        description: "\(missing()); the partitions end at \(ends), committed are \(committed): \(error)")
    }
    if scenario.clock == .wall {
      // What silence brings is still to come.
      usleep(8_000_000)
    }
    for member in members { member.process.send(SIGTERM) }
    for member in members {
      let status = try member.process.wait(limitSeconds: 60)
      guard status == 0 else {
        throw BinaryError(description: "the last SIGTERM gave \(status): \(member.process.log.suffix(4_000))")
      }
      try bury(member)
    }
  }

  /// Which of the records that were acknowledged the broker does not have.
  private func missing() -> String {
    do {
      var there: [String: Int] = [:]
      for record in try bench.readInput() { there[record.value, default: 0] += 1 }
      var lost: [(place: Int, value: String)] = []
      for (place, record) in feed.sent.enumerated() {
        there[record.value, default: 0] -= 1
        if there[record.value, default: 0] < 0 { lost.append((place, record.value)) }
      }
      return "acknowledged and not at the broker: \(lost)"
    } catch { return "the input could not be read: \(error)" }
  }

  private func pick() -> TortureScenario.Kind {
    let kinds = scenario.kinds.filter { kind in
      switch kind {
      case .broker: scenario.realBroker != nil && TortureSettings.broker != nil
      // Nothing depends on the system's clock otherwise.
      case .clock: scenario.clock == .wall
      case .kill, .terminate, .freeze: true
      }
    }
    // All kinds come; which when is up to the seed.
    let fewest = kinds.map { done[$0, default: 0] }.min() ?? 0
    let behind = kinds.filter { done[$0, default: 0] <= fewest + 2 }
    return random.pick(behind)
  }

  private func perform(_ kind: TortureScenario.Kind) throws {
    done[kind, default: 0] += 1
    let member = random.pick(members)
    switch kind {
    case .kill, .terminate:
      let wasRunning = member.process.isRunning
      member.process.send(kind == .kill ? SIGKILL : SIGTERM)
      let status = try member.process.wait(limitSeconds: 60)
      guard status == (kind == .kill ? -SIGKILL : 0) || !wasRunning || status == 75 else {
        throw BinaryError(description: "\(kind.rawValue) gave \(status): \(member.process.log.suffix(4_000))")
      }
      // Away for nothing, or long enough for the other member to take its partitions.
      if scenario.members > 1 { usleep(UInt32(random.int(0...3_000_000))) }
      try restart(member)
    case .freeze:
      member.process.send(SIGSTOP)
      usleep(UInt32(bench.sessionMilliseconds) * 1_000 + UInt32(random.int(500_000...3_000_000)))
      member.process.send(SIGCONT)
    case .broker:
      guard let broker = TortureSettings.broker else { return }
      feed.hold()
      defer { feed.goOn() }
      try shell(broker.stop)
      usleep(UInt32(random.int(0...3_000_000)))
      try shell(broker.start)
    case .clock: try setBack(member)
    }
  }

  /// By seconds, which are borne, or by more, which takes a new process; and to rights again.
  private func setBack(_ member: Member) throws {
    func count(_ text: String) -> Int { member.process.log.components(separatedBy: text).count - 1 }
    var isBack: Bool { count("the system's clock went back") > count("the system's clock has caught up") }
    let restarts = member.restarts
    let seconds = random.pick([3, 600, 7_200])
    try member.clock.set(secondsBack: seconds)
    defer { try? member.clock.set(secondsBack: 0) }
    if seconds > 5 {
      try wait(for: "a restart after the clock was set back", limitSeconds: 60) { member.restarts > restarts }
    }
    // The new process knows from its state.
    feed.allow(scenario.recordsPerCycle)
    // While a commit holds it up (the broker was away) it does not look, and a few seconds are over when it does: again.
    var tries = 0
    var next = Date() + 5
    try wait(for: "word of the clock that was set back", limitSeconds: 60) {
      if seconds <= 5, Date() > next {
        tries += 1
        next = Date() + 5
        try? member.clock.set(secondsBack: tries % 2 == 0 ? seconds : 0)
      }
      return isBack
    }
    try waitForProgress("the clock is set to rights")
    usleep(UInt32(random.int(0...2_000_000)))
    try member.clock.set(secondsBack: 0)
    try wait(for: "word of the clock that is right again", limitSeconds: 60) { !isBack }
    // It looks at its clock twice a second: the next cycle's step is not to undo this one in between.
    usleep(1_500_000)
  }

  private func shell(_ command: String) throws {
    // Not by `Process`: that also waits for what the command leaves running, which is a broker.
    let status = system("(\(command)) >/dev/null 2>&1 </dev/null")
    guard status == 0 else { throw BinaryError(description: "`\(command)` ended with status \(status)") }
  }

  private func waitForProgress(_ what: String) throws {
    let began = Date()
    var before: Int64?
    try wait(for: "progress before \(what)", limitSeconds: 120) {
      guard let now = bench.committedRecords() else { return false }
      defer { before = before ?? now }
      return now > before ?? now || now >= Int64(feed.produced) && now > 0
    }
    longestWait = max(longestWait, -began.timeIntervalSinceNow)
  }

  private func wait(for what: String, limitSeconds: Int, _ isTrue: () -> Bool) throws {
    let deadline = Date() + Double(limitSeconds)
    while !isTrue() {
      try revive()
      if let failure = feed.failure { throw BinaryError(description: "the producer failed: \(failure)") }
      guard Date() < deadline else {
        let texts = members.map { "member \($0.number): \($0.process.log.suffix(3_000))" }
        throw BinaryError(
          description: "no \(what) within \(limitSeconds) s; \(summary); \(texts.joined(separator: "\n"))")
      }
      usleep(20_000)
    }
  }

  // MARK: The end

  /// Every clock goes to the end of the stream, and all profiles are said.
  func finishByEvents() throws {
    let last = try bench.start(["--journal", bench.journalDirectory, "--stop-at-end", "--until", stream.until])
    let status = try last.wait(limitSeconds: 300)
    guard status == 0 else { throw BinaryError(description: "the last run gave \(status): \(last.log.suffix(4_000))") }
    logs.append(last.log)
  }

  /// The directory with what the journal says.
  func replayJournal() throws -> String {
    let directory = bench.scratch.path("journal-out")
    let outcome = try Binary.runBlocking(
      Binary.path.get(),
      [
        "replay", "--config", bench.configurationPath, "--journal", bench.journalDirectory, "--output", directory,
      ], environment: [:], in: Binary.package, limitSeconds: 600)
    guard outcome.status == 0 else { throw BinaryError(description: "replay --journal: \(outcome.errorText)") }
    return directory
  }

  func compare(_ expectation: CrashExpectation?, _ journal: String) throws -> TortureScenario.Report {
    let tags = try bench.read(.tags)
    let alerts = try bench.read(.alerts)
    let profiles = try bench.read(.profiles)
    let dead = try bench.read(.dead)
    let repeats: CrashExpectation.Repeats = scenario.delivery == .exactlyOnce ? .never : .identical
    var verdict = TortureJournal(directory: journal).compare(
      tags: tags, alerts: alerts, profiles: profiles, dead: dead, repeats)
    if let expectation {
      let byEvents = expectation.compare(tags: tags, alerts: alerts, profiles: profiles, dead: dead, repeats)
      for problem in byEvents.problems { verdict.say("against the replay of the input: \(problem)") }
    }
    if tags.isEmpty || alerts.isEmpty { verdict.say("nothing was said: nothing was compared") }
    let text =
      "torture: \(scenario.delivery.rawValue) \(scenario.realBroker == nil ? "(embedded)" : "(real broker)"), "
      + "\(scenario.members) member(s), clock \(scenario.clock.rawValue), seed \(scenario.seed): \(summary); compared "
      + verdict.compared.joined(separator: ", ") + "; \(verdict.repeated) outputs came again"
    print(text)
    return TortureScenario.Report(problems: verdict.problems, text: text)
  }

  private var summary: String {
    let kinds = TortureScenario.Kind.allCases.map { "\(done[$0, default: 0]) \($0.rawValue)" }
    return "\(done.values.reduce(0, +)) cycles (\(kinds.joined(separator: ", "))), \(feed.produced) records, "
      + "\(members.reduce(0) { $0 + $1.restarts }) restarts, \(asked) of them asked for with 75, \(resent) outboxes sent "
      + "again, longest wait for progress \(String(format: "%.1f", longestWait)) s"
  }
}
