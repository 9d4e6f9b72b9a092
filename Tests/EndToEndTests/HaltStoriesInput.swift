// Halts over the input itself: deleted records, recreated topics, added partitions, records to be skipped; and over what an
// operator may mix up on disk.

import Foundation
import Kafka
import Synchronization
import Testing

extension CrashStream {
  /// Without some records, by their place in the stream.
  fileprivate func without(_ isGone: (Int, CrashRecord) -> Bool) -> CrashStream {
    var copy = self
    copy.records = records.enumerated().filter { !isGone($0.offset, $0.element) }.map(\.element)
    return copy
  }

  fileprivate func only(_ range: Range<Int>) -> CrashStream {
    var copy = self
    copy.records = Array(records[range])
    return copy
  }

  /// The offset of each record in its partition.
  fileprivate func offsets(_ partitions: Int32) -> [Int64] {
    var next = [Int64](repeating: 0, count: Int(partitions))
    return records.map { record in
      let partition = Int(record.partition(of: partitions))
      defer { next[partition] += 1 }
      return next[partition]
    }
  }
}

extension CrashExpectation {
  /// Dead letters of a partition from offset `first` on come `by` later than in the replay.
  fileprivate mutating func shiftRejected(partition: Int32, from first: Int64, by shift: Int64) {
    var moved: [String: String] = [:]
    for (place, reason) in rejected {
      let parts = place.split(separator: " ").compactMap { Int64($0) }
      let isLater = parts[0] == Int64(partition) && parts[1] >= first
      moved["\(parts[0]) \(parts[1] + (isLater ? shift : 0))"] = reason
    }
    rejected = moved
  }
}

extension CrashTests.HaltsAndRecovery {
  @Test(arguments: [CrashDelivery.exactlyOnce, .atLeastOnce])
  func recordsDeletedBeforeTheyWereRead(delivery: CrashDelivery) async throws {
    let stream = try CrashStream.shop(customers: 250, seed: 22)
    let (told, expectation, problems) = try await onThread {
      let bench = try CrashBench(realBroker: TestBroker.realBootstrap, stream, delivery: delivery, partitions: 2)
      try bench.produce(stream.records)
      try bench.run(stream, until: stream.records.count / 3, then: SIGTERM)
      // Both partitions lose 40 records.
      let next = try bench.positions()
      try Admin(bench.client()).deleteRecords(
        before: (0..<2).map { PartitionOffset(bench.input, Int32($0), offset: next[$0] + 40) },
        timeoutMilliseconds: 30_000)
      let told = try bench.recover(stream, status: 70, with: ["--skip-gap"])
      let offsets = stream.offsets(2)
      let left = stream.without { place, record in
        let start = next[Int(record.partition(of: 2))]
        return (start..<start + 40).contains(offsets[place])
      }
      var expectation = try waitFor { try await CrashExpectation.replaying(left, partitions: 2) }
      for partition in 0..<2 {
        expectation.shiftRejected(partition: Int32(partition), from: next[partition], by: 40)
        let range = "offsets \(next[partition]) to \(next[partition] + 39) of \(bench.input) [\(partition)], 40 in all"
        guard told.contains(where: { $0.contains(range) }) else {
          throw BinaryError(description: "nobody said \(range): \(told.joined(separator: "\n"))")
        }
        let record = "skipped_gap \(bench.input), offset \(next[partition]) to \(next[partition] + 40)"
        guard told.contains(where: { $0.contains(record) }) else {
          throw BinaryError(description: "nothing shows \(record): \(told.joined(separator: "\n"))")
        }
      }
      return (told, expectation, try bench.differences(from: expectation, .identical))
    }
    _ = expectation
    #expect(problems == [], "\(told.joined(separator: "\n"))")
  }

  @Test(arguments: [CrashDelivery.exactlyOnce, .atLeastOnce])
  func topicRecreated(delivery: CrashDelivery) async throws {
    // Records that are rejected are named by their offsets, and offsets come again here.
    let all = try CrashStream.shop(customers: 250, seed: 23).without { _, record in
      !record.isSameInFile || record.value.contains(#""id":"bad-"#) || record.key == nil
    }
    let first = all.only(0..<all.records.count * 2 / 3)
    let second = all.only(all.records.count * 2 / 3..<all.records.count)
    let expectation = try await CrashExpectation.replaying(all, partitions: 2)
    let (told, problems) = try await onThread {
      let bench = try CrashBench(realBroker: TestBroker.realBootstrap, all, delivery: delivery, partitions: 2)
      try bench.produce(first.records)
      try bench.run(all, until: first.records.count, then: SIGTERM)
      try bench.recreateInput()
      try bench.produce(second.records)
      let told = try bench.recover(all, status: 70, with: ["--skip-gap", "earliest"])
      return (told, try bench.differences(from: expectation, .identical))
    }
    #expect(told.first?.contains("is beyond its end") == true, "\(told)")
    #expect(told.contains { $0.contains("restarted_topic") }, "\(told)")
    #expect(problems == [], "\(told.joined(separator: "\n"))")
  }

  /// Kafka removes a topic's commits with it. The other input's stay.
  @Test(arguments: [CrashDelivery.exactlyOnce, .atLeastOnce])
  func oneTopicOfTwoRecreated(delivery: CrashDelivery) async throws {
    // Records that are rejected are named by their offsets, and offsets come again here.
    let all = try CrashStream.shop(customers: 250, seed: 26).without { _, record in
      !record.isSameInFile || record.value.contains(#""id":"bad-"#) || record.key == nil
    }
    // More than the old topic had: its offsets alone tell nothing.
    let first = all.only(0..<all.records.count / 3)
    let second = all.only(all.records.count / 3..<all.records.count)
    let expectation = try await CrashExpectation.replaying(all, partitions: 2)
    let (told, problems) = try await onThread {
      let bench = try CrashBench(realBroker: TestBroker.realBootstrap, all, delivery: delivery, partitions: 2)
      try bench.addQuietInput()
      try bench.produce(first.records)
      try bench.run(all, until: first.records.count, then: SIGTERM)
      try bench.recreateInput()
      try bench.produce(second.records)
      let told = try bench.recover(all, status: 79, with: ["--accept-offsets"])
      return (told, try bench.differences(from: expectation, .identical))
    }
    #expect(told.first?.contains("nothing is committed for it any more") == true, "\(told)")
    #expect(problems == [], "\(told.joined(separator: "\n"))")
  }

  /// At any moment after the deletion: librdkafka's consumer of a deleted topic can wait for ever when it is destroyed.
  @Test(arguments: [CrashDelivery.exactlyOnce, .atLeastOnce], [0, 3, 8])
  func stoppedAfterItsInputWasDeleted(delivery: CrashDelivery, seconds: UInt32) async throws {
    let stream = try CrashStream.shop(customers: 20, seed: 27)
    try await onThread {
      let bench = try CrashBench(realBroker: TestBroker.realBootstrap, stream, delivery: delivery, partitions: 2)
      try bench.produce(stream.records)
      let daemon = try bench.start([])
      let count = Int64(stream.records.count)
      try daemon.wait(until: "all is committed", limitSeconds: 120) { (bench.committedRecords() ?? 0) >= count }
      try bench.delete(bench.input)
      sleep(seconds)
      daemon.send(SIGTERM)
      let status = try daemon.wait(limitSeconds: 30)
      // The last epoch's offsets may have nowhere to go any more; where they are committed by themselves, that is said.
      let isRefused = delivery == .atLeastOnce && status == 70 && daemon.log.contains("UNKNOWN_TOPIC_OR_PART")
      try expect(status == 0 || isRefused, "\(status): \(daemon.log)")
    }
  }

  @Test(arguments: [CrashDelivery.exactlyOnce, .atLeastOnce], [true, false])
  func topicDeletedUnderTheDaemon(delivery: CrashDelivery, isInput: Bool) async throws {
    let stream = try CrashStream.shop(customers: 20, seed: 28)
    try await onThread {
      let bench = try CrashBench(realBroker: TestBroker.realBootstrap, stream, delivery: delivery, partitions: 2)
      try bench.produce(stream.records)
      let daemon = try bench.start([])
      let count = Int64(stream.records.count)
      try daemon.wait(until: "all is committed", limitSeconds: 120) { (bench.committedRecords() ?? 0) >= count }
      let topic = isInput ? bench.input : bench.topic(.tags)
      try bench.delete(topic)
      let status = try daemon.wait(limitSeconds: 90)
      try expect(status == 69 && daemon.log.contains("do not know \(topic) any more"), "\(status): \(daemon.log)")
    }
  }

  @Test func addedPartitions() async throws {
    let stream = try CrashStream.shop(customers: 250, seed: 24)
    try await onThread {
      let bench = try CrashBench(
        realBroker: TestBroker.realBootstrap, stream, delivery: .exactlyOnce, partitions: 2)
      let half = stream.records.count / 2
      try bench.produce(stream.records[..<half])
      // It notices while it runs.
      let daemon = try bench.start([])
      try daemon.wait(until: "all is committed", limitSeconds: 300) { (bench.committedRecords() ?? 0) >= Int64(half) }
      try Admin(bench.client()).createPartitions(of: bench.input, count: 3, timeoutMilliseconds: 30_000)
      let status = try daemon.wait(limitSeconds: 120)
      try expect(status == 70 && daemon.log.contains("has 3 partitions now, it had 2"), daemon.log)
      try bench.produce(stream.records[half...], partitionCount: 3)
      // And when it starts. No partition is begun, not even the new one.
      let end = try bench.runToEnd(stream)
      try expect(end.status == 70 && end.errors.contains("was built with 2 partitions"), end.errors)
      try expect(!end.errors.contains("new state"), end.errors)
      try expect(
        !FileManager.default.fileExists(atPath: "\(bench.stateDirectory)/\(bench.name)/p2/log-000000000000.tw"),
        "p2 was begun")
      let refused = try bench.tidewatch(["recover", "--config", bench.configurationPath])
      try expect(refused.status == 79 && refused.all.contains("was built with 2 partitions"), refused.all)
      // What the message says: a new group.
      let command = try need(CrashBench.commands(in: end.errors).first { $0.first == "run" }, end.errors)
      try bench.editConfiguration("group: '\(bench.name)'", "group: '\(bench.name)-2'")
      let anew = try bench.tidewatch(command + ["--stop-at-end", "--until", stream.until], limitSeconds: 180)
      try expect(anew.status == 0, anew.all)
      // Records from before the change whose key now belongs elsewhere.
      let moved = stream.records[..<half].filter { record in
        record.key.map { _ in record.partition(of: 3) != record.partition(of: 2) } ?? false
      }
      let wrong = try bench.read(.dead).filter { Fields.value("reason", in: $0.value) == "wrong_partition" }
      try expect(wrong.count == moved.count && !moved.isEmpty, "\(wrong.count) of \(moved.count) are wrong_partition")
    }
  }

  @Test(arguments: [CrashDelivery.exactlyOnce, .atLeastOnce], [SIGTERM, SIGKILL])
  func recordsAreSkipped(delivery: CrashDelivery, signal: Int32) async throws {
    try await CrashTests.HaltsOnAnyBroker.skipRecords(
      realBroker: TestBroker.realBootstrap, delivery: delivery, signal: signal)
  }

  @Test(arguments: [CrashDelivery.exactlyOnce, .atLeastOnce])
  func whatIsMixedUpOnDisk(delivery: CrashDelivery) async throws {
    try await CrashTests.HaltsOnAnyBroker.mixUpTheDisk(realBroker: TestBroker.realBootstrap, delivery: delivery)
  }
}

extension CrashTests {
  @Suite(.serialized) struct HaltsOnAnyBroker {
    @Test(arguments: [SIGTERM, SIGHUP]) func recordsAreSkipped(signal: Int32) async throws {
      try await Self.skipRecords(realBroker: nil, delivery: .atLeastOnce, signal: signal)
    }

    @Test func whatIsMixedUpOnDisk() async throws {
      try await Self.mixUpTheDisk(realBroker: nil, delivery: .atLeastOnce)
    }

    /// Good records and a bad one, some ahead of each other, are skipped; what comes out is a replay without them.
    fileprivate static func skipRecords(realBroker: String?, delivery: CrashDelivery, signal: Int32) async throws {
      let stream = try CrashStream.shop(customers: 250, seed: 25)
      let problems = try await onThread {
        let bench = try CrashBench(realBroker: realBroker, stream, delivery: delivery, partitions: 2)
        try bench.produce(stream.records)
        try bench.run(stream, until: stream.records.count / 3, then: signal)
        let next = try bench.positions()
        let offsets = stream.offsets(2)
        // at_least_once may have read further than it has committed.
        var chosen: [Int] = []
        for (place, record) in stream.records.enumerated() where record.isSameInFile {
          let ahead = offsets[place] - next[Int(record.partition(of: 2))]
          if ahead > 150, ahead % 97 == 0 { chosen.append(place) }
        }
        try expect(chosen.count >= 4, "only \(chosen.count) records to skip")
        let addresses = chosen.map { "\(bench.input):\(stream.records[$0].partition(of: 2)):\(offsets[$0])" }
        let said = try bench.follow(["skip"] + addresses + ["--config", bench.configurationPath])
        for address in addresses { try expect(said.contains(address), said) }
        let shown = try bench.inspect()
        try expect(shown.contains("skipped_record"), shown)
        // Kill it on the way, so that the skips travel from block to block and back.
        try bench.run(stream, until: Int(next.reduce(0, +)) + 150, then: SIGKILL)
        let again = try bench.tidewatch(["skip", "\(bench.input):0:0", "--config", bench.configurationPath])
        try expect(again.status == 79 && again.all.contains("has been read already"), again.all)
        let end = try bench.runToEnd(stream)
        try expect(end.status == 0, end.errors)

        let gone = Set(chosen)
        var expectation = try waitFor {
          // A line that is no JSON stands for the record, so that places stay the same.
          var shown = stream
          for place in gone { shown.records[place].value = CrashRecord.placeholder }
          return try await CrashExpectation.replaying(shown, partitions: 2)
        }
        for place in gone {
          expectation.rejected["\(stream.records[place].partition(of: 2)) \(offsets[place])"] = "skipped"
        }
        let letters = try bench.read(.dead).filter { Fields.value("reason", in: $0.value) == "skipped" }
        try expect(Set(letters.map(\.id)).count == gone.count, "\(letters)")
        return try bench.differences(from: expectation, .identical)
      }
      #expect(problems == [])
    }

    /// Swapped directories, older rules, a state that is elsewhere: each is refused, and goes on when it is put right.
    fileprivate static func mixUpTheDisk(realBroker: String?, delivery: CrashDelivery) async throws {
      let shop = try CrashStream.shop(customers: 250, seed: 26)
      let oldRules = shop.rules
      var newer = shop
      newer.rules = oldRules.replacingOccurrences(of: "\nversion: 1\n", with: "\nversion: 1\nrevision: 2\n")
      let stream = newer
      let expectation = try await CrashExpectation.replaying(stream, partitions: 2)
      let problems = try await onThread {
        let bench = try CrashBench(realBroker: realBroker, stream, delivery: delivery, partitions: 2)
        try bench.produce(stream.records)
        try bench.run(stream, until: stream.records.count / 3, then: SIGTERM)
        let files = FileManager.default
        let group = "\(bench.stateDirectory)/\(bench.name)"

        func swapDirectories() throws {
          try files.moveItem(atPath: "\(group)/p0", toPath: "\(group)/aside")
          try files.moveItem(atPath: "\(group)/p1", toPath: "\(group)/p0")
          try files.moveItem(atPath: "\(group)/aside", toPath: "\(group)/p1")
        }
        try swapDirectories()
        let mixed = try bench.runToEnd(stream)
        try expect(
          mixed.status == 70 && mixed.errors.contains("holds the state of partition 1, not of 0"), mixed.errors)
        let command = try need(CrashBench.commands(in: mixed.errors).first, mixed.errors)
        let shown = try bench.tidewatch(command)
        try expect(shown.status == 65 && shown.output.contains("partition     1 of 2"), shown.all)
        try expect(shown.all.contains("\(group)/p0 holds the state of partition 1"), shown.all)
        try swapDirectories()

        try files.moveItem(atPath: group, toPath: "\(group).elsewhere")
        let lost = try bench.runToEnd(stream)
        try expect(lost.status == 79 && lost.errors.contains("the state is elsewhere"), lost.errors)
        try expect(lost.errors.contains("\(group)/p0"), lost.errors)
        let nothing = try bench.tidewatch(["recover", "--adopt-disk", "--config", bench.configurationPath, "--yes"])
        try expect(nothing.status == 79 && nothing.all.contains("nothing on disk to adopt"), nothing.all)
        try files.removeItem(atPath: group)
        try files.moveItem(atPath: "\(group).elsewhere", toPath: group)

        try bench.scratch.write("tags.yaml", oldRules)
        let older = try bench.runToEnd(stream)
        try expect(older.status == 70 && older.errors.contains("revision 2 of the rules"), older.errors)
        let check = try need(CrashBench.commands(in: older.errors).first, older.errors)
        let before = try bench.tidewatch(check)
        try expect(before.output.contains("revision 1"), before.all)
        try bench.scratch.write("tags.yaml", stream.rules)
        let after = try bench.tidewatch(check)
        try expect(after.output.contains("revision 2"), after.all)

        let end = try bench.runToEnd(stream)
        try expect(end.status == 0, end.errors)
        return try bench.differences(from: expectation, delivery == .exactlyOnce ? .never : .identical)
      }
      #expect(problems == [])
    }
  }
}

/// Throws what was said when it is not as expected: for threads without a test's context.
private func expect(_ isTrue: Bool, _ said: @autoclosure () -> String, line: Int = #line) throws {
  if !isTrue { throw BinaryError(description: "line \(line): \(said().suffix(4000))") }
}

private func need<Value>(_ value: Value?, _ said: @autoclosure () -> String, line: Int = #line) throws -> Value {
  try expect(value != nil, said(), line: line)
  guard let value else { throw BinaryError(description: said()) }
  return value
}

/// Waits on a thread of its own for what is asynchronous.
private func waitFor<Value: Sendable>(_ body: @escaping @Sendable () async throws -> Value) throws -> Value {
  let done = DispatchSemaphore(value: 0)
  let result = ResultBox<Value>()
  Task {
    do { result.set(.success(try await body())) } catch { result.set(.failure(error)) }
    done.signal()
  }
  done.wait()
  return try result.get()
}

private final class ResultBox<Value: Sendable>: Sendable {
  private let value = Mutex<Result<Value, any Error>?>(nil)
  func set(_ result: Result<Value, any Error>) { value.withLock { $0 = result } }
  func get() throws -> Value {
    guard let result = value.withLock({ $0 }) else { throw BinaryError(description: "no result") }
    return try result.get()
  }
}
