// The coordinator's side of the one consumer group: members, generations, the eager rebalance with the range assignor.

import Kafka

final class ModelGroup {
  struct Member {
    var id: String
    var consumer: ModelConsumer
    /// Has joined for the generation that is being prepared.
    var hasJoined: Bool
    /// No heartbeat since.
    var silentSince: Int64?
  }

  static let sessionTimeout: Int64 = 10_000_000
  /// How long the others wait for a member that does not answer a revoke (`max.poll.interval.ms`).
  static let rebalanceTimeout: Int64 = 60_000_000

  private unowned let kafka: ModelKafka
  private(set) var members: [Member] = []
  private(set) var generation = 0
  private(set) var isPreparing = false
  private var preparations = 0
  private var memberCount = 0
  /// To whom each generation gave each partition.
  private var owners: [Int: [Int32: String]] = [:]

  init(_ kafka: ModelKafka) { self.kafka = kafka }

  /// At the end of a run: members know the brokers, too.
  func dissolve() { members = [] }

  // MARK: Requests

  /// Returns the member's id: a new one for a member that is not known (any more).
  func join(_ consumer: ModelConsumer, as id: String?) -> String {
    // A member that asks for an id twice gets the same, also one that still goes by an id that was put out: an id counts
    // only once it was used to join.
    let known = members.firstIndex { $0.id == id } ?? members.firstIndex { $0.consumer === consumer }
    if let index = known {
      members[index].hasJoined = true
      members[index].silentSince = nil
      if consumer.client.isDead { fellSilent(consumer.client) }
      prepare("\(members[index].id) joins again")
      return members[index].id
    }
    memberCount += 1
    let new = "m\(memberCount)-\(consumer.client.name)"
    members.append(Member(id: new, consumer: consumer, hasJoined: true, silentSince: nil))
    // Its request came late: nobody is there to send a heartbeat.
    if consumer.client.isDead { fellSilent(consumer.client) }
    prepare("\(new) joins")
    return new
  }

  func leave(_ id: String) {
    guard members.contains(where: { $0.id == id }) else { return }
    kafka.journal.note("group: member left")
    remove(id, "leaves")
  }

  /// Why offsets of this member and generation are not taken; the owner of a partition is not asked for.
  func refusal(of membership: ModelKafka.Membership) -> KafkaErrorCode? {
    guard members.contains(where: { $0.id == membership.member }) else { return .unknownMember }
    return membership.generation == generation ? nil : .illegalGeneration
  }

  /// Whose the partition was in that generation; a broker does not ask, the checks do.
  func owner(of partition: Int32, in generation: Int) -> String? { owners[generation]?[partition] }

  /// What a heartbeat of the member is answered.
  enum Heartbeat {
    case fine
    case rebalance
    case gone
  }

  func heartbeat(_ membership: ModelKafka.Membership) -> Heartbeat {
    guard let member = members.first(where: { $0.id == membership.member }) else { return .gone }
    if isPreparing { return member.hasJoined ? .fine : .rebalance }
    return membership.generation == generation ? .fine : .gone
  }

  /// Has joined, and waits for the others.
  func isWaiting(_ client: ModelClient) -> Bool {
    isPreparing && members.contains { $0.consumer.client === client && $0.hasJoined && !client.isDead }
  }

  // MARK: Silence

  func fellSilent(_ client: ModelClient) {
    for index in members.indices where members[index].consumer.client === client {
      guard members[index].silentSince == nil else { continue }
      members[index].silentSince = kafka.now
      watch(members[index].id, since: kafka.now)
    }
  }

  func isHeard(_ client: ModelClient) {
    for index in members.indices where members[index].consumer.client === client { members[index].silentSince = nil }
  }

  private func watch(_ id: String, since: Int64) {
    kafka.at(since + Self.sessionTimeout) {
      guard let member = self.members.first(where: { $0.id == id }), member.silentSince == since else { return }
      if self.kafka.isAway || self.kafka.coordinatorAwayUntil > self.kafka.now {
        // A coordinator that has just come gives everybody a whole session.
        guard let index = self.members.firstIndex(where: { $0.id == id }) else { return }
        self.members[index].silentSince = self.kafka.now
        return self.watch(id, since: self.kafka.now)
      }
      self.kafka.journal.note("group: session expired")
      self.remove(id, "was silent for too long")
    }
  }

  // MARK: Rebalance

  private func remove(_ id: String, _ why: String) {
    guard let index = members.firstIndex(where: { $0.id == id }) else { return }
    let member = members.remove(at: index)
    member.consumer.listen()
    if members.isEmpty {
      isPreparing = false
      generation += 1
      return
    }
    prepare("\(id) \(why)")
  }

  private func prepare(_ why: String) {
    kafka.journal.say("group: \(why)")
    if !isPreparing {
      isPreparing = true
      preparations += 1
      kafka.journal.note("group: rebalance")
      let preparation = preparations
      kafka.at(kafka.now + Self.rebalanceTimeout) { self.giveUpWaiting(preparation) }
      for member in members where !member.hasJoined { member.consumer.listen() }
    }
    let preparation = preparations
    // A moment for others to come, too.
    kafka.at(kafka.now + kafka.draw(10_000...500_000)) { self.completeIfAllJoined(preparation) }
  }

  private func giveUpWaiting(_ preparation: Int) {
    guard isPreparing, preparation == preparations else { return }
    kafka.journal.note("group: rebalance timed out")
    for member in members where !member.hasJoined { remove(member.id, "did not answer the rebalance") }
    completeIfAllJoined(preparation)
  }

  private func completeIfAllJoined(_ preparation: Int) {
    guard isPreparing, preparation == preparations, members.allSatisfy(\.hasJoined), !members.isEmpty else { return }
    isPreparing = false
    generation += 1
    members.sort { $0.id < $1.id }
    let count = Int(kafka.partitions)
    var next = 0
    for index in members.indices {
      // Range: contiguous, the first ones get one more.
      let share = count / members.count + (index < count % members.count ? 1 : 0)
      let partitions = (next..<next + share).map { Int32($0) }
      next += share
      members[index].hasJoined = false
      let member = members[index]
      for partition in partitions { owners[generation, default: [:]][partition] = member.id }
      kafka.journal.say("group: generation \(generation) gives \(partitions) to \(member.id)")
      let assigned = kafka.topics.flatMap { topic in partitions.map { TopicPartition(topic, $0) } }
      member.consumer.receive(assigned, ModelKafka.Membership(member: member.id, generation: generation))
    }
  }
}
