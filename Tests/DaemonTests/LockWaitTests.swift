// Members that share `state.dir`: a partition whose directory the last owner still holds is waited for, the others run.

import Checkpoint
import CheckpointTesting
import Configuration
import Daemon
import Engine
import Events
import Handoff
import Kafka
import Simulation
import Synchronization
import Testing

/// The other process, which holds the lock of partition 1 until it is told to let go.
private final class Holder: Sendable {
  private let lock: Mutex<(any DiskLock)?>
  private let lines = Mutex<[String]>([])

  init(_ disk: ModelDisk) throws {
    try disk.createDirectories("/state/g/p1")
    lock = Mutex(try disk.lock("/state/g/p1/lock"))
  }
  func release() { lock.withLock { $0 = nil } }
  func hear(_ line: String) { lines.withLock { $0.append(line) } }
  func heard(_ text: String) -> Bool { lines.withLock { $0.contains { $0.contains(text) } } }
}

@Suite struct LockWaitTests {
  private func run(
    _ delivery: Configuration.Delivery, _ cluster: FakeCluster, _ disk: ModelDisk, _ holder: Holder, releases: Bool
  ) throws -> DataPlaneEnd {
    var settings = DataPlaneSettings(
      configuration: try cluster.configuration(delivery, state: "lock_wait: 3s"), factory: CountingFactory(topics: 2),
      log: Log(level: .info) { _, line in
        holder.hear(line)
        if releases, line.contains("still holds") { holder.release() }
      })
    settings.disk = disk
    return try cluster.run(settings, FakeFaults(seed: 1))
  }

  private func cluster() -> FakeCluster {
    let cluster = FakeCluster(topics: ["a", "b"], partitions: 2)
    for topic in 0..<2 {
      for partition in 0..<2 {
        cluster.inputs[topic][partition] = (0..<50).map { FakeCluster.Record(key: [107], value: Array("\($0)".utf8)) }
      }
    }
    return cluster
  }

  @Test("a partition is read as soon as its last owner lets go", arguments: Configuration.Delivery.allCases)
  func released(delivery: Configuration.Delivery) throws {
    let cluster = cluster()
    let disk = ModelDisk(seed: 1)
    let holder = try Holder(disk)
    #expect(try run(delivery, cluster, disk, holder, releases: true) == DataPlaneEnd(.ok))
    #expect(holder.heard("partition 1: another tidewatch process still holds /state/g/p1"))
    #expect(holder.heard("partition 1: its directory is free"))
    #expect(cluster.outputs.count == 200 && Set(cluster.outputs.map(\.id)).count == 200)
  }

  @Test("after lock_wait it halts and says so; the others were read", arguments: Configuration.Delivery.allCases)
  func kept(delivery: Configuration.Delivery) throws {
    let cluster = cluster()
    let disk = ModelDisk(seed: 1)
    let holder = try Holder(disk)
    let end = try run(delivery, cluster, disk, holder, releases: false)
    #expect(end.status == .halted)
    #expect(end.reason.contains("/state/g/p1 is in use by another tidewatch process"), "\(end.reason)")
    #expect(end.reason.contains("state.lock_wait"), "\(end.reason)")
    #expect(cluster.outputs.count == 100)
    #expect(cluster.outputs.allSatisfy { $0.id.hasPrefix("0-") })
    // Nothing of it was touched: the next run has it all.
    holder.release()
    #expect(try run(delivery, cluster, disk, holder, releases: false) == DataPlaneEnd(.ok))
    #expect(cluster.outputs.count == 200)
  }
}
