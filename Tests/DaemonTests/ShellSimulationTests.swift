// The shell under a thousand deaths: aborts, time-outs, lost assignments, crashes of process and machine, on a disk that
// loses and tears. Whatever happens, every input has its output, once (exactly_once) or with the same id (at_least_once).

import Checkpoint
import CheckpointTesting
import Configuration
import Daemon
import Engine
import Events
import Handoff
import Kafka
import Simulation
import Testing

@Suite struct ShellSimulationTests {
  @Test(arguments: Configuration.Delivery.allCases, 0..<150 as Range<UInt64>)
  func survives(delivery: Configuration.Delivery, seed: UInt64) throws {
    var random = SeededGenerator(seed: seed)
    let cluster = FakeCluster(topics: ["a", "b"], partitions: 2)
    let disk = ModelDisk(seed: seed)
    var produced = 0
    func produce(_ count: Int) {
      for number in produced..<produced + count {
        let partition = number % 2
        let record = FakeCluster.Record(
          key: Array("k\(partition)-\(number / 2 % 5)".utf8),
          value: Array(number % 17 == 16 ? "bad".utf8 : "\(number)".utf8))
        cluster.inputs[Int.random(in: 0..<2, using: &random)][partition].append(record)
      }
      produced += count
    }

    for life in 0..<Int.random(in: 2...6, using: &random) {
      produce(Int.random(in: 0...60, using: &random))
      let faults = FakeFaults(
        seed: seed &* 1_000 &+ UInt64(life), callsLeft: Int.random(in: 1...400, using: &random))
      faults.retryPercent = Int.random(in: 0...20, using: &random)
      faults.abortPercent = Int.random(in: 0...10, using: &random)
      faults.rebalancePercent = Int.random(in: 0...10, using: &random)
      if Int.random(in: 0..<3, using: &random) == 0 {
        let stopAfter = Int.random(in: 1...60, using: &random)
        disk.setFaults { $0.stopAfterChanges = stopAfter }
      }
      let end = try run(delivery, cluster, disk, faults)
      #expect(end.status != .stateRefused, "life \(life): \(end.reason)")
      #expect(!end.reason.contains("in use"), "life \(life): locked out by itself: \(end.reason)")
      if Bool.random(using: &random) { disk.crash() } else { disk.killProcess() }
    }
    let end = try run(delivery, cluster, disk, FakeFaults(seed: seed))
    #expect(end == DataPlaneEnd(.ok))
    check(cluster, delivery, produced: produced)
  }

  @Test(
    "a clean end is marked: the state goes on though the group has forgotten its offsets",
    arguments: Configuration.Delivery.allCases)
  func cleanShutdown(delivery: Configuration.Delivery) throws {
    let cluster = FakeCluster(topics: ["a", "b"], partitions: 2)
    let disk = ModelDisk(seed: 1)
    cluster.inputs[0][1] = (0..<10).map { FakeCluster.Record(key: [107], value: Array("\($0)".utf8)) }
    #expect(try run(delivery, cluster, disk, FakeFaults(seed: 1)).status == .ok)
    disk.crash()
    cluster.committed = [:]
    cluster.inputs[0][1] += (10..<20).map { FakeCluster.Record(key: [107], value: Array("\($0)".utf8)) }
    #expect(try run(delivery, cluster, disk, FakeFaults(seed: 2)).status == .ok)
    #expect(cluster.outputs.count == 20)
    #expect(String(decoding: cluster.outputs[19].value, as: UTF8.self) == "20 190")
  }

  @Test("an unclean end without committed offsets halts", arguments: Configuration.Delivery.allCases)
  func forgotten(delivery: Configuration.Delivery) throws {
    let cluster = FakeCluster(topics: ["a", "b"], partitions: 2)
    let disk = ModelDisk(seed: 1)
    for topic in 0..<2 {
      for partition in 0..<2 {
        cluster.inputs[topic][partition] = (0..<200).map { FakeCluster.Record(key: [107], value: Array("\($0)".utf8)) }
      }
    }
    _ = try run(delivery, cluster, disk, FakeFaults(seed: 1, callsLeft: 150))
    disk.crash()
    cluster.committed = [:]
    let end = try run(delivery, cluster, disk, FakeFaults(seed: 2))
    #expect(end.status == .stateRefused && end.reason.contains("--adopt-disk"))
  }

  @Test("a full disk halts, with the file named") func fullDisk() throws {
    let cluster = FakeCluster(topics: ["a", "b"], partitions: 2)
    let disk = ModelDisk(seed: 1)
    cluster.inputs[0][0] = (0..<50).map { FakeCluster.Record(key: [107], value: Array("\($0)".utf8)) }
    disk.setFaults { $0.capacity = 700 }
    let end = try run(.exactlyOnce, cluster, disk, FakeFaults(seed: 1))
    #expect(end.status == .halted && end.reason.contains("/state/"))
    disk.killProcess()
    disk.setFaults { $0.capacity = nil }
    #expect(try run(.exactlyOnce, cluster, disk, FakeFaults(seed: 2)).status == .ok)
    #expect(cluster.outputs.count == 50)
  }

  @Test("a checkpoint of newer rules is refused by an older member") func olderRules() throws {
    let cluster = FakeCluster(topics: ["a", "b"], partitions: 2)
    let disk = ModelDisk(seed: 1)
    var newer = TaskVersions()
    newer.rulesRevision = 5
    #expect(try run(.exactlyOnce, cluster, disk, FakeFaults(seed: 1), versions: newer).status == .ok)
    disk.killProcess()
    let end = try run(.exactlyOnce, cluster, disk, FakeFaults(seed: 2))
    #expect(end.status == .halted && end.reason.contains("revision 5"))
  }

  @Test("an outbox that says what this version does not know is not sent in part, and not passed over")
  func newerOutbox()
    throws
  {
    let cluster = FakeCluster(topics: ["a", "b"], partitions: 2)
    let disk = ModelDisk(seed: 1)
    cluster.inputs[0][0] = (0..<10).map { FakeCluster.Record(key: [107], value: Array("\($0)".utf8)) }
    #expect(try run(.atLeastOnce, cluster, disk, FakeFaults(seed: 1)).status == .ok)
    disk.killProcess()
    let sent = cluster.outputs.count
    func appendBlock() throws {
      let store = try PartitionStore(opening: "/state/g/p0", on: disk)
      let newest = try #require(store.newestEpoch)
      try store.truncate(after: newest)
      var header = try store.block(of: newest).header
      header.epoch += 1
      header.cleanShutdown = false
      var outbox = [UInt8](repeating: 0, count: 21)
      // A topic that comes later.
      outbox[0] = 200
      _ = try store.append(header, outbox: outbox) { _ in }
      try store.sync()
    }
    try appendBlock()
    disk.killProcess()
    let end = try run(.atLeastOnce, cluster, disk, FakeFaults(seed: 2))
    #expect(end.status == .halted)
    #expect(
      end.reason.contains("/state/g/p0") && end.reason.contains("`tidewatch checkpoint inspect "), "\(end.reason)")
    #expect(cluster.outputs.count == sent)
  }

  // MARK: -

  /// One process life; it ends by itself when everything is read, or dies.
  private func run(
    _ delivery: Configuration.Delivery, _ cluster: FakeCluster, _ disk: ModelDisk, _ faults: FakeFaults,
    versions: TaskVersions = TaskVersions()
  ) throws -> DataPlaneEnd {
    var settings = DataPlaneSettings(
      configuration: try cluster.configuration(delivery),
      factory: CountingFactory(topics: 2, versions: versions), log: Log(level: .error, sink: { _, _ in }))
    settings.disk = disk
    // So small that bases are rewritten all the time.
    settings.configuration.state.rewriteMinimumBytes = 600
    return try cluster.run(settings, faults)
  }

  private func check(_ cluster: FakeCluster, _ delivery: Configuration.Delivery, produced: Int) {
    var firsts: [FakeCluster.Output] = []
    var seen: [String: FakeCluster.Output] = [:]
    for output in cluster.outputs {
      if let before = seen[output.id] {
        #expect(delivery == .atLeastOnce, "a repeat under exactly_once: \(output.id)")
        #expect(before == output, "a repeat that says something else")
      } else {
        seen[output.id] = output
        firsts.append(output)
      }
    }
    var ids = Set<String>()
    for (topic, partitions) in cluster.inputs.enumerated() {
      for (partition, log) in partitions.enumerated() {
        for offset in log.indices { ids.insert("\(partition)-\(topic)-\(offset)") }
      }
    }
    #expect(ids.count == produced && Set(seen.keys) == ids, "every input has its output, and nothing else has one")

    // The state was never wrong: each key's counts are 1, 2, 3, ... in the order of the outputs. Where a record was not
    // delivered its epoch was sent again as a whole, so under at_least_once that is the order of their last coming.
    if delivery == .atLeastOnce {
      var taken = Set<String>()
      firsts = cluster.outputs.reversed().filter { taken.insert($0.id).inserted }.reversed()
    }
    var counts: [[UInt8]: Int] = [:]
    for output in firsts where output.topic == "tag-changes" {
      let count = Int(String(decoding: output.value, as: UTF8.self).split(separator: " ")[0]) ?? -1
      #expect(count == counts[output.key, default: 0] + 1)
      counts[output.key] = count
    }
    #expect(firsts.filter { $0.topic == "dead-letters" }.count == (0..<produced).filter { $0 % 17 == 16 }.count)
  }
}
