// The floor of whoever answers: librdkafka alone reads the same records, and produces as many and as large ones as the daemon
// does, in transactions as long as an epoch. Nothing is decided, kept or written to disk in between.

import Foundation
import Handoff
import Kafka
import LoadGenerator

/// What the daemon says to a workload, and how much of it.
struct Answers: Sendable {
  /// Tag changes as they stand in the replay's file.
  var lines: [[UInt8]]
  /// Customer ids: the lines' keys.
  var keys: [[UInt8]]
  /// Records for each event.
  var perEvent: Double
}

extension Bench {
  private static let sampleEvents = 100_000
  private static let sampleLines = 20_000

  /// Tag changes of a small workload of the same shape.
  func answers() throws -> Answers {
    let customers = max(1, Int(Double(Self.sampleEvents) * Double(options.customers) / Double(options.events)))
    let file = try workloadFile(customers: customers, events: Self.sampleEvents)
    let configuration = try writeConfiguration("answers.yaml")
    let output = path("answers")
    try start(
      [
        "replay", "--config", configuration, "--input", file, "--output", output, "--ceiling", "2100-01-01T00:00:00Z",
        "--no-profiles",
      ], "answers"
    ).finish()
    defer { remove("answers") }
    let changes = try Data(contentsOf: URL(fileURLWithPath: "\(output)/tag-changes.ndjson")).split(separator: 10)
    // Spread over the whole: the first ones are of new customers.
    let sample = stride(from: 0, to: changes.count, by: max(1, changes.count / Self.sampleLines)).map { changes[$0] }
    guard !sample.isEmpty else { throw BenchmarkError("the replay of \(file) has said nothing") }
    return Answers(
      lines: sample.map { Array($0) },
      // {"customer":"c-1",...
      keys: sample.map { Array($0.dropFirst(13).prefix { $0 != UInt8(ascii: "\"") }) },
      perEvent: Double(changes.count) / Double(Self.sampleEvents))
  }

  /// One thread reads, another one produces and commits, as the daemon's do.
  func answeringFloor(_ broker: BenchBroker, topic: String, records: Int, _ answers: Answers) throws -> FloorRun {
    let outputs = BenchBroker.uniqueName("bench-answers")
    try broker.createTopics([outputs], partitions: options.partitions)
    defer { broker.deleteTopics([outputs]) }
    let producer = try AnsweringProducer(broker.client(), topic: outputs, answers)
    let counts = Lane<Int>(capacity: 16)
    let (bootstrap, partitions) = (broker.bootstrap, options.partitions)
    let failure = Shared<BenchmarkError?>(nil)
    let readerSeconds = Shared(0.0)
    let began = monotonicSeconds()
    let cpuBefore = cpuSeconds()
    let threadBefore = threadSeconds()
    let reader = try DedicatedThread("bench floor") {
      do {
        let client = try RawClient(bootstrap: bootstrap)
        let count = try client.read(topic, partitions: partitions, records: records) { counts.put($0) }
        if count != records { failure.write(BenchmarkError("\(count) of \(records) records of \(topic) were read")) }
      } catch {
        failure.write(error as? BenchmarkError ?? BenchmarkError("\(error)"))
      }
      readerSeconds.write(threadSeconds())
      counts.finish()
    }
    defer {
      counts.abandon()
      reader.join()
    }
    while let count = counts.take() { try producer.answer(count) }
    try producer.commit()
    let run = FloorRun(
      seconds: monotonicSeconds() - began, cpuSeconds: cpuSeconds() - cpuBefore,
      ownSeconds: threadSeconds() - threadBefore + readerSeconds.read())
    if let error = failure.read() { throw error }
    return run
  }
}

/// Confined to the thread that makes it.
private final class AnsweringProducer {
  /// Events in a transaction: the daemon's epochs end with as many.
  private static let epochEvents = 30_000

  private let producer: Producer
  private let topic: ProducerTopic
  private let answers: Answers
  private var headers = RecordHeaders()
  private var next = 0
  private var owed = 0.0
  private var eventsInTransaction = 0
  private var isOpen = false

  init(_ client: KafkaConfiguration, topic: String, _ answers: Answers) throws {
    producer = try Producer(client, ProducerOptions(.transactional(id: topic)))
    self.topic = try producer.topic(topic)
    self.answers = answers
    try settle { producer.initTransactions(timeoutMilliseconds: 30_000) }
    // As long as the daemon's.
    headers.append("ce_specversion", "1.0")
    headers.append("ce_id", "t-0123456789abcdef0123456789abcdef-12")
    headers.append("ce_type", "tidewatch.tag.changed.v1")
    headers.append("ce_source", "/tidewatch/bench-group-0123456789ab")
    headers.append("ce_time", "2026-03-01T12:34:56.123Z")
    headers.append("content-type", "application/json")
  }

  /// Produces what so many events are answered with.
  func answer(_ events: Int) throws {
    owed += Double(events) * answers.perEvent
    while owed >= 1 {
      if !isOpen {
        try settle { producer.beginTransaction() }
        isOpen = true
      }
      try answers.keys[next].withUnsafeBytes { key in
        try answers.lines[next].withUnsafeBytes { line in
          try producer.produce(to: topic, key: key, value: line, headers: headers)
        }
      }
      next = (next + 1) % answers.lines.count
      owed -= 1
    }
    eventsInTransaction += events
    if eventsInTransaction >= Self.epochEvents { try commit() }
  }

  func commit() throws {
    eventsInTransaction = 0
    guard isOpen else { return }
    try settle { producer.commitTransaction(timeoutMilliseconds: 30_000) }
    isOpen = false
  }

  private func settle(_ call: () -> TransactionOutcome) throws {
    while true {
      switch call() {
      case .done: return
      case .retry: continue
      case .abort(let error), .fatal(let error): throw error
      }
    }
  }
}
