// A daemon that has read everything and goes on: its memory, its checkpoint, and how long it takes to come back.

import CommandSupport
import Foundation
import Glibc
import LoadGenerator

extension Bench {
  /// Parts (e), (f) and (g).
  func measureResident(_ broker: BenchBroker) throws {
    // So few customers that what they take is nothing, and enough events for every buffer to be as large as it gets.
    var empty: Double?
    if options.parts.contains(.memory) {
      empty = try withResidentDaemon(broker, customers: 100, events: min(options.events, 1_000_000)) {
        _, _, daemon, _ in
        Double(daemon.residentBytes ?? 0)
      }
    }
    try withResidentDaemon(broker, customers: options.customers, events: options.events) { topic, run, daemon, page in
      if let empty { addMemory(empty: empty, full: Double(daemon.residentBytes ?? 0), page, daemon) }
      if options.parts.contains(.checkpoint) { addCheckpoint(page) }
      if options.parts.contains(.restart) {
        try measureRestart(broker, topic, run, daemon, records: options.events)
      }
    }
    if options.large, options.parts.contains(.restart) {
      try withResidentDaemon(broker, customers: 10_000_000, events: 15_000_000) { topic, run, daemon, _ in
        try measureRestart(broker, topic, run, daemon, records: 15_000_000, of: "10 million names, ")
      }
    }
  }

  /// Lets a daemon read a workload, waits until it is idle, and gives it to `body`.
  private func withResidentDaemon<Result>(
    _ broker: BenchBroker, customers: Int, events: Int,
    _ body: (String, DaemonRun, ChildProcess, MetricsPage) throws -> Result
  ) throws -> Result {
    let topic = try workloadTopic(broker, customers: customers, events: events)
    let run = try prepareDaemon(
      broker, topic: topic, delivery: broker.embedded == nil ? "exactly_once" : "at_least_once")
    defer {
      broker.deleteTopics([topic] + run.outputs)
      remove(run.state)
    }
    let watch = try CommitWatch(broker, group: run.group, topic: topic, partitions: options.partitions)
    let daemon = try start(["run", "--config", run.configuration], "resident")
    try waitUntilCommitted(events, watch, daemon, "resident, \(grouped(customers)) customers")
    // Rewrites end, queues run empty, and what is given back is given back: the allocator takes 10 s for that.
    var before = MetricsPage(text: "")
    var residentBefore = Int.max
    for _ in 0..<20 {
      usleep(4_000_000)
      let page = MetricsPage.fetch(port: run.port) ?? before
      let resident = daemon.residentBytes ?? 0
      let isQuiet =
        page["tidewatch_checkpoint_rewrites_total"] == before["tidewatch_checkpoint_rewrites_total"]
        && resident > residentBefore - 1 << 20
      before = page
      residentBefore = resident
      if isQuiet { break }
    }
    guard !before.samples.isEmpty else {
      throw BenchmarkError("the daemon does not answer on 127.0.0.1:\(run.port)/metrics: \(daemon.errors.suffix(500))")
    }
    return try body(topic, run, daemon, before)
  }

  private func addMemory(empty: Double, full: Double, _ page: MetricsPage, _ daemon: ChildProcess) {
    let customers = page["tidewatch_customers"] ?? 0
    guard customers > 0 else { return }
    add(
      Figure(
        "memory", "resident bytes a customer", "bytes", [(full - empty) / customers],
        note: "(\(quantity(full / 1_048_576)) MiB - \(quantity(empty / 1_048_576)) MiB with 100 customers) / "
          + "\(grouped(Int(customers))) customers, both idle, their queues empty"))
    add(Figure("memory", "peak while reading", "MiB", [Double(daemon.peakBytes ?? 0) / 1_048_576]))
  }

  private func addCheckpoint(_ page: MetricsPage) {
    let bytes = page["tidewatch_checkpoint_bytes_total"] ?? 0
    let rewritten = page["tidewatch_checkpoint_rewritten_bytes_total"] ?? 0
    let epochs = page["tidewatch_epochs_total"] ?? 0
    let events = page.sum("tidewatch_events_total")
    guard epochs > 0, events > 0, bytes > 0 else { return }
    add(Figure("checkpoint", "bytes an epoch", "bytes", [bytes / epochs], note: "\(Int(epochs)) epochs"))
    add(Figure("checkpoint", "bytes an event", "bytes", [bytes / events]))
    add(
      Figure(
        "checkpoint", "rewrite amplification", "x", [(bytes + rewritten) / bytes],
        note: "bytes of epochs and rewritten bases over bytes of epochs; "
          + "\(Int(page["tidewatch_checkpoint_rewrites_total"] ?? 0)) rewrites"))
    let name = "tidewatch_checkpoint_pause_seconds"
    for (label, share) in [("p50", 0.5), ("p99", 0.99)] {
      if let value = page.histogramQuantile(name, share) {
        add(Figure("checkpoint", "pause of processing, \(label)", "ms", [value * 1e3], note: "upper end of its bucket"))
      }
    }
    add(
      Figure(
        "checkpoint", "pause of processing, max", "ms",
        [(page["tidewatch_checkpoint_pause_max_seconds"] ?? .nan) * 1e3]))
    add(
      Figure(
        "checkpoint", "held for slow commits", "s", [page["tidewatch_epochs_held_seconds_total"] ?? .nan],
        note: "\(Int(page["tidewatch_epochs_held_total"] ?? 0)) times, all together"))
  }

  // MARK: Restart

  private struct Restart {
    var assigned = 0.0
    var restored = 0.0
    var first = 0.0
  }

  private func measureRestart(
    _ broker: BenchBroker, _ topic: String, _ run: DaemonRun, _ daemon: ChildProcess, records: Int,
    of size: String = ""
  ) throws {
    daemon.send(SIGTERM)
    try daemon.finish()
    // Short epochs: what is measured is the first event, not the rest of a second.
    let text = try String(contentsOfFile: run.configuration, encoding: .utf8)
    try Data((text + "epoch: { interval: 50ms }\n").utf8).write(to: URL(fileURLWithPath: run.configuration))
    let watch = try CommitWatch(broker, group: run.group, topic: topic, partitions: options.partitions)
    var all = Int64(records)
    var count = "?"
    for isCold in [false, true] {
      var restarts: [Restart] = []
      for _ in 0..<options.runs {
        try produceMore(broker, topic, seed: UInt64(all))
        if isCold { dropCaches(path(run.state)) }
        let (restart, customers) = try restartOnce(run, watch, before: all)
        restarts.append(restart)
        count = customers
        all += Self.extraEvents
      }
      let kind = isCold ? "cold" : "warm"
      let note =
        "\(count) customers; \(isCold ? "the state's files are not in the page cache" : "files in the page cache")"
      add(
        Figure(
          "restart", "\(size)\(kind): process start to first new event committed", "s", restarts.map(\.first),
          note: note))
      add(
        Figure(
          "restart", "\(size)\(kind): of which restoring the state", "s", restarts.map { $0.restored - $0.assigned }))
    }
  }

  private static let extraEvents: Int64 = 400

  private func produceMore(_ broker: BenchBroker, _ topic: String, seed: UInt64) throws {
    try start(
      [
        "loadgen", "--customers", "\(options.customers)", "--events", "\(Self.extraEvents)", "--seed", "\(seed)",
        "--start", "2026-05-01T00:00:00Z", "--days", "1", "--bootstrap", broker.bootstrap, "--topic", topic,
        "--partitions", "\(options.partitions)",
      ], "produce"
    ).finish()
  }

  private func restartOnce(_ run: DaemonRun, _ watch: CommitWatch, before: Int64) throws -> (Restart, String) {
    var restart = Restart()
    let began = monotonicSeconds()
    let daemon = try start(["run", "--config", run.configuration], "restart")
    try wait(for: "its first new event", daemon, seconds: 600) {
      let elapsed = monotonicSeconds() - began
      let log = daemon.errors
      if restart.assigned == 0, log.contains("assigned:") { restart.assigned = elapsed }
      let restored = log.components(separatedBy: ": restored epoch").count - 1
      if restart.restored == 0, restored >= Int(options.partitions) { restart.restored = elapsed }
      return (watch.records ?? 0) > before
    }
    restart.first = monotonicSeconds() - began
    try wait(for: "the rest", daemon, seconds: 60) { (watch.records ?? 0) >= before + Self.extraEvents }
    let customers = Int(MetricsPage.fetch(port: run.port)?["tidewatch_customers"] ?? 0)
    daemon.send(SIGTERM)
    try daemon.finish()
    return (restart, grouped(customers))
  }

  /// Takes the files of a directory out of the page cache: their own pages only, and without being root.
  private func dropCaches(_ directory: String) {
    let files = FileManager.default.enumerator(atPath: directory)?.compactMap { $0 as? String } ?? []
    for file in files {
      let descriptor = open("\(directory)/\(file)", O_RDONLY | O_CLOEXEC)
      guard descriptor >= 0 else { continue }
      fsync(descriptor)
      posix_fadvise(descriptor, 0, 0, POSIX_FADV_DONTNEED)
      close(descriptor)
    }
  }
}
