// A task simple enough to check by hand: it counts the records of each key and says so after each one.

import Customers
import Daemon
import Engine
import Events

/// State: key -> (count, sum of values). Output: one record per input, value `key count sum`, id `partition-topic-offset`.
/// A record that is not a number becomes a dead letter, and is counted nowhere.
package final class CountingLogic: TaskLogic {
  package struct Cell: Equatable {
    package var count: Int64
    package var sum: Int64

    package init(count: Int64, sum: Int64) {
      self.count = count
      self.sum = sum
    }
  }

  package private(set) var cells: [[UInt8]: Cell] = [:]
  private var changed: Set<[UInt8]> = []
  private var taskClock: TaskClock
  package var outputs = OutputBuffer()
  package private(set) var counters: TaskCounters
  private let bytesPerRecord: @Sendable () -> Int
  private var applied = 0
  package var changes: Int { changed.count }
  package var bytesNeeded: Int { applied * bytesPerRecord() }

  package init(topics: Int, mode: ClockMode, bytesPerRecord: @escaping @Sendable () -> Int = { 0 }) {
    self.bytesPerRecord = bytesPerRecord
    taskClock = Self.makeClock(topics: topics, mode: mode, at: .distantPast)
    counters = TaskCounters(topics: topics)
  }

  private static func makeClock(topics: Int, mode: ClockMode, at now: Instant) -> TaskClock {
    TaskClock(
      mode: mode, required: [Bool](repeating: false, count: topics), sourceStall: .minutes(15), startingAt: now)
  }

  package func consume(_ record: InputItem, wall: Instant) {
    let key = record.key.map { Array($0) } ?? []
    guard !record.isSkipped, let value = record.value, let number = Int64(String(decoding: value, as: UTF8.self)) else {
      counters.events[record.topic][TaskCounters.Result.rejected.rawValue] += 1
      counters.deadLetters["not_a_number", default: 0] += 1
      return emit(.deadLetters, key: key, "rejected", record)
    }
    var cell = cells[key] ?? Cell(count: 0, sum: 0)
    cell.count += 1
    applied += 1
    cell.sum += number
    cells[key] = cell
    changed.insert(key)
    counters.events[record.topic][TaskCounters.Result.applied.rawValue] += 1
    emit(.tagChanges, key: key, "\(cell.count) \(cell.sum)", record)
    taskClock.observe(topic: record.topic, eventTime: wall, brokerTimestamp: record.timestamp)
    taskClock.update(wall: wall)
  }

  private func emit(_ topic: OutputTopic, key: [UInt8], _ text: String, _ record: InputItem) {
    func append(_ bytes: [UInt8]) -> Range<Int> {
      let start = outputs.bytes.count
      outputs.bytes += bytes
      return start..<outputs.bytes.count
    }
    let entry = OutputBuffer.Entry(
      topic: topic, key: append(key), id: append(Array("\(record.partition)-\(record.topic)-\(record.offset)".utf8)),
      value: append(Array(text.utf8)), emittedAt: taskClock.now)
    outputs.entries.append(entry)
  }

  package func reachedEnd(of topic: Int) { taskClock.reachedEnd(of: topic) }
  package func topicGrew(_ topic: Int, at wall: Instant) { taskClock.topicGrew(topic, at: wall) }
  package func tick(wall: Instant, maxTimers: Int) -> Bool {
    taskClock.update(wall: wall)
    return false
  }
  package func advance(to instant: Instant, maxTimers: Int) -> Bool {
    taskClock.advance(to: instant)
    return false
  }
  package var clock: Instant { taskClock.now }
  package var clockStatus: TaskClock.Status { taskClock.status }
  package var isDirty: Bool { !changed.isEmpty || !outputs.isEmpty }

  package func endEpoch(_ epoch: UInt64) {}
  package func emitProfiles(from start: Int, limit: Int) -> Int? { nil }

  package func copyAhead(into list: ChangeList, leaving: Int) {
    for key in changed.sorted(by: { $0.lexicographicallyPrecedes($1) }).dropLast(leaving) {
      copy(key, into: list)
      changed.remove(key)
    }
  }

  package func takeChanges(into list: ChangeList) {
    for key in changed.sorted(by: { $0.lexicographicallyPrecedes($1) }) { copy(key, into: list) }
    changed = []
  }

  private func copy(_ key: [UInt8], into list: ChangeList) {
    guard let cell = cells[key] else { return }
    key.withUnsafeBytes { key in
      withUnsafeBytes(of: (cell.count, cell.sum)) { list.append(key: key, value: $0) }
    }
  }
  package func restore(key: UnsafeRawBufferPointer, value: UnsafeRawBufferPointer?) throws {
    let cell = value.map {
      Cell(count: $0.loadUnaligned(as: Int64.self), sum: $0.loadUnaligned(fromByteOffset: 8, as: Int64.self))
    }
    applied += Int((cell?.count ?? 0) - (cells[Array(key)]?.count ?? 0))
    cells[Array(key)] = cell
  }
  package func finishRestore(epoch: UInt64, clock: Instant) throws { taskClock.advance(to: clock) }
  package func resume(epoch: UInt64, clock: Instant) {
    counters = TaskCounters(topics: counters.events.count)
    taskClock = Self.makeClock(topics: counters.events.count, mode: taskClock.mode, at: max(taskClock.now, clock))
  }
  package func takeOutputs(leaving buffer: OutputBuffer) -> OutputBuffer {
    defer { outputs = buffer }
    return outputs
  }
}

package struct CountingFactory: TaskFactory {
  let topics: Int
  let mode: ClockMode
  package var versions: TaskVersions
  /// What the state of a record is said to need in memory.
  package var bytesPerRecord: @Sendable () -> Int = { 0 }

  package init(topics: Int, mode: ClockMode = .wall, versions: TaskVersions = TaskVersions()) {
    self.topics = topics
    self.mode = mode
    self.versions = versions
  }

  package func makeTask(partition: Int32, partitionCount: Int32, seed: UInt64) throws -> any TaskLogic {
    CountingLogic(topics: topics, mode: mode, bytesPerRecord: bytesPerRecord)
  }
}
