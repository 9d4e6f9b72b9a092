// `state.memory_limit` in the binary: it pauses and says so, also after a restart, and a higher limit brings the outputs of
// the replay.

import Foundation
import FoundationNetworking
import Synchronization
import Testing

extension CrashTests {
  @Suite(.serialized) struct MemoryLimit {
    @Test func pausesAtTheLimitAndGoesOnWithAHigherOne() async throws {
      let stream = try CrashStream.shop(customers: 1_200, seed: 13)
      let expectation = try await CrashExpectation.replaying(stream, partitions: 4)
      let problems = try await onThread {
        let port = UInt16.random(in: 20_000..<32_000)
        let admin = AdminPage(port: port)
        var options = CrashOptions()
        options.admin = "127.0.0.1:\(port)"
        options.state = ", memory_limit: 500KiB"
        let bench = try CrashBench(realBroker: nil, stream, delivery: .atLeastOnce, options: options)
        try bench.produce(stream.records)

        let first = try bench.start([])
        try first.wait(until: "the daemon is paused") { admin.isPaused("512000") }
        #expect(admin.get("/livez")?.status == 200)
        #expect(admin.get("/metrics")?.body.contains("tidewatch_memory_limit_bytes 512000\n") == true)
        let paused = try #require(bench.settledRecords())
        #expect(paused > 0 && paused < stream.records.count, "\(paused) of \(stream.records.count)")
        #expect(first.log.components(separatedBy: "memory limit reached: ").count == 2, "said once: \(first.log)")
        first.send(SIGKILL)
        #expect(try first.wait(limitSeconds: 60) == -SIGKILL)

        // The state on disk is well beyond the limit: it starts all the same.
        try bench.edit { $0.replacing("memory_limit: 500KiB", with: "memory_limit: 300KiB") }
        let second = try bench.start([])
        try second.wait(until: "the restarted daemon is paused") { admin.isPaused("307200") }
        let still = try #require(bench.settledRecords())
        #expect(still == paused, "nothing more is read")
        second.send(SIGTERM)
        #expect(try second.wait(limitSeconds: 60) == 0)

        try bench.edit { $0.replacing("memory_limit: 300KiB", with: "memory_limit: 500MiB") }
        let last = try bench.start(["--stop-at-end", "--until", stream.until])
        let status = try last.wait(limitSeconds: 300)
        #expect(status == 0 && !last.log.contains("memory limit"), "\(last.log.suffix(3000))")
        return expectation.compare(
          tags: try bench.read(.tags), alerts: try bench.read(.alerts), profiles: try bench.read(.profiles),
          dead: try bench.read(.dead), .identical
        ).problems
      }
      #expect(problems == [])
    }
  }
}

extension CrashBench {
  /// How many records are committed, once two looks say the same.
  fileprivate func settledRecords() -> Int? {
    var before: Int64?
    for _ in 0..<100 {
      let now = committedRecords()
      if let now, now == before { return Int(now) }
      before = now
      usleep(300_000)
    }
    return nil
  }

  fileprivate func edit(_ change: (String) -> String) throws {
    let text = try String(contentsOfFile: configurationPath, encoding: .utf8)
    try scratch.write("tidewatch-0.yaml", change(text))
  }
}

/// What the admin server says.
private struct AdminPage {
  var port: UInt16

  /// nil while there is no server.
  func get(_ path: String) -> (status: Int, body: String)? {
    guard let url = URL(string: "http://127.0.0.1:\(port)\(path)") else { return nil }
    let answer = Answer()
    URLSession.shared.dataTask(with: url) { data, response, _ in
      answer.take((response as? HTTPURLResponse)?.statusCode, data)
    }.resume()
    return answer.wait()
  }

  func isPaused(_ limit: String) -> Bool {
    guard let ready = get("/readyz"), ready.status == 503, ready.body.contains("memory limit reached: ") else {
      return false
    }
    return ready.body.contains(" of \(limit) bytes; raise state.memory_limit or add a member")
  }

  private final class Answer: Sendable {
    private let value = Mutex<(status: Int, body: String)?>(nil)
    private let isThere = DispatchSemaphore(value: 0)

    func take(_ status: Int?, _ data: Data?) {
      if let status { value.withLock { $0 = (status, String(decoding: data ?? Data(), as: UTF8.self)) } }
      isThere.signal()
    }
    func wait() -> (status: Int, body: String)? {
      guard isThere.wait(timeout: .now() + 10) == .success else { return nil }
      return value.withLock { $0 }
    }
  }
}
