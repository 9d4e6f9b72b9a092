// The reference: the same logic on the same calls, with a dictionary for a disk.

import Customers
import Daemon
import Engine
import Events
import Kafka

/// Follows the pages of one partition from the first to the last.
final class Reference {
  /// One output, without what is the wall's.
  struct Said: Hashable {
    var topic: String
    var key: [UInt8]
    var id: String
    var value: [UInt8]
    var text: String { "\(id) \(String(decoding: value, as: UTF8.self))" }
  }

  private let world: World
  private let partition: Int32
  private(set) var said: [Said] = []
  private(set) var entries: [[UInt8]: [UInt8]] = [:]
  /// Offsets by topic, in the order in which they were applied.
  private(set) var consumed: [[Int64]]
  private var order: [[UInt8]] = []

  init(_ world: World, _ partition: Int32) {
    self.world = world
    self.partition = partition
    consumed = world.kafka.topics.map { _ in [] }
  }

  func follow(_ pages: [History.Page]) {
    guard let first = pages.first, var logic = make(first.seed) else { return }
    for page in pages {
      let changes = ChangeList()
      for call in page.calls {
        switch call {
        case .consume(let topic, let offset, let wall): consume(logic, topic, offset, wall)
        case .reachedEnd(let topic): logic.reachedEnd(of: topic)
        case .grew(let topic, let wall): logic.topicGrew(topic, at: wall)
        case .tick(let wall, let maxTimers): _ = logic.tick(wall: wall, maxTimers: maxTimers)
        case .advance(let instant, let maxTimers): _ = logic.advance(to: instant, maxTimers: maxTimers)
        case .profiles(let start, let limit): _ = logic.emitProfiles(from: start, limit: limit)
        case .copiedAhead(let leaving): logic.copyAhead(into: changes, leaving: leaving)
        case .resumed(let epoch, let clock): logic.resume(epoch: epoch, clock: clock)
        case .restored(let epoch, let clock):
          guard let fresh = make(page.seed) else { return }
          logic = fresh
          do {
            for key in order {
              guard let value = entries[key] else { continue }
              try key.withUnsafeBytes { key in try value.withUnsafeBytes { try logic.restore(key: key, value: $0) } }
            }
            try logic.finishRestore(epoch: epoch, clock: clock)
          } catch { world.journal.violate("reference", "\(error)") }
        }
      }
      guard let epoch = page.epoch else {
        world.journal.violate("reference", "partition \(partition): a page that was never sealed is committed")
        continue
      }
      do { try logic.endEpoch(epoch) } catch { world.journal.violate("reference", "\(error)") }
      take(logic.takeOutputs(leaving: OutputBuffer()))
      logic.takeChanges(into: changes)
      changes.readEntries { key, value in
        let key = Array(key)
        if entries[key] == nil { order.append(key) }
        entries[key] = value.map { Array($0) }
        if value == nil { order.removeAll { $0 == key } }
      }
    }
  }

  private func make(_ seed: UInt64) -> (any TaskLogic)? {
    do {
      return try world.factory.makeTask(
        partition: partition, partitionCount: world.scenario.partitions, seed: seed)
    } catch {
      world.journal.violate("reference", "\(error)")
      return nil
    }
  }

  private func consume(_ logic: any TaskLogic, _ topic: Int, _ offset: Int64, _ wall: Instant) {
    consumed[topic].append(offset)
    guard let log = world.kafka.logs[TopicPartition(world.kafka.topics[topic], partition)] else { return }
    let index = log.index(of: offset)
    guard index < log.records.count, log.records[index].offset == offset else {
      return world.journal.violate("inputs", "partition \(partition): offset \(offset) was applied and does not exist")
    }
    let record = log.records[index]
    func pass(_ key: UnsafeRawBufferPointer?) {
      record.value.withUnsafeBytes { value in
        logic.consume(
          InputItem(
            kind: .record, topic: topic, partition: partition, offset: offset, key: key, value: value,
            timestamp: record.timestamp), wall: wall)
      }
    }
    if let key = record.key { key.withUnsafeBytes { pass($0) } } else { pass(nil) }
  }

  private func take(_ buffer: OutputBuffer) {
    for entry in buffer.entries {
      said.append(
        Said(
          topic: entry.topic.name, key: Array(buffer.bytes[entry.key]),
          id: String(decoding: buffer.bytes[entry.id], as: UTF8.self), value: Array(buffer.bytes[entry.value])))
    }
  }
}
