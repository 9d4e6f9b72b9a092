// Rebalances: accepting an assignment (read the committed tags, restore, commit what the table wants, read) and giving it
// back.

import Checkpoint
import Configuration
import Engine
import Events
import Kafka

#if PlantedBugs
  import PlantedBugs
#endif

extension DataPlane {
  func answerRebalances() {
    while !pendingRebalances.isEmpty, end == nil {
      let event = pendingRebalances.removeFirst()
      snapshot.rebalances += 1
      switch event {
      case .assigned(let all):
        settings.log.info("assigned: \(describe(all))")
        perform(ownership.handle(.assigned(partitions(of: all))))
      case .revoked(let all):
        settings.log.info("revoked: \(describe(all))")
        perform(ownership.handle(.revoked))
      case .lost(let all):
        settings.log.warning("lost: \(describe(all))")
        perform(ownership.handle(.lost))
      }
    }
  }

  func perform(_ actions: [Ownership.Action]) {
    for action in actions {
      guard end == nil else { return }
      switch action {
      case .restore(let partitions): restoreAssignment(partitions)
      case .read: startReading()
      case .finishEpoch:
        settle(.beforeRevoke)
        guard end == nil else { return }
        perform(ownership.handle(.finished))
      case .abandon: advance(.abandon)
      case .release: releaseTasks()
      case .drop: dropTasks()
      case .unassign:
        do { try consumer.unassign() } catch { end = DataPlaneEnd(.restart, "\(error)") }
        snapshot.phase = .joining
      case .decline:
        do { try consumer.assign([]) } catch { end = DataPlaneEnd(.restart, "\(error)") }
        snapshot.phase = .joining
      case .exit: end = DataPlaneEnd(.restart, "the group has put this member out")
      }
    }
  }

  /// The partition numbers of an assignment. A task needs its partition of every topic.
  private func partitions(of all: [TopicPartition]) -> [Int32] {
    let numbers = Set(all.map(\.partition)).sorted()
    for number in numbers {
      let missing = topics.filter { !all.contains(TopicPartition($0, number)) }
      if !missing.isEmpty {
        end = DataPlaneEnd(
          .halted,
          "partition \(number) was assigned without \(missing.joined(separator: ", ")): other members of group "
            + "\(settings.configuration.kafka.group) subscribe to other topics or use another assignor")
      }
    }
    return numbers
  }

  private func describe(_ all: [TopicPartition]) -> String {
    let numbers = Set(all.map(\.partition)).sorted()
    return numbers.isEmpty ? "no partitions" : "partitions \(numbers.map(String.init).joined(separator: ", "))"
  }

  // MARK: Accepting

  private func restoreAssignment(_ partitions: [Int32]) {
    snapshot.phase = .restoring
    publish(force: true)
    halted = [:]
    refused = []
    locked = [:]
    do { membership = try consumer.captureMembership() } catch {
      end = DataPlaneEnd(.restart, "\(error)")
      return
    }
    while end == nil {
      guard let committed = readCommitted(partitions) else { return }
      start(partitions, committed)
      settle(.starting)
      if end != nil { return }
      guard case .restoring = ownership.state else { return }
      // An abort dropped the tasks: read the tags again, unless the assignment is gone.
      if tasks.isEmpty && halted.count + locked.count < partitions.count {
        wait(for: "what the start committed was refused; reading the committed offsets again")
        do { pendingRebalances += try consumer.poll(timeoutMilliseconds: 0) { _ in } } catch { wait(for: "\(error)") }
        guard pendingRebalances.isEmpty else { return }
        continue
      }
      break
    }
    warm = [:]
    if end == nil { perform(ownership.handle(.restored)) }
  }

  /// Retried as long as it takes: the open transaction of a dead member blocks the answer until it times out. Returns nil
  /// when a rebalance has come meanwhile.
  private func readCommitted(_ partitions: [Int32]) -> [CommittedOffset]? {
    let all = partitions.flatMap { partition in topics.map { TopicPartition($0, partition) } }
    while end == nil {
      beat()
      do {
        let committed = try consumer.committed(for: all, timeoutMilliseconds: 2_000)
        snapshot.waiting = ""
        return committed
      } catch {
        guard error.isRetriable else {
          end = DataPlaneEnd(.halted, "\(error)")
          return nil
        }
        wait(for: "\(error)")
      }
      if stop.isStopping {
        end = DataPlaneEnd(.ok)
        return nil
      }
      do {
        pendingRebalances += try consumer.poll(timeoutMilliseconds: 0) { _ in }
      } catch { wait(for: "\(error)") }
      if !pendingRebalances.isEmpty { return nil }
    }
    return nil
  }

  /// How one partition is to be started.
  private struct Plan {
    enum Course {
      case begin
      case resume(Resumption)
    }
    struct Resumption {
      var epoch: UInt64
      /// Topics that are new in the configuration.
      var fresh: [String]
      /// The broker has not committed `epoch`.
      var isAhead = false
      var resendsOutbox = false
      /// Empty yet; nil where the state is kept in memory.
      var logic: (any TaskLogic)?
    }
    var partition: Int32
    var store: PartitionStore
    var course: Course
  }

  /// Opens and restores tasks, several at once: what is on disk needs nobody else. Partitions that cannot be started halt,
  /// or wait for their locks.
  private func start(_ partitions: [Int32], _ committed: [CommittedOffset]) {
    let work = ParallelWork(threads: settings.threads, width: settings.restoreThreads)
    let settings = settings
    let stores = work.run(partitions, beat: beat) { partition, _ in
      Result { try Self.openStore(partition, settings) }
    }
    var plans: [Plan] = []
    for (partition, store) in zip(partitions, stores) where end == nil {
      attempt(partition) {
        plans.append(try plan(partition, store.get(), committed.filter { $0.partition.partition == partition }))
      }
    }
    let results = work.run(plans, beat: beat) { plan, pulse in Result { try Self.restore(plan, pulse) } }
    for (plan, result) in zip(plans, results) where end == nil {
      attempt(plan.partition) {
        try result.get()
        try carryOut(plan)
      }
    }
  }

  private func attempt(_ partition: Int32, _ body: () throws -> Void) {
    do { try body() } catch let refusal as HaltPartition {
      if refusal.isByTable { refused.insert(partition) }
      halt(partition, refusal.reason)
    } catch CheckpointError.locked(let directory) {
      waitForLock(partition, of: directory)
    } catch let error as KafkaError where error.isRetriable && stop.isStopping {
      // Asked to stop while the brokers are away: no reason to stay down.
      end = DataPlaneEnd(.ok)
    } catch { halt(partition, "\(error)") }
  }

  static func openStore(_ partition: Int32, _ settings: DataPlaneSettings) throws(CheckpointError) -> PartitionStore {
    let configuration = settings.configuration
    let policy = PartitionStore.Policy(
      logRatio: configuration.state.rewriteRatio, logBytesMin: UInt64(configuration.state.rewriteMinimumBytes))
    return try PartitionStore(
      opening: stateDirectory(partition, configuration), on: settings.disk, policy: policy, shape: .customers,
      memory: settings.arranging)
  }

  private static func stateDirectory(_ partition: Int32, _ configuration: Configuration) -> String {
    CheckpointLayout.directory(
      state: configuration.state.directory, name: configuration.kafka.group, partition: partition)
  }
  private func stateDirectory(_ partition: Int32) -> String {
    Self.stateDirectory(partition, settings.configuration)
  }

  /// Starts one partition whose store is open.
  func start(_ partition: Int32, _ store: PartitionStore, _ committed: [CommittedOffset]) throws {
    let plan = try plan(partition, store, committed)
    let work = ParallelWork(threads: settings.threads, width: 1)
    for result in work.run([plan], beat: beat, { plan, pulse in Result { try Self.restore(plan, pulse) } }) {
      try result.get()
    }
    try carryOut(plan)
  }

  /// By the start-up table.
  private func plan(_ partition: Int32, _ store: PartitionStore, _ committed: [CommittedOffset]) throws -> Plan {
    let configuration = settings.configuration
    let directory = stateDirectory(partition)
    if let newest = store.newestEpoch { try check(try store.block(of: newest).header, partition, directory) }
    let states = topics.map { topic in
      let found = committed.first { $0.partition.topic == topic }?.committed
      return CommittedTopic(topic: topic, offset: found?.offset, metadata: found?.metadata ?? "")
    }
    let decision = decideStart(
      committed: states, disk: try diskState(store, states), delivery: configuration.delivery)
    let course: Plan.Course
    switch decision {
    case .begin:
      try checkSiblings(of: partition, directory)
      course = .begin
    case .resume(let epoch, let fresh):
      course = .resume(try makeReady(Plan.Resumption(epoch: epoch, fresh: fresh), partition, store))
    case .commitFromDisk(let epoch, let resendsOutbox, let fresh):
      let resumption = Plan.Resumption(epoch: epoch, fresh: fresh, isAhead: true, resendsOutbox: resendsOutbox)
      course = .resume(try makeReady(resumption, partition, store))
    case .halt(let refusal):
      throw HaltPartition(text(of: refusal, partition: partition, store), isByTable: true)
    }
    return Plan(partition: partition, store: store, course: course)
  }

  /// With an empty task to restore into, unless its state was kept.
  private func makeReady(_ resumption: Plan.Resumption, _ partition: Int32, _ store: PartitionStore) throws
    -> Plan.Resumption
  {
    guard !isWarm(partition, store, resumption.epoch) else { return resumption }
    // Another state than this: its memory goes first.
    warm[partition] = nil
    var ready = resumption
    ready.logic = try makeLogic(
      partition: partition, lineage: try store.block(of: resumption.epoch).header.lineage)
    return ready
  }

  /// Whether the state that was kept in memory is that of `epoch`: the tag stands for the whole history.
  private func isWarm(_ partition: Int32, _ store: PartitionStore, _ epoch: UInt64) -> Bool {
    guard let kept = warm[partition] else { return false }
    #if PlantedBugs
      if PlantedBug.isPlanted(.staleWarmState) { return true }
    #endif
    return kept.tag == store.tag(of: epoch)
  }

  /// Reads a state from disk, on any thread.
  private static func restore(_ plan: Plan, _ pulse: ParallelWork.Pulse) throws {
    guard case .resume(let resumption) = plan.course, let logic = resumption.logic else { return }
    let block = try restore(logic, from: plan.store, epoch: resumption.epoch, beat: pulse.beat)
    try logic.finishRestore(epoch: resumption.epoch, clock: Instant(microseconds: block.header.clock))
  }

  private func carryOut(_ plan: Plan) throws {
    let (partition, store) = (plan.partition, plan.store)
    switch plan.course {
    case .begin: try begin(partition, store)
    case .resume(let resumption):
      let task = try resume(partition, store, resumption)
      if resumption.isAhead {
        try announce(task, store, resumption)
      } else {
        try task.confirmRestored()
      }
    }
  }

  /// What the broker has not committed yet becomes a part of the next commit.
  private func announce(_ task: TaskRuntime, _ store: PartitionStore, _ resumption: Plan.Resumption) throws {
    let epoch = resumption.epoch
    guard let tag = store.tag(of: epoch) else { throw HaltPartition("epoch \(epoch) has no tag") }
    var outputs = OutputBuffer()
    #if PlantedBugs
      let resendsOutbox = resumption.resendsOutbox && !PlantedBug.isPlanted(.skipOutbox)
    #else
      let resendsOutbox = resumption.resendsOutbox
    #endif
    if resendsOutbox, let bytes = try store.outbox(of: epoch) {
      guard let buffer = Outbox.read(bytes) else {
        let directory = stateDirectory(task.partition)
        throw HaltPartition(
          "the outbox of epoch \(epoch) in \(directory) is undamaged, and not in this version's format: start the version "
            + "that wrote it (`tidewatch checkpoint inspect \(OperatorCommands.quoted(directory))` shows the engine's) and "
            + "let it end in good order")
      }
      outputs = buffer
      settings.log.info("partition \(task.partition): resending \(buffer.entries.count) outputs of epoch \(epoch)")
    }
    task.announce(tag, outputs: outputs)
  }

  /// Tags of all epochs, offsets of those the table looks at.
  private func diskState(_ store: PartitionStore, _ committed: [CommittedTopic]) throws -> DiskState {
    let wanted = Set(committed.compactMap { EpochTag($0.metadata) })
    let newest = store.newestEpoch
    var state = DiskState(hasBase: store.baseEpoch != nil)
    for tag in store.tags {
      let offsets =
        tag.epoch == newest || wanted.contains(tag) ? try store.block(of: tag.epoch).header.offsets : []
      state.epochs.append(DiskState.Epoch(tag: tag, offsets: offsets))
    }
    if let newest { state.endsCleanly = try store.block(of: newest).header.cleanShutdown }
    return state
  }

  private func begin(_ partition: Int32, _ store: PartitionStore) throws {
    try store.truncate(after: nil)
    let lineage = settings.makeLineage()
    let offsets = try earliest(topics, partition)
    let logic = try makeLogic(partition: partition, lineage: lineage)
    add(
      TaskRuntime(
        partition: partition, partitionCount: partitionCount, lineage: lineage, store: store, logic: logic,
        beginningAt: offsets))
    settings.log.info("partition \(partition): new state, lineage \(lineage)")
  }

  private func resume(_ partition: Int32, _ store: PartitionStore, _ resumption: Plan.Resumption) throws -> TaskRuntime
  {
    let (epoch, fresh) = (resumption.epoch, resumption.fresh)
    let header = try store.block(of: epoch).header
    try refuseOtherTimeZone(header)
    let logic: any TaskLogic
    if let restored = resumption.logic {
      logic = restored
    } else if let kept = warm.removeValue(forKey: partition) {
      logic = kept.logic
      logic.resume(epoch: epoch, clock: Instant(microseconds: header.clock))
    } else {
      throw HaltPartition("epoch \(epoch) was neither restored nor kept")
    }
    try store.truncate(after: epoch)
    let early = try earliest(fresh, partition)
    let next = try topics.map { topic in
      if let index = fresh.firstIndex(of: topic) { return early[index] }
      guard let saved = header.offsets.first(where: { $0.topic == topic }) else {
        throw HaltPartition("epoch \(epoch) has no offset of \(topic)")
      }
      return saved.next
    }
    let task = TaskRuntime(
      partition: partition, partitionCount: partitionCount, lineage: header.lineage, store: store, logic: logic,
      next: next, restoredFrom: epoch, skips: header.skips)
    add(task)
    settings.log.info(
      "partition \(partition): \(resumption.logic == nil ? "kept" : "restored") epoch \(epoch), \(logic.counters.customers) customers, "
        + "lineage \(header.lineage)")
    sayChangedRules(since: header, partition)
    return task
  }

  /// Days are counted in the records, and days of two zones do not add up. Another name of a zone is the same zone, and a
  /// newer table of one goes on from the older.
  private func refuseOtherTimeZone(_ header: EpochHeader) throws(HaltPartition) {
    let before = header.timeZoneVersion.split(separator: " ")
    let now = settings.factory.versions.timeZone.split(separator: " ")
    guard before.count == 2, now.count == 2, before[0] != now[0], before[1] != now[1] else { return }
    throw HaltPartition(
      "the state counts days of \(before[0]), and the configuration says \(now[0]): what was counted cannot be converted. "
        + "Put time_zone back, or set kafka.group to a new name and let the topics be read again from their beginning")
  }

  private func sayChangedRules(since header: EpochHeader, _ partition: Int32) {
    let versions = settings.factory.versions
    if !header.modelVersion.isEmpty, header.modelVersion != versions.model {
      settings.log.info(
        "partition \(partition): the churn model is \(versions.model.isEmpty ? "none" : versions.model), of epoch "
          + "\(header.epoch) it was \(header.modelVersion): customers are evaluated again under the new one")
    }
    guard !header.rulesFingerprint.isEmpty, header.rulesFingerprint != versions.rulesFingerprint else { return }
    let text =
      "partition \(partition): the rules are not those of epoch \(header.epoch) (revision \(header.rulesRevision), fingerprint "
      + "\(header.rulesFingerprint); now revision \(versions.rulesRevision), \(versions.rulesFingerprint)): customers are "
      + "evaluated again under the new ones"
    if header.rulesRevision < versions.rulesRevision { return settings.log.info(text) }
    settings.log.warning(
      "\(text). Raise `revision` in \(settings.configuration.rulesPath) with each change: a member that still has the older "
        + "file is not recognised otherwise")
  }

  func makeLogic(partition: Int32, lineage: Lineage) throws -> any TaskLogic {
    try settings.factory.makeTask(partition: partition, partitionCount: partitionCount, seed: lineage.low)
  }

  /// Streams a state into a task, feeding the watchdog on the way.
  static func restore(
    _ logic: any TaskLogic, from store: PartitionStore, epoch: UInt64, beat: () -> Void
  ) throws -> EpochBlock {
    var count = 0
    return try store.restore(upTo: epoch) { key, value in
      try logic.restore(key: key, value: value)
      count += 1
      if count & 0xFFFF == 0 { beat() }
    }
  }

  private func earliest(_ names: [String], _ partition: Int32) throws -> [Int64] {
    guard !names.isEmpty else { return [] }
    while true {
      beat()
      do throws(KafkaError) {
        let found = try consumer.earliestOffsets(
          of: names.map { TopicPartition($0, partition) }, timeoutMilliseconds: 5_000)
        return names.map { name in found.first { $0.partition.topic == name }?.offset ?? 0 }
      } catch {
        guard error.isRetriable, !stop.isStopping else { throw error }
        wait(for: "\(error)")
      }
    }
  }

  private func add(_ task: TaskRuntime) {
    tasks[task.partition] = task
    tasksByPartition[Int(task.partition)] = task
  }

  func remove(_ task: TaskRuntime) {
    tasks[task.partition] = nil
    tasksByPartition[Int(task.partition)] = nil
  }

  /// Reads every running task from where it stands; none where the memory is used up.
  func startReading() {
    isBatchStale = true
    let running = orderedTasks.filter { $0.halted == nil }
    let offsets = (weighBeforeReading() ? running : []).flatMap { task in
      zip(topics, task.next).map { PartitionOffset($0, task.partition, offset: $1) }
    }
    do { try consumer.assign(offsets) } catch {
      end = DataPlaneEnd(.restart, "\(error)")
      return
    }
    epoch = OpenEpoch(openedAt: wall.monotonicMicroseconds)
    snapshot.phase = .running
    snapshot.waiting = ""
    if running.isEmpty, locked.isEmpty, let halt = endOfHalted {
      end = halt
      return
    }
    if !isReady {
      isReady = true
      notifier?.send("READY=1")
    }
    publish(force: true)
  }

  // MARK: Giving back

  /// Closes the tasks. The state of those that are exactly as committed stays in memory until the next assignment is
  /// restored: with the range assignor most partitions come straight back.
  private func releaseTasks() {
    for task in orderedTasks where task.isSettled {
      guard let epoch = task.confirmed, let tag = task.store.tag(of: epoch) else { continue }
      warm[task.partition] = WarmTask(tag: tag, logic: task.logic)
    }
    closeTasks()
  }

  /// Throws the tasks away; what is committed is on disk and at the broker.
  func dropTasks() {
    warm = [:]
    closeTasks()
  }

  private func closeTasks() {
    isBatchStale = true
    locked = [:]
    if let (partition, result) = rewrites.cancel(partition: nil) { finishRewrite(partition, result) }
    for task in orderedTasks { pastCounters.add(task.logic.counters.withoutCustomers) }
    tasks = [:]
    for index in tasksByPartition.indices { tasksByPartition[index] = nil }
  }
}

/// The state of a partition that was given back, as of one committed epoch.
struct WarmTask {
  var tag: EpochTag
  var logic: any TaskLogic
}

/// Why one partition cannot be started.
struct HaltPartition: Error {
  var reason: String
  /// Refused by the start-up table.
  var isByTable: Bool
  init(_ reason: String, isByTable: Bool = false) {
    self.reason = reason
    self.isByTable = isByTable
  }
}
