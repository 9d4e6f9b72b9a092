// `tidewatch recover` and `tidewatch skip`: takes the locks, reads everything, has it decided, and does it step by step.

import Checkpoint
import Configuration
import Kafka

/// Why a recovery could not look, or stopped in the middle.
public enum RecoveryError: Error, CustomStringConvertible {
  case kafka(KafkaError)
  case topics(String)
  /// The daemon runs; nil where nobody knows who.
  case groupActive([String]?, group: String)
  case checkpoint(CheckpointError)
  /// What was committed is not what is read back.
  case notAsWritten(String)

  public var description: String {
    switch self {
    case .kafka(let error): return "\(error)"
    case .topics(let text), .notAsWritten(let text): return text
    case .groupActive(let members, let group):
      let who = members.map { ": \($0.joined(separator: ", "))" } ?? ""
      return "group \(group) has members\(who). Stop every daemon of the group, wait until the group is empty (at most "
        + "its session.timeout.ms), and run this again"
    case .checkpoint(let error): return "\(error)"
    }
  }
}

/// One partition as it was found.
public struct RecoveryFinding {
  public var partition: Int32
  public var directory: String
  /// Why its directory could not be read; then there is no evidence.
  public var failure: CheckpointError?
  public var evidence: PartitionEvidence?
  /// Holds the partition's lock. nil where there is no directory.
  var store: PartitionStore?
}

/// Confined to one thread. Holds the locks of all partitions it has looked at until it goes.
public final class Recovery {
  private let configuration: Configuration
  private let disk: any Disk
  private let port: any RecoveryPort
  /// Of the inputs, now.
  public let partitionCount: Int32
  /// How long a broker is asked again before that is an error.
  private let patienceMilliseconds: Int32
  public private(set) var findings: [RecoveryFinding] = []

  public init(
    _ configuration: Configuration, port: any RecoveryPort, partitionCount: Int32, disk: any Disk = PosixDisk(),
    patienceMilliseconds: Int32 = 60_000
  ) {
    self.configuration = configuration
    self.port = port
    self.partitionCount = partitionCount
    self.disk = disk
    self.patienceMilliseconds = patienceMilliseconds
  }

  private var topics: [String] { configuration.inputs.map(\.topic) }

  // MARK: Looking

  /// Locks the partitions, then reads what is on disk, committed and available. Changes nothing.
  ///
  /// - Parameter partitions: nil for all that the topics have.
  /// - Throws: `.kafka`. What is wrong with one directory is in its finding.
  public func look(at partitions: [Int32]?) throws(RecoveryError) {
    findings = []
    for partition in partitions ?? Array(0..<partitionCount) { findings.append(open(partition)) }
    let wanted = findings.filter { $0.failure == nil }.map(\.partition)
    let all = wanted.flatMap { partition in topics.map { TopicPartition($0, partition) } }
    let known = all.filter { $0.partition < partitionCount }
    // After the locks: from here on no daemon of this machine moves them.
    let committed = try patiently { () throws(KafkaError) in
      try port.committed(for: known, timeoutMilliseconds: 5_000)
    }
    for index in findings.indices where findings[index].failure == nil {
      do throws(CheckpointError) {
        findings[index].evidence = try evidence(findings[index], committed)
      } catch {
        findings[index].failure = error
        continue
      }
      for topic in topics where findings[index].partition < partitionCount {
        let place = TopicPartition(topic, findings[index].partition)
        findings[index].evidence?.available[topic] = try patiently { () throws(KafkaError) in
          try port.watermarks(of: place, timeoutMilliseconds: 5_000)
        }
      }
    }
  }

  private func open(_ partition: Int32) -> RecoveryFinding {
    let directory = CheckpointLayout.directory(
      state: configuration.state.directory, name: configuration.kafka.group, partition: partition)
    var finding = RecoveryFinding(partition: partition, directory: directory)
    do throws(DiskError) { _ = try disk.list(directory) } catch {
      // Opening would create it; to look changes nothing.
      if error.kind != .notFound { finding.failure = .disk(error) }
      return finding
    }
    do throws(CheckpointError) { finding.store = try PartitionStore(opening: directory, on: disk) } catch {
      finding.failure = error
    }
    return finding
  }

  private func evidence(_ finding: RecoveryFinding, _ committed: [CommittedOffset]) throws(CheckpointError)
    -> PartitionEvidence
  {
    let states = topics.map { topic in
      let found = committed.first { $0.partition == TopicPartition(topic, finding.partition) }?.committed
      return CommittedTopic(topic: topic, offset: found?.offset, metadata: found?.metadata ?? "")
    }
    var evidence = PartitionEvidence(partition: finding.partition, partitionCount: partitionCount, committed: states)
    guard let store = finding.store else { return evidence }
    evidence.epochs = store.tags
    let tagged = Set(states.compactMap { EpochTag($0.metadata) })
    for (index, tag) in evidence.epochs.enumerated() where index + 2 >= evidence.epochs.count || tagged.contains(tag) {
      evidence.blocks.append(BlockFacts(try store.block(of: tag.epoch)))
    }
    return evidence
  }

  // MARK: Deciding

  /// What is to be done about one partition. Pure but for the wall clock it is given, microseconds since 1970 UTC.
  public func decide(_ action: RecoveryAction, _ finding: RecoveryFinding, isChosen: Bool, wall: Int64)
    -> RecoveryDecision
  {
    guard let evidence = finding.evidence else {
      return .refuse("\(finding.failure.map { "\($0)" } ?? "It was not looked at").")
    }
    return planner(evidence, finding, isChosen: isChosen, wall: wall).decide(action)
  }

  /// How a partition stands, with the command that would help.
  public func diagnose(_ finding: RecoveryFinding) -> (health: PartitionHealth?, text: String) {
    guard let evidence = finding.evidence else {
      return (nil, finding.failure.map { "\($0)" } ?? "it was not looked at")
    }
    let health = evidence.health(configuration.delivery)
    let commands = OperatorCommands(configuration, partition: finding.partition)
    return (health, health.text(evidence, commands, directory: finding.directory))
  }

  private func planner(_ evidence: PartitionEvidence, _ finding: RecoveryFinding, isChosen: Bool, wall: Int64)
    -> RecoveryPlanner
  {
    RecoveryPlanner(
      delivery: configuration.delivery, evidence: evidence,
      commands: OperatorCommands(configuration, partition: finding.partition), directory: finding.directory,
      isChosen: isChosen, wall: wall)
  }

  // MARK: Doing

  /// Makes sure that no daemon runs anywhere: a commit would be refused in the middle of the steps.
  /// - Throws: `.groupActive`, `.kafka`.
  public func checkGroupIsEmpty() throws(RecoveryError) {
    let members = try patiently { () throws(KafkaError) in try port.members(timeoutMilliseconds: 10_000) }
    if let members, !members.isEmpty { throw .groupActive(members, group: configuration.kafka.group) }
  }

  /// Does it. When it throws, the partition is halted as before, or right: run the command again.
  public func apply(_ steps: RecoverySteps, to finding: RecoveryFinding) throws(RecoveryError) {
    guard let store = finding.store, store.tag(of: steps.base.epoch) == steps.base else {
      throw .notAsWritten("epoch \(steps.base.epoch) is not in \(finding.directory) any more; run this again")
    }
    let outbox: [UInt8]?
    let header: EpochHeader
    do throws(CheckpointError) {
      outbox = steps.blocks.contains(where: \.carriesOutbox) ? try store.outbox(of: steps.base.epoch) : nil
      header = try store.block(of: steps.base.epoch).header
    } catch { throw .checkpoint(error) }

    if let mark = steps.mark { try commit(mark, steps.base, finding.partition) }
    let first = try append(steps.blocks, after: header, outbox, to: store)
    switch steps.commit {
    case .none: return
    case .existing(let tag): try commit(steps.offsets, tag, finding.partition)
    case .first: try commit(steps.offsets, first ?? steps.base, finding.partition)
    }
  }

  /// Cuts what lies behind the base, writes the blocks and makes them durable; returns the tag of the first.
  private func append(
    _ blocks: [RecoverySteps.Block], after base: EpochHeader, _ outbox: [UInt8]?, to store: PartitionStore
  ) throws(RecoveryError) -> EpochTag? {
    if blocks.isEmpty { return nil }
    var first: EpochTag?
    do throws(CheckpointError) {
      try store.truncate(after: base.epoch)
      var header = base
      for block in blocks {
        header.epoch += 1
        header.offsets = block.offsets
        header.skips = block.skips
        header.interventions = block.interventions
        let tag =
          if block.carriesOutbox, let outbox {
            try store.append(header, outbox: outbox) { _ in }
          } else {
            try store.append(header) { _ in }
          }
        try store.sync()
        first = first ?? tag
      }
    } catch { throw .checkpoint(error) }
    return first
  }

  private func commit(_ offsets: [TopicOffset], _ tag: EpochTag, _ partition: Int32) throws(RecoveryError) {
    let wanted = offsets.map { PartitionOffset($0.topic, partition, offset: $0.next, metadata: "\(tag)") }
    try patiently { () throws(KafkaError) in try port.commitSync(wanted, timeoutMilliseconds: 10_000) }
    let found = try patiently { () throws(KafkaError) in
      try port.committed(for: wanted.map(\.partition), timeoutMilliseconds: 5_000)
    }
    for offset in wanted where !found.contains(where: { $0.committed == offset }) {
      throw .notAsWritten(
        "\(offset.partition): offset \(offset.offset) was committed, and another is read back: somebody else uses group "
          + "\(configuration.kafka.group). Stop them and run this again")
    }
  }

  /// Asks again while the broker says that it may be asked again: an open transaction of a dead member, for one, blocks it
  /// until that has timed out.
  private func patiently<Value>(_ body: () throws(KafkaError) -> Value) throws(RecoveryError) -> Value {
    var left = patienceMilliseconds
    while true {
      do throws(KafkaError) { return try body() } catch {
        switch error.code {
        case .unknownMember, .illegalGeneration, .rebalanceInProgress:
          throw .groupActive(nil, group: configuration.kafka.group)
        default: break
        }
        guard error.isRetriable, left > 0 else { throw .kafka(error) }
        // The time that the call itself has waited.
        if error.code == .timedOut { left -= 5_000 }
      }
      port.sleep(milliseconds: 500)
      left -= 500
    }
  }
}
