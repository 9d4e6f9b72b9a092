// The way between clients and brokers: requests that are lost, answered too late, sent twice, or arrive after their sender
// has died.

import CheckpointTesting

/// What may go wrong with requests, per thousand of them.
package struct NetworkFaults: Sendable {
  package var lostRequest = 0
  /// Carried out, but the answer is lost.
  package var lostAnswer = 0
  /// Carried out again much later.
  package var duplicate = 0
  /// Carried out much later.
  package var late = 0
  /// Of records handed to the producer.
  package var queueFull = 0
  /// Of batches of records, by the broker.
  package var refusedBatch = 0
  /// Likewise, in passing: the partition's leader is new. The batch behind it may be taken all the same.
  package var passedOverBatch = 0
  /// Microseconds, one way.
  package var latency: ClosedRange<Int64> = 200...3_000

  package init() {}
}

/// One process at the network: what its consumer and producer share.
package final class ModelClient {
  package let name: String
  package let process: SimulatedProcess
  package var isDead = false
  /// Cut off from the brokers until this simulated instant.
  package var cutOffUntil: Int64 = .min
  weak var consumer: ModelConsumer?
  weak var producer: ModelProducer?

  package init(name: String, process: SimulatedProcess) {
    self.name = name
    self.process = process
  }

  /// When the client's threads can reach a broker again; nil when they can now.
  func silentUntil(_ now: Int64) -> Int64? {
    let until = max(process.pausedUntil, cutOffUntil)
    return until > now ? until : nil
  }

  /// Sleeps until something may have changed, as told by `kafka`, or until `deadline`; returns whether `isReady`.
  func wait(_ kafka: ModelKafka, until deadline: Int64, _ isReady: () -> Bool) -> Bool {
    while true {
      if isDead { return false }
      kafka.advance()
      if isReady() { return true }
      let now = process.scheduler.now
      if now >= deadline { return false }
      process.scheduler.sleep(microseconds: max(1, min(deadline, kafka.nextEvent ?? deadline) - now))
    }
  }
}

extension ModelKafka {
  /// Which broker a request is for.
  enum Destination {
    case leader
    /// The leaders of the topics that are written.
    case outputs
    /// The coordinator of the group or of a transactional id, which may be moving.
    case coordinator
  }

  /// Sends a request until it is answered, as librdkafka does for all but plain commits.
  ///
  /// - Parameters:
  ///   - isRepeated: sent again when no answer comes.
  ///   - serve: at the broker, each time the request arrives; nil when the broker says "again in a moment".
  ///   - answered: at the client, at most once, unless the client has died.
  func send<Answer>(
    _ name: String, from client: ModelClient, to destination: Destination, isRepeated: Bool = true,
    isWanted: @escaping () -> Bool = { true }, serve: @escaping () -> Answer?, answered: @escaping (Answer) -> Void
  ) {
    let request = Request(
      name: name, client: client, destination: destination, isRepeated: isRepeated, isWanted: isWanted, serve: serve,
      answered: answered)
    attempt(request)
  }

  private final class Request<Answer> {
    let name: String
    let client: ModelClient
    let destination: Destination
    let isRepeated: Bool
    let isWanted: () -> Bool
    let serve: () -> Answer?
    let answered: (Answer) -> Void
    var isDone = false

    init(
      name: String, client: ModelClient, destination: Destination, isRepeated: Bool, isWanted: @escaping () -> Bool,
      serve: @escaping () -> Answer?, answered: @escaping (Answer) -> Void
    ) {
      self.name = name
      self.client = client
      self.destination = destination
      self.isRepeated = isRepeated
      self.isWanted = isWanted
      self.serve = serve
      self.answered = answered
    }
  }

  private func attempt<Answer>(_ request: Request<Answer>) {
    guard !request.client.isDead, !request.isDone, request.isWanted() else { return }
    if let until = request.client.silentUntil(now) {
      return at(until + draw(1_000...200_000)) { self.attempt(request) }
    }
    if isAway || unreachableUntil(request.destination) > now {
      journal.note(
        isAway
          ? "request: broker away" : request.destination == .outputs ? "request: no leader" : "request: no coordinator")
      return at(now + draw(100_000...500_000)) { self.attempt(request) }
    }
    let fate = Int.random(in: 0..<1_000, using: &random)
    var limit = faults.lostRequest
    if fate < limit { return lose(request, "request lost: \(request.name)", arrives: false) }
    limit += faults.lostAnswer
    if fate < limit { return lose(request, "answer lost: \(request.name)", arrives: true) }
    limit += faults.late
    if fate < limit {
      journal.note("request late: \(request.name)")
      return arrive(request, after: draw(1_000_000...12_000_000))
    }
    limit += faults.duplicate
    if fate < limit {
      journal.note("request twice: \(request.name)")
      at(now + draw(100_000...12_000_000)) { _ = self.serve(request) }
    }
    arrive(request, after: draw(faults.latency))
  }

  private func unreachableUntil(_ destination: Destination) -> Int64 {
    switch destination {
    case .leader: .min
    case .outputs: outputsAwayUntil
    case .coordinator: coordinatorAwayUntil
    }
  }

  private func lose<Answer>(_ request: Request<Answer>, _ what: String, arrives: Bool) {
    journal.note(what)
    if arrives { at(now + draw(faults.latency)) { _ = self.serve(request) } }
    if request.isRepeated { at(now + draw(300_000...3_000_000)) { self.attempt(request) } }
  }

  /// Also when its sender has died meanwhile: a broker cannot know.
  private func serve<Answer>(_ request: Request<Answer>) -> Answer? {
    if isAway { return nil }
    if request.client.isDead { journal.note("request of a dead process: \(request.name)") }
    return request.serve()
  }

  private func arrive<Answer>(_ request: Request<Answer>, after delay: Int64) {
    at(now + delay) {
      guard let answer = self.serve(request) else {
        guard request.isRepeated else { return }
        return self.at(self.now + self.draw(20_000...100_000)) { self.attempt(request) }
      }
      self.at(self.now + self.draw(self.faults.latency)) {
        guard !request.client.isDead, !request.isDone else { return }
        request.isDone = true
        request.answered(answer)
      }
    }
  }
}
