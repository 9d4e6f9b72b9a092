// The producer of one process, as librdkafka 2.0.2 shows it: idempotent, with or without transactions. Calls that time out
// go on in the background, and the same call again learns how they ended.

import Daemon
import Kafka

package final class ModelProducer: ProducerPort {
  private enum Operation {
    case initialize, sendOffsets, commit, abort
  }

  /// Fails an epoch whose records cannot be delivered (`message.timeout.ms`, for transactions their time-out).
  private let messageTimeout: Int64

  private let kafka: ModelKafka
  private let client: ModelClient
  private let id: String?
  private var identity = ProducerIdentity(epoch: -1, number: 0)
  private var isOpen = false
  private var queue: [ModelKafka.Output] = []
  private var inFlight: (number: Int, outputs: [ModelKafka.Output])?
  /// Refused in passing while another batch was ready: when that one is taken, librdkafka holds these for delivered.
  private var passedOver: [ModelKafka.Output] = []
  private var batches = 0
  private var queuedSince: Int64?
  private var delivered = 0
  private var failed = 0
  private var unconfirmed = 0
  private var problem: KafkaError?
  package private(set) var fatalError: KafkaError?
  private var hasSaidFatal = false

  /// The call that is under way in the background, and how it ended.
  private var operation: Operation?
  /// Counts them: the answer to one that was given up for an abort is not heard any more.
  private var operations = 0
  private var outcome: TransactionOutcome?
  private var isCommitSent = false

  /// - Parameter transactionalID: nil for a producer without transactions.
  package init(_ kafka: ModelKafka, _ client: ModelClient, transactionalID: String?) {
    self.kafka = kafka
    self.client = client
    id = transactionalID
    messageTimeout = transactionalID == nil ? 30_000_000 : 10_000_000
  }

  private var now: Int64 { kafka.now }

  private func enter() -> TransactionOutcome? {
    client.process.scheduler.yield()
    if client.isDead { return .fatal(KafkaError(.fatal, during: "producer", isFatal: true)) }
    kafka.advance()
    if let fatalError { return .fatal(fatalError) }
    return nil
  }

  private func fence(_ operation: String) -> KafkaError {
    let error = KafkaError(.fenced, during: operation, isFatal: true)
    if fatalError == nil { kafka.journal.note("producer: fenced") }
    fatalError = fatalError ?? error
    return error
  }

  /// Waits for the operation under way; `begin` starts it unless it has been started before.
  private func finish(
    _ wanted: Operation, _ name: String, _ timeoutMilliseconds: Int32,
    _ begin: (@escaping (TransactionOutcome) -> Void) -> Void
  ) -> TransactionOutcome {
    if operation == nil {
      operation = wanted
      outcome = nil
      operations += 1
      let number = operations
      begin { if self.operations == number { self.outcome = $0 } }
    } else if operation == wanted {
      kafka.journal.note("producer: \(name) called again")
    } else {
      kafka.journal.violate("calls", "\(name) while another call has not ended")
      return .fatal(KafkaError(.wrongState, during: name, isFatal: true))
    }
    _ = client.wait(kafka, until: now + Int64(timeoutMilliseconds) * 1_000) {
      self.outcome != nil || self.fatalError != nil
    }
    if client.isDead { return .fatal(KafkaError(.fatal, during: name, isFatal: true)) }
    if let outcome {
      operation = nil
      self.outcome = nil
      return outcome
    }
    if let fatalError { return .fatal(fatalError) }
    kafka.journal.note("producer: \(name) timed out")
    return .retry(ModelConsumer.late(name))
  }

  // MARK: Transactions

  package func initTransactions(timeoutMilliseconds: Int32) -> TransactionOutcome {
    if let end = enter() { return end }
    guard let id else { return .done }
    return finish(.initialize, "init transactions", timeoutMilliseconds) { done in
      kafka.send(
        "init transactions", from: client, to: .coordinator, serve: { self.kafka.transaction(of: id).initialize() },
        answered: { epoch in
          self.identity = ProducerIdentity(epoch: epoch, number: 0)
          done(.done)
        })
    }
  }

  package func beginTransaction() -> TransactionOutcome {
    if let end = enter() { return end }
    if isOpen || operation != nil {
      kafka.journal.violate("calls", "begin transaction while one is open")
      return .fatal(KafkaError(.wrongState, during: "begin transaction"))
    }
    isOpen = true
    isCommitSent = false
    problem = nil
    identity.number += 1
    return .done
  }

  package func sendOffsets(
    _ offsets: [PartitionOffset], membership: any GroupMembership, timeoutMilliseconds: Int32
  ) -> TransactionOutcome {
    if let end = enter() { return end }
    guard let id, let membership = membership as? ModelKafka.Membership else {
      return .fatal(KafkaError(.invalidArgument, during: "send offsets"))
    }
    if let problem { return .abort(problem) }
    let identity = identity
    let outcome = finish(.sendOffsets, "send offsets", timeoutMilliseconds) { done in
      let number = operations
      kafka.send(
        "send offsets", from: client, to: .coordinator, isWanted: { self.operation == .sendOffsets },
        serve: { self.kafka.transaction(of: id).addOffsets(identity, offsets, membership) },
        answered: { answer in
          switch answer {
          case .done: done(.done)
          case .fenced: done(.fatal(self.fence("send offsets")))
          case .refused(let code):
            guard self.operations == number else { return }
            let error = KafkaError(code, during: "send offsets", requiresAbort: true)
            self.problem = error
            done(.abort(error))
          }
        })
    }
    return outcome
  }

  package func commitTransaction(timeoutMilliseconds: Int32) -> TransactionOutcome {
    if let end = enter() { return end }
    let deadline = now + Int64(timeoutMilliseconds) * 1_000
    if !isCommitSent {
      _ = client.wait(kafka, until: deadline) {
        self.problem != nil || self.fatalError != nil || self.inFlight == nil && self.queue.isEmpty
      }
      if let end = enter() { return end }
      if let problem { return .abort(problem) }
      guard queue.isEmpty, inFlight == nil else {
        kafka.journal.note("producer: commit waits for records")
        return .retry(ModelConsumer.late("commit transaction"))
      }
    }
    isCommitSent = true
    let left = Int32(max(0, (deadline - now) / 1_000))
    return end(.commit, "commit transaction", left)
  }

  package func abortTransaction(timeoutMilliseconds: Int32) -> TransactionOutcome {
    if let end = enter() { return end }
    if isCommitSent {
      kafka.journal.violate("calls", "an abort after the commit was sent")
    }
    if operation == .sendOffsets { operation = nil }
    failUnacknowledged()
    return end(.abort, "abort transaction", timeoutMilliseconds)
  }

  /// Records of which nobody knows whether they arrive.
  var unacknowledged: Int { queue.count + (inFlight?.outputs.count ?? 0) + passedOver.count }

  private func failUnacknowledged() {
    failed += unacknowledged
    forgetUnacknowledged()
  }

  private func forgetUnacknowledged() {
    queue = []
    inFlight = nil
    passedOver = []
    queuedSince = nil
  }

  package func discardUnacknowledged() throws(KafkaError) {
    if let end = enter(), let error = end.error { throw error }
    if id != nil {
      kafka.journal.violate("calls", "records are discarded inside a transaction")
    }
    if unacknowledged > 0 { kafka.journal.note("producer: unacknowledged records discarded") }
    // What is on its way is not called back; it is not sent again.
    forgetUnacknowledged()
    delivered = 0
    failed = 0
    unconfirmed = 0
    problem = nil
  }

  private func end(_ operation: Operation, _ name: String, _ timeoutMilliseconds: Int32) -> TransactionOutcome {
    guard let id else { return .fatal(KafkaError(.wrongState, during: name)) }
    let identity = identity
    let outcome = finish(operation, name, timeoutMilliseconds) { done in
      kafka.send(
        name, from: client, to: .coordinator,
        serve: { self.kafka.transaction(of: id).end(identity, commit: operation == .commit) },
        answered: { answer in
          switch answer {
          case .done: done(.done)
          case .fenced: done(.fatal(self.fence(name)))
          case .refused(let code): done(.abort(KafkaError(code, during: name, requiresAbort: true)))
          }
        })
    }
    if outcome == .done {
      isOpen = false
      isCommitSent = false
      problem = nil
      kafka.journal.note("producer: \(name) done")
    }
    return outcome
  }

  // MARK: Records

  package func produce(_ record: OutputRecord) throws(KafkaError) {
    // Not a place to switch threads at each record: only now and then.
    if kafka.chance(permille: 50), let end = enter(), let error = end.error { throw error }
    if client.isDead { throw KafkaError(.fatal, during: "produce", isFatal: true) }
    if let fatalError { throw fatalError }
    if kafka.chance(permille: kafka.faults.queueFull) {
      kafka.journal.note("fault: queue full")
      throw KafkaError(.queueFull, during: "produce", isRetriable: true)
    }
    if id != nil {
      guard isOpen else { throw KafkaError(.wrongState, during: "produce") }
      if problem != nil {
        kafka.journal.note("producer: produce refused, abort wanted")
        throw KafkaError(.wrongState, during: "produce", requiresAbort: true)
      }
    }
    var ceID = ""
    var headers: [[UInt8]] = []
    for header in record.headers {
      headers.append(Array(header.value))
      if header.name.description == "ce_id" { ceID = String(decoding: header.value, as: UTF8.self) }
    }
    queue.append(
      ModelKafka.Output(
        topic: record.topic, key: record.key.map { Array($0) } ?? [], value: record.value.map { Array($0) } ?? [],
        id: ceID, headers: headers))
    guard queuedSince == nil else { return }
    queuedSince = now
    kafka.at(now + kafka.draw(1_000...10_000)) { self.sendBatch() }
    watchTimeout(since: now)
  }

  private func watchTimeout(since: Int64) {
    kafka.at(since + messageTimeout) {
      guard self.queuedSince == since, !self.client.isDead else { return }
      self.kafka.journal.note("producer: records timed out")
      self.failUnacknowledged()
      self.problem = KafkaError(.messageTimedOut, during: "deliver", requiresAbort: self.id != nil)
    }
  }

  private func sendBatch() {
    guard !client.isDead, fatalError == nil, inFlight == nil, !queue.isEmpty else { return }
    batches += 1
    let number = batches
    let outputs = queue
    queue = []
    inFlight = (number, outputs)
    let identity = identity
    var hasArrived = false
    let isPassedOver = kafka.chance(permille: kafka.faults.passedOverBatch)
    kafka.send(
      "produce", from: client, to: .outputs, isWanted: { self.inFlight?.number == number },
      serve: { () -> TransactionAnswer? in
        if isPassedOver { return .refused(.notLeader) }
        // The partition's leader cannot write it, for longer than the client tries.
        if self.kafka.chance(permille: self.kafka.faults.refusedBatch) { return .refused(.messageTimedOut) }
        if let id = self.id { return self.kafka.transaction(of: id).produce(identity, outputs, batch: number) }
        // Idempotent: a batch that comes again is known by its sequence numbers.
        if !hasArrived { for output in outputs { _ = self.kafka.append(output, .visible) } }
        hasArrived = true
        return .done
      },
      answered: { answer in
        guard self.inFlight?.number == number else { return }
        self.inFlight = nil
        switch answer {
        case .done:
          self.delivered += outputs.count
          if !self.passedOver.isEmpty { self.kafka.journal.note("producer: records passed over") }
          self.unconfirmed += self.passedOver.count
          self.passedOver = []
        case .refused(.notLeader):
          self.kafka.journal.note("fault: batch refused in passing")
          // Sent again; but another batch that is ready is under way already.
          if self.queue.isEmpty { self.queue = outputs } else { self.passedOver += outputs }
        case .refused(let code):
          self.failed += outputs.count + self.passedOver.count
          self.passedOver = []
          self.problem = KafkaError(code, during: "deliver", requiresAbort: self.id != nil)
          self.kafka.journal.note("fault: batch refused")
        case .fenced:
          self.failed += outputs.count + self.passedOver.count
          self.passedOver = []
          // A transaction that the coordinator has aborted, or a newer producer: librdkafka finds out with the next call.
          self.problem = KafkaError(.invalidProducerEpoch, during: "deliver", requiresAbort: true)
          self.kafka.journal.note("producer: batch refused")
        }
        self.queuedSince = self.queue.isEmpty ? nil : self.now
        if let since = self.queuedSince {
          self.watchTimeout(since: since)
          self.sendBatch()
        }
      })
  }

  package func flush(timeoutMilliseconds: Int32) throws(KafkaError) {
    if let end = enter(), let error = end.error { throw error }
    let isDone = client.wait(kafka, until: now + Int64(timeoutMilliseconds) * 1_000) {
      self.queue.isEmpty && self.inFlight == nil
    }
    if client.isDead { throw KafkaError(.fatal, during: "flush", isFatal: true) }
    if !isDone {
      kafka.journal.note("producer: flush timed out")
      throw ModelConsumer.late("flush")
    }
  }

  package func takeDeliveryReport() -> DeliveryReport {
    defer {
      delivered = 0
      failed = 0
      unconfirmed = 0
      if id == nil { problem = nil }
    }
    let failure = problem.map { DeliveryFailure(partition: TopicPartition("outputs", 0), error: $0) }
    return DeliveryReport(
      delivered: delivered, failed: failed, firstFailure: failed > 0 ? failure : nil, unconfirmed: unconfirmed,
      firstUnconfirmed: unconfirmed > 0 ? TopicPartition("outputs", 0) : nil)
  }

  package func drainEvents() -> [ClientEvent] {
    guard let fatalError, !hasSaidFatal, !client.isDead else { return [] }
    hasSaidFatal = true
    return [.fatal(fatalError)]
  }
}
