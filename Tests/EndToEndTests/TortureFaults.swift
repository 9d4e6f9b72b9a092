// Faults around a running daemon: its disk, its directory, its input. Each ends in a message that says what to do, and
// nothing is lost once the fault is gone.

import Foundation
import Kafka
import Testing

extension CrashTests {
  @Suite(.serialized) struct Faults {
    /// How a run ended, and what it said.
    struct End: Sendable {
      var status: Int32
      var log: String
    }
    /// A way to break the ground under the daemon.
    struct Fault: Sendable {
      /// Options of a small file system for the state, if it needs one.
      var mount: String?
      /// Stopped before, started again after the fault.
      var restarts = false
      var strike: @Sendable (CrashBench) throws -> Void
      var repair: @Sendable (CrashBench) throws -> Void
    }

    /// exactly_once where there is a broker for it.
    private static let delivery: CrashDelivery = TestBroker.isReal ? .exactlyOnce : .atLeastOnce

    /// Half of a small shop is read, the fault comes, the rest comes; after the repair a last run, whose outputs are held
    /// against the replay.
    private func survive(seed: UInt64, _ fault: Fault) async throws -> (end: End, verdict: CrashVerdict) {
      let stream = try CrashStream.shop(customers: 300, seed: seed)
      let expectation = try await CrashExpectation.replaying(stream, partitions: 4)
      return try await onThread {
        let bench = try CrashBench(realBroker: TestBroker.realBootstrap, stream, delivery: Self.delivery)
        try FileManager.default.createDirectory(atPath: bench.stateDirectory, withIntermediateDirectories: true)
        if let mount = fault.mount { try Self.shell("mount -t tmpfs -o \(mount) tmpfs '\(bench.stateDirectory)'") }
        defer { if fault.mount != nil { try? Self.shell("umount -l '\(bench.stateDirectory)'") } }
        let half = stream.records.count / 2
        try bench.produce(stream.records[..<half])
        var daemon = try bench.start([])
        try daemon.wait(until: "half is committed") { (bench.committedRecords() ?? 0) >= Int64(half) }
        if fault.restarts {
          daemon.send(SIGTERM)
          _ = try daemon.wait(limitSeconds: 60)
        }
        try fault.strike(bench)
        try bench.produce(stream.records[half...])
        if fault.restarts { daemon = try bench.start([]) }
        let end = End(status: try daemon.wait(limitSeconds: 120), log: daemon.log)
        try fault.repair(bench)
        let last = try bench.start(["--stop-at-end", "--until", stream.until])
        let status = try last.wait(limitSeconds: 180)
        guard status == 0 else { throw BinaryError(description: "the last run gave \(status): \(last.log)") }
        // What a backup did not know is said again, with the same ids.
        let repeats: CrashExpectation.Repeats =
          Self.delivery == .exactlyOnce && !end.log.contains("deleted while in use") ? .never : .identical
        let verdict = expectation.compare(
          tags: try bench.read(.tags), alerts: try bench.read(.alerts), profiles: try bench.read(.profiles),
          dead: try bench.read(.dead), repeats)
        return (end, verdict)
      }
    }

    static func shell(_ command: String) throws {
      let status = system("(\(command)) >/dev/null 2>&1 </dev/null")
      guard status == 0 else { throw BinaryError(description: "`\(command)` ended with status \(status)") }
    }

    /// Whether a file system can be mounted here.
    static let canMount: Bool = {
      guard geteuid() == 0, let scratch = try? ScratchDirectory() else { return false }
      guard (try? shell("mount -t tmpfs -o size=64k tmpfs '\(scratch.url.path)'")) != nil else { return false }
      return (try? shell("umount '\(scratch.url.path)'")) != nil
    }()
    static let needsMount: Comment = "mounting a small file system needs root (and CAP_SYS_ADMIN)"

    @Test("a full disk", .enabled(if: canMount, needsMount)) func fullDisk() async throws {
      let (end, verdict) = try await survive(
        seed: 21,
        Fault(
          mount: "size=24m",
          // All that is left: somebody else's file.
          strike: { try Self.shell("dd if=/dev/zero of='\($0.stateDirectory)/others' bs=4096; true") },
          repair: { try FileManager.default.removeItem(atPath: $0.stateDirectory + "/others") }))
      #expect(end.status == 70, "\(end.log)")
      #expect(end.log.contains("/state/") && end.log.contains("No space left on device"), "\(end.log)")
      #expect(end.log.contains("Free space or enlarge the volume"), "\(end.log)")
      #expect(verdict.problems == [])
    }

    @Test("a file system that was mounted read-only", .enabled(if: canMount, needsMount)) func readOnly() async throws {
      let (end, verdict) = try await survive(
        seed: 22,
        Fault(
          mount: "size=64m", restarts: true,
          strike: { try Self.shell("mount -o remount,ro '\($0.stateDirectory)'") },
          repair: { try Self.shell("mount -o remount,rw '\($0.stateDirectory)'") }))
      #expect(end.status == 70, "\(end.log)")
      #expect(end.log.contains("Mount the volume of state.dir writable"), "\(end.log)")
      #expect(verdict.problems == [])
    }

    @Test(
      "the directory is deleted under the daemon, and comes back from a backup",
      .enabled(
        if: TestBroker.realBootstrap != nil,
        "set TIDEWATCH_TEST_BOOTSTRAP: the embedded broker takes no offsets from `recover` once a group has had members"
      ))
    func deleted() async throws {
      let (end, verdict) = try await survive(
        seed: 23,
        Fault(
          strike: { bench in
            try Self.tidewatch(["checkpoint", "backup", bench.stateDirectory, "--to", bench.scratch.path("backup")])
            try FileManager.default.removeItem(atPath: bench.stateDirectory)
          },
          repair: { bench in
            try? FileManager.default.removeItem(atPath: bench.stateDirectory)
            try FileManager.default.moveItem(atPath: bench.scratch.path("backup"), toPath: bench.stateDirectory)
            try Self.tidewatch(["recover", "--config", bench.configurationPath, "--adopt-disk", "--yes"])
          }))
      #expect(end.status == 70, "\(end.log)")
      #expect(end.log.contains("deleted while in use"), "\(end.log)")
      #expect(end.log.contains("tidewatch recover --adopt-disk"), "\(end.log)")
      #expect(verdict.problems == [])
    }

    private static func tidewatch(_ arguments: [String]) throws {
      var outcome = try Binary.runBlocking(
        Binary.path.get(), arguments, environment: [:], in: Binary.package, limitSeconds: 120)
      // What it asks for: a member that has just left may be in the group for another session.
      for _ in 0..<60 where outcome.status == 69 && outcome.errorText.contains("wait until the group is empty") {
        Thread.sleep(forTimeInterval: 1)
        outcome = try Binary.runBlocking(
          Binary.path.get(), arguments, environment: [:], in: Binary.package, limitSeconds: 120)
      }
      guard outcome.status == 0 else {
        throw BinaryError(description: "tidewatch \(arguments): \(outcome.status) \(outcome.errorText) \(outcome.text)")
      }
    }

    @Test("a record of 10 MB is a dead letter, cut to fit") func largeRecord() async throws {
      let stream = try CrashStream.shop(customers: 50, seed: 24)
      let expectation = try await CrashExpectation.replaying(stream, partitions: 4)
      let (verdict, large) = try await onThread {
        let bench = try CrashBench(realBroker: TestBroker.realBootstrap, stream, delivery: Self.delivery)
        try bench.produce(stream.records)
        try bench.produceLarge(key: "c-large", byte: 1, count: 10 << 20)
        let daemon = try bench.start(["--stop-at-end", "--until", stream.until])
        guard try daemon.wait(limitSeconds: 180) == 0 else { throw BinaryError(description: daemon.log) }
        let dead = try bench.read(.dead)
        let verdict = expectation.compare(
          tags: try bench.read(.tags), alerts: try bench.read(.alerts), profiles: try bench.read(.profiles),
          dead: dead.filter { $0.key != "c-large" }, Self.delivery == .exactlyOnce ? .never : .identical)
        return (verdict, dead.filter { $0.key == "c-large" }.map(\.value))
      }
      #expect(verdict.problems == [])
      #expect(large.count == 1)
      #expect(large.allSatisfy { $0.utf8.count < 1_000_000 && $0.contains("\"bytes\":10485760,\"truncated\":true") })
    }

    /// `TIDEWATCH_TEST_DEAD_LETTERS=1000000` for the full one.
    @Test("garbage without end is a dead letter each, in bounded memory") func deadLetters() async throws {
      let count =
        ProcessInfo.processInfo.environment["TIDEWATCH_TEST_DEAD_LETTERS"].flatMap { Int($0) } ?? 20_000
      var stream = try CrashStream.shop(customers: 10, seed: 25)
      stream.records = (0..<count).map { CrashRecord(key: "c-\($0 % 997)", value: #"{"id":"bad-\#($0)","type":"#) }
      let made = stream
      let (letters, peak, seconds) = try await onThread {
        let bench = try CrashBench(
          realBroker: TestBroker.realBootstrap, made, delivery: Self.delivery,
          options: CrashOptions(epochs: max(20, count / 20_000)))
        try bench.produce(made.records)
        let began = Date()
        let daemon = try bench.start(["--stop-at-end"])
        var peak = 0
        while daemon.isRunning {
          peak = max(peak, daemon.peakKiB ?? 0)
          usleep(20_000)
        }
        guard try daemon.wait(limitSeconds: 1) == 0 else { throw BinaryError(description: daemon.log) }
        let seconds = -began.timeIntervalSinceNow
        return (Set(try bench.read(.dead).map(\.id)).count, peak, seconds)
      }
      print("dead letters: \(letters) in \(Int(seconds)) s (start and join included), at most \(peak / 1_024) MiB")
      #expect(letters == count)
      #expect(peak < 1 << 20, "more than 1 GiB for \(count) dead letters")
    }
  }
}
