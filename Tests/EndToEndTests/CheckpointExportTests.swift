// `checkpoint export` against `replay`: the same events, once through the engine to its end, once through checkpoints of
// two partitions and back, say the same profiles.

import Checkpoint
import Configuration
import Customers
import Engine
import Events
import Foundation
import SchemaTesting
import Testing

@Suite struct CheckpointExportTests {
  private static let until = "2026-05-01T00:00:00Z"
  let scratch: ScratchDirectory
  private let lines: [(customer: String, text: String)]

  init() throws {
    scratch = try ScratchDirectory()
    try scratch.write(
      "rules.yaml",
      """
      version: 1
      revision: 3
      tags:
        - { name: value.high, layer: value, when: orders.average >= 40 }
        - { name: sleeping, layer: behaviour, when: orders.days_since_last >= 30 }
        - name: frequency
          layer: behaviour
          cases: { high: orders.count(365d) >= 3, low: orders.count(365d) = 1 }
      """)
    try scratch.write(
      "tidewatch.yaml",
      """
      kafka: { bootstrap: "localhost:9092", group: shop }
      inputs: [{ topic: orders, required: true }]
      rules: rules.yaml
      clock: event
      time_zone: Asia/Shanghai
      state: { dir: \(scratch.path("state")) }
      """)
    var lines: [(String, String)] = []
    for number in 0..<400 {
      let customer = "c-\(number * 7 % 40)"
      let time = Int64(1_772_368_496_123) + Int64(number) * 3_600_000
      let type = number % 3 == 0 ? "order_paid" : number % 3 == 1 ? "page_view" : "add_to_cart"
      let rest =
        #""order":"o\#(number)","amount":\#(number % 90),"product":"p\#(number % 5)","category":"k\#(number % 4)""#
      lines.append(
        (customer, #"{"id":"e\#(number)","type":"\#(type)","customer":"\#(customer)","ts":\#(time),\#(rest)}"#))
    }
    self.lines = lines
    try scratch.write("events.ndjson", lines.map(\.1).joined(separator: "\n") + "\n")
    for partition in 0..<2 as Range<Int32> { try writeState(of: partition) }
  }

  private func own(_ customer: String, _ partition: Int32) -> Bool {
    customer.utf8.reduce(0) { $0 + Int32($1) } % 2 == partition
  }

  /// Runs the engine over the partition's customers, an epoch every 50 records, with a rewrite of the base between.
  private func writeState(of partition: Int32) throws {
    let configuration = try Configuration.load(file: scratch.path("tidewatch.yaml"))
    let settings = try configuration.engineSettings()
    var task = EngineTask(settings: settings, seed: 5)
    var clock = TaskClock(mode: .event, required: [true], sourceStall: .minutes(15))
    var decoder = EventDecoder(
      format: .native, limits: configuration.decodeLimits, currencies: try configuration.currencyTable())
    var event = Event()
    let store = try PartitionStore(
      opening: CheckpointLayout.directory(state: scratch.path("state"), name: "shop", partition: partition))
    try store.truncate(after: nil)
    var epoch: UInt64 = 0
    func save() throws {
      let header = EpochHeader(
        lineage: Lineage(high: 1, low: UInt64(partition)), epoch: epoch, clock: task.clock.microseconds,
        partition: partition, partitionCount: 2, offsets: [TopicOffset(topic: "orders", next: Int64(epoch))],
        rulesRevision: UInt64(settings.rules.revision),
        rulesFingerprint: String(settings.rules.fingerprint, radix: 16))
      _ = try store.append(header) { writer in
        let changes = ChangeList()
        task.takeChanges(into: changes)
        changes.readEntries { key, value in
          if let value { writer.put(key: key, value: value) } else { writer.remove(key: key) }
        }
      }
      try store.sync()
      try store.confirm(epoch)
      if epoch == 2, let rewriter = try store.startRewriteIfDue(evenIfShort: true) {
        store.finishRewrite(.success(try rewriter.run()))
      }
      epoch += 1
    }
    for (number, line) in lines.enumerated() where own(line.customer, partition) {
      let bytes = Array(line.text.utf8)
      let reason = bytes.withUnsafeBytes {
        decoder.decode(
          $0, key: nil, origin: Origin(topic: 0, partition: partition, offset: Int64(number)),
          ceiling: Instant(seconds: 1_800_000_000), into: &event)
      }
      #expect(reason == nil)
      _ = task.apply(event)
      clock.observe(topic: 0, eventTime: event.time)
      task.advance(to: clock.update(wall: .distantPast))
      task.outputs.removeAll()
      if number % 50 == 49 { try save() }
    }
    clock.reachedEnd(of: 0)
    clock.advance(to: try #require(Array(Self.until.utf8).withUnsafeBufferPointer { Instant(rfc3339: $0) }))
    task.advance(to: clock.update(wall: .distantPast))
    task.outputs.removeAll()
    try save()
  }

  private func export(_ arguments: String...) async throws -> Outcome {
    try await Binary.run(["checkpoint", "export", "--config", scratch.path("tidewatch.yaml")] + arguments)
  }

  @Test func anExportSaysWhatAReplaySays() async throws {
    let replay = try await Binary.run([
      "replay", "--config", scratch.path("tidewatch.yaml"), "--input", scratch.path("events.ndjson"), "--output",
      scratch.path("replayed"), "--until", Self.until, "--ceiling", "2027-01-01T00:00:00Z",
    ])
    #expect(replay.status == 0, "\(replay.errorText)")
    let expected = try scratch.read("replayed/profiles.ndjson")
    #expect(expected.count > 10_000)

    let outcome = try await export()
    #expect(outcome.status == 0, "\(outcome.errorText)")
    #expect(outcome.output == expected)
    for partition in 0..<2 {
      #expect(outcome.errorText.contains("/shop/p\(partition): epoch "))
      #expect(outcome.errorText.contains("clock 2026-05-01T00:00:00.000Z, 20 customers"))
    }

    // From a file, from the directory, from one partition after the other.
    let file = try await export(scratch.path("state"), "--output", scratch.path("all.ndjson"))
    #expect(file.status == 0 && file.text.isEmpty)
    #expect(try scratch.read("all.ndjson") == expected)
    var parts: [Substring] = []
    for partition in ["0", "1"] { parts += try await export("--partition", partition).text.split(separator: "\n") }
    #expect(Set(parts) == Set(String(decoding: expected, as: UTF8.self).split(separator: "\n")))
    #expect(parts.count == 40)
  }

  @Test func aBackupAndADirectoryInUseAreExportedToo() async throws {
    let whole = try await export().text
    // In use: its lock is held.
    let store = try PartitionStore(opening: scratch.path("state/shop/p0"))
    #expect(try await export().text == whole)
    withExtendedLifetime(store) {}
    let backup = try await Binary.run(["checkpoint", "backup", scratch.path("state"), "--to", scratch.path("copy")])
    #expect(backup.status == 0, "\(backup.errorText)")
    let copied = try await export(scratch.path("copy"))
    #expect(copied.status == 0, "\(copied.errorText)")
    #expect(copied.text.split(separator: "\n").count == 40)
    // The copy ends one epoch earlier; so does the state, when asked for that epoch.
    let newest = try #require(store.newestEpoch)
    let earlier = try await export("--partition", "0", "--epoch", "\(newest - 1)")
    #expect(earlier.status == 0)
    #expect(try await export(scratch.path("copy"), "--partition", "0").text == earlier.text)
  }

  @Test func linesAreInOrderAndFollowTheSchema() async throws {
    let lines = try await export().text.split(separator: "\n")
    let customers = try lines.map { try #require(JSONValue(Data($0.utf8))["customer"]?.string) }
    #expect(customers == customers.sorted { Array($0.utf8).lexicographicallyPrecedes(Array($1.utf8)) })
    #expect(Set(customers).count == 40)
    let schema = try JSONSchema(
      JSONValue(Data(contentsOf: Binary.package.appendingPathComponent("config/schemas/customer-profile.json"))))
    for line in lines { #expect(try schema.problems(of: JSONValue(Data(line.utf8))).isEmpty, "\(line)") }
  }

  @Test func whatDoesNotFitIsRefused() async throws {
    let missing = try await export("--partition", "7")
    #expect(missing.status == 66)
    #expect(missing.errorText.contains("no state of partition 7"))
    #expect(try await export("--epoch", "1").status == 64)
    let gone = try await export("--partition", "0", "--epoch", "999")
    #expect(gone.status == 65)
    #expect(gone.errorText.contains("epoch 999 is not in this checkpoint"))

    let rules = try String(contentsOfFile: scratch.path("rules.yaml"), encoding: .utf8)
    try scratch.write("rules.yaml", rules.replacing(">= 40", with: ">= 41"))
    let other = try await export()
    #expect(other.status == 65)
    #expect(other.errorText.contains("made with other rules"))
    #expect(other.text.isEmpty)
  }
}
