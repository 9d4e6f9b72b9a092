// Topics that are deleted under a running daemon: it ends and says so, and is not upset by a broker that has just started.

import CheckpointTesting
import Configuration
import Daemon
import Events
import Simulation
import Testing

@Suite struct MissingTopicsTests {
  /// Looks at the sources, one every five seconds of simulated time; `missing` says what each does not find.
  private func run(_ missing: [[String]]) throws -> (end: DataPlaneEnd, looks: Int) {
    let cluster = FakeCluster(topics: ["a", "b"], partitions: 1)
    var settings = DataPlaneSettings(
      configuration: try cluster.configuration(.exactlyOnce), factory: CountingFactory(topics: 2),
      log: Log(level: .error) { _, _ in })
    settings.disk = ModelDisk(seed: 1)
    var taken = 0
    let end = try cluster.run(settings, FakeFaults(seed: 1, callsLeft: 1_000_000)) { bystander in
      for names in missing {
        let now = Instant(microseconds: bystander.scheduler.now + 1_000_000_000)
        let isInput = names.contains("a")
        bystander.looks.post(
          SourceLook(ends: isInput ? [] : [[0], [0]], partitionCounts: [1, 1], missing: names, at: now))
        bystander.scheduler.sleep(microseconds: 5_000_000)
        if bystander.published.read().phase != .running { break }
        taken += 1
      }
      bystander.stop.stop()
    }
    return (end, taken)
  }

  @Test("an input or output that stays away for 20 s ends the run, by name", arguments: ["a", "tag-changes"])
  func gone(topic: String) throws {
    let (end, looks) = try run(Array(repeating: [topic], count: 12))
    #expect(end.status == .badTopics)
    #expect(end.reason.contains("do not know \(topic) any more"), "\(end.reason)")
    #expect(looks == 4, "\(looks) looks")
  }

  @Test("a topic that comes back was never gone", arguments: ["a", "tag-changes"]) func comesBack(topic: String) throws
  {
    let away = Array(repeating: [topic], count: 4)
    let (end, looks) = try run(away + [[]] + away + [["other"]] + away)
    #expect(end == DataPlaneEnd(.ok))
    #expect(looks == 14)
  }
}
