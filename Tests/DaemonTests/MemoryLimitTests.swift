// `state.memory_limit` in the data plane: reading stops at the limit with everything committed, whatever the group and the
// broker do meanwhile, and goes on where it stopped.

import Checkpoint
import CheckpointTesting
import Configuration
import Daemon
import Events
import Simulation
import Synchronization
import Testing

/// What the log said, and how large the state of one record is.
private final class Watch: Sendable {
  private let lines = Mutex<[String]>([])
  private let size: Mutex<Int>
  init(bytesPerRecord: Int = 100) { size = Mutex(bytesPerRecord) }

  func hear(_ line: String) { lines.withLock { $0.append(line) } }
  func count(_ text: String) -> Int { lines.withLock { $0.count { $0.contains(text) } } }
  var pauses: Int { count("memory limit reached") }
  var resumptions: Int { count("reading goes on") }
  var bytesPerRecord: Int { size.withLock { $0 } }
  func halve() { size.withLock { $0 /= 2 } }
}

private func cluster(_ records: Int, partitions: Int32 = 1) -> FakeCluster {
  let cluster = FakeCluster(topics: ["a", "b"], partitions: partitions)
  for partition in 0..<Int(partitions) { add(records, to: cluster, partition) }
  return cluster
}

private func add(_ records: Int, to cluster: FakeCluster, _ partition: Int) {
  for topic in 0..<2 {
    cluster.inputs[topic][partition] += (0..<records).map { number in
      FakeCluster.Record(key: [107], value: Array("\(number)".utf8))
    }
  }
}

/// Settings in which 200 records fill 20 kB. No life has more calls of ports than `FakeFaults` is given here.
private func settings(
  _ delivery: Configuration.Delivery, _ cluster: FakeCluster, _ disk: ModelDisk, _ watch: Watch, limit: Int = 20_000,
  maxEvents: Int = 7, hear: @escaping @Sendable (String) -> Void = { _ in }
) throws -> DataPlaneSettings {
  var factory = CountingFactory(topics: 2)
  factory.bytesPerRecord = { watch.bytesPerRecord }
  var settings = DataPlaneSettings(
    configuration: try cluster.configuration(delivery), factory: factory,
    log: Log(level: .info) { _, line in
      watch.hear(line)
      hear(line)
    })
  settings.configuration.state.memoryLimit = limit
  settings.configuration.epoch.maxEvents = maxEvents
  settings.disk = disk
  return settings
}

private let mostCalls = 50_000

/// Waits, at most a minute of simulated time.
private func wait(_ bystander: FakeCluster.Bystander, until isTrue: () -> Bool) {
  for _ in 0..<6_000 where !isTrue() { bystander.scheduler.sleep(microseconds: 10_000) }
}

/// Every input has its output, once under exactly_once.
private func check(_ cluster: FakeCluster, _ delivery: Configuration.Delivery, _ label: String = "") {
  let count = cluster.inputs.joined().reduce(0) { $0 + $1.count }
  #expect(Set(cluster.outputs.map(\.id)).count == count, "\(label)")
  if delivery == .exactlyOnce { #expect(cluster.outputs.count == count, "\(label)") }
}

@Suite struct MemoryLimitTests {
  @Test("a bounded run ends with the reason, and a higher limit goes on", arguments: Configuration.Delivery.allCases)
  func halts(delivery: Configuration.Delivery) throws {
    for seed in 1...10 as ClosedRange<UInt64> {
      let cluster = cluster(400)
      let disk = ModelDisk(seed: seed)
      let watch = Watch()
      // Seen between two polls; or, where an epoch takes more, in the middle of a batch.
      let maxEvents = seed % 2 == 0 ? 7 : 1_000
      let end = try cluster.run(
        settings(delivery, cluster, disk, watch, maxEvents: maxEvents), FakeFaults(seed: seed, callsLeft: mostCalls))
      #expect(end.status == .halted, "seed \(seed)")
      #expect(end.reason.hasPrefix("memory limit reached: "), "\(end.reason)")
      #expect(end.reason.hasSuffix(" of 20000 bytes; raise state.memory_limit or add a member"), "\(end.reason)")
      #expect(watch.pauses == 1 && watch.resumptions == 0)
      // No more than the limit allows, give or take what is applied between two looks; at least 95 % of it.
      #expect((190...270).contains(cluster.outputs.count), "seed \(seed): \(cluster.outputs.count)")
      #expect(cluster.committed.values.reduce(0) { $0 + Int($1.offset) } == Set(cluster.outputs.map(\.id)).count)

      let second = Watch()
      let all = try cluster.run(
        settings(delivery, cluster, disk, second, limit: 100_000), FakeFaults(seed: seed, callsLeft: mostCalls))
      #expect(all == DataPlaneEnd(.ok) && second.pauses == 0)
      check(cluster, delivery, "seed \(seed)")
    }
  }

  @Test("reading goes on where it stopped when there is room again", arguments: Configuration.Delivery.allCases)
  func goesOn(delivery: Configuration.Delivery) throws {
    for seed in 1...10 as ClosedRange<UInt64> {
      let cluster = cluster(400)
      let watch = Watch()
      let end = try cluster.run(
        settings(delivery, cluster, ModelDisk(seed: seed), watch) { line in
          if line.contains("memory limit reached") { watch.halve() }
        }, FakeFaults(seed: seed, callsLeft: mostCalls))
      #expect(end == DataPlaneEnd(.ok), "seed \(seed)")
      #expect(watch.pauses >= 2 && watch.pauses == watch.resumptions, "seed \(seed)")
      check(cluster, delivery, "seed \(seed)")
    }
  }

  @Test("more state than the limit allows: it starts, waits through rebalances and stops in good order")
  func startsBeyondTheLimit() throws {
    for (seed, delivery) in (1...10 as ClosedRange<UInt64>).flatMap({ seed in
      Configuration.Delivery.allCases.map { (seed, $0) }
    }) {
      let cluster = cluster(150)
      let disk = ModelDisk(seed: seed)
      let first = FakeFaults(seed: seed, callsLeft: mostCalls)
      #expect(try cluster.run(settings(delivery, cluster, disk, Watch(), limit: 0), first) == DataPlaneEnd(.ok))
      disk.crash()
      add(50, to: cluster, 0)

      let watch = Watch()
      let faults = FakeFaults(seed: seed, callsLeft: mostCalls)
      faults.rebalancePercent = 10
      var reasons: [String] = []
      let end = try cluster.run(settings(delivery, cluster, disk, watch), faults) { bystander in
        wait(bystander) { watch.pauses > 0 }
        bystander.scheduler.sleep(microseconds: 5_000_000)
        reasons = bystander.published.read().reasons.filter { $0.code == "memory_limit" }.map(\.detail)
        bystander.stop.stop()
      }
      #expect(end == DataPlaneEnd(.ok), "seed \(seed): \(end)")
      #expect(
        reasons == ["memory limit reached: 30000 of 20000 bytes; raise state.memory_limit or add a member"]
          // In the middle of a rebalance nothing is held.
          || reasons == ["memory limit reached: 0 of 20000 bytes; raise state.memory_limit or add a member"],
        "\(reasons)")
      #expect(watch.pauses == 1 && watch.resumptions == 0, "said once")
      #expect(watch.count("assigned: partitions") > 1, "nothing was learnt about rebalances")
      #expect(cluster.outputs.count == 300, "nothing was read")

      let last = FakeFaults(seed: seed, callsLeft: mostCalls)
      #expect(try cluster.run(settings(delivery, cluster, disk, Watch(), limit: 0), last) == DataPlaneEnd(.ok))
      check(cluster, delivery, "seed \(seed)")
    }
  }

  @Test("a partition that is assigned meanwhile waits too; when others take the large ones, reading goes on")
  func assignedMeanwhile() throws {
    for (seed, delivery) in (1...10 as ClosedRange<UInt64>).flatMap({ seed in
      Configuration.Delivery.allCases.map { (seed, $0) }
    }) {
      let cluster = cluster(200, partitions: 2)
      cluster.assigned = [0]
      let disk = ModelDisk(seed: seed)
      let watch = Watch()
      func outputs(_ partition: Int) -> Int { cluster.outputs.count { $0.id.hasPrefix("\(partition)-") } }
      var meanwhile = -1
      let end = try cluster.run(
        settings(delivery, cluster, disk, watch), FakeFaults(seed: seed, callsLeft: mostCalls)
      ) { bystander in
        wait(bystander) { watch.pauses > 0 }
        cluster.assigned = [0, 1]
        cluster.isRebalanceDue = true
        wait(bystander) { watch.count("assigned: partitions 0, 1") > 0 }
        bystander.scheduler.sleep(microseconds: 5_000_000)
        meanwhile = outputs(1)
        cluster.assigned = [1]
        cluster.isRebalanceDue = true
        // Of what fills the limit alone.
        wait(bystander) { outputs(1) >= 150 }
        bystander.stop.stop()
      }
      #expect(end == DataPlaneEnd(.ok), "seed \(seed): \(end)")
      #expect(meanwhile == 0, "seed \(seed): partition 1 was read")
      #expect(outputs(1) >= 150 && watch.resumptions == 1, "seed \(seed): \(outputs(1))")
      #expect((190...270).contains(outputs(0)), "seed \(seed): \(outputs(0))")

      cluster.assigned = [0, 1]
      let last = FakeFaults(seed: seed, callsLeft: mostCalls)
      #expect(try cluster.run(settings(delivery, cluster, disk, Watch(), limit: 0), last) == DataPlaneEnd(.ok))
      check(cluster, delivery, "seed \(seed)")
    }
  }

  /// The clock, in seconds of the wall, of the newest saved epoch, and when the daemon was stopped: a minute after it had
  /// read everything, while the look at the sources says so.
  private func clockAfterAMinute(limit: Int) throws -> (saved: Int64, stopped: Int64) {
    let cluster = cluster(100)
    let disk = ModelDisk(seed: 1)
    let watch = Watch()
    var stopped: Int64 = 0
    let end = try cluster.run(
      settings(.exactlyOnce, cluster, disk, watch, limit: limit), FakeFaults(seed: 1, callsLeft: 1_000_000)
    ) { bystander in
      wait(bystander) { cluster.outputs.count == 200 }
      for _ in 0..<60 {
        bystander.scheduler.sleep(microseconds: 1_000_000)
        let now = Instant(microseconds: bystander.scheduler.now + 1_000_000_000)
        bystander.looks.post(SourceLook(ends: [[100], [100]], partitionCounts: [1, 1], at: now))
      }
      stopped = bystander.scheduler.now / 1_000_000 + 1_000
      bystander.stop.stop()
    }
    #expect(end == DataPlaneEnd(.ok))
    #expect(watch.pauses == (limit > 0 ? 1 : 0))
    let store = try PartitionStore(opening: "/state/g/p0", on: disk)
    let newest = try #require(store.newestEpoch)
    return (try store.block(of: newest).header.clock / 1_000_000, stopped)
  }

  @Test("the clock stands while nothing is read, even where everything was read") func clockStands() throws {
    let free = try clockAfterAMinute(limit: 0)
    #expect(free.saved >= free.stopped - 2, "it follows the wall otherwise")
    // Full with the last record.
    let full = try clockAfterAMinute(limit: 20_000)
    #expect(full.saved <= full.stopped - 55)
  }

  @Test(
    "deaths, aborts and rebalances at the limit lose nothing", arguments: Configuration.Delivery.allCases,
    0..<60 as Range<UInt64>)
  func survives(delivery: Configuration.Delivery, seed: UInt64) throws {
    var random = SeededGenerator(seed: seed)
    let cluster = cluster(60, partitions: 2)
    let disk = ModelDisk(seed: seed)
    var pauses = 0
    for life in 0..<5 {
      let faults = FakeFaults(
        seed: seed &* 1_000 &+ UInt64(life), callsLeft: Int.random(in: 100...2_000, using: &random))
      faults.retryPercent = Int.random(in: 0...10, using: &random)
      faults.abortPercent = Int.random(in: 0...5, using: &random)
      faults.rebalancePercent = Int.random(in: 0...10, using: &random)
      let watch = Watch()
      var settings = try settings(
        delivery, cluster, disk, watch, limit: Int.random(in: 1...5, using: &random) * (life + 1) * 1_000,
        maxEvents: Bool.random(using: &random) ? 7 : 1_000)
      settings.configuration.state.rewriteMinimumBytes = 600
      let end = try cluster.run(settings, faults)
      #expect(end.status != .stateRefused, "life \(life): \(end.reason)")
      if end.status == .halted { #expect(end.reason.contains("memory limit"), "life \(life): \(end.reason)") }
      pauses += watch.pauses
      if Bool.random(using: &random) { disk.crash() } else { disk.killProcess() }
    }
    #expect(pauses > 0, "no life came to its limit")
    let last = FakeFaults(seed: seed, callsLeft: mostCalls)
    #expect(try cluster.run(settings(delivery, cluster, disk, Watch(), limit: 0), last) == DataPlaneEnd(.ok))
    check(cluster, delivery, "seed \(seed)")
  }
}
