// Other rules than those a state was made with: taken over, and said.

import CheckpointTesting
import Configuration
import Daemon
import Simulation
import Synchronization
import Testing

@Suite struct ChangedRulesTests {
  private final class Heard: Sendable {
    let lines = Mutex<[String]>([])
  }

  /// What the log says of rules when a state made with revision 3 is restored with these.
  private func restored(revision: UInt64, fingerprint: String) throws -> [String] {
    let cluster = FakeCluster(topics: ["a"], partitions: 1)
    cluster.inputs[0][0] = (0..<20).map { FakeCluster.Record(key: [107], value: Array("\($0)".utf8)) }
    let disk = ModelDisk(seed: 1)
    let heard = Heard()
    func life(_ revision: UInt64, _ fingerprint: String) throws {
      var versions = TaskVersions()
      versions.rulesRevision = revision
      versions.rulesFingerprint = fingerprint
      var settings = DataPlaneSettings(
        configuration: try cluster.configuration(.exactlyOnce), factory: CountingFactory(topics: 1, versions: versions),
        log: Log(level: .info) { level, line in heard.lines.withLock { $0.append("\(level): \(line)") } })
      settings.disk = disk
      #expect(try cluster.run(settings, FakeFaults(seed: 1, callsLeft: 100_000)) == DataPlaneEnd(.ok))
    }
    try life(3, "aaaa")
    try life(revision, fingerprint)
    return heard.lines.withLock { $0.filter { $0.contains("the rules are not those") } }
  }

  @Test func theSameRulesAreNoNews() throws { #expect(try restored(revision: 3, fingerprint: "aaaa") == []) }

  @Test func aLaterRevisionIsSaid() throws {
    let said = try restored(revision: 4, fingerprint: "bbbb")
    #expect(said.count == 1)
    #expect(said.first?.contains("now revision 4, bbbb") == true && said.first?.contains("Raise") == false)
  }

  @Test func theSameRevisionIsAWarning() throws {
    let said = try restored(revision: 3, fingerprint: "bbbb")
    #expect(said.count == 1)
    #expect(said.first?.contains("Raise `revision`") == true, "\(said)")
  }

  /// How a run ends that finds a state of this zone, and what it logs as errors.
  private func end(zone before: String, then now: String) throws -> (end: DataPlaneEnd, errors: [String]) {
    let cluster = FakeCluster(topics: ["a"], partitions: 1)
    cluster.inputs[0][0] = (0..<20).map { FakeCluster.Record(key: [107], value: Array("\($0)".utf8)) }
    let disk = ModelDisk(seed: 1)
    let heard = Heard()
    func life(_ zone: String) throws -> DataPlaneEnd {
      var versions = TaskVersions()
      versions.timeZone = zone
      var settings = DataPlaneSettings(
        configuration: try cluster.configuration(.exactlyOnce), factory: CountingFactory(topics: 1, versions: versions),
        log: Log(level: .info) { level, line in heard.lines.withLock { $0.append("\(level): \(line)") } })
      settings.disk = disk
      return try cluster.run(settings, FakeFaults(seed: 1, callsLeft: 100_000))
    }
    #expect(try life(before) == DataPlaneEnd(.ok))
    let end = try life(now)
    return (end, heard.lines.withLock { $0.filter { $0.contains("time_zone") } })
  }

  @Test("days of two zones are never added up") func anotherTimeZoneHalts() throws {
    let (end, errors) = try end(zone: "UTC tz-1", then: "Asia/Shanghai tz-2")
    #expect(end.status == .halted, "\(end)")
    #expect(errors.first?.contains("counts days of UTC, and the configuration says Asia/Shanghai") == true, "\(errors)")
  }

  @Test(arguments: ["Etc/UTC tz-1", "UTC tz-3", "UTC tz-1"]) func theSameZoneGoesOn(zone: String) throws {
    let (end, errors) = try end(zone: "UTC tz-1", then: zone)
    #expect(end == DataPlaneEnd(.ok) && errors.isEmpty)
  }
}
