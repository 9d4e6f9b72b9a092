// The coordinator's side of transactions: one object for each transactional id.

import Kafka

/// What a transactional producer says of itself in each request. `number` counts its transactions, as brokers since 4.0 do
/// by the epoch, so that a request that comes late cannot get into a later transaction.
struct ProducerIdentity: Hashable {
  var epoch: Int
  var number: Int
}

/// What the coordinator answers.
enum TransactionAnswer {
  case done
  /// A newer producer has this id, or the coordinator has timed this transaction out.
  case fenced
  /// The member or the generation of the offsets is gone.
  case refused(KafkaErrorCode)
}

final class ModelTransactions {
  enum State {
    case ended(committed: Bool)
    case ongoing
    /// Decided; the markers are being written.
    case ending(commit: Bool)
  }

  static let timeoutMicroseconds: Int64 = 10_000_000

  private unowned let kafka: ModelKafka
  private let id: String
  private(set) var state = State.ended(committed: true)
  private(set) var epoch = -1
  private(set) var number = 0
  private(set) var offsets: [TopicPartition: PartitionOffset] = [:]
  private var membership: ModelKafka.Membership?
  private var places: [Int] = []
  /// Batches of the transaction that have arrived: one that arrives twice counts once.
  private var batches: Set<Int> = []

  init(_ kafka: ModelKafka, id: String) {
    self.kafka = kafka
    self.id = id
  }

  /// A new producer registers; nil while the transaction of its predecessor is being ended.
  func initialize() -> Int? {
    switch state {
    case .ending: return nil
    case .ongoing:
      kafka.journal.note("transaction: aborted by a successor")
      epoch += 1
      end(commit: false)
      return nil
    case .ended:
      epoch += 1
      number = 0
      return epoch
    }
  }

  func produce(_ identity: ProducerIdentity, _ outputs: [ModelKafka.Output], batch: Int) -> TransactionAnswer? {
    if let refusal = enter(identity) { return refusal.answer }
    guard batches.insert(batch).inserted else { return .done }
    for output in outputs { places.append(kafka.append(output, .pending)) }
    return .done
  }

  func addOffsets(_ identity: ProducerIdentity, _ added: [PartitionOffset], _ membership: ModelKafka.Membership)
    -> TransactionAnswer?
  {
    if let refusal = enter(identity) { return refusal.answer }
    if let error = kafka.group.refusal(of: membership) {
      kafka.journal.note("transaction: offsets refused, \(error)")
      return .refused(error)
    }
    for offset in added { offsets[offset.partition] = offset }
    self.membership = membership
    return .done
  }

  func end(_ identity: ProducerIdentity, commit: Bool) -> TransactionAnswer? {
    if identity.epoch != epoch { return .fenced }
    if identity.number > number {
      // Nothing was ever sent of it.
      if case .ended = state { return .done }
      return nil
    }
    if identity.number < number { return .done }
    switch state {
    case .ending(let decided), .ended(let decided):
      if decided == commit { kafka.journal.note("producer: settled after a lost answer") }
      return decided == commit ? .done : .fenced
    case .ongoing:
      end(commit: commit)
      return .done
    }
  }

  private struct Refusal {
    /// nil: again in a moment.
    var answer: TransactionAnswer?
  }

  /// Begins the transaction with its first request.
  private func enter(_ identity: ProducerIdentity) -> Refusal? {
    if identity.epoch != epoch { return Refusal(answer: .fenced) }
    switch state {
    case .ongoing:
      if identity.number == number { return nil }
      kafka.journal.note("transaction: request of an older one refused")
      return Refusal(answer: .fenced)
    case .ending:
      return Refusal(answer: identity.number > number ? nil : .fenced)
    case .ended:
      guard identity.number > number else {
        kafka.journal.note("transaction: request of an older one refused")
        return Refusal(answer: .fenced)
      }
      number = identity.number
      state = .ongoing
      offsets = [:]
      places = []
      batches = []
      let begun = identity
      kafka.at(kafka.now + Self.timeoutMicroseconds) { self.expire(begun) }
      return nil
    }
  }

  private func expire(_ begun: ProducerIdentity) {
    guard case .ongoing = state, begun == ProducerIdentity(epoch: epoch, number: number) else { return }
    // Nobody looks after transactions while the coordinator is away.
    if kafka.isAway || kafka.coordinatorAwayUntil > kafka.now {
      return kafka.at(kafka.now + 1_000_000) { self.expire(begun) }
    }
    kafka.journal.note("transaction: timed out by the coordinator")
    epoch += 1
    end(commit: false)
  }

  /// The decision; the markers follow.
  private func end(commit: Bool) {
    state = .ending(commit: commit)
    if commit, let membership { kafka.onCommit(offsets.values.sorted { $0.partition < $1.partition }, membership) }
    let isSlow = kafka.chance(permille: 50)
    kafka.at(kafka.now + kafka.draw(isSlow ? 100_000...3_000_000 : 500...20_000)) {
      self.kafka.show(self.places, commit ? .visible : .aborted)
      if commit { self.kafka.committed.merge(self.offsets) { $1 } }
      self.kafka.journal.note(commit ? "transaction: committed" : "transaction: aborted")
      self.offsets = [:]
      self.places = []
      self.state = .ended(committed: commit)
    }
  }
}

extension ModelKafka {
  func transaction(of id: String) -> ModelTransactions {
    if let found = transactions[id] { return found }
    let new = ModelTransactions(self, id: id)
    transactions[id] = new
    return new
  }

  /// Whether an open transaction holds back the committed offsets of these partitions.
  func isUnstable(_ partitions: [TopicPartition]) -> Bool {
    transactions.values.contains { transaction in partitions.contains { transaction.offsets[$0] != nil } }
  }
}
