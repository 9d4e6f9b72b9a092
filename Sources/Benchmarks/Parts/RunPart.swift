// `tidewatch run` over a topic, in both delivery modes, each round beside the floor.

import CommandSupport
import Foundation
import Kafka
import LoadGenerator

/// One daemon over one topic.
struct DaemonRun {
  var group: String
  var state: String
  var configuration: String
  var outputs: [String]
  var port: UInt16
}

/// What it took to read everything.
private struct RunResult {
  var seconds: Double
  var cpu: CPUTimes
  var peakBytes: Int
}

extension Bench {
  private static let deliveries = ["at_least_once", "exactly_once"]

  /// Parts (a) and (b).
  func measureRun(_ broker: BenchBroker) throws {
    let events = options.events
    let topic = try workloadTopic(broker, customers: options.customers, events: events)
    defer { broker.deleteTopics([topic]) }
    var floors: [FloorRun] = []
    // Where there are transactions, and something to compare.
    let answer = broker.embedded == nil && options.parts.contains(.run) ? try answers() : nil
    var answering: [FloorRun] = []
    var results = Self.deliveries.map { _ in [RunResult]() }
    for round in 0..<options.runs {
      say("round \(round + 1) of \(options.runs)")
      floors.append(try floor(broker, topic: topic, records: events))
      if let answer { answering.append(try answeringFloor(broker, topic: topic, records: events, answer)) }
      guard options.parts.contains(.run) else { continue }
      for (place, delivery) in Self.deliveries.enumerated() where place == 0 || broker.embedded == nil {
        results[place].append(try runOnce(broker, topic: topic, delivery: delivery, records: events))
      }
    }
    let count = Double(events)
    add(Figure("floor", "raw consumer", "events/s", floors.map { count / $0.seconds }))
    add(Figure("floor", "raw consumer, CPU", "us/event", floors.map { $0.cpuSeconds / count * 1e6 }))
    if let answer {
      let note =
        "\(quantity(answer.perEvent)) transactional records an event, like the daemon's; nothing decided, no state"
      add(
        Figure(
          "floor", "consumer that answers", "events/s", answering.map { count / $0.seconds },
          ratiosToFloor: zip(answering, floors).map { $1.seconds / $0.seconds }, note: note))
      add(Figure("floor", "consumer that answers, CPU", "us/event", answering.map { $0.cpuSeconds / count * 1e6 }))
      add(
        Figure(
          "floor", "consumer that answers, CPU of own threads", "us/event",
          answering.map { $0.ownSeconds / count * 1e6 }))
    }
    for (delivery, results) in zip(Self.deliveries, results) where !results.isEmpty {
      let rates = results.map { count / $0.seconds }
      add(
        Figure(
          "run", delivery, "events/s", rates, ratiosToFloor: zip(rates, floors).map { $0 * $1.seconds / count },
          note: "from the first committed offsets until all are committed"))
      if answer != nil {
        add(
          Figure(
            "run", "\(delivery), of the consumer that answers", "x",
            zip(rates, answering).map { $0 * $1.seconds / count }))
      }
      add(Figure("run", "\(delivery), CPU of own threads", "us/event", results.map { $0.cpu.own / count * 1e6 }))
      add(
        Figure("run", "\(delivery), CPU of librdkafka's", "us/event", results.map { $0.cpu.librdkafka / count * 1e6 }))
      add(Figure("run", "\(delivery), peak memory", "MiB", results.map { Double($0.peakBytes) / 1_048_576 }))
    }
  }

  /// A topic with the workload in it.
  func workloadTopic(_ broker: BenchBroker, customers: Int, events: Int, partitions: Int32? = nil) throws -> String {
    let partitions = partitions ?? options.partitions
    let topic = BenchBroker.uniqueName("bench")
    try broker.createTopics([topic], partitions: partitions)
    say("producing \(events) events of \(customers) customers")
    try start(
      [
        "loadgen", "--customers", "\(customers)", "--events", "\(events)", "--seed", "\(options.seed)", "--bootstrap",
        broker.bootstrap, "--topic", topic, "--partitions", "\(partitions)",
      ] + (broker.embedded == nil ? [] : ["--rate", "20000"]), "produce", showsProgress: true
    ).finish()
    return topic
  }

  /// Makes what a daemon needs to begin: output topics, an empty state, a configuration.
  func prepareDaemon(
    _ broker: BenchBroker, topic: String, delivery: String, rules: String = "tags.yaml", more: String = ""
  ) throws -> DaemonRun {
    let group = BenchBroker.uniqueName("bench-group")
    // New ones for each run: the embedded broker cannot delete a topic, and a real one takes its time.
    let outputs = ["tags", "alerts", "dead"].map { "\(group)-\($0)" }
    // The embedded broker drops what is beyond its share of a partition, so it gets more of them.
    try broker.createTopics(outputs, partitions: broker.embedded == nil ? options.partitions : 24)
    let port = MetricsPage.freePort()
    let configuration = try writeConfiguration(
      "\(group).yaml", bootstrap: broker.bootstrap, group: group, input: topic, delivery: delivery, rules: rules,
      state: group, port: port, more: more)
    return DaemonRun(group: group, state: group, configuration: configuration, outputs: outputs, port: port)
  }

  private func runOnce(_ broker: BenchBroker, topic: String, delivery: String, records: Int) throws -> RunResult {
    let run = try prepareDaemon(broker, topic: topic, delivery: delivery)
    defer {
      broker.deleteTopics(run.outputs)
      remove(run.state)
    }
    let watch = try CommitWatch(broker, group: run.group, topic: topic, partitions: options.partitions)
    let daemon = try start(["run", "--config", run.configuration, "--stop-at-end"], delivery)
    // The daemon commits the beginning of a new state before it reads: that is where the time begins. The embedded broker
    // is slow to tell of commits; there it begins with the state's last line, and ends with the process.
    let isEmbedded = broker.embedded != nil
    try wait(for: "its first commit", daemon, seconds: 120) {
      isEmbedded
        ? daemon.errors.components(separatedBy: ": new state").count > Int(options.partitions) : watch.records != nil
    }
    let began = monotonicSeconds()
    let before = daemon.cpu
    var latest = before
    if isEmbedded {
      while daemon.ended() == nil {
        latest = daemon.cpu.atLeast(latest)
        usleep(5_000)
      }
    } else {
      try waitUntilCommitted(records, watch, daemon, delivery) { latest = daemon.cpu.atLeast(latest) }
    }
    let seconds = monotonicSeconds() - began
    latest = daemon.cpu.atLeast(latest)
    let use = try daemon.finish()
    // Threads that have ended are in the total only.
    let own = use.cpuSeconds - latest.librdkafka - before.own
    return RunResult(
      seconds: seconds, cpu: CPUTimes(librdkafka: latest.librdkafka - before.librdkafka, own: own),
      peakBytes: use.peakBytes)
  }

  /// Waits until so many records are committed, and shows how far it is.
  /// - Parameter look: called at each look.
  func waitUntilCommitted(
    _ records: Int, _ watch: CommitWatch, _ daemon: ChildProcess, _ name: String, _ look: () -> Void = {}
  ) throws {
    var progress = CommandSupport.Progress(
      "bench: \(name)", unit: "events", total: UInt64(records), style: progressStyle)
    try wait(for: "the end of the topic", daemon, seconds: 3_600) {
      look()
      let done = watch.records ?? 0
      if done > 0 { progress.update(done: UInt64(done), items: UInt64(done)) }
      return done >= Int64(records)
    }
    progress.clear()
  }

  /// Waits until something is true of a daemon.
  /// - Throws: when it ends in disorder before, or takes too long.
  func wait(for what: String, _ daemon: ChildProcess, seconds: Double, _ isTrue: () -> Bool) throws {
    let deadline = monotonicSeconds() + seconds
    while !isTrue() {
      if let use = daemon.ended() {
        if use.status == 0, isTrue() { return }
        throw BenchmarkError(
          "\(daemon.words.joined(separator: " ")) ended with status \(use.status) before \(what): "
            + String(daemon.errors.suffix(1_500)))
      }
      guard monotonicSeconds() < deadline else {
        throw BenchmarkError("no \(what) within \(Int(seconds)) s: \(String(daemon.errors.suffix(1_500)))")
      }
      usleep(5_000)
    }
  }
}

extension CPUTimes {
  /// A process that is ending shows no threads any more.
  fileprivate func atLeast(_ other: CPUTimes) -> CPUTimes {
    CPUTimes(librdkafka: max(librdkafka, other.librdkafka), own: max(own, other.own))
  }
}
