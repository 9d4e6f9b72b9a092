// A producer that goes on while daemons are killed: at a steady rate, as far as it is allowed.

import Foundation
import Kafka
import ReferenceTesting
import Synchronization

/// The records of a torture: a stream made beforehand, or one made as time goes by.
protocol TortureSource: Sendable {
  /// The record of that number, to be sent now.
  mutating func next() -> CrashRecord?
}

/// A stream that is there already, for `clock: event`.
struct RecordedSource: TortureSource {
  var records: [CrashRecord]
  private var place = 0
  init(_ records: [CrashRecord]) { self.records = records }
  mutating func next() -> CrashRecord? {
    guard place < records.count else { return nil }
    defer { place += 1 }
    return records[place]
  }
}

/// A shop of this minute, for `clock: wall`: orders of a day ago whose silence is about to be noticed, carts about to be
/// abandoned, records late, doubled and dirty.
struct LivingShop: TortureSource {
  private var random: Seeded
  private let customers: Int
  private var count = 0
  private var last: CrashRecord?

  init(customers: Int, seed: UInt64) {
    random = Seeded(seed)
    self.customers = customers
  }

  mutating func next() -> CrashRecord? {
    if let last, random.chance(0.03) { return last }
    count += 1
    let customer = "c-\(random.index(customers))"
    let now = Int64(Date().timeIntervalSince1970 * 1_000)
    // A day less some seconds ago: the daily instants of this customer are about to come.
    let time = random.chance(0.5) ? now - 86_400_000 + random.int(2_000...30_000) : now - random.int(0...3_000)
    let head = #"{"id":"e-\#(count)","customer":"\#(customer)","ts":\#(time),"channel":"app""#
    let value =
      switch random.index(20) {
      case 0: #"{"id":"e-\#(count)""#
      case 1...7: head + #","type":"order_paid","order":"o-\#(count)","amount":\#(random.int(1...4_000)).50}"#
      case 8...10: head + #","type":"add_to_cart","product":"p-\#(random.index(9))","amount":20}"#
      case 11: head + #","type":"support_ticket"}"#
      default: head + #","type":"page_view"}"#
      }
    last = CrashRecord(key: customer, value: value)
    return last
  }
}

/// The thread that produces. Stops with its owner.
final class TortureFeed: Sendable {
  private struct State {
    var allowed = 0
    var sent: [CrashRecord] = []
    var isEnded = false
    var isStopped = false
    /// Nothing is to be under way.
    var isHeld = false
    var isQuiet = false
    var failure: String?
  }
  private let state: Mutex<State>
  private let ended = DispatchSemaphore(value: 0)

  /// - Parameter perSecond: records, in slices of a fiftieth of a second.
  init(
    _ source: sending some TortureSource, _ client: KafkaConfiguration, topic: String, perSecond: Int
  ) {
    state = Mutex(State())
    let first = source
    Thread.detachNewThread { [self] in
      var source = first
      do { try run(&source, client, topic, perSecond: perSecond) } catch {
        state.withLock { $0.failure = "\(error)" }
      }
      ended.signal()
    }
  }

  deinit { state.withLock { $0.isStopped = true } }

  var produced: Int { state.withLock { $0.sent.count } }
  /// In the order they were sent.
  var sent: [CrashRecord] { state.withLock { $0.sent } }
  var failure: String? { state.withLock { $0.failure } }
  /// So many more may be sent.
  func allow(_ count: Int) { state.withLock { $0.allowed += count } }

  /// Sends nothing more, and returns when the broker has all that was sent: an idempotent producer does not survive every
  /// restart of its broker.
  func hold() {
    state.withLock { $0.isHeld = true }
    while !state.withLock({ $0.isQuiet || $0.isStopped || $0.failure != nil }) { usleep(10_000) }
  }
  func goOn() {
    state.withLock {
      $0.isHeld = false
      $0.isQuiet = false
    }
  }

  /// Sends what is allowed, and waits until the broker has it.
  func finish(limitSeconds: Int) throws {
    state.withLock { $0.isEnded = true }
    guard ended.wait(timeout: .now() + .seconds(limitSeconds)) == .success else {
      state.withLock { $0.isStopped = true }
      throw BinaryError(description: "the producer did not end within \(limitSeconds) s, at record \(produced)")
    }
    ended.signal()
    if let failure { throw BinaryError(description: "the producer failed: \(failure)") }
  }

  private func run(
    _ source: inout some TortureSource, _ client: KafkaConfiguration, _ name: String, perSecond: Int
  ) throws {
    let producer = try Producer(client, ProducerOptions(.idempotent))
    let topic = try producer.topic(name)
    let slice = max(1, perSecond / 50)
    while true {
      let (left, isEnded, isStopped) = state.withLock { ($0.allowed - $0.sent.count, $0.isEnded, $0.isStopped) }
      if isStopped { return }
      if state.withLock({ $0.isHeld }) {
        if !state.withLock({ $0.isQuiet }) {
          try producer.flush(timeoutMilliseconds: 120_000)
          state.withLock { $0.isQuiet = $0.isHeld }
        }
        usleep(10_000)
        continue
      }
      if left <= 0, isEnded { break }
      var sent: [CrashRecord] = []
      for _ in 0..<min(slice, left) {
        guard let record = source.next() else {
          throw BinaryError(description: "no more records after \(produced)")
        }
        try Array(record.value.utf8).withUnsafeBytes { value in
          guard let key = record.key else {
            return try producer.produce(to: topic, partition: 0, key: nil, value: value)
          }
          try Array(key.utf8).withUnsafeBytes { try producer.produce(to: topic, key: $0, value: value) }
        }
        sent.append(record)
      }
      producer.poll()
      state.withLock { $0.sent += sent }
      usleep(20_000)
    }
    try producer.flush(timeoutMilliseconds: 120_000)
    let report = producer.takeDeliveryReport()
    guard report.failed == 0, report.delivered == produced else {
      throw BinaryError(description: "not all records were produced: \(report)")
    }
  }
}
