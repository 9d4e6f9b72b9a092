// The daemon end to end against a broker: the embedded one (at_least_once), and a real one when
// TIDEWATCH_TEST_BOOTSTRAP names it (both kinds of delivery).

import Checkpoint
import Configuration
import Daemon
import Engine
import Events
import Foundation
import Handoff
import Kafka
import Simulation
import Testing

/// A broker with topics of our own, a state directory, and a configuration for both.
private final class Bench {
  let broker: TestBroker
  let name = TestBroker.uniqueName("daemon")
  let directory: String
  let partitions: Int32
  var configuration: Configuration
  var inputs: [String] { ["\(name)-a", "\(name)-b"] }

  init(_ delivery: Configuration.Delivery, partitions: Int32 = 2, createTopics: Bool = true) throws {
    broker = try TestBroker()
    self.partitions = partitions
    directory = NSTemporaryDirectory() + name
    let text = """
      kafka:
        bootstrap: '\(broker.bootstrapServers)'
        group: '\(name)'
        partitions: \(partitions)
        properties: { session.timeout.ms: 6000, heartbeat.interval.ms: 500 }
      inputs: [{ topic: '\(name)-a' }, { topic: '\(name)-b' }]
      outputs:
        tag_changes: { topic: '\(name)-out' }
        churn_alerts: { topic: '\(name)-alerts' }
        dead_letters: { topic: '\(name)-dead' }
      delivery: \(delivery.rawValue)
      epoch: { interval: 50ms }
      state: { dir: '\(directory)', rewrite_min: 64KiB, rewrite_ratio: 1.5 }
      admin: { listen: off }
      """
    configuration = try Configuration.load(text: text, file: "test.yaml")
    if createTopics {
      for topic in inputs + ["\(name)-out", "\(name)-alerts", "\(name)-dead"] {
        try broker.createTopic(topic, partitionCount: partitions)
      }
    }
  }

  deinit { try? FileManager.default.removeItem(atPath: directory) }

  var settings: DataPlaneSettings {
    var settings = DataPlaneSettings(
      configuration: configuration, factory: CountingFactory(topics: 2), log: Log(level: .warning))
    settings.stopAtEnd = true
    return settings
  }

  func run(_ change: (inout DataPlaneSettings) -> Void = { _ in }) -> DataPlaneEnd {
    var settings = settings
    change(&settings)
    return Daemon(settings).run()
  }

  /// Produces `count` records over `keys` keys to both inputs, values from `start` on.
  func produce(_ count: Int, from start: Int, keys: Int = 7) throws {
    let producer = try Producer(broker.configuration(), ProducerOptions(.idempotent))
    for number in start..<start + count {
      let topic = try producer.topic(inputs[number % 2])
      let key = Array("key-\(number % keys)".utf8)
      let value = Array((number % 50 == 49 ? "bad" : "\(number)").utf8)
      try key.withUnsafeBytes { key in
        try value.withUnsafeBytes { value in try producer.produce(to: topic, key: key, value: value) }
      }
    }
    try producer.flush(timeoutMilliseconds: 20_000)
  }

  struct Output: Hashable {
    var key: String
    var value: String
    var id: String
  }

  /// Everything in an output topic, in the order of each partition.
  func read(_ suffix: String) throws -> [Output] {
    let consumer = try Consumer(broker.configuration(), ConsumerOptions(groupID: name + "-reader"))
    let topic = "\(name)-\(suffix)"
    // By hand: joining a group takes the embedded broker seconds.
    try consumer.assign((0..<partitions).map { PartitionOffset(topic, $0, offset: 0) })
    var batch = MessageBatch()
    var outputs: [[Output]] = Array(repeating: [], count: Int(partitions))
    var ended = Set<Int32>()
    let deadline = Date() + 40
    while ended.count < Int(partitions), Date() < deadline {
      _ = try consumer.poll(into: &batch, timeoutMilliseconds: 100)
      for index in 0..<batch.count {
        let item = batch[index]
        if item.kind == .endOfPartition { ended.insert(item.partition) }
        guard item.isRecord else { continue }
        var headers: [String: String] = [:]
        item.forEachHeader { name, value in
          headers[String(decoding: name, as: UTF8.self)] = value.map { String(decoding: $0, as: UTF8.self) } ?? ""
        }
        let id = headers.removeValue(forKey: "ce_id") ?? ""
        // DESIGN: CloudEvents binary-mode headers.
        let time = Array((headers.removeValue(forKey: "ce_time") ?? "").utf8)
        #expect(time.withUnsafeBufferPointer { Instant(rfc3339: $0) } != nil, "ce_time \(time)")
        let types = ["out": "tidewatch.tag.changed.v1", "dead": "tidewatch.dead-letter.v1"]
        let expected = [
          "ce_specversion": "1.0", "ce_type": types[suffix],
          "ce_source": "/tidewatch/\(settings.configuration.kafka.group)",
          "content-type": "application/json",
        ]
        #expect(headers == expected.compactMapValues { $0 }, "\(headers)")
        outputs[Int(item.partition)].append(
          Output(
            key: item.key.map { String(decoding: $0, as: UTF8.self) } ?? "",
            value: item.value.map { String(decoding: $0, as: UTF8.self) } ?? "", id: id))
      }
    }
    batch.release()
    #expect(ended.count == Int(partitions), "the output topic was not read to its end")
    try consumer.close()
    return outputs.flatMap { $0 }
  }

  /// What the counts must be after records 0..<count: (last count, last sum) by key.
  static func expected(_ count: Int, keys: Int = 7) -> [String: String] {
    var cells: [String: (Int, Int)] = [:]
    for number in 0..<count where number % 50 != 49 {
      let old = cells["key-\(number % keys)"] ?? (0, 0)
      cells["key-\(number % keys)"] = (old.0 + 1, old.1 + number)
    }
    return cells.mapValues { "\($0.0) \($0.1)" }
  }
}

@Suite(.serialized) struct BrokerTests {
  @Test("every record has one output, over restarts; bad records are dead letters", arguments: deliveries)
  func restarts(delivery: Configuration.Delivery) throws {
    let bench = try Bench(delivery)
    try bench.produce(1_000, from: 0)
    #expect(bench.run() == DataPlaneEnd(.ok))
    try bench.produce(1_000, from: 1_000)
    #expect(bench.run() == DataPlaneEnd(.ok))
    #expect(bench.run() == DataPlaneEnd(.ok))

    let outputs = try bench.read("out")
    #expect(outputs.count == 1_960)
    #expect(Set(outputs.map(\.id)).count == 1_960)
    var last: [String: String] = [:]
    for output in outputs {
      let count = Int(output.value.split(separator: " ")[0]) ?? 0
      let before = last[output.key].flatMap { Int($0.split(separator: " ")[0]) } ?? 0
      #expect(count == before + 1, "\(output)")
      last[output.key] = output.value
    }
    #expect(last == Bench.expected(2_000))
    #expect(try bench.read("dead").count == 40)
  }

  @Test("missing topics: a clear error with the commands, or created when the configuration allows")
  func missingTopics() throws {
    let bench = try Bench(.atLeastOnce, createTopics: false)
    let end = bench.run()
    #expect(end.status == .badTopics)
    #expect(end.reason.contains("\(bench.name)-a") && end.reason.contains("kafka-topics.sh"))
    #expect(!end.reason.contains("compact"))
    bench.configuration.outputs.customerProfiles.topic = "\(bench.name)-profiles"
    bench.configuration.outputs.customerProfiles.enabled = true
    let compacted = bench.run().reason.split(separator: "\n").filter {
      $0.hasSuffix(" --config cleanup.policy=compact")
    }
    #expect(compacted.count == 1 && compacted[0].contains("--topic \(bench.name)-profiles --partitions"))
    guard TestBroker.isReal else { return }
    bench.configuration.kafka.createTopics = true
    #expect(bench.run().status == .ok)
  }

  @Test("inputs with different partition counts are refused") func partitionCounts() throws {
    let bench = try Bench(.atLeastOnce, createTopics: false)
    for (topic, count) in zip(
      bench.inputs + ["\(bench.name)-out", "\(bench.name)-alerts", "\(bench.name)-dead"], [2, 3, 2, 2, 2])
    {
      try bench.broker.createTopic(topic, partitionCount: Int32(count))
    }
    let end = bench.run()
    #expect(end.status == .badTopics && end.reason.contains("differ in their partition counts"))
  }

  @Test("two members share the partitions; when one leaves the other goes on where it stood", arguments: deliveries)
  func rebalance(delivery: Configuration.Delivery) throws {
    guard TestBroker.isReal else { return }  // a join takes the embedded broker seconds, and it has no transactions
    let bench = try Bench(delivery)
    try bench.produce(500, from: 0)
    // The same state directory, as on a shared disk: the state follows the partition.
    var members: [(stop: StopRequest, daemon: Daemon, thread: Thread, end: Shared<DataPlaneEnd?>)] = []
    func start(_ instance: String) {
      var settings = bench.settings
      settings.stopAtEnd = false
      settings.configuration.kafka.instance = instance
      let stop = StopRequest()
      let daemon = Daemon(settings, stop: stop)
      let end = Shared<DataPlaneEnd?>(nil)
      let thread = Thread { end.write(daemon.run()) }
      thread.start()
      members.append((stop, daemon, thread, end))
    }
    func wait(_ what: String, until condition: () -> Bool) {
      let deadline = Date() + 60
      while !condition(), Date() < deadline { usleep(50_000) }
      #expect(condition(), "\(what)")
    }
    func owned(_ index: Int) -> Int {
      let snapshot = members[index].daemon.snapshot
      return snapshot.phase == .running ? snapshot.partitions.count : -1
    }
    start("one")
    wait("the first member owns both") { owned(0) == 2 }
    try bench.produce(500, from: 500)
    start("two")
    wait("each owns one") { owned(0) == 1 && owned(1) == 1 }
    try bench.produce(500, from: 1_000)
    members[0].stop.stop()
    wait("the first has ended") { members[0].end.read() != nil }
    #expect(members[0].end.read() == DataPlaneEnd(.ok))
    wait("the second owns both") { owned(1) == 2 }
    try bench.produce(500, from: 1_500)
    wait("everything is read") {
      members[1].daemon.snapshot.partitions.allSatisfy { $0.lag.allSatisfy { $0 == 0 } }
        && members[1].daemon.snapshot.partitions.count == 2
    }
    members[1].stop.stop()
    wait("the second has ended") { members[1].end.read() != nil }
    #expect(members[1].end.read() == DataPlaneEnd(.ok))
    #expect(bench.run().status == .ok)

    let outputs = try bench.read("out")
    #expect(Set(outputs.map(\.id)).count == 1_960)
    if delivery == .exactlyOnce { #expect(outputs.count == 1_960) }
    var last: [String: (Int, String)] = [:]
    for output in outputs {
      let count = Int(output.value.split(separator: " ")[0]) ?? 0
      if count > last[output.key]?.0 ?? 0 { last[output.key] = (count, output.value) }
    }
    #expect(last.mapValues(\.1) == Bench.expected(2_000))
  }

  @Test("a second process with the same instance fences the first, which asks to be started again")
  func fencing() throws {
    guard TestBroker.isReal else { return }
    let bench = try Bench(.exactlyOnce)
    try bench.produce(100, from: 0)
    var settings = bench.settings
    settings.stopAtEnd = false
    let stop = StopRequest()
    let first = Daemon(settings, stop: stop)
    let end = Shared<DataPlaneEnd?>(nil)
    Thread { end.write(first.run()) }.start()
    let deadline = Date() + 30
    while first.snapshot.phase != .running, Date() < deadline { usleep(50_000) }
    let rival = try Producer(
      bench.broker.configuration(), ProducerOptions(.transactional(id: "\(bench.name)-1")))
    #expect(rival.initTransactions(timeoutMilliseconds: 20_000) == .done)
    try bench.produce(100, from: 100)
    while end.read() == nil, Date() < deadline + 30 { usleep(50_000) }
    #expect(end.read()?.status == .restart, "\(end.read()?.reason ?? "still running")")
    stop.stop()
    // Started again, nothing is lost and nothing repeated.
    #expect(bench.run().status == .ok)
    #expect(try bench.read("out").count == 196)
  }

  @Test("a state whose disk is gone is never started empty", arguments: deliveries)
  func stateElsewhere(delivery: Configuration.Delivery) throws {
    let bench = try Bench(delivery)
    try bench.produce(100, from: 0)
    #expect(bench.run().status == .ok)
    try FileManager.default.removeItem(atPath: bench.directory)
    let end = bench.run()
    #expect(end.status == .stateRefused && end.reason.contains("the state is elsewhere"))
  }
}

/// exactly_once needs transactions, which only a real broker has.
private let deliveries: [Configuration.Delivery] = TestBroker.isReal ? [.atLeastOnce, .exactlyOnce] : [.atLeastOnce]
