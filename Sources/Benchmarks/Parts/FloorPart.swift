// The floor: what librdkafka alone takes to hand over the same records, counted and thrown away.

import CRdKafka
import Foundation
import Kafka
import LoadGenerator

/// What a raw consumer has measured.
struct FloorRun {
  var seconds: Double
  var cpuSeconds: Double
  /// Of the threads that are not librdkafka's.
  var ownSeconds: Double
}

extension Bench {
  /// Reads a whole topic with the daemon's own client settings and nothing behind them.
  func floor(_ broker: BenchBroker, topic: String, records: Int) throws -> FloorRun {
    let client = try RawClient(bootstrap: broker.bootstrap)
    let began = monotonicSeconds()
    let cpuBefore = cpuSeconds()
    let threadBefore = threadSeconds()
    let count = try client.read(topic, partitions: options.partitions, records: records) { _ in true }
    let seconds = monotonicSeconds() - began
    guard count == records else {
      throw BenchmarkError("the raw consumer has read \(count) of \(records) records of \(topic)")
    }
    return FloorRun(
      seconds: seconds, cpuSeconds: cpuSeconds() - cpuBefore, ownSeconds: threadSeconds() - threadBefore)
  }
}

/// CPU seconds of this process.
func cpuSeconds() -> Double {
  var time = timespec()
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
  return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
}

/// The most memory that this process has had.
func ownPeakBytes() -> Double {
  var use = rusage()
  getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &use)
  return Double(use.ru_maxrss) * 1024
}

/// CPU seconds of this thread.
func threadSeconds() -> Double {
  var time = timespec()
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
  return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
}

/// The C interface, with nothing of ours around it.
final class RawClient {
  private let raw: OpaquePointer
  private let queue: OpaquePointer

  init(bootstrap: String) throws {
    let settings = rd_kafka_conf_new()
    // Those that our consumer sets and that matter for speed.
    for (name, value) in [
      ("bootstrap.servers", bootstrap), ("group.id", BenchBroker.uniqueName("floor")),
      ("isolation.level", "read_committed"),
      ("enable.auto.commit", "false"), ("enable.auto.offset.store", "false"), ("auto.offset.reset", "error"),
      ("queued.min.messages", "1000000"), ("queued.max.messages.kbytes", "131072"), ("fetch.wait.max.ms", "100"),
      ("fetch.message.max.bytes", "4194304"), ("fetch.max.bytes", "52428800"),
    ] {
      guard rd_kafka_conf_set(settings, name, value, nil, 0) == RD_KAFKA_CONF_OK else {
        rd_kafka_conf_destroy(settings)
        throw BenchmarkError("librdkafka does not take \(name)=\(value)")
      }
    }
    var text = [CChar](repeating: 0, count: 512)
    guard let raw = rd_kafka_new(RD_KAFKA_CONSUMER, settings, &text, text.count) else {
      rd_kafka_conf_destroy(settings)
      throw BenchmarkError(
        "librdkafka makes no consumer: \(text.withUnsafeBufferPointer { $0.baseAddress.map { String(cString: $0) } ?? "" })"
      )
    }
    rd_kafka_poll_set_consumer(raw)
    self.raw = raw
    guard let queue = rd_kafka_queue_get_consumer(raw) else { throw BenchmarkError("the consumer has no queue") }
    self.queue = queue
  }

  deinit {
    rd_kafka_queue_destroy(queue)
    rd_kafka_destroy_flags(raw, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE)
  }

  /// - Parameter took: told of each batch how many records it had; false ends it.
  /// - Returns: how many records there were, fewer than asked for when none came for half a minute.
  func read(_ topic: String, partitions: Int32, records: Int, took: (Int) -> Bool) throws -> Int {
    let list = rd_kafka_topic_partition_list_new(partitions)
    defer { rd_kafka_topic_partition_list_destroy(list) }
    for partition in 0..<partitions { rd_kafka_topic_partition_list_add(list, topic, partition).pointee.offset = 0 }
    guard rd_kafka_assign(raw, list) == RD_KAFKA_RESP_ERR_NO_ERROR else {
      throw BenchmarkError("cannot assign \(topic)")
    }
    var messages = [UnsafeMutablePointer<rd_kafka_message_t>?](repeating: nil, count: 10_000)
    var count = 0
    var idleSince = monotonicSeconds()
    while count < records {
      // As our consumer does: one call for the first, one for all that are there.
      var got = rd_kafka_consume_batch_queue(queue, 100, &messages, 1)
      if got > 0 {
        let rest = messages.withUnsafeMutableBufferPointer { buffer in
          rd_kafka_consume_batch_queue(queue, 0, buffer.baseAddress.map { $0 + 1 }, buffer.count - 1)
        }
        got += max(0, rest)
      }
      let before = count
      for index in 0..<max(0, got) {
        guard let message = messages[index] else { continue }
        if message.pointee.err == RD_KAFKA_RESP_ERR_NO_ERROR { count += 1 }
        rd_kafka_message_destroy(message)
      }
      guard took(count - before) else { break }
      if got > 0 {
        idleSince = monotonicSeconds()
      } else if monotonicSeconds() - idleSince > 30 {
        break
      }
    }
    return count
  }
}
