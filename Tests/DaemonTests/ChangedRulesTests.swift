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
}
