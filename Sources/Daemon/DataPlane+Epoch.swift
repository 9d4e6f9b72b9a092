// Performing an epoch: the steps the machine asks for, on the stores, the producer and the consumer.

import Checkpoint
import Configuration
import Engine
import Events
import Kafka

extension DataPlane {
  /// Which tasks an epoch is of, and what happens when it cannot be finished.
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

  /// Closes the open epoch: from appending to confirmed, or aborted, dropped or ended.
  func closeEpoch(_ kind: EpochKind) {
    let members = orderedTasks.filter { kind == .finalOfProcess ? $0.halted == nil || $0.isDirty : $0.isDirty }
    guard !members.isEmpty, end == nil else { return }
    let started = wall.monotonicMicroseconds
    var deadline: Int64?
    if kind == .beforeRevoke || kind == .finalOfProcess { deadline = started + settings.finishBound.microseconds }
    produceCursor = (0, 0)
    machine = EpochMachine(delivery: settings.configuration.delivery)
    var action = machine.close()
    while let next = action, end == nil {
      beat()
      // Asked to stop while the broker is away: the bound begins now.
      if deadline == nil, stop.isStopping {
        deadline = wall.monotonicMicroseconds + settings.finishBound.microseconds
      }
      if let deadline, wall.monotonicMicroseconds > deadline {
        settings.log.warning("the open epoch could not be finished in \(settings.finishBound.text)")
        action = resolve(machine.giveUp(), members)
        continue
      }
      switch next {
      case .perform(let step):
        let outcome = perform(step, members, kind)
        noteOutcome(outcome, of: step)
        action = resolve(machine.finish(outcome), members)
      case .abortTransaction:
        snapshot.abortedEpochs += 1
        let outcome = StepOutcome(producer.abortTransaction(timeoutMilliseconds: 2_000))
        noteOutcome(outcome, of: nil)
        action = resolve(machine.finishAbort(outcome), members)
      default: action = resolve(next, members)
      }
    }
    let now = wall.monotonicMicroseconds
    snapshot.epochMicroseconds = now - started
    epochStarted = now
    epochEvents = 0
    epochBytes = 0
  }

  /// Performs the actions that end an epoch; returns the others.
  private func resolve(_ action: EpochMachine.Action?, _ members: [TaskRuntime]) -> EpochMachine.Action? {
    switch action {
    case .perform, .abortTransaction: return action
    case .finished:
      snapshot.epochs += 1
      snapshot.waiting = ""
    case .reload: reloadTasks()
    case .drop:
      dropTasks()
      _ = ownership.commitRefused()
    case .exit(let reason): end = DataPlaneEnd(.restart, reason)
    case .halt(let reason): end = DataPlaneEnd(.halted, reason)
    case nil: break
    }
    return nil
  }

  private func noteOutcome(_ outcome: StepOutcome, of step: EpochMachine.Step?) {
    switch outcome {
    case .done: break
    case .retry(let text), .resend(let text):
      if snapshot.waiting != text { settings.log.warning(text) }
      snapshot.waiting = text
      snapshot.retries += 1
      publish(force: true)
      // Most time-outs have waited long enough; an error that came at once has not.
      wall.sleep(milliseconds: 20)
    case .abort(let text), .lost(let text): settings.log.warning("the epoch is aborted: \(text)")
    case .fatal(let text), .halt(let text): settings.log.error(text)
    }
  }

  private func perform(_ step: EpochMachine.Step, _ members: [TaskRuntime], _ kind: EpochKind) -> StepOutcome {
    switch step {
    case .append: return append(members, cleanShutdown: kind == .finalOfProcess)
    case .beginTransaction: return StepOutcome(producer.beginTransaction())
    case .produce: return produce(members)
    case .sendOffsets:
      guard let membership else { return .lost("no assignment") }
      return StepOutcome(
        producer.sendOffsets(commits(of: members), membership: membership, timeoutMilliseconds: 2_000))
    case .commitTransaction: return StepOutcome(producer.commitTransaction(timeoutMilliseconds: 2_000))
    case .flush: return flush()
    case .commitOffsets:
      do throws(KafkaError) {
        try consumer.commitSync(commits(of: members), timeoutMilliseconds: 2_000)
        return .done
      } catch { return StepOutcome(error) }
    case .confirm: return confirm(members)
    }
  }

  private func append(_ members: [TaskRuntime], cleanShutdown: Bool) -> StepOutcome {
    let withOutbox = settings.configuration.delivery == .atLeastOnce
    for task in members where task.pending == nil {
      do {
        let before = task.store.logBytes
        try task.append(
          topics: topics, versions: settings.factory.versions, withOutbox: withOutbox, cleanShutdown: cleanShutdown)
        try task.store.sync()
        snapshot.checkpointBlocks += 1
        snapshot.checkpointBytes += task.store.logBytes &- before
      } catch {
        return .halt("partition \(task.partition): \(error)")
      }
    }
    return .done
  }

  private func produce(_ members: [TaskRuntime]) -> StepOutcome {
    while produceCursor.task < members.count {
      let buffer = members[produceCursor.task].outputs
      while produceCursor.entry < buffer.entries.count {
        let outcome = writer.withRecord(buffer, buffer.entries[produceCursor.entry]) { record in
          do throws(KafkaError) {
            try producer.produce(record)
            snapshot.outputs += 1
            return .done
          } catch { return StepOutcome(error) }
        }
        guard outcome == .done else { return outcome }
        produceCursor.entry += 1
      }
      produceCursor = (produceCursor.task + 1, 0)
    }
    return .done
  }

  private func flush() -> StepOutcome {
    do throws(KafkaError) { try producer.flush(timeoutMilliseconds: 2_000) } catch {
      if let fatal = producer.fatalError { return .fatal("\(fatal)") }
      return StepOutcome(error)
    }
    if let fatal = producer.fatalError { return .fatal("\(fatal)") }
    let report = producer.takeDeliveryReport()
    guard report.failed > 0 else { return .done }
    let text =
      report.firstFailure.map { "\($0.partition): \($0.error)" } ?? "\(report.failed) records were not delivered"
    if let error = report.firstFailure?.error, !error.isRetriable, error.code != .messageTimedOut,
      error.code != .purgedFromQueue, error.code != .purgedInFlight
    {
      return .halt("an output cannot be delivered: \(text)")
    }
    produceCursor = (0, 0)
    return .resend(text)
  }

  private func confirm(_ members: [TaskRuntime]) -> StepOutcome {
    for task in members {
      do { try task.confirm() } catch { return .halt("partition \(task.partition): \(error)") }
    }
    // Of a transaction: everything was delivered, or it would not have been committed.
    _ = producer.takeDeliveryReport()
    return .done
  }

  /// Every topic's offset of every member, each with the tag of its task's epoch.
  private func commits(of members: [TaskRuntime]) -> [PartitionOffset] {
    members.flatMap { task in
      let tag = task.pending?.description ?? ""
      return zip(topics, task.next).map { PartitionOffset($0, task.partition, offset: $1, metadata: tag) }
    }
  }

  /// After an abort: every task goes back to its last confirmed epoch and is read again from there.
  private func reloadTasks() {
    guard case .running = ownership.state else {
      // Nothing was read yet (or the partitions are about to be given back): start over.
      return dropTasks()
    }
    for task in orderedTasks {
      guard let confirmed = task.confirmed else { continue }
      if let (partition, result) = rewrites.cancel(partition: task.partition) { finishRewrite(partition, result) }
      do {
        pastCounters.add(task.logic.counters.withoutCustomers)
        try task.store.truncate(after: confirmed)
        let logic = try makeLogic(partition: task.partition, lineage: task.lineage)
        let block = try restore(logic, from: task.store, epoch: confirmed)
        try logic.finishRestore(clock: Instant(microseconds: block.header.clock))
        task.logic = logic
        task.next = topics.enumerated().map { index, topic in
          block.header.offsets.first { $0.topic == topic }?.next ?? task.savedNext[index]
        }
        task.savedNext = task.next
        task.atEnd = topics.map { _ in false }
        task.epoch = confirmed
        task.pending = nil
        task.resend = nil
      } catch {
        end = DataPlaneEnd(.halted, "partition \(task.partition): \(error)")
        return
      }
    }
    settings.log.info("reloaded \(tasks.count) tasks after an abort")
    startReading()
  }
}

extension StepOutcome {
  init(_ outcome: TransactionOutcome) {
    switch outcome {
    case .done: self = .done
    case .retry(let error): self = .retry("\(error)")
    case .abort(let error):
      self = error.code.endsAssignment ? .lost("\(error)") : .abort("\(error)")
    case .fatal(let error):
      self = error.code.endsAssignment ? .lost("\(error)") : .fatal("\(error)")
    }
  }

  /// In librdkafka's order: abort, retry, and what is neither is for a restart or an operator.
  init(_ error: KafkaError) {
    if error.isFatal || error.isFenced {
      self = .fatal("\(error)")
    } else if error.code.endsAssignment {
      self = .lost("\(error)")
    } else if error.requiresAbort {
      self = .abort("\(error)")
    } else if error.isRetriable {
      self = .retry("\(error)")
    } else {
      self = .halt("\(error)")
    }
  }
}

extension KafkaErrorCode {
  /// The generation the offsets belong to is gone.
  var endsAssignment: Bool { self == .illegalGeneration || self == .unknownMember }
}

extension TaskCounters {
  var withoutCustomers: TaskCounters {
    var copy = self
    copy.customers = 0
    return copy
  }
}
