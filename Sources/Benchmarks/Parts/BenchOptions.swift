// What to measure, on what, and what the parts share.

import CommandSupport
import Foundation
import LoadGenerator

/// The parts of the benchmark, in the order in which they run.
public enum BenchPart: String, CaseIterable, Sendable {
  /// The floor: a raw librdkafka consumer that counts and discards.
  case floor
  /// `tidewatch run`, both delivery modes, against the floor of the same round.
  case run
  /// `tidewatch replay` from the file.
  case replay
  /// Library calls: parse, state, rules.
  case stages
  /// The engine's bytes a customer by field, of the workload and of an active shop.
  case shop
  /// Resident bytes a customer.
  case memory
  /// Bytes, pauses and rewrites of the checkpoint.
  case checkpoint
  /// From the start of a process to its first new event.
  case restart
  /// From produce to a committed tag change.
  case latency
  /// A wave of timers due in one second.
  case timers
  /// Cost per event by number of customers.
  case curve
}

public struct BenchOptions: Sendable {
  public var parts = Set(BenchPart.allCases)
  public var events = 5_000_000
  public var customers = 1_000_000
  public var seed: UInt64 = 1
  public var partitions: Int32 = 4
  public var runs = 3
  /// nil: the embedded broker.
  public var bootstrap: String?
  /// Also what takes many minutes and much memory: 10 million customers.
  public var large = false
  /// The `tidewatch` binary.
  public var binary: String
  /// For the workload, state and logs; emptied at the end.
  public var scratch: String
  /// The repository's `config` directory.
  public var config: String
  /// The repository.
  public var package: String
  public var keepsScratch = false

  public init(binary: String, scratch: String, config: String, package: String) {
    self.binary = binary
    self.scratch = scratch
    self.config = config
    self.package = package
  }

  /// The embedded broker keeps so little that only a short workload can be read whole.
  public mutating func fitEmbeddedBroker() {
    events = min(events, Int(partitions) * BenchBroker.embeddedBytesPerPartition / 400)
    customers = min(customers, events / 4)
  }

  var load: LoadOptions {
    var load = LoadOptions()
    load.customers = customers
    load.events = events
    load.seed = seed
    return load
  }
}

/// A directory and its configuration files, and how far the work is. Confined to one thread.
final class Bench {
  let options: BenchOptions
  var report: BenchmarkReport
  private var processes = 0

  init(_ options: BenchOptions) throws {
    self.options = options
    try FileManager.default.createDirectory(atPath: options.scratch, withIntermediateDirectories: true)
    let workload = Workload(
      events: options.events, customers: options.customers, seed: options.seed, partitions: Int(options.partitions),
      runs: options.runs, broker: options.bootstrap == nil ? "embedded" : "kafka")
    report = BenchmarkReport(
      takenAt: now(), machine: .current(), versions: .current(package: options.package), workload: workload)
  }

  func path(_ name: String) -> String { "\(options.scratch)/\(name)" }

  /// One line on standard error, where a person waits.
  func say(_ text: String) { Terminal.writeError("bench: \(text)\n") }

  func add(_ figure: Figure) {
    report.figures.append(figure)
    let unit = figure.ratioToFloor.map { "\(figure.unit), x floor \(fixedText($0, 2))" } ?? figure.unit
    say("\(figure.part), \(figure.name): \(quantity(figure.median)) \(unit)")
  }

  /// - Parameter showsProgress: its own bar goes to the terminal, where there is one.
  func start(_ arguments: [String], _ name: String, showsProgress: Bool = false) throws(BenchmarkError) -> ChildProcess
  {
    processes += 1
    return try ChildProcess(
      [options.binary] + arguments, logs: options.scratch, name: "\(name)-\(processes)",
      inheritsErrors: showsProgress && Terminal.isTerminal(2))
  }

  func remove(_ name: String) { try? FileManager.default.removeItem(atPath: path(name)) }

  /// A configuration as the defaults of the project have it, with the event clock: the workload's days are long past.
  /// - Returns: its path.
  func writeConfiguration(
    _ name: String, bootstrap: String = "localhost:9092", group: String = "bench", input: String = "replay",
    delivery: String = "exactly_once", rules: String = "tags.yaml", state: String = "state", port: UInt16? = nil,
    more: String = ""
  ) throws -> String {
    let rules = rules.hasPrefix("/") ? rules : "\(options.config)/\(rules)"
    let text = """
      kafka:
        bootstrap: '\(bootstrap)'
        group: '\(group)'
        instance: bench
      inputs: [{ topic: '\(input)', required: true }]
      outputs:
        tag_changes: { topic: '\(group)-tags' }
        churn_alerts: { topic: '\(group)-alerts' }
        dead_letters: { topic: '\(group)-dead' }
      delivery: \(delivery)
      clock: event
      state: { dir: '\(path(state))' }
      churn: { preset: cdnow, horizon: 180d }
      admin: { listen: \(port.map { "127.0.0.1:\($0)" } ?? "off") }
      rules: '\(rules)'
      \(more)

      """
    try Data(text.utf8).write(to: URL(fileURLWithPath: path(name)))
    return path(name)
  }

  /// The workload as a file, made once.
  func workloadFile(customers: Int? = nil, events: Int? = nil) throws -> String {
    let customers = customers ?? options.customers
    let events = events ?? options.events
    let file = path("load-\(customers)-\(events)-\(options.seed).ndjson")
    if FileManager.default.fileExists(atPath: file) { return file }
    say("making \(grouped(events)) events of \(grouped(customers)) customers")
    try start(
      [
        "loadgen", "--customers", "\(customers)", "--events", "\(events)", "--seed", "\(options.seed)", "--output",
        file,
      ], "loadgen", showsProgress: true
    ).finish()
    return file
  }
}

private func now() -> String {
  var time = time(nil)
  var parts = tm()
  gmtime_r(&time, &parts)
  func two(_ value: Int32) -> String { value < 10 ? "0\(value)" : "\(value)" }
  return "\(1900 + parts.tm_year)-\(two(parts.tm_mon + 1))-\(two(parts.tm_mday))T\(two(parts.tm_hour)):"
    + "\(two(parts.tm_min)):\(two(parts.tm_sec))Z"
}
