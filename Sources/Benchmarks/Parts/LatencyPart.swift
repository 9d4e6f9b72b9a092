// From produce to the committed tag change, at shares of what the daemon can take.

import Foundation
import Kafka
import LoadGenerator

extension Bench {
  /// Part (h).
  func measureLatency(_ broker: BenchBroker) throws {
    let delivery = broker.embedded == nil ? "exactly_once" : "at_least_once"
    let seconds = options.events < 1_000_000 ? 6.0 : 15.0
    // What producer, broker and daemon together can do on this machine, not what the daemon can do alone.
    let capacity: Double
    if broker.embedded == nil {
      capacity = try withFeed(broker, delivery) { try $0.capacity(seconds: seconds) }
      add(Figure("latency", "capacity, producer on the same machine", "events/s", [capacity]))
    } else {
      capacity = 4_000
    }
    for percent in [10, 50, 90] {
      var samples: [Double] = []
      var reached: [Double] = []
      for _ in 0..<options.runs {
        let rate = capacity * Double(percent) / 100
        let (latencies, rate_) = try withFeed(broker, delivery) { try $0.latencies(rate: rate, seconds: seconds) }
        samples += latencies
        reached.append(rate_)
      }
      let note = "\(samples.count) samples at \(quantity(reached.quantile(0.5))) events/s, \(delivery), epochs of 1 s"
      add(Figure("latency", "\(percent) % of capacity, p50", "ms", [samples.quantile(0.5) * 1e3], note: note))
      add(Figure("latency", "\(percent) % of capacity, p99", "ms", [samples.quantile(0.99) * 1e3]))
      add(Figure("latency", "\(percent) % of capacity, max", "ms", [(samples.max() ?? .nan) * 1e3]))
    }
  }

  private func withFeed<Result>(
    _ broker: BenchBroker, _ delivery: String, _ body: (ProbedFeed) throws -> Result
  ) throws -> Result {
    let topic = BenchBroker.uniqueName("bench")
    try broker.createTopics([topic], partitions: options.partitions)
    let run = try prepareDaemon(broker, topic: topic, delivery: delivery)
    defer {
      broker.deleteTopics([topic] + run.outputs)
      remove(run.state)
    }
    var load = options.load
    load.events = 200_000_000
    let watch = try CommitWatch(broker, group: run.group, topic: topic, partitions: options.partitions)
    let daemon = try start(["run", "--config", run.configuration], "latency")
    try wait(for: "its first commit", daemon, seconds: 120) { watch.records != nil }
    let feed = try ProbedFeed(
      broker, topic: topic, outputs: run.outputs[0], load: load, partitions: options.partitions, watch: watch)
    let result = try body(feed)
    if let use = daemon.ended() {
      throw BenchmarkError("the daemon ended with status \(use.status): \(daemon.errors.suffix(1_000))")
    }
    daemon.send(SIGTERM)
    try daemon.finish()
    return result
  }
}

/// A producer of the workload with probes between its events, and a reader that sees when their outcome is committed.
/// A probe is the first order of a customer nobody else is: it sets tags at once. Confined to one thread.
final class ProbedFeed {
  private let load: KafkaLoad
  private var generator: LoadGenerator
  private let reader: Consumer
  private var batch = MessageBatch()
  private let watch: CommitWatch
  private let partitions: Int32
  private let line = UnsafeMutablePointer<UInt8>.allocate(capacity: LoadGenerator.maxLineBytes)
  /// When each probe was produced; nil once its outcome was seen.
  private var sent: [Double?] = []
  private var candidate = 0
  private var produced: Int64 = 0

  init(
    _ broker: BenchBroker, topic: String, outputs: String, load options: LoadOptions, partitions: Int32,
    watch: CommitWatch
  ) throws {
    var settings = KafkaLoadOptions(bootstrap: broker.bootstrap, topic: topic)
    settings.partitions = partitions
    settings.rate = 1
    load = try KafkaLoad(settings)
    generator = LoadGenerator(options)
    self.watch = watch
    self.partitions = partitions
    reader = try Consumer(broker.client(), ConsumerOptions(groupID: BenchBroker.uniqueName("probe")))
    // One partition of the outputs, and probes that fall into it: reading all of them would be a second load. (The embedded
    // broker has more partitions there, and all are read.)
    let all = try reader.topicMetadata([outputs], timeoutMilliseconds: 10_000).first?.partitionCount ?? partitions
    let read = all == partitions ? 1 : all
    try reader.assign((0..<read).map { PartitionOffset(TopicPartition(outputs, $0), offset: 0) })
  }

  deinit {
    line.deallocate()
    batch.release()
    try? reader.close(timeoutMilliseconds: 2_000)
  }

  /// Keeps the daemon busy and no more: at most so much is produced and not yet committed.
  func capacity(seconds: Double) throws -> Double {
    let backlog: Int64 = 400_000
    var measuredFrom: (time: Double, records: Int64)?
    let began = monotonicSeconds()
    var committed: Int64 = 0
    while true {
      let now = monotonicSeconds()
      if produced - committed < backlog { try produce(4_096) }
      load.poll()
      committed = max(committed, watch.records ?? committed)
      if measuredFrom == nil, now - began > seconds / 3 { measuredFrom = (now, committed) }
      if let from = measuredFrom, now - from.time > seconds {
        return max(1_000, Double(committed - from.records) / (now - from.time))
      }
    }
  }

  /// - Returns: seconds from produce to commit of each probe but the first ones, and the rate that was reached.
  func latencies(rate: Double, seconds: Double) throws -> ([Double], Double) {
    var pace = Pace(perSecond: rate, now: monotonicSeconds())
    var probes = Pace(perSecond: 50, now: monotonicSeconds())
    let began = monotonicSeconds()
    let settled = began + 3
    var found: [Double] = []
    var now = began
    while now < settled + seconds {
      now = monotonicSeconds()
      try produce(pace.take(limit: 512, now: now))
      if probes.take(limit: 1, now: now) > 0 { try produceProbe(at: now) }
      load.poll()
      try read(into: &found, since: settled)
      if Double(produced) >= (now - began) * rate { usleep(300) }
    }
    let reached = Double(produced) / (now - began)
    let limit = monotonicSeconds() + 30
    while sent.contains(where: { $0 != nil }), monotonicSeconds() < limit {
      load.poll()
      try read(into: &found, since: settled)
      usleep(500)
    }
    try load.finish()
    let missing = sent.filter { $0 != nil }.count
    guard missing == 0 else { throw BenchmarkError("the outcome of \(missing) probes was not seen within 30 s") }
    return (found, reached)
  }

  private func produce(_ count: Int) throws {
    for _ in 0..<count where !generator.isAtEnd {
      let made = generator.next(into: line)
      lastTime = made.time.microseconds / 1_000
      try load.produce(UnsafeRawBufferPointer(start: line, count: made.length), key: made.key)
      produced += 1
    }
  }

  private var lastTime: Int64 = 1_772_323_200_000

  func produceProbe(at now: Double, milliseconds: Int64? = nil) throws {
    let key = nextProbeKey()
    let head = #"{"customer":""#
    let tail =
      #"","id":"probe-\#(sent.count)","type":"order_paid","ts":\#(milliseconds ?? lastTime),"#
      + #""order":"po-\#(sent.count)","amount":3000.00,"currency":"CNY"}"#
    let bytes = Array((head + key + tail).utf8)
    let range = head.utf8.count..<(head.utf8.count + key.utf8.count)
    try bytes.withUnsafeBytes { try load.produce($0, key: range) }
    sent.append(now)
  }

  /// A customer of the partition whose outputs are read.
  private func nextProbeKey() -> String {
    while true {
      candidate += 1
      let key = "p-\(candidate)-\(sent.count)"
      let bytes = Array(key.utf8)
      let partition = bytes.withUnsafeBytes { Partitioner.murmur2.partition(forKey: $0, count: partitions) }
      if partition == 0 { return key }
    }
  }

  /// Looks for the outcomes of probes among what was committed.
  func read(into found: inout [Double], since settled: Double) throws {
    _ = try reader.poll(into: &batch, timeoutMilliseconds: 0)
    let now = monotonicSeconds()
    for index in 0..<batch.count {
      guard let key = batch[index].key, key.count > 2, key[0] == UInt8(ascii: "p"), key[1] == UInt8(ascii: "-") else {
        continue
      }
      let text = String(decoding: key, as: UTF8.self)
      guard let number = text.split(separator: "-").last.flatMap({ Int($0) }), number < sent.count,
        let began = sent[number]
      else { continue }
      sent[number] = nil
      if began >= settled { found.append(now - began) }
    }
  }

  func poll() { load.poll() }
  func finish() throws { try load.finish() }
}
