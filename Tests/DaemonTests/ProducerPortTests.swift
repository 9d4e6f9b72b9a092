// The producer's port over librdkafka, against the embedded broker, or a real one when TIDEWATCH_TEST_BOOTSTRAP names it.

import Daemon
import Foundation
import Kafka
import Testing

@Suite struct ProducerPortTests {
  @Test("what is discarded is never seen, and what comes after it is, once and in order") func discard() throws {
    let broker = try TestBroker()
    let topic = TestBroker.uniqueName("discard")
    try broker.createTopic(topic, partitionCount: 1)
    let kafka = try broker.configuration()
    var options = ProducerOptions(.idempotent)
    let port = try KafkaProducerPort { () throws(KafkaError) in try Producer(kafka, options) }
    try produce(0..<5, port, topic)
    try port.flush(timeoutMilliseconds: 20_000)
    // Acknowledged: nothing to give up.
    try port.discardUnacknowledged()

    // Of a producer that waits for more: still here when it is given up.
    options.lingerMilliseconds = 60_000
    let slow = try KafkaProducerPort { () throws(KafkaError) in try Producer(kafka, options) }
    try produce(5..<10, slow, topic)
    try slow.discardUnacknowledged()
    #expect(slow.takeDeliveryReport() == DeliveryReport(delivered: 0, failed: 0, firstFailure: nil))
    try produce(10..<15, slow, topic)
    try slow.flush(timeoutMilliseconds: 20_000)
    #expect(slow.takeDeliveryReport().delivered == 5)

    #expect(try read(topic, broker) == (Array(0..<5) + Array(10..<15)).map(String.init))
  }

  private func produce(_ numbers: Range<Int>, _ port: KafkaProducerPort, _ topic: String) throws {
    for number in numbers {
      try Array("\(number)".utf8).withUnsafeBytes { value in
        try port.produce(OutputRecord(topic: topic, key: nil, value: value, headers: []))
      }
    }
  }

  /// Everything in the topic.
  private func read(_ topic: String, _ broker: TestBroker) throws -> [String] {
    let consumer = try Consumer(broker.configuration(), ConsumerOptions(groupID: topic + "-reader"))
    try consumer.assign([PartitionOffset(topic, 0, offset: 0)])
    var batch = MessageBatch()
    var values: [String] = []
    var hasEnded = false
    let deadline = Date() + 40
    while !hasEnded, Date() < deadline {
      _ = try consumer.poll(into: &batch, timeoutMilliseconds: 100)
      for index in 0..<batch.count {
        let item = batch[index]
        if item.kind == .endOfPartition { hasEnded = true }
        if item.isRecord { values.append(item.value.map { String(decoding: $0, as: UTF8.self) } ?? "") }
      }
    }
    batch.release()
    try consumer.close()
    try #require(hasEnded)
    return values
  }
}
