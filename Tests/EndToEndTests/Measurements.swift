// Figures that depend on the machine: measured and printed, never judged. Only with TIDEWATCH_MEASURE=1 (`make measure`).

import Foundation
import Kafka
import Testing

extension CrashTests {
  @Suite(
    .serialized, .enabled(if: TestBroker.isReal, needsRealBroker),
    .enabled(if: ProcessInfo.processInfo.environment["TIDEWATCH_MEASURE"] != nil, "`make measure` asks for it"))
  struct Measurements {
    /// When each partition's committed offset last moved, and the longest it stood still.
    private struct Gaps {
      var offsets: [Int64]
      var moved: [Date]
      var longest: [Double]
      init(_ offsets: [Int64]) {
        self.offsets = offsets
        moved = offsets.map { _ in Date() }
        longest = offsets.map { _ in 0 }
      }
      mutating func look(_ now: [Int64]) {
        let time = Date()
        for place in now.indices where now[place] != offsets[place] {
          longest[place] = max(longest[place], time.timeIntervalSince(moved[place]))
          moved[place] = time
          offsets[place] = now[place]
        }
      }
      /// The longest so far, in seconds, a standstill that still lasts included.
      mutating func take() -> String {
        let time = Date()
        let all = longest.indices.map { max(longest[$0], time.timeIntervalSince(moved[$0])) }
        longest = longest.map { _ in 0 }
        return all.map { String(format: "%.2f", $0) }.joined(separator: " ")
      }
    }

    @Test("time without processing in a rolling restart of two members") func rollingRestart() async throws {
      var stream = try CrashStream.shop(customers: 8_000, seed: 31)
      stream.isInOrder = false
      let made = stream
      try await onThread {
        let bench = try CrashBench(
          realBroker: TestBroker.realBootstrap, made, delivery: .exactlyOnce,
          options: CrashOptions(members: 2, epochs: 1_000))
        let feed = TortureFeed(RecordedSource(made.records), try bench.client(), topic: bench.input, perSecond: 400)
        feed.allow(made.records.count)
        var members = [try bench.start([], member: 0), try bench.start([], member: 1)]
        for member in members { try member.wait(until: "an assignment") { member.log.contains("partition") } }
        var gaps = Gaps([0, 0, 0, 0])
        func watch(_ seconds: Double, until isDone: () -> Bool = { false }) {
          let deadline = Date() + seconds
          while Date() < deadline, !isDone() {
            if let now = bench.committedByPartition() { gaps.look(now) }
            usleep(5_000)
          }
        }
        watch(10)
        _ = gaps.take()
        watch(10)
        print("rolling restart: longest standstill of each partition in 10 quiet seconds: \(gaps.take()) s")
        for number in 0..<2 {
          members[number].send(SIGTERM)
          watch(30) { !members[number].isRunning }
          members[number] = try bench.start([], member: number)
          watch(12)
          print("rolling restart: ... while member \(number) was stopped and started: \(gaps.take()) s")
        }
        for member in members {
          member.send(SIGTERM)
          _ = try member.wait(limitSeconds: 60)
        }
      }
    }

    @Test("unavailability after kill -9") func unavailability() async throws {
      let environment = ProcessInfo.processInfo.environment
      let customers = environment["TIDEWATCH_MEASURE_CUSTOMERS"].flatMap { Int($0) } ?? 1_000_000
      let base = Int64(1_704_067_200_000)
      @Sendable func record(_ number: Int, _ round: Int) -> CrashRecord {
        let time = base + Int64(round) * 86_400_000 + Int64(number)
        return CrashRecord(
          key: "c-\(number)",
          value: #"{"id":"e-\#(round)-\#(number)","type":"order_paid","customer":"c-\#(number)","ts":\#(time),"#
            + #""order":"o-\#(round)-\#(number)","amount":\#(number % 900 + 1).50,"category":"c/\#(number % 9)","channel":"app"}"#
        )
      }
      var stream = try CrashStream.shop(customers: 1, seed: 1)
      stream.records = (0..<customers).map { record($0, 0) }
      let made = stream
      try await onThread {
        let bench = try CrashBench(
          realBroker: TestBroker.realBootstrap, made, delivery: .exactlyOnce,
          options: CrashOptions(epochs: max(20, customers / 20_000)))
        let began = Date()
        try bench.produce(made.records)
        let produced = -began.timeIntervalSinceNow
        var daemon = try bench.start([])
        try daemon.wait(until: "everything is committed", limitSeconds: 900) {
          usleep(100_000)
          return (bench.committedRecords() ?? 0) >= Int64(customers)
        }
        print(
          "kill -9: \(customers) customers; produced in \(Int(produced)) s, read in "
            + "\(Int(-began.timeIntervalSinceNow - produced)) s, at most \((daemon.peakKiB ?? 0) / 1_024) MiB")
        for (round, kind) in ["warm", "cold", "warm"].enumerated() {
          daemon.send(SIGKILL)
          _ = try daemon.wait(limitSeconds: 60)
          var note = kind
          // Needs root; elsewhere the cold run is a warm one too, and says so.
          if kind == "cold", system("sync; echo 3 > /proc/sys/vm/drop_caches 2>/dev/null") != 0 { note = "not cold" }
          try bench.produce((0..<100).map { record($0, round + 1) })
          let killed = Date()
          daemon = try bench.start([])
          var restored = 0.0
          var assigned = 0.0
          let goal = Int64(customers + (round + 1) * 100)
          try daemon.wait(until: "the first new event is committed", limitSeconds: 300) {
            if assigned == 0, daemon.log.contains("assigned:") { assigned = -killed.timeIntervalSinceNow }
            if restored == 0, daemon.log.contains("partition 3: restored") { restored = -killed.timeIntervalSinceNow }
            return (bench.committedRecords() ?? 0) > goal - 100
          }
          let back = -killed.timeIntervalSinceNow
          print(
            "kill -9 (\(note)): assigned after \(String(format: "%.1f", assigned)) s, restored after "
              + "\(String(format: "%.1f", restored)) s, first new event committed after \(String(format: "%.1f", back)) s "
              + "(session timeout \(Double(bench.sessionMilliseconds) / 1_000) s)")
          try daemon.wait(until: "the rest") { (bench.committedRecords() ?? 0) >= goal }
        }
        daemon.send(SIGTERM)
        _ = try daemon.wait(limitSeconds: 120)
      }
    }
  }
}
