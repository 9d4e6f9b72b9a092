// The records that go in: for the counting logic numbers, for the engine events of a small shop.

import CheckpointTesting
import Events
import Kafka

/// Makes records from a seed. Each key is of the partition that murmur2 gives it.
struct Shop {
  private let scenario: Scenario
  private var random: SeededGenerator
  /// By partition.
  private var customers: [[[UInt8]]]
  private var count = 0

  init(_ scenario: Scenario) {
    self.scenario = scenario
    random = SeededGenerator(seed: scenario.seed ^ 0x7368_6F70)
    customers = Array(repeating: [], count: Int(scenario.partitions))
    var number = 0
    while customers.contains(where: { $0.count < 6 }) {
      number += 1
      let key = Array("c\(number)".utf8)
      let partition = key.withUnsafeBytes { Partitioner.murmur2.partition(forKey: $0, count: scenario.partitions) } ?? 0
      customers[Int(partition)].append(key)
    }
  }

  /// - Parameter time: of the event; its broker timestamp is the same or later.
  mutating func next(at time: Instant) -> (partition: Int32, topic: Int, key: [UInt8]?, value: [UInt8]) {
    count += 1
    let partition = Int.random(in: customers.indices, using: &random)
    let key = customers[partition][Int.random(in: customers[partition].indices, using: &random)]
    let topic = Int.random(in: 0..<scenario.topics, using: &random)
    let value: String
    switch scenario.logic {
    case .counting: value = Int.random(in: 0..<17, using: &random) == 0 ? "bad" : "\(count)"
    case .engine: value = event(key: String(decoding: key, as: UTF8.self), at: time)
    }
    return (Int32(partition), topic, key, Array(value.utf8))
  }

  private mutating func event(key: String, at time: Instant) -> String {
    let milliseconds = time.microseconds / 1_000
    let start = "{\"id\":\"e\(count)\",\"customer\":\"\(key)\",\"ts\":\(milliseconds)"
    let order = Int.random(in: 1...max(1, count / 3), using: &random)
    switch Int.random(in: 0..<20, using: &random) {
    case 0..<7:
      let amount = Int.random(in: 5...900, using: &random)
      return "\(start),\"type\":\"order_paid\",\"order\":\"o\(count)\",\"amount\":\(amount),\"currency\":\"CNY\"}"
    case 7: return "\(start),\"type\":\"order_refunded\",\"order\":\"o\(order)\",\"amount\":5,\"currency\":\"CNY\"}"
    case 8: return "\(start),\"type\":\"support_ticket\"}"
    case 9: return "\(start),\"type\":\"no"
    case 10..<13: return "\(start),\"type\":\"add_to_cart\",\"product\":\"p\(order)\",\"category\":\"a/\(order % 4)\"}"
    default: return "\(start),\"type\":\"product_view\",\"product\":\"p\(order)\",\"category\":\"a/\(order % 4)\"}"
    }
  }
}
