// The committer: the thread that writes sealed epochs to disk and commits them, while the data plane fills the next one.

import Checkpoint
import Configuration
import Engine
import Kafka

#if PlantedBugs
  import PlantedBugs
#endif

/// Owns the producer. Works off one sealed epoch at a time, by the steps of `TransactionMachine`.
final class Committer {
  private let delivery: Configuration.Delivery
  private let producer: any ProducerPort
  private let offsets: any OffsetCommitPort
  private let writer: OutputWriter
  private let wall: any Wall
  private let line: CommitLine
  private let log: Log
  private var packer = OutboxPacker()
  /// Looks for an order in vain since the last one.
  private var idleLooks = 0
  /// Where producing goes on when the queue was full.
  private var cursor = (task: 0, entry: 0)
  private var waiting = ""
  /// Of the epoch under way, as far as it was reported before its end.
  private var firstFailure: DeliveryFailure?

  init(
    _ configuration: Configuration, producer: any ProducerPort, offsets: any OffsetCommitPort, wall: any Wall,
    line: CommitLine, log: Log
  ) {
    delivery = configuration.delivery
    self.producer = producer
    self.offsets = offsets
    writer = OutputWriter(configuration)
    self.wall = wall
    self.line = line
    self.log = log
  }

  /// The thread's body.
  func run() {
    guard delivery == .atLeastOnce || initTransactions() else { return }
    line.ready()
    while true {
      switch line.waitForOrder(milliseconds: 100) {
      case .commit(let epoch):
        line.finish(EpochOutcome(result: commit(epoch), epoch: epoch))
        idleLooks = 0
      case .none:
        // A burst's memory is not kept until the next one.
        idleLooks += 1
        if idleLooks == 10 { packer.releaseMemory() }
      case .end: return
      }
      drainClientEvents()
    }
  }

  private func initTransactions() -> Bool {
    while !line.isEnding {
      line.beginStep(at: wall.monotonicMicroseconds)
      switch producer.initTransactions(timeoutMilliseconds: 2_000) {
      case .done: return true
      case .retry(let error), .abort(let error):
        wait(for: "\(error)")
        wall.sleep(milliseconds: 180)
      case .fatal(let error):
        // A second process with our id is not cured by fencing it again and again.
        line.fail(DataPlaneEnd(error.isFenced ? .restart : .halted, "\(error)"))
        return false
      }
      drainClientEvents()
    }
    return false
  }

  private func drainClientEvents() {
    let events = producer.drainEvents()
    if !events.isEmpty { line.report { $0.events += events } }
  }

  private func wait(for reason: String) {
    if waiting != reason { log.warning(reason) }
    waiting = reason
    line.report {
      $0.waiting = reason
      $0.retries += 1
    }
    // Most time-outs have waited long enough; an error that came at once has not.
    wall.sleep(milliseconds: 20)
  }

  // MARK: One epoch

  private func commit(_ epoch: SealedEpoch) -> EpochOutcome.Result {
    cursor = (0, 0)
    firstFailure = nil
    var machine = TransactionMachine(delivery: delivery)
    var action = machine.start()
    var hasGivenUp = false
    while let next = action {
      let now = wall.monotonicMicroseconds
      line.beginStep(at: now)
      if !hasGivenUp, isTimeUp(next, now) {
        log.warning("the epoch under way could not be finished in time")
        // What the abort takes is bounded by its own time-outs: one more try for each.
        hasGivenUp = true
        action = machine.giveUp()
        continue
      }
      switch next {
      case .perform(let step):
        let outcome = perform(step, epoch)
        note(outcome)
        action = machine.finish(outcome)
      case .abortTransaction:
        line.report { $0.aborts += 1 }
        let outcome = StepOutcome(producer.abortTransaction(timeoutMilliseconds: 2_000))
        note(outcome)
        if hasGivenUp, case .retry = outcome { action = machine.giveUp() } else { action = machine.finish(outcome) }
      case .committed:
        waiting = ""
        return closeLogs(epoch) ?? .committed
      case .aborted:
        // Read again it would come to the same: what no topic takes is an operator's.
        // An abort adds what it has purged: the cause is the first.
        let rest = takeDeliveryReport().firstFailure
        if let failure = firstFailure ?? rest, failure.error.isRefusedRecord {
          return .halt(failure.undeliverable)
        }
        return discardUnsent() ?? .aborted
      case .refused:
        _ = takeDeliveryReport()
        #if PlantedBugs
          // Once more, as the member that this is by then.
          if PlantedBug.isPlanted(.newerMembership), !hasGivenUp, !line.isEnding {
            wall.sleep(milliseconds: 500)
            cursor = (0, 0)
            machine = TransactionMachine(delivery: delivery, state: .performing(.beginTransaction))
            action = .perform(.beginTransaction)
            continue
          }
        #endif
        return discardUnsent() ?? .refused
      case .exit(let reason): return .exit(reason)
      case .halt(let reason): return .halt(reason)
      }
    }
    return .exit("the commit ended without an outcome")
  }

  /// Nothing of an epoch that was given up goes out later, when a successor has gone on: an abort sees to that for a
  /// transaction. Returns how the process ends where it cannot be done.
  private func discardUnsent() -> EpochOutcome.Result? {
    guard delivery == .atLeastOnce else { return nil }
    #if PlantedBugs
      if PlantedBug.isPlanted(.keepQueueOfLost) { return nil }
    #endif
    do {
      try producer.discardUnacknowledged()
      return nil
    } catch { return .exit("the producer could not be replaced: \(error)") }
  }

  private func isTimeUp(_ action: TransactionMachine.Action, _ now: Int64) -> Bool {
    let bound = line.bound
    if let deadline = bound.deadline, now > deadline { return true }
    guard bound.isAbandoned, case .perform(let step) = action else { return false }
    return step != .commitTransaction
  }

  private func note(_ outcome: StepOutcome) {
    switch outcome {
    case .done: break
    case .retry(let text), .resend(let text): wait(for: text)
    case .abort(let text), .lost(let text): log.warning("the epoch is aborted: \(text)")
    case .fatal(let text), .halt(let text): log.error(text)
    }
  }

  private func perform(_ step: TransactionMachine.Step, _ epoch: SealedEpoch) -> StepOutcome {
    switch step {
    case .write: return write(epoch)
    case .beginTransaction: return StepOutcome(producer.beginTransaction())
    case .produce: return produce(epoch)
    case .sendOffsets:
      #if PlantedBugs
        if PlantedBug.isPlanted(.newerMembership) { return sendWithNewestMembership(epoch) }
      #endif
      guard let membership = epoch.membership else { return .lost("no assignment") }
      return StepOutcome(
        producer.sendOffsets(
          epoch.members.flatMap(\.commits), membership: membership, timeoutMilliseconds: 2_000))
    case .commitTransaction:
      let outcome = StepOutcome(producer.commitTransaction(timeoutMilliseconds: 2_000))
      #if PlantedBugs
        if PlantedBug.isPlanted(.timeoutIsSuccess), case .retry = outcome { return .done }
      #endif
      return outcome
    case .flush: return flush()
    case .commitOffsets:
      do throws(KafkaError) {
        try offsets.commitSync(epoch.members.flatMap(\.commits), timeoutMilliseconds: 2_000)
        return .done
      } catch { return StepOutcome(error) }
    }
  }

  #if PlantedBugs
    private func sendWithNewestMembership(_ epoch: SealedEpoch) -> StepOutcome {
      guard let newest = try? (offsets as? any ConsumerPort)?.captureMembership() else { return .lost("no assignment") }
      return StepOutcome(
        producer.sendOffsets(epoch.members.flatMap(\.commits), membership: newest, timeoutMilliseconds: 2_000))
    }
  #endif

  private func write(_ epoch: SealedEpoch) -> StepOutcome {
    for task in epoch.members {
      do {
        let before = task.store.logBytes
        guard try task.write(&packer) else { continue }
        let bytes = task.store.logBytes &- before
        line.report {
          $0.blocks += 1
          $0.bytes &+= bytes
        }
      } catch { return .halt("partition \(task.partition): \(error)") }
    }
    return .done
  }

  /// Where a rewrite is due: the data plane has no time for the disk. Returns how the process ends when the disk refuses: what
  /// is committed is found by the next start.
  private func closeLogs(_ epoch: SealedEpoch) -> EpochOutcome.Result? {
    for task in epoch.members where task.closesLog {
      do { try task.store.closeLog() } catch { return .halt("partition \(task.partition): \(error)") }
    }
    return nil
  }

  private func produce(_ epoch: SealedEpoch) -> StepOutcome {
    var produced = 0
    defer {
      let produced = produced
      line.report { $0.outputs += produced }
    }
    while cursor.task < epoch.members.count {
      let buffer = epoch.members[cursor.task].outputs
      while cursor.entry < buffer.entries.count {
        let outcome = writer.withRecord(buffer, buffer.entries[cursor.entry]) { record in
          do throws(KafkaError) {
            try producer.produce(record)
            produced += 1
            return .done
          } catch { return StepOutcome(error) }
        }
        guard outcome == .done else { return outcome }
        cursor.entry += 1
      }
      cursor = (cursor.task + 1, 0)
    }
    return .done
  }

  private func flush() -> StepOutcome {
    do throws(KafkaError) { try producer.flush(timeoutMilliseconds: 2_000) } catch {
      if let fatal = producer.fatalError { return .fatal("\(fatal)") }
      return StepOutcome(error)
    }
    if let fatal = producer.fatalError { return .fatal("\(fatal)") }
    let report = takeDeliveryReport()
    guard let text = report.complaint else { return .done }
    firstFailure = report.firstFailure
    // An abort sees to the rest.
    if delivery == .exactlyOnce { return .abort(text) }
    if let failure = report.firstFailure, !failure.error.isPassing { return .halt(failure.undeliverable) }
    cursor = (0, 0)
    return .resend(text)
  }

  private func takeDeliveryReport() -> DeliveryReport {
    var report = producer.takeDeliveryReport()
    #if PlantedBugs
      if PlantedBug.isPlanted(.trustUnconfirmed) { report.unconfirmed = 0 }
    #endif
    return report
  }
}

extension DeliveryReport {
  /// Why the records cannot all be counted on; nil when they can.
  fileprivate var complaint: String? {
    if failed > 0 {
      return firstFailure.map { "\($0.partition): \($0.error)" } ?? "\(failed) records were not delivered"
    }
    guard unconfirmed > 0 else { return nil }
    return
      "\(unconfirmed) records, the first for \(firstUnconfirmed?.description ?? "?"), were passed over by later ones: the "
      + "broker may not have them"
  }
}

extension KafkaError {
  /// The topic does not take this record, now or later.
  fileprivate var isRefusedRecord: Bool {
    switch code {
    case .messageTooLarge, .topicAuthorizationFailed, .clusterAuthorizationFailed, .invalidRecord, .policyViolation:
      true
    default: false
    }
  }

  /// The record was not delivered, and may be if it is produced again.
  fileprivate var isPassing: Bool {
    isRetriable || code == .messageTimedOut || code == .purgedFromQueue || code == .purgedInFlight
  }
}

extension DeliveryFailure {
  fileprivate var undeliverable: String {
    var text = "an output cannot be delivered: \(partition): \(error)"
    if error.code == .messageTooLarge {
      text +=
        ". A batch of records may be larger than the topic takes though each is small: raise max.message.bytes of "
        + "\(partition.topic) to 1 MiB, or set batch.size in kafka.properties below it"
    }
    return text + ". Mend the topic, then start again: the epoch is read again and nothing is lost"
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
  /// The generation the offsets belong to is gone, or about to go: the group no longer takes commits of it. (What was not
  /// committed is done again by whoever owns the partition next.)
  var endsAssignment: Bool {
    self == .illegalGeneration || self == .unknownMember || self == .rebalanceInProgress
  }
}
