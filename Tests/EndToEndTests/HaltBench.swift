// A daemon that halts, and an operator who does what its message says: runs the very command that stands there.

import Foundation
import Kafka

extension CrashBench {
  /// How a command ended and what it said.
  struct Said {
    var status: Int32
    var output: String
    var errors: String
    var all: String { output + errors }
  }

  /// Runs the binary to its end on this thread.
  func tidewatch(_ words: [String], limitSeconds: Int = 120) throws -> Said {
    let process = Process()
    process.executableURL = try Binary.path.get()
    process.arguments = words
    process.currentDirectoryURL = Binary.package
    process.standardInput = FileHandle.nullDevice
    var files: [URL] = []
    for name in ["output", "errors"] {
      try scratch.write("command-\(name)", "")
      files.append(scratch.url.appendingPathComponent("command-\(name)"))
    }
    process.standardOutput = try FileHandle(forWritingTo: files[0])
    process.standardError = try FileHandle(forWritingTo: files[1])
    let ended = DispatchSemaphore(value: 0)
    process.terminationHandler = { _ in ended.signal() }
    try process.run()
    if ended.wait(timeout: .now() + .seconds(limitSeconds)) == .timedOut {
      kill(process.processIdentifier, SIGKILL)
      throw BinaryError(description: "tidewatch \(words.joined(separator: " ")) did not end in \(limitSeconds) s")
    }
    return Said(
      status: process.terminationReason == .exit ? process.terminationStatus : -process.terminationStatus,
      output: try String(contentsOf: files[0], encoding: .utf8),
      errors: try String(contentsOf: files[1], encoding: .utf8))
  }

  /// A run to the end of the input.
  func runToEnd(_ stream: CrashStream) throws -> Said {
    for _ in 0..<Self.restartsMax {
      let daemon = try start(["--stop-at-end", "--until", stream.until])
      let status = try daemon.wait(limitSeconds: 300)
      if status != Self.restart { return Said(status: status, output: "", errors: daemon.log) }
    }
    throw BinaryError(description: "asked for a restart \(Self.restartsMax) times")
  }

  /// A broker that is slow for too long ends a run with this; systemd starts it again, and so do we.
  private static let restart: Int32 = 75
  private static let restartsMax = 8

  /// A run that ends by `signal` once so many records are committed. Its clock does not go beyond the records.
  func run(_ stream: CrashStream, until records: Int, then signal: Int32) throws {
    var daemon = try start([])
    var restarts = 0
    var seen: Int64 = -1
    var deadline = Date() + 300
    while seen < Int64(records) {
      // However slow, as long as it goes on.
      if let now = committedRecords(), now > seen {
        seen = now
        deadline = Date() + 120
      }
      if !daemon.isRunning {
        restarts += 1
        guard try daemon.wait(limitSeconds: 5) == Self.restart, restarts <= Self.restartsMax else {
          throw BinaryError(description: "ended at \(seen) of \(records) records: \(daemon.log.suffix(3000))")
        }
        daemon = try start([])
      }
      guard Date() < deadline else {
        let ends = try logEnds(partitions)
        throw BinaryError(
          description: "no progress from \(seen) to \(records) records (the log ends at \(ends)): "
            + "\(daemon.log.suffix(3000))")
      }
      usleep(10_000)
    }
    daemon.send(signal)
    let status = try daemon.wait(limitSeconds: 60)
    guard status == (signal == SIGKILL ? -SIGKILL : 0) else {
      throw BinaryError(description: "the run ended with \(status): \(daemon.log.suffix(3000))")
    }
  }

  /// The words of the commands between backquotes in a message.
  static func commands(in text: String) -> [[String]] {
    var found: [[String]] = []
    for (index, part) in text.split(separator: "`", omittingEmptySubsequences: false).enumerated() where index % 2 == 1
    {
      let words = part.split(separator: " ").map { String($0) }
      if words.first == "tidewatch" { found.append(Array(words.dropFirst())) }
    }
    return found
  }

  /// Everything that a dry run must not change.
  private func everything() throws -> String {
    let files = try FileManager.default.subpathsOfDirectory(atPath: stateDirectory).sorted().map { name in
      let data = FileManager.default.contents(atPath: stateDirectory + "/" + name)
      return "\(name) \(data?.count ?? -1) \(data?.hashValue ?? 0)"
    }
    return files.joined(separator: "\n") + "\n" + String(describing: try committed())
  }

  /// Runs a command as a careful operator: first to see, then for good, again while a dead member is still in the group.
  /// Returns what it said.
  func follow(_ command: [String]) throws -> String {
    let before = try everything()
    let dry = try tidewatch(command)
    guard dry.status == 0 || dry.status == 79, dry.output.contains("Nothing was changed.") else {
      throw BinaryError(description: "\(command) without --yes ended with \(dry.status): \(dry.all)")
    }
    guard try everything() == before else {
      throw BinaryError(description: "\(command) changed something without --yes: \(before)\n\(try everything())")
    }
    let deadline = Date() + 60
    while true {
      let said = try tidewatch(command + ["--yes"])
      if said.status == 0, said.output.contains(": done\n") { return said.all }
      guard said.status == 69, said.errors.contains("has members"), Date() < deadline else {
        throw BinaryError(description: "\(command) --yes ended with \(said.status): \(said.all)")
      }
      usleep(500_000)
    }
  }

  /// Starts the daemon; as long as it halts with `status`, follows the first command in its last message that has all of
  /// `words`; when a run has read everything, returns all it was told on the way, and what was on disk after each command.
  func recover(_ stream: CrashStream, status: Int32, with words: [String]) throws -> [String] {
    var told: [String] = []
    for _ in 0...partitions {
      let end = try runToEnd(stream)
      if end.status == 0 { return told }
      let message = String(end.errors.split(separator: "\n").last ?? "")
      guard end.status == status,
        let command = Self.commands(in: message).first(where: { command in words.allSatisfy(command.contains) })
      else {
        throw BinaryError(description: "ended with \(end.status), expected \(status): \(end.errors.suffix(3000))")
      }
      told.append(message)
      told.append(try follow(command))
      // Before the daemon goes on: a later base does not hold it.
      told.append(try inspect())
    }
    throw BinaryError(description: "still halted after every partition was recovered: \(told.joined(separator: "\n"))")
  }

  /// Commits as an operator's tool would, as soon as the group is empty.
  func commitWhenEmpty(_ offsets: [PartitionOffset]) throws {
    let deadline = Date() + 60
    while true {
      do throws(KafkaError) { return try commitOnce(offsets) } catch {
        guard Date() < deadline else { throw error }
      }
      usleep(300_000)
    }
  }

  private func commitOnce(_ offsets: [PartitionOffset]) throws(KafkaError) {
    do { try commit(offsets) } catch let error as KafkaError { throw error } catch {
      throw KafkaError(.invalidArgument, during: "commit", reason: "\(error)")
    }
  }

  /// The next offset of each partition, once nothing is pending.
  func positions() throws -> [Int64] { try committed().map { $0.committed?.offset ?? 0 } }

  func editConfiguration(_ old: String, _ new: String) throws {
    let text = try String(contentsOfFile: configurationPath, encoding: .utf8)
    guard text.contains(old) else { throw BinaryError(description: "no \(old) in the configuration") }
    try text.replacingOccurrences(of: old, with: new).write(
      toFile: configurationPath, atomically: true, encoding: .utf8)
  }

  func differences(from expectation: CrashExpectation, _ repeats: CrashExpectation.Repeats) throws -> [String] {
    expectation.compare(
      tags: try read(.tags), alerts: try read(.alerts), profiles: try read(.profiles), dead: try read(.dead), repeats
    ).problems
  }

  func inspect() throws -> String { try tidewatch(["checkpoint", "inspect", stateDirectory]).output }
}

extension CrashBench {
  /// A second input, of which nothing ever comes.
  func addQuietInput() throws {
    let quiet = "\(name)-quiet"
    quietInput = quiet
    let admin = try Admin(client())
    let specification = TopicSpecification(name: quiet, partitionCount: partitions, replicationFactor: 1)
    for result in try admin.createTopics([specification], timeoutMilliseconds: 30_000) {
      if let error = result.error { throw error }
    }
    try admin.waitForTopics([quiet], partitionCount: partitions, timeoutMilliseconds: 60_000)
    try editConfiguration("inputs: [", "inputs: [{ topic: '\(quiet)' }, ")
  }

  func delete(_ topic: String) throws {
    for result in try Admin(client()).deleteTopics([topic], timeoutMilliseconds: 30_000) {
      if let error = result.error { throw error }
    }
  }

  /// Deletes the input topic and makes an empty one of the same name.
  func recreateInput() throws {
    try delete(input)
    let admin = try Admin(client())
    let deadline = Date() + 60
    while Date() < deadline {
      let made = try admin.createTopics(
        [TopicSpecification(name: input, partitionCount: partitions, replicationFactor: 1)], timeoutMilliseconds: 30_000
      )
      if made.allSatisfy({ $0.error == nil }) { break }
      usleep(300_000)
    }
    try admin.waitForTopics([input], partitionCount: partitions, timeoutMilliseconds: 60_000)
  }
}
