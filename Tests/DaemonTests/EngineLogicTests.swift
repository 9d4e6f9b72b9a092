// The real task: bytes in, outputs and dead letters out, and a checkpoint that brings the same state back.

import Configuration
import Customers
import Daemon
import Engine
import Events
import Foundation
import Kafka
import Testing

private func factory(_ more: String = "") throws -> EngineFactory {
  let root = #filePath.replacing("Tests/DaemonTests/EngineLogicTests.swift", with: "")
  let text = """
    kafka: { bootstrap: 'x:1' }
    inputs: [{ topic: clicks }, { topic: orders, required: true }]
    rules: \(root)config/tags.yaml
    churn: { preset: cdnow, horizon: 60d }
    clock: event
    currency: { reporting: CNY, rates: { USD: 7 } }
    \(more)
    """
  return try EngineFactory(Configuration.load(text: text, file: "t.yaml"))
}

/// Partition count 1, so that every key belongs to partition 0.
private func feed(
  _ logic: any TaskLogic, _ topic: Int, _ offset: Int64, key: String?, _ json: String, partition: Int32 = 0,
  at seconds: Int64 = 1_772_368_496, wall: Instant? = nil, hashedBy other: (any TaskLogic)? = nil
) {
  let value = Array(json.utf8)
  let keyBytes = key.map { Array($0.utf8) }
  value.withUnsafeBytes { value in
    func send(_ key: UnsafeRawBufferPointer?) {
      logic.consume(
        InputItem(
          kind: .record, topic: topic, partition: partition, offset: offset, key: key, value: value,
          hash: key.flatMap { other?.lookAhead?.hash(ofKey: $0) }, timestamp: Instant(seconds: seconds)),
        wall: wall ?? Instant(seconds: seconds))
    }
    if let keyBytes { keyBytes.withUnsafeBytes { send($0) } } else { send(nil) }
  }
}

private func values(_ logic: any TaskLogic, _ topic: OutputTopic) -> [[String: Any]] {
  logic.outputs.entries.filter { $0.topic == topic }.compactMap { entry in
    let data = Data(logic.outputs.bytes[entry.value])
    return (try? JSONSerialization.jsonObject(with: data)) as? [String: Any]
  }
}

private func rfc3339(_ instant: Instant) -> String {
  var bytes: [UInt8] = []
  bytes.appendRFC3339(instant)
  return String(decoding: bytes, as: UTF8.self)
}

private func paid(_ number: Int, _ customer: String, second: Int) -> String {
  "{\"id\":\"e\(number)\",\"type\":\"order_paid\",\"customer\":\"\(customer)\",\"ts\":\(1_772_368_000_000 + second * 1_000),"
    + "\"order\":\"o\(number)\",\"amount\":\"2500.00\",\"currency\":\"CNY\",\"category\":\"beauty/skin\"}"
}

@Suite struct EngineLogicTests {
  @Test func eventsBecomeTagsAndBadOnesDeadLetters() throws {
    let logic = try factory().makeTask(partition: 0, partitionCount: 1, seed: 1)
    feed(logic, 1, 0, key: "c-1", paid(1, "c-1", second: 0))
    feed(logic, 1, 1, key: "c-1", paid(1, "c-1", second: 0))
    feed(logic, 1, 2, key: "c-1", "{\"type\":")
    feed(logic, 1, 3, key: nil, paid(2, "c-1", second: 1))
    feed(logic, 1, 4, key: "c-2", paid(3, "c-1", second: 1))
    feed(logic, 0, 5, key: "c-1", "\u{7f}\u{0}")
    #expect(!values(logic, .tagChanges).isEmpty)
    let letters = values(logic, .deadLetters)
    #expect(
      letters.compactMap { $0["reason"] as? String } == [
        "malformed_json", "key_missing", "key_mismatch", "malformed_json",
      ])
    #expect(letters[0]["topic"] as? String == "orders" && letters[0]["offset"] as? Int == 2)
    #expect(letters[0]["payload"] as? String == "{\"type\":")
    #expect((letters[0]["sha256"] as? String)?.count == 64)
    let counters = logic.counters
    #expect(counters.events[1][TaskCounters.Result.applied.rawValue] == 1)
    #expect(counters.events[1][TaskCounters.Result.duplicate.rawValue] == 1)
    #expect(counters.events[1][TaskCounters.Result.rejected.rawValue] == 3)
    #expect(counters.deadLetters == ["malformed_json": 2, "key_missing": 1, "key_mismatch": 1])
    #expect(counters.customers == 1)
  }

  @Test("names beyond limits.names are counted, and read as (other)") func leftOutNames() throws {
    let logic = try factory("limits: { names: 256 }\noutputs: { customer_profiles: { enabled: true } }")
      .makeTask(partition: 0, partitionCount: 1, seed: 1)
    for number in 0..<300 {
      feed(
        logic, 0, Int64(number), key: "c",
        "{\"type\":\"search\",\"customer\":\"c\",\"ts\":1772368000000,\"category\":\"n\(number)\"}")
    }
    // `(other)` and the empty name are among the 256.
    #expect(logic.counters.leftOutNames == 300 - 254)
    try logic.endEpoch(1)
    let categories = values(logic, .profiles).last?["categories"] as? [[String: Any]]
    #expect(categories?.contains { $0["name"] as? String == "(other)" } == true)
  }

  @Test("a hash made ahead is taken if it is of this task, and asking ahead changes nothing") func hashesMadeAhead()
    throws
  {
    let make = try factory()
    let other = try make.makeTask(partition: 0, partitionCount: 1, seed: 2)
    func outputs(_ number: Int) throws -> [UInt8] {
      let logic = try make.makeTask(partition: 0, partitionCount: 1, seed: 1)
      for offset in 0..<40 {
        let customer = "c-\(offset % 7)"
        let hasher = [nil, logic, other][number]
        if let hash = Array(customer.utf8).withUnsafeBytes({ hasher?.lookAhead?.hash(ofKey: $0) }) {
          for step in [PrefetchStep.index, .place, .record] { logic.lookAhead?.prefetch(hash, step) }
        }
        feed(logic, 1, Int64(offset), key: customer, paid(offset, customer, second: offset), hashedBy: hasher)
      }
      #expect(logic.counters.customers == 7)
      return Array(logic.outputs.bytes)
    }
    let plain = try outputs(0)
    #expect(try !plain.isEmpty && outputs(1) == plain && outputs(2) == plain)
  }

  @Test("a key that another partition owns is a dead letter, unless the topic is unchecked") func wrongPartition()
    throws
  {
    let count: Int32 = 8
    let key = Array("c-1".utf8)
    let right = try #require(key.withUnsafeBytes { Partitioner.murmur2.partition(forKey: $0, count: count) })
    for partition in 0..<count {
      let logic = try factory().makeTask(partition: partition, partitionCount: count, seed: 1)
      feed(logic, 1, 0, key: "c-1", paid(1, "c-1", second: 0), partition: partition)
      #expect(logic.counters.deadLetters == (partition == right ? [:] : ["wrong_partition": 1]))
    }
  }

  @Test("a dead letter is cut until a topic takes it, whatever its bytes and its key are") func largeDeadLetters()
    throws
  {
    let logic = try factory("limits: { dead_letter_bytes: 512KiB }").makeTask(partition: 0, partitionCount: 1, seed: 1)
    feed(logic, 1, 0, key: "c-1", String(repeating: "\u{1}", count: 10 << 20))
    feed(logic, 1, 1, key: String(repeating: "k\"", count: 2 << 20), paid(1, "c-1", second: 0))
    #expect(logic.outputs.entries.count == 2)
    for entry in logic.outputs.entries {
      #expect(entry.key.count + entry.value.count < 1_000_000)
      #expect(entry.value.count < 800_000)
    }
    let letters = values(logic, .deadLetters)
    #expect(letters.allSatisfy { $0["truncated"] as? Bool == true })
    #expect(letters[0]["bytes"] as? Int == 10 << 20)
  }

  @Test("a wall that is set back moves no clock, and time goes on once it is past again") func wallSetBack() throws {
    let root = #filePath.replacing("Tests/DaemonTests/EngineLogicTests.swift", with: "")
    let logic = try EngineFactory(
      Configuration.load(
        text: "kafka: { bootstrap: 'x:1' }\ninputs: [{ topic: orders }]\nrules: \(root)config/tags.yaml", file: "t.yaml"
      )
    ).makeTask(partition: 0, partitionCount: 1, seed: 1)
    let now = Instant(seconds: 1_772_368_496)
    logic.topicGrew(0, at: now)
    logic.reachedEnd(of: 0)
    _ = logic.tick(wall: now, maxTimers: 10)
    #expect(logic.clock == now)
    for back in [1, 3_600, 86_400 * 365] as [Int64] {
      _ = logic.tick(wall: Instant(seconds: 1_772_368_496 - back), maxTimers: 10)
      #expect(logic.clock == now)
    }
    feed(logic, 0, 0, key: "c-1", paid(1, "c-1", second: 490))
    #expect(logic.counters.events[0][TaskCounters.Result.applied.rawValue] == 1 && logic.clock == now)
    logic.topicGrew(0, at: now + .seconds(60))
    logic.reachedEnd(of: 0)
    _ = logic.tick(wall: now + .seconds(60), maxTimers: 10)
    #expect(logic.clock == now + .seconds(60))
  }

  @Test("what fell due before the task had caught up is backfill, however far the clock jumps then")
  func
    firstCatchUp() throws
  {
    let root = #filePath.replacing("Tests/DaemonTests/EngineLogicTests.swift", with: "")
    let logic = try EngineFactory(
      Configuration.load(
        text: """
          kafka: { bootstrap: 'x:1' }
          inputs: [{ topic: orders }]
          rules: \(root)config/tags.yaml
          alerts: { silent_after: 30d, backfill_per_second: 1 }
          """, file: "t.yaml")
    ).makeTask(partition: 0, partitionCount: 1, seed: 1)
    let wall = Instant(seconds: 1_772_368_000) + .days(40)
    for number in 1...5 {
      let id = "c-\(number)"
      feed(logic, 0, Int64(number), key: id, paid(number, id, second: number), wall: wall)
    }
    var empty = OutputBuffer()
    empty = logic.takeOutputs(leaving: empty)
    logic.topicGrew(0, at: wall)
    logic.reachedEnd(of: 0)
    while logic.tick(wall: wall, maxTimers: 2) {}
    #expect(values(logic, .churnAlerts).isEmpty)
    #expect(!values(logic, .tagChanges).isEmpty)
    for change in values(logic, .tagChanges) {
      #expect((change["cause"] as? [String: Any])?["backfill"] as? Bool == true)
    }
    for second in 1...3 as ClosedRange<Int64> { _ = logic.tick(wall: wall + .seconds(second), maxTimers: 100) }
    let alerts = values(logic, .churnAlerts)
    #expect(alerts.count == 3 && logic.counters.overdueAlerts == 0)
    for (alert, number) in zip(alerts, 1... as PartialRangeFrom<Int64>) {
      let emitted = wall + .seconds(number)
      #expect(alert["emitted_at"] as? String == rfc3339(emitted))
      #expect(alert["respond_by"] as? String == rfc3339(emitted + .hours(48)))
      #expect((alert["cause"] as? [String: Any])?["backfill"] as? Bool == true && alert["overdue"] == nil)
      // As of what is said, not of when the customer was looked at last.
      #expect(alert["silent_days"] as? Double ?? 0 >= 40 - 0.01)
    }
  }

  /// What was read of a topic before a restart is not read again, and the clock of events still goes by it.
  @Test(arguments: [true, false]) func theClockOfEventsKnowsWhatTopicsHadReached(inMemory: Bool) throws {
    let before = try factory().makeTask(partition: 0, partitionCount: 1, seed: 1)
    feed(before, 1, 0, key: "c-1", paid(1, "c-1", second: 480))
    before.reachedEnd(of: 1)
    feed(before, 0, 0, key: "c-1", paid(2, "c-1", second: 100))
    let base = Instant(seconds: 1_772_368_000)
    #expect(before.clock == base + .seconds(90))
    try before.endEpoch(1)
    let changes = ChangeList()
    before.takeChanges(into: changes)

    let after = try factory().makeTask(partition: 0, partitionCount: 1, seed: 1)
    if inMemory {
      before.resume(epoch: 1, clock: base + .seconds(90))
    } else {
      try changes.readEntries { try after.restore(key: $0, value: $1) }
      try after.finishRestore(epoch: 1, clock: base + .seconds(90))
    }
    let logic = inMemory ? before : after
    logic.reachedEnd(of: 1)
    feed(logic, 0, 1, key: "c-1", paid(4, "c-1", second: 120))
    #expect(logic.clock == base + .seconds(110))
    logic.reachedEnd(of: 0)
    _ = logic.tick(wall: base, maxTimers: 100)
    #expect(logic.clock == base + .seconds(470))
  }

  @Test("what a record has no room for is counted, from the start of this process on") func overflows() throws {
    let logic = try factory("limits: { cart_items: 1 }").makeTask(partition: 0, partitionCount: 1, seed: 1)
    for number in 1...3 {
      feed(
        logic, 0, Int64(number), key: "c-1",
        "{\"id\":\"e\(number)\",\"type\":\"add_to_cart\",\"customer\":\"c-1\",\"ts\":\(1_772_368_000_000 + number),"
          + "\"product\":\"p\(number)\",\"amount\":1,\"currency\":\"CNY\"}")
    }
    #expect(logic.counters.deadLetters.isEmpty)
    #expect(logic.counters.overflows.cartOverflow == 2)
    logic.resume(epoch: 1, clock: logic.clock)
    #expect(logic.counters.overflows == RecordCounters())
  }

  @Test("events of the future are refused") func future() throws {
    let logic = try factory().makeTask(partition: 0, partitionCount: 1, seed: 1)
    feed(logic, 1, 0, key: "c-1", paid(1, "c-1", second: 301 + 496))
    #expect(logic.counters.deadLetters == ["timestamp_in_future": 1])
    feed(logic, 1, 1, key: "c-1", paid(2, "c-1", second: 300 + 496))
    #expect(logic.counters.events[1][TaskCounters.Result.applied.rawValue] == 1)
  }

  @Test("a checkpoint, whole or in pieces, brings back a task that goes on alike") func restore() throws {
    let factory = try factory()
    let whole = try factory.makeTask(partition: 0, partitionCount: 1, seed: 1)
    let first = try factory.makeTask(partition: 0, partitionCount: 1, seed: 1)
    // Nothing is in the other topic: it must not hold the clock.
    for logic in [whole, first] { logic.reachedEnd(of: 0) }
    let changes = ChangeList()
    for number in 0..<200 {
      for logic in [whole, first] {
        feed(logic, 1, Int64(number), key: "c-\(number % 20)", paid(number, "c-\(number % 20)", second: number))
      }
      if number % 5 == 0 { first.copyAhead(into: changes, leaving: number % 3) }
      if number % 37 == 0 {
        try first.endEpoch(1)
        first.takeChanges(into: changes)
        _ = first.takeOutputs(leaving: OutputBuffer())
      }
    }
    try first.endEpoch(1)
    first.takeChanges(into: changes)
    var entries: [([UInt8], [UInt8]?)] = []
    changes.readEntries { entries.append((Array($0), $1.map { Array($0) })) }
    let second = try factory.makeTask(partition: 0, partitionCount: 1, seed: 99)
    for (key, value) in entries {
      try key.withUnsafeBytes { key in
        if let value {
          try value.withUnsafeBytes { try second.restore(key: key, value: $0) }
        } else {
          try second.restore(key: key, value: nil)
        }
      }
    }
    try second.finishRestore(epoch: 1, clock: first.clock)
    second.reachedEnd(of: 0)
    #expect(second.clock == whole.clock && second.counters.customers == 20)
    _ = whole.takeOutputs(leaving: OutputBuffer())
    _ = second.takeOutputs(leaving: OutputBuffer())
    for number in 200..<260 {
      for logic in [whole, second] {
        feed(logic, 1, Int64(number), key: "c-\(number % 20)", paid(number, "c-\(number % 20)", second: number))
      }
    }
    let later = whole.clock + .days(400)
    for logic in [whole, second] { while logic.advance(to: later, maxTimers: 10) {} }
    #expect(whole.outputs.bytes == second.outputs.bytes && !whole.outputs.isEmpty)
  }
}
