// The shop as a source: produces its events to Kafka, first the history at full speed, then the days at theirs.

import Events
import Foundation
import Kafka
import Synchronization

/// What the feed has done so far.
struct FeedStatus: Sendable {
  var produced = 0
  /// How far the shop's records have been sent.
  var shopTime: Instant
  var isLive = false
  /// Why it ended, unless it was stopped.
  var failure: String?
  var hasEnded = false
}

/// Produces on a thread of its own. The embedded broker forgets what it cannot keep, read or not: so the feed never runs
/// further ahead of the reader than all partitions together surely hold.
final class DemoFeed: Sendable {
  /// A partition of the broker keeps 100,000 records or 5 MB; these are spread over several and some 200 bytes each.
  static let mostUnread = 40_000

  private let options: DemoOptions
  private let kafka: KafkaConfiguration
  private let status: Mutex<FeedStatus>
  /// Records that Tidewatch has read.
  private let readCount = Atomic<Int>(0)
  private let isStopped = Atomic<Bool>(false)

  init(_ options: DemoOptions, kafka: KafkaConfiguration) {
    self.options = options
    self.kafka = kafka
    status = Mutex(FeedStatus(shopTime: options.shop.opening))
  }

  var current: FeedStatus { status.withLock { $0 } }
  func stop() { isStopped.store(true, ordering: .releasing) }
  func noteRead(_ count: Int) { readCount.store(count, ordering: .releasing) }

  /// Blocks until it is stopped or fails.
  func run() {
    do {
      let producer = try Producer(kafka, ProducerOptions(.idempotent))
      try feed(producer)
      try producer.flush(timeoutMilliseconds: 5_000)
    } catch {
      status.withLock { $0.failure = "the shop's producer: \(error)" }
    }
    status.withLock { $0.hasEnded = true }
  }

  private func feed(_ producer: Producer) throws(KafkaError) {
    let settings = options.shop
    var shop = SyntheticShop(settings)
    let historyEnd = settings.opening + .days(options.historyDays)
    let topic = try producer.topic(DemoOptions.topic)
    var batch = ShopBatch()
    var liveSince: ContinuousClock.Instant?
    while !isStopped.load(ordering: .acquiring) {
      // An hour at a time, so that a fast shop is paced too.
      var target = shop.now + .hours(1)
      var isBehind = true
      if shop.now >= historyEnd {
        let began = liveSince ?? .now
        liveSince = began
        let seconds = Double((ContinuousClock.now - began) / .milliseconds(1)) / 1_000
        let due = historyEnd + ShopTime.span(days: seconds * options.daysPerSecond)
        isBehind = due > target
        target = min(due, target)
        if target <= shop.now {
          producer.poll(timeoutMilliseconds: 20)
          continue
        }
      }
      batch.removeAll()
      shop.next(until: target, into: &batch)
      try send(batch, producer, topic)
      let (now, isLive) = (shop.now, liveSince != nil)
      status.withLock {
        $0.shopTime = now
        $0.isLive = isLive
      }
      if !isBehind { producer.poll(timeoutMilliseconds: 10) }
    }
  }

  private func send(_ batch: ShopBatch, _ producer: Producer, _ topic: ProducerTopic) throws(KafkaError) {
    var failure: KafkaError?
    batch.bytes.withUnsafeBytes { bytes in
      for event in batch.events {
        do throws(KafkaError) {
          try producer.produce(
            to: topic, key: UnsafeRawBufferPointer(rebasing: bytes[event.key]),
            value: UnsafeRawBufferPointer(rebasing: bytes[event.value]),
            timestampMilliseconds: event.time.microseconds / 1_000)
        } catch {
          failure = error
          return
        }
      }
    }
    if let failure { throw failure }
    let produced = status.withLock {
      $0.produced += batch.events.count
      return $0.produced
    }
    producer.poll()
    while produced - readCount.load(ordering: .acquiring) > Self.mostUnread, !isStopped.load(ordering: .acquiring) {
      producer.poll(timeoutMilliseconds: 10)
    }
  }
}
