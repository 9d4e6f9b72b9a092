// A daemon that dies on its way through a stream, again and again, and in the end has said what the replay says.

import Foundation
import ReferenceTesting

struct CrashScenario: Sendable {
  /// How a run is ended, once this share of the records is committed.
  struct End: Sendable {
    var signal: Int32
    var share: Double
    static func kill(at share: Double) -> End { End(signal: SIGKILL, share: share) }
    static func terminate(at share: Double) -> End { End(signal: SIGTERM, share: share) }
  }

  var stream: CrashStream
  var delivery: CrashDelivery
  /// nil for the embedded one.
  var realBroker: String?
  var partitions: Int32 = 4
  var ends: [End]
  /// For the moments within an epoch.
  var seed: UInt64

  /// Runs it all; says what was compared and every difference.
  func run() async throws -> CrashVerdict {
    let expectation = try await CrashExpectation.replaying(stream, partitions: partitions)
    return try await onThread { try run(expectation) }
  }

  private func run(_ expectation: CrashExpectation) throws -> CrashVerdict {
    var random = Seeded(seed)
    let bench = try CrashBench(realBroker: realBroker, stream, delivery: delivery, partitions: partitions)
    try bench.produce(stream.records)
    var notes: [String] = []
    var inTheMiddle = 0
    var resent = 0
    for end in ends {
      let daemon = try bench.start(["--stop-at-end", "--until", stream.until])
      let goal = Int64(end.share * Double(stream.records.count))
      var seen: Int64 = 0
      try daemon.wait(until: "\(goal) records were committed") {
        seen = bench.committedRecords() ?? seen
        return seen >= goal
      }
      // Anywhere in the epochs that follow: reading, appending, producing, committing.
      usleep(UInt32(random.int(0...120_000)))
      daemon.send(end.signal)
      let status = try daemon.wait(limitSeconds: 60)
      if end.signal == SIGTERM {
        // What a clean end has committed can be read at once.
        seen = try bench.committed().reduce(0) { $0 + ($1.committed?.offset ?? 0) }
      }
      if seen < Int64(stream.records.count) { inTheMiddle += 1 }
      resent += daemon.log.split(separator: "\n").filter { $0.contains("resending") }.count
      notes.append("\(end.signal == SIGKILL ? "killed" : "stopped") at \(seen)")
      guard status == (end.signal == SIGKILL ? -SIGKILL : 0) else {
        throw BinaryError(
          description:
            "the run ended with \(status), not by signal \(end.signal) at \(seen): \(daemon.log.suffix(3000))")
      }
    }
    let daemon = try bench.start(["--stop-at-end", "--until", stream.until])
    let status = try daemon.wait(limitSeconds: 300)
    resent += daemon.log.split(separator: "\n").filter { $0.contains("resending") }.count
    guard status == 0 else {
      throw BinaryError(description: "the last run ended with \(status): \(daemon.log.suffix(3000))")
    }
    var verdict = expectation.compare(
      tags: try bench.read(.tags), alerts: try bench.read(.alerts), profiles: try bench.read(.profiles),
      dead: try bench.read(.dead), delivery == .exactlyOnce ? .never : .identical)
    if inTheMiddle * 2 <= ends.count {
      verdict.say(
        "only \(inTheMiddle) of \(ends.count) runs were ended in the middle: the stream is too short or too fast")
    }
    print(
      "\(delivery.rawValue): \(stream.records.count) records; \(notes.joined(separator: ", ")); compared "
        + "\(verdict.compared.joined(separator: ", ")); \(resent) outboxes were sent again, \(verdict.repeated) outputs came again"
    )
    return verdict
  }
}
