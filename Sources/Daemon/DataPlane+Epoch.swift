// Epochs as the data plane sees them: sealing, waiting for outcomes, and what each outcome does to the tasks. The commit
// itself is the committer's.

import Checkpoint
import Configuration
import Engine
import Events
import Kafka

#if PlantedBugs
  import PlantedBugs
#endif

extension DataPlane {
  /// Which tasks an epoch is of, and how it is waited for.
  enum EpochKind {
    /// Of every task with something to save.
    case running
    /// Before the partitions are given back: within the bound.
    case beforeRevoke
    /// The last of the process: of every task, with the mark of a clean end, within the bound.
    case finalOfProcess
    /// What the start-up table wants committed before reading begins.
    case starting
  }

  /// Tells the pipeline what has happened and does what it says.
  func advance(_ event: EpochPipeline.Event) {
    #if PlantedBugs
      if PlantedBug.isPlanted(.newerMembership), event == .abandon { return }
    #endif
    for action in pipeline.handle(event) where end == nil {
      switch action {
      case .seal: seal(.running)
      case .hold:
        if pipeline.state == .holding { snapshot.heldEpochs += 1 }
        let began = wall.monotonicMicroseconds
        waitWhile { $0 == .holding || $0 == .draining }
        snapshot.heldMicroseconds += wall.monotonicMicroseconds - began
      case .confirm: confirmEpoch()
      case .reload: reloadTasks()
      case .drop: perform(ownership.handle(.refused))
      case .abandon:
        line.bound(
          at: wall.monotonicMicroseconds + settings.configuration.epoch.finishWithin.microseconds, abandon: true)
      }
    }
  }

  /// Commits everything there is, and waits for it: first the uncommitted epoch, then the open one.
  func settle(_ kind: EpochKind) {
    let isBounded = kind == .beforeRevoke || kind == .finalOfProcess
    if isBounded {
      settleDeadline = wall.monotonicMicroseconds + settings.configuration.epoch.finishWithin.microseconds
    }
    defer { settleDeadline = nil }
    if pipeline.hasUncommitted {
      if let settleDeadline { line.bound(at: settleDeadline) }
      advance(.drain)
    }
    // The mark of a clean end says that nothing waits to be sent: its block has no outputs of its own, and the one before is
    // committed by then.
    if kind == .finalOfProcess { sealAndWait(.running) }
    sealAndWait(kind)
  }

  private func sealAndWait(_ kind: EpochKind) {
    guard end == nil, !members(kind).isEmpty else { return }
    // Idle: the pipeline's answer is to seal.
    guard pipeline.handle(.drain) == [.seal] else { return }
    seal(kind)
    if let settleDeadline { line.bound(at: settleDeadline) }
    waitWhile { $0 == .draining }
  }

  /// Goes on with everything but records and ticks while the pipeline is in one of these states.
  private func waitWhile(_ isWaiting: (EpochPipeline.State) -> Bool) {
    while end == nil, isWaiting(pipeline.state) {
      beat()
      // Asked to stop while the broker is away: the bound begins now.
      if stop.isStopping, settleDeadline == nil {
        settleDeadline = wall.monotonicMicroseconds + settings.configuration.epoch.finishWithin.microseconds
        line.bound(at: settleDeadline ?? .max)
      }
      drainClientEvents()
      line.waitForOutcome(milliseconds: 100)
      takeOutcome()
    }
  }

  private func members(_ kind: EpochKind) -> [TaskRuntime] {
    orderedTasks.filter { kind == .finalOfProcess ? $0.halted == nil || $0.isDirty : $0.isDirty }
  }

  /// Takes the open epoch of every member and hands it to the committer.
  private func seal(_ kind: EpochKind) {
    let began = wall.monotonicMicroseconds
    let withOutbox = settings.configuration.delivery == .atLeastOnce
    var sealed: [SealedTask] = []
    let members = members(kind)
    let toRewrite = taskToRewrite(of: members)
    for task in members {
      do {
        let one = try task.seal(
          topics: topics, versions: settings.factory.versions, withOutbox: withOutbox,
          cleanShutdown: kind == .finalOfProcess)
        one.closesLog = task.partition == toRewrite
        sealed.append(one)
      } catch {
        end = DataPlaneEnd(.halted, "partition \(task.partition): \(error)")
        advance(.ended)
        return
      }
    }
    let now = wall.monotonicMicroseconds
    line.send(SealedEpoch(members: sealed, membership: membership, sealedAt: now))
    snapshot.pauses.add(now - began)
    epoch = OpenEpoch(openedAt: now)
    hasReleasedMemory = false
  }

  /// Looks whether the committer has answered.
  func takeOutcome() {
    takeReport()
    guard let outcome = line.takeOutcome() else { return }
    takeReport()
    snapshot.epochMicroseconds = wall.monotonicMicroseconds - outcome.epoch.sealedAt
    let members = outcome.epoch.takeMembers()
    switch outcome.result {
    case .committed:
      answered = members
      advance(.committed)
    case .aborted:
      snapshot.abortedEpochs += 1
      #if PlantedBugs
        if PlantedBug.isPlanted(.keepOutputsOnAbort) { answered = members }
        defer { answered = [] }
      #endif
      advance(.aborted)
    case .refused:
      snapshot.abortedEpochs += 1
      advance(.refused)
    case .exit(let reason):
      _ = ownership.handle(.fenced)
      end = DataPlaneEnd(.restart, reason)
      advance(.ended)
    case .halt(let reason):
      end = DataPlaneEnd(.halted, reason)
      advance(.ended)
    }
  }

  /// What the committer counted and heard.
  private func takeReport() {
    let report = line.takeReport()
    snapshot.checkpointBlocks += report.blocks
    snapshot.checkpointBytes &+= report.bytes
    snapshot.outputs += report.outputs
    snapshot.retries += report.retries
    if pipeline.hasUncommitted || !report.waiting.isEmpty { snapshot.waiting = report.waiting }
    for event in report.events { note(event) }
  }

  private func confirmEpoch() {
    let began = wall.monotonicMicroseconds
    defer { snapshot.pauses.add(wall.monotonicMicroseconds - began) }
    for sealed in answered {
      do { try tasks[sealed.partition]?.confirm(sealed) } catch {
        end = DataPlaneEnd(.halted, "partition \(sealed.partition): \(error)")
        return
      }
    }
    answered = []
    snapshot.epochs += 1
    snapshot.waiting = ""
    // Between two epochs the stores are ours.
    takeRewrites()
  }

  #if PlantedBugs
    private func keepOutputs(of partition: Int32, in logic: any TaskLogic) {
      guard let aborted = answered.first(where: { $0.partition == partition }) else { return }
      _ = logic.takeOutputs(leaving: aborted.outputs)
    }
  #endif

  /// After an abort: every task goes back to its last confirmed epoch and is read again from there.
  private func reloadTasks() {
    guard case .running = ownership.state else {
      // Nothing was read yet, or the partitions are about to be given back: start over.
      return dropTasks()
    }
    for task in orderedTasks {
      guard let confirmed = task.confirmed else {
        // It came late, and its first epoch was refused: started over like one whose lock was waited for.
        remove(task)
        locked[task.partition] = wall.monotonicMicroseconds + settings.configuration.state.lockWait.microseconds
        continue
      }
      if let (partition, result) = rewrites.cancel(partition: task.partition) { finishRewrite(partition, result) }
      do {
        pastCounters.add(task.logic.counters.withoutCustomers)
        try task.store.truncate(after: confirmed)
        let logic = try makeLogic(partition: task.partition, lineage: task.lineage)
        let block = try Self.restore(logic, from: task.store, epoch: confirmed, beat: beat)
        try logic.finishRestore(epoch: confirmed, clock: Instant(microseconds: block.header.clock))
        // A topic that is new in the configuration has no saved offset before its first epoch.
        let next = topics.enumerated().map { index, topic in
          block.header.offsets.first { $0.topic == topic }?.next ?? task.firstNext[index]
        }
        #if PlantedBugs
          if PlantedBug.isPlanted(.keepOutputsOnAbort) { keepOutputs(of: task.partition, in: logic) }
          let taken = PlantedBug.isPlanted(.skipReload) ? task.logic : logic
        #else
          let taken = logic
        #endif
        forgetTargets()
        task.takeBack(taken, next: next, skips: block.header.skips)
      } catch {
        end = DataPlaneEnd(.halted, "partition \(task.partition): \(error)")
        return
      }
    }
    settings.log.info("reloaded \(tasks.count) tasks after an abort")
    startReading()
  }
}

extension TaskCounters {
  var withoutCustomers: TaskCounters {
    var copy = self
    copy.customers = 0
    return copy
  }
}
