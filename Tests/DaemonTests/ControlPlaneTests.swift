// What others see of the daemon: readiness, liveness, metrics over HTTP, systemd's datagrams.

import Configuration
import Daemon
import Engine
import Events
import Foundation
import FoundationNetworking
import Glibc
import Handoff
import Testing

private func running() -> DaemonSnapshot {
  var snapshot = DaemonSnapshot()
  snapshot.phase = .running
  snapshot.beat = 5_000_000
  snapshot.topics = ["clicks", "or\"ders"]
  snapshot.counters = TaskCounters(topics: 2)
  snapshot.counters.events[1][TaskCounters.Result.applied.rawValue] = 41
  snapshot.counters.deadLetters["malformed_json"] = 3
  snapshot.counters.alerts["churn raised"] = 2
  snapshot.counters.overflows.cartOverflow = 7
  for pause: Int64 in [900, 4_001, 5_000, 11_000_000] { snapshot.pauses.add(pause) }
  var partition = PartitionSnapshot(partition: 4, phase: .running)
  partition.clock = Instant(seconds: 1_000)
  partition.lag = [0, nil]
  snapshot.partitions = [partition]
  return snapshot
}

@Suite struct ControlPlaneTests {
  @Test func readyOnlyWhenEverythingRuns() {
    #expect(AdminServer.readyz(running()).status == 200)
    #expect(AdminServer.readyz(running()).body == "{\"ready\":true,\"reasons\":[]}\n")

    var starting = DaemonSnapshot()
    starting.waiting = "no broker"
    #expect(AdminServer.readyz(starting).status == 503)
    #expect(AdminServer.readyz(starting).body.contains("no broker"))

    var away = running()
    away.isKafkaReachable = false
    #expect(AdminServer.readyz(away).body.contains("kafka_unreachable"))

    var halted = running()
    halted.partitions[0].phase = .halted
    halted.partitions[0].detail = "offsets 3 to 9 of orders [4] were deleted"
    #expect(AdminServer.readyz(halted).body.contains("partition 4: offsets 3 to 9"))

    var stalled = running()
    stalled.partitions[0].isStalled = true
    #expect(AdminServer.readyz(stalled).body.contains("source_stalled"))
    for (snapshot, value) in [(stalled, 1), (running(), 0)] {
      let text = AdminServer.metrics(snapshot, nowMonotonic: 6_000_000).body
      #expect(text.contains("tidewatch_clock_stalled{partition=\"4\"} \(value)\n"))
    }

    var exhausted = running()
    exhausted.memoryLimit = 1_000
    exhausted.memoryUsed = 1_001
    #expect(AdminServer.readyz(exhausted).status == 200, "about to be noticed")
    exhausted.isMemoryExhausted = true
    #expect(AdminServer.readyz(exhausted).status == 503)
    #expect(
      exhausted.reasons.map { "\($0.code): \($0.detail)" }
        == ["memory_limit: memory limit reached: 1001 of 1000 bytes; raise state.memory_limit or add a member"])
  }

  @Test func aliveWhileTheDataPlaneGoesRound() {
    #expect(AdminServer.livez(running(), nowMonotonic: 6_000_000).status == 200)
    #expect(AdminServer.livez(running(), nowMonotonic: 66_000_000).status == 503)
    #expect(AdminServer.livez(DaemonSnapshot(), nowMonotonic: 66_000_000).status == 200, "nothing has begun yet")
  }

  @Test func metricsArePrometheusText() {
    var snapshot = running()
    snapshot.memoryUsed = 900
    snapshot.memoryLimit = 1_000
    let text = AdminServer.metrics(snapshot, nowMonotonic: 6_000_000).body
    #expect(text.contains("tidewatch_events_total{topic=\"or\\\"ders\",result=\"applied\"} 41\n"))
    #expect(text.contains("tidewatch_dead_letters_total{reason=\"malformed_json\"} 3\n"))
    #expect(text.contains("tidewatch_alerts_total{kind=\"churn\",status=\"raised\"} 2\n"))
    #expect(text.contains("tidewatch_record_overflows_total{what=\"cart_items\"} 7\n"))
    #expect(text.contains("tidewatch_names_left_out_total 0\n"))
    #expect(text.contains("tidewatch_lag_records{topic=\"clicks\",partition=\"4\"} 0\n"))
    #expect(text.contains("tidewatch_clock_seconds{partition=\"4\"} 1000\n"))
    #expect(text.contains("tidewatch_ready 1\n"))
    #expect(text.contains("tidewatch_memory_used_bytes 900\n"))
    #expect(text.contains("tidewatch_memory_limit_bytes 1000\n"))
    // Counted up from bucket to bucket, as Prometheus has it.
    #expect(text.contains("tidewatch_checkpoint_pause_seconds_bucket{le=\"0.001\"} 1\n"))
    #expect(text.contains("tidewatch_checkpoint_pause_seconds_bucket{le=\"0.005\"} 3\n"))
    #expect(text.contains("tidewatch_checkpoint_pause_seconds_bucket{le=\"10.0\"} 3\n"))
    #expect(text.contains("tidewatch_checkpoint_pause_seconds_bucket{le=\"+Inf\"} 4\n"))
    #expect(text.contains("tidewatch_checkpoint_pause_seconds_count 4\n"))
    #expect(text.contains("tidewatch_checkpoint_pause_max_seconds 11\n"))
    var names = Set<Substring>()
    for line in text.split(separator: "\n") where line.hasPrefix("# TYPE ") {
      let parts = line.split(separator: " ")
      #expect(names.insert(parts[2]).inserted, "\(parts[2]) is declared twice")
      #expect(parts[2].hasPrefix("tidewatch_"))
      if parts[3] == "histogram" { names.formUnion(["_bucket", "_sum", "_count"].map { parts[2] + $0 }) }
      if parts[3] == "counter" { #expect(parts[2].hasSuffix("_total")) }
    }
    for line in text.split(separator: "\n") where !line.hasPrefix("#") {
      #expect(names.contains(line.prefix { $0 != " " && $0 != "{" }), "\(line) has no TYPE")
    }
  }

  @Test func servesOverHTTP() async throws {
    let published = Shared(running())
    // Below those that the system gives to connections.
    let port = UInt16.random(in: 20_000..<32_000)
    let server = AdminServer(address: .init(host: "127.0.0.1", port: port), published: published)
    let task = Task { try await server.run() }
    defer { task.cancel() }
    func ask(_ path: String, _ method: String) async throws -> (HTTPURLResponse?, String) {
      var request = URLRequest(url: try #require(URL(string: "http://127.0.0.1:\(port)\(path)")))
      request.httpMethod = method
      for _ in 0..<100 {
        if let (data, response) = try? await URLSession.shared.data(for: request) {
          return (response as? HTTPURLResponse, String(decoding: data, as: UTF8.self))
        }
        try await Task.sleep(for: .milliseconds(50))
      }
      return (nil, "")
    }
    func get(_ path: String) async throws -> (Int, String) {
      let answer = try await ask(path, "GET")
      return (answer.0?.statusCode ?? 0, answer.1)
    }
    let ready = try await get("/readyz")
    #expect(ready.0 == 200 && ready.1.contains("true"))
    #expect(try await get("/metrics").1.contains("tidewatch_ready 1"))
    #expect(try await get("/nothing").0 == 404)
    // A balancer may ask without wanting the text.
    let head = try await ask("/readyz", "HEAD")
    #expect(head.0?.statusCode == 200 && head.1.isEmpty)
    #expect(head.0?.value(forHTTPHeaderField: "Content-Length") == "\(ready.1.utf8.count)")
    published.write(DaemonSnapshot())
    #expect(try await get("/readyz").0 == 503)
    #expect(try await get("/livez").0 == 200)
  }

  @Test("READY, STATUS and WATCHDOG reach systemd's socket, abstract or not", arguments: [false, true])
  func notifies(isAbstract: Bool) throws {
    let name = NSTemporaryDirectory() + "tw-\(UInt64.random(in: 0 ... .max)).sock"
    let descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue), 0)
    defer {
      close(descriptor)
      unlink(name)
    }
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    let path = (isAbstract ? [0] : []) + Array(name.utf8)
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path) }
    let length = socklen_t(MemoryLayout<sa_family_t>.size + path.count)
    let bound = withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(descriptor, $0, length) }
    }
    #expect(bound == 0)
    func receive() -> String {
      var bytes = [UInt8](repeating: 0, count: 4_096)
      let count = recv(descriptor, &bytes, bytes.count, Int32(MSG_DONTWAIT))
      return count > 0 ? String(decoding: bytes[..<count], as: UTF8.self) : ""
    }

    let notifier = try #require(
      SystemdNotifier(socketPath: isAbstract ? "@" + name : name, watchdogMicroseconds: "3000000"))
    notifier.send("READY=1")
    #expect(receive() == "READY=1")
    notifier.beat(now: 10_000_000)
    #expect(receive() == "WATCHDOG=1")
    notifier.beat(now: 10_500_000)
    #expect(receive() == "", "not on every turn")
    notifier.beat(now: 11_000_001)
    #expect(receive() == "WATCHDOG=1")
    notifier.status("running", now: 11_000_001)
    #expect(receive() == "STATUS=running")
    #expect(SystemdNotifier(socketPath: nil, watchdogMicroseconds: nil) == nil)
  }

  @Test func topicPlans() throws {
    let text = """
      kafka: { bootstrap: 'b:1', partitions: 3 }
      inputs: [{ topic: a }, { topic: b }]
      """
    let configuration = try Configuration.load(text: text, file: "t.yaml")
    let outputs: [String: Int32] = ["tag-changes": 1, "churn-alerts": 1, "dead-letters": 1]
    let whole = try TopicPlan(configuration, found: outputs.merging(["a": 4, "b": 4]) { a, _ in a })
    #expect(whole.partitionCount == 4 && whole.missing == [])
    #expect(try TopicPlan(configuration, found: outputs.merging(["a": 4]) { a, _ in a }).missing == ["b"])
    #expect(try TopicPlan(configuration, found: [:]).partitionCount == 3)
    #expect(throws: TopicProblem.self) { try TopicPlan(configuration, found: ["a": 4, "b": 5]) }
  }

  @Test func outboxRoundTrip() {
    var buffer = OutputBuffer()
    for (index, topic) in OutputTopic.allCases.enumerated() {
      let start = buffer.bytes.count
      buffer.bytes += Array("key\(index)id-value".utf8)
      buffer.entries.append(
        OutputBuffer.Entry(
          topic: topic, key: start..<start + 4, id: start + 4..<start + 6, value: start + 6..<buffer.bytes.count,
          emittedAt: Instant(microseconds: -5 + Int64(index))))
    }
    let bytes = Outbox.encode(buffer)
    let back = Outbox.decode(bytes)
    #expect(back?.bytes == buffer.bytes)
    #expect(back?.entries.map(\.topic) == buffer.entries.map(\.topic))
    #expect(back?.entries.map(\.key) == buffer.entries.map(\.key))
    #expect(back?.entries.map(\.value) == buffer.entries.map(\.value))
    #expect(back?.entries.map(\.emittedAt) == buffer.entries.map(\.emittedAt))
    for cut in 1..<bytes.count where cut != 0 {
      // A cut outbox is refused, unless it ends between two entries.
      if let part = Outbox.decode(Array(bytes[..<cut])) { #expect(part.entries.count < buffer.entries.count) }
    }
    #expect(Outbox.decode([9] + bytes.dropFirst()) == nil)
  }

  @Test func timestamps() {
    func text(_ microseconds: Int64) -> String {
      String(decoding: OutputWriter.timestamp(Instant(microseconds: microseconds)), as: UTF8.self)
    }
    #expect(text(0) == "1970-01-01T00:00:00.000Z")
    #expect(text(-1) == "1969-12-31T23:59:59.999Z")
    #expect(text(1_772_368_496_123_999) == "2026-03-01T12:34:56.123Z")
    #expect(text(.min) == "0001-01-01T00:00:00.000Z" && text(.max) == "9999-12-31T23:59:59.999Z")
  }
}
