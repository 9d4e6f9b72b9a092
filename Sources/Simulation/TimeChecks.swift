// That nothing is said later than it became true plus the time it took to heal. For the real engine under the wall's clock.

import Checkpoint
import CheckpointTesting
import Events
import Foundation
import Kafka

struct TimeChecks {
  // Names as in the records.
  // swift-format-ignore: AlwaysUseLowerCamelCase
  private struct Said: Decodable {
    struct Cause: Decodable {
      var kind: String
    }
    var cause: Cause
    var status: String?
    var crossed_at: String?
    var effective_at: String?
    var emitted_at: String
  }

  private let world: World
  /// What rebalances may still take after everything was read, in wall microseconds.
  private let allowance: Int64

  init(_ world: World) {
    self.world = world
    allowance = 30_000_000 * world.wallRate
  }

  func check() {
    checkClocks()
    for output in world.kafka.visibleOutputs where output.topic == "churn-alerts" || output.topic == "tag-changes" {
      guard let said = try? JSONDecoder().decode(Said.self, from: Data(output.value)) else {
        world.journal.violate("time", "\(output.topic) \(output.id) is not what it should be")
        continue
      }
      // What an event changed came when the event came.
      guard said.cause.kind == "time", said.status ?? "raised" == "raised" else { continue }
      world.journal.note("time: \(output.topic) by silence")
      guard let due = instant(said.crossed_at ?? said.effective_at), let emitted = instant(said.emitted_at) else {
        world.journal.violate("time", "\(output.topic) \(output.id) has no times")
        continue
      }
      if emitted > max(due, world.healedAt) + allowance {
        world.journal.violate(
          "time",
          "\(output.topic) \(output.id) became true at \(due) and was said at \(emitted), healed at \(world.healedAt)")
      }
    }
  }

  /// The committed state has reached the end: whatever was due until then has been said.
  private func checkClocks() {
    let disks = world.members.map(\.disk)
    for partition in 0..<world.scenario.partitions {
      let topic = TopicPartition(world.kafka.topics[0], partition)
      guard let tag = world.kafka.committed[topic].flatMap({ EpochTag($0.metadata) }) else { continue }
      for disk in disks {
        let directory = Checks.directory(partition)
        guard let store = try? PartitionStore(opening: directory, on: disk.afterCrash(losingEverything: true, seed: 1)),
          let block = try? store.block(of: tag.epoch)
        else { continue }
        // A task that was never given an event has no time yet.
        let isBegun = block.header.clock > World.firstInstant.microseconds
        if isBegun, block.header.clock < world.stoppedAt - 20_000_000 * world.wallRate {
          world.journal.violate(
            "time",
            "partition \(partition): the clock stands at \(block.header.clock), the members stopped at \(world.stoppedAt)"
          )
        }
        break
      }
    }
  }

  private func instant(_ text: String?) -> Int64? {
    guard let text else { return nil }
    let format = Date.ISO8601FormatStyle(includingFractionalSeconds: text.contains("."))
    return (try? format.parse(text)).map { Int64(($0.timeIntervalSince1970 * 1e6).rounded()) }
  }
}
