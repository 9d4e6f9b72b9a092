// The partitioners against an independent reckoning and against where a producer's records really go.

import Kafka
import Testing

/// murmur2 as in the Java client, written plainly.
private func murmur2(_ data: [UInt8]) -> UInt32 {
  let m: UInt32 = 0x5bd1_e995
  var h: UInt32 = 0x9747_b28c ^ UInt32(data.count)
  var index = 0
  while data.count - index >= 4 {
    var k = UInt32(data[index]) | UInt32(data[index + 1]) << 8 | UInt32(data[index + 2]) << 16
    k |= UInt32(data[index + 3]) << 24
    k = k &* m
    k ^= k >> 24
    k = k &* m
    h = h &* m
    h ^= k
    index += 4
  }
  let rest = data.count - index
  if rest == 3 { h ^= UInt32(data[index + 2]) << 16 }
  if rest >= 2 { h ^= UInt32(data[index + 1]) << 8 }
  if rest >= 1 {
    h ^= UInt32(data[index])
    h = h &* m
  }
  h ^= h >> 13
  h = h &* m
  h ^= h >> 15
  return h
}

extension KafkaTests {
  @Suite struct Partitioners {
    /// The values that the tests of the Java client assert.
    @Test func oracleAgreesWithJava() {
      let expected: [(String, Int32)] = [
        ("21", -973_932_308), ("foobar", -790_332_482), ("a-little-bit-long-string", -985_981_536),
        ("a-little-bit-longer-string", -1_486_304_829),
        ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971), ("abc", 479_470_107),
      ]
      for (text, hash) in expected { #expect(Int32(bitPattern: murmur2(Array(text.utf8))) == hash) }
    }

    @Test func murmur2OfRandomKeys() {
      var generator = SplitMix64(state: 7)
      for _ in 0..<10_000 {
        let key = (0..<Int.random(in: 0...40, using: &generator)).map { _ in
          UInt8.random(in: 0 ... .max, using: &generator)
        }
        let count = Int32.random(in: 1...64, using: &generator)
        let expected = Int32(murmur2(key) & 0x7FFF_FFFF) % count
        key.withUnsafeBytes { bytes in
          #expect(Partitioner.murmur2.partition(forKey: bytes, count: count) == expected)
          #expect(Partitioner.murmur2Random.partition(forKey: bytes, count: count) == expected)
        }
      }
    }

    @Test func everyPartitionerStaysInRange() {
      for partitioner in Partitioner.allCases {
        "customer-1".withBytes { key in
          for count in Int32(1)...20 {
            let partition = partitioner.partition(forKey: key, count: count) ?? -1
            #expect((0..<count).contains(partition))
          }
          #expect(partitioner.partition(forKey: key, count: 0) == nil)
        }
      }
    }

    @Test func producerUsesMurmur2() throws {
      let broker = try TestBroker()
      let topic = try broker.newTopic("partitioned", partitionCount: 7)
      let producer = try broker.producer()
      for index in 0..<100 { try producer.send(topic, key: "customer-\(index)", value: "v") }
      try producer.flush(timeoutMilliseconds: 30_000)
      let consumer = try broker.consumer()
      var seen = 0
      for partition in Int32(0)..<7 {
        for record in try consumer.readToEnd(TopicPartition(topic, partition)).records {
          let expected = try #require(record.key).withBytes { Partitioner.murmur2.partition(forKey: $0, count: 7) }
          #expect(record.partition == expected)
          seen += 1
        }
      }
      #expect(seen == 100)
    }
  }
}

/// A small seeded generator.
struct SplitMix64: RandomNumberGenerator {
  var state: UInt64
  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }
}
