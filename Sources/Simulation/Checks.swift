// The invariants: at each commit, and at the end against the reference.

import Checkpoint
import CheckpointTesting
import Daemon
import Engine
import Events
import Kafka

final class Checks {
  private let journal: Journal
  private var newest: [Int32: EpochTag] = [:]
  /// Bytes of the largest block ever committed, by partition: older generations hold some that nobody sees any more.
  private var largestBlock: [Int32: Int] = [:]

  init(journal: Journal) { self.journal = journal }

  // MARK: At each commit

  func check(_ offsets: [PartitionOffset], by membership: ModelKafka.Membership, in world: World) {
    for partition in Set(offsets.map(\.partition.partition)).sorted() {
      let own = offsets.filter { $0.partition.partition == partition }
      checkTags(own, partition, world)
      checkOwner(partition, membership, world)
      for offset in own {
        if let before = world.kafka.committed[offset.partition], before.offset > offset.offset {
          journal.violate("offsets", "\(offset.partition) goes back from \(before.offset) to \(offset.offset)")
        }
      }
    }
  }

  private func checkTags(_ offsets: [PartitionOffset], _ partition: Int32, _ world: World) {
    guard Set(offsets.map(\.partition.topic)) == Set(world.kafka.topics) else {
      return journal.violate("tags", "partition \(partition) is committed without some of its topics")
    }
    guard let tag = offsets.first.flatMap({ EpochTag($0.metadata) }),
      offsets.allSatisfy({ $0.metadata == tag.description })
    else {
      return journal.violate("tags", "partition \(partition) is committed with \(offsets.map(\.metadata))")
    }
    if let before = newest[partition] {
      if before.lineage != tag.lineage {
        // Nothing is lost with an epoch 0: where the group has forgotten it, a new state may be begun.
        if before.epoch == 0, world.hasExpired {
          newest[partition] = tag
          return checkOnDisk(tag, partition, world)
        }
        journal.violate("tags", "partition \(partition): lineage \(tag.lineage) follows \(before.lineage)")
      } else if before.epoch > tag.epoch || (before.epoch == tag.epoch && before.chain != tag.chain) {
        journal.violate("tags", "partition \(partition): epoch \(tag.epoch) follows epoch \(before.epoch)")
      }
    }
    newest[partition] = tag
    checkOnDisk(tag, partition, world)
  }

  private func checkOwner(_ partition: Int32, _ membership: ModelKafka.Membership, _ world: World) {
    let owner = world.kafka.group.owner(of: partition, in: membership.generation)
    if owner != membership.member {
      journal.violate(
        "owners",
        "\(membership.member) commits partition \(partition) in generation \(membership.generation), in which it was "
          + "\(owner ?? "nobody")'s")
    }
  }

  /// Whatever a power loss leaves, the epoch must be there.
  private func checkOnDisk(_ tag: EpochTag, _ partition: Int32, _ world: World) {
    if world.damaged == partition { return }
    let disks = world.members.map(\.disk).reduce(into: [ModelDisk]()) { all, disk in
      if !all.contains(where: { $0 === disk }) { all.append(disk) }
    }
    for losingEverything in [true, false] {
      let isThere = disks.contains { disk in
        let crashed = disk.afterCrash(losingEverything: losingEverything, seed: tag.chain)
        guard let store = try? PartitionStore(opening: Self.directory(partition), on: crashed) else { return false }
        guard store.tags.contains(tag) else { return false }
        let bytes = (try? store.block(of: tag.epoch))?.bytes ?? 0
        largestBlock[partition] = max(largestBlock[partition, default: 0], Int(bytes))
        return true
      }
      if !isThere {
        return journal.violate(
          "durable", "partition \(partition): epoch \(tag.epoch) is committed, and a power loss now would lose it")
      }
    }
  }

  static func directory(_ partition: Int32) -> String {
    CheckpointLayout.directory(state: "/state", name: "g", partition: partition)
  }

  // MARK: At the end

  func checkEnd(of world: World) {
    var expected: [Reference.Said] = []
    var isComplete = !world.hasRefusals
    for partition in 0..<world.scenario.partitions {
      guard let found = committedState(partition, world) else {
        isComplete = false
        continue
      }
      let reference = Reference(world, partition)
      reference.follow(world.history.way(to: found.page))
      expected += reference.said
      if reference.entries != found.entries {
        journal.violate(
          "state",
          "partition \(partition): the stored state is not that of the reference: "
            + difference(found.entries, reference.entries))
      }
      if !world.hasRefusals { checkInputs(reference, partition, world) }
      checkSize(partition, world)
    }
    checkOutputs(expected, world, isComplete: isComplete)
    if world.passesTime, !world.hasRefusals { TimeChecks(world).check() }
  }

  private func difference(_ found: [[UInt8]: [UInt8]], _ expected: [[UInt8]: [UInt8]]) -> String {
    func text(_ bytes: [UInt8]) -> String { String(decoding: bytes.filter { $0 >= 32 && $0 < 127 }, as: UTF8.self) }
    let missing = expected.keys.filter { found[$0] == nil }
    let extra = found.keys.filter { expected[$0] == nil }
    let other = found.keys.filter { expected[$0] != nil && expected[$0] != found[$0] }
    return
      "missing \(missing.map(text).sorted()), extra \(extra.map(text).sorted()), different \(other.map(text).sorted())"
  }

  /// What the committed tag of a partition stands for; nil when nothing is committed.
  private func committedState(_ partition: Int32, _ world: World) -> (page: Int, entries: [[UInt8]: [UInt8]])? {
    let topic = TopicPartition(world.kafka.topics[0], partition)
    guard let metadata = (world.kafka.committed[topic] ?? world.forgotten[topic])?.metadata,
      let tag = EpochTag(metadata)
    else {
      if !world.hasRefusals { journal.violate("state", "partition \(partition): nothing is committed") }
      return nil
    }
    var disks = world.members.map { $0.disk.afterCrash(losingEverything: true, seed: 1) }
    if let undamaged = world.undamaged { disks.append(undamaged) }
    var problem = "no disk has it"
    for disk in disks {
      do {
        let store = try PartitionStore(opening: Self.directory(partition), on: disk)
        guard store.tags.contains(tag) else { continue }
        var entries: [[UInt8]: [UInt8]] = [:]
        var page: Int?
        try store.restore(upTo: tag.epoch) { key, value in
          if let number = RecordedLogic.page(key: key, value: value) {
            page = number
          } else {
            entries[Array(key)] = value.map { Array($0) }
          }
        }
        guard let page else {
          problem = "no page in the state"
          continue
        }
        return (page, entries)
      } catch { problem = "\(error)" }
    }
    journal.violate("state", "partition \(partition): epoch \(tag.epoch) cannot be read: \(problem)")
    return nil
  }

  /// Every record exactly once, in order.
  private func checkInputs(_ reference: Reference, _ partition: Int32, _ world: World) {
    for (index, topic) in world.kafka.topics.enumerated() {
      let begin = world.beginnings[TopicPartition(topic, partition)] ?? 0
      let there = world.kafka.logs[TopicPartition(topic, partition)]?.records.map(\.offset).filter { $0 >= begin } ?? []
      let read = reference.consumed[index]
      if there != read {
        let lost = Set(there).subtracting(read).sorted()
        let twice = Dictionary(grouping: read, by: { $0 }).filter { $0.value.count > 1 }.keys.sorted()
        journal.violate(
          "inputs",
          "\(topic) [\(partition)]: lost \(lost.prefix(10)), applied twice \(twice.prefix(10)) of \(there.count)")
      }
    }
  }

  /// The files stay within the stated multiple of the live state: two generations with their logs, a third base while it
  /// is made, and in each log the epochs that came while the rewrite was due or under way.
  private func checkSize(_ partition: Int32, _ world: World) {
    // A disk that is slower than the load makes rewrites late.
    if world.scenario.special != .none || world.scenario.syncMicroseconds.upperBound > 30_000 { return }
    let directory = Self.directory(partition)
    let disk = world.members[0].disk
    let total = disk.paths.filter { $0.hasPrefix(directory + "/") }.reduce(0) {
      $0 + (disk.contents(of: $1)?.count ?? 0)
    }
    guard let store = try? PartitionStore(opening: directory, on: disk.afterCrash(losingEverything: true, seed: 1))
    else { return }
    // Not each is announced at the broker: under at_least_once a block may be committed by a later one.
    let largest = store.tags.reduce(largestBlock[partition, default: 0]) {
      max($0, Int((try? store.block(of: $1.epoch).bytes) ?? 0))
    }
    let ratio = world.members[0].configuration.state.rewriteRatio
    let base = Double(max(store.baseBytes, 1_000))
    let log = max(Double(world.scenario.rewriteMinimumBytes), ratio * base) + Double(8 * largest)
    let bound = 3 * base + 5 * log
    if Double(total) > bound {
      journal.violate("size", "partition \(partition) takes \(total) bytes, more than \(Int(bound))")
    }
  }

  private func checkOutputs(_ expected: [Reference.Said], _ world: World, isComplete: Bool) {
    struct Stream: Hashable {
      var topic: String
      var key: [UInt8]
    }
    func streams(_ said: [Reference.Said]) -> [Stream: [Reference.Said]] {
      Dictionary(grouping: said) { Stream(topic: $0.topic, key: $0.key) }
    }
    let visible = world.kafka.visibleOutputs
    let isRepeatable = world.scenario.delivery == .atLeastOnce
    if isRepeatable {
      var first: [String: ModelKafka.Output] = [:]
      for output in visible {
        let name = "\(output.topic) \(output.id)"
        // A flipped bit in the newest block makes it look torn. What it had sent is then worked out anew, from records that
        // may come in another order: the one case in which a repeat says something else, of that partition.
        if let before = first[name], before != output, !isDamaged(before, world) {
          journal.violate("outputs", "\(name) was repeated with other content")
        }
        first[name] = output
      }
    }
    let said = visible.map { Reference.Said(topic: $0.topic, key: $0.key, id: $0.id, value: $0.value) }
    let found = streams(said)
    let wanted = streams(expected)
    for stream in Set(found.keys).union(wanted.keys) where found[stream] != wanted[stream] {
      let a = found[stream] ?? []
      let b = wanted[stream] ?? []
      // The whole story is told in order at least once. A repeat may come at any time: a member that was cut off may have
      // records in its producer that go out when its successor has long gone on.
      if isRepeatable, tells(a, b), endsIn(a, b) {
        let strange = Set(a.map(\.id)).subtracting(b.map(\.id))
        // Sent before the commit that was refused, and never again: allowed only where nobody went on.
        if strange.isEmpty || !isComplete { continue }
      }
      let place = zip(a, b).enumerated().first { $1.0 != $1.1 }?.offset ?? min(a.count, b.count)
      journal.violate(
        "outputs",
        "\(stream.topic) of \(String(decoding: stream.key, as: UTF8.self)): \(a.count) records instead of \(b.count), the "
          + "first difference at \(place): \(place < a.count ? a[place].text : "nothing") instead of "
          + "\(place < b.count ? b[place].text : "nothing")")
    }
  }

  private func isDamaged(_ output: ModelKafka.Output, _ world: World) -> Bool {
    guard let damaged = world.damaged else { return false }
    let partition = output.key.withUnsafeBytes { key in
      key.isEmpty ? nil : Partitioner.murmur2.partition(forKey: key, count: world.scenario.partitions)
    }
    return partition == nil || partition == damaged
  }

  /// Whether what was said last under each id is what the story says there.
  private func endsIn(_ found: [Reference.Said], _ story: [Reference.Said]) -> Bool {
    let last = Dictionary(found.map { ($0.id, $0) }, uniquingKeysWith: { $1 })
    return story.allSatisfy { last[$0.id] == $0 }
  }

  /// Whether `story` is in `found`, in order, with anything between.
  private func tells(_ found: [Reference.Said], _ story: [Reference.Said]) -> Bool {
    var next = story.startIndex
    for said in found where next < story.endIndex && said == story[next] { next += 1 }
    return next == story.endIndex
  }
}
