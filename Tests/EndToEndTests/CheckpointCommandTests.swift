// `checkpoint inspect` and `checkpoint verify` on good, damaged, unfinished and absent state.

import Checkpoint
import Foundation
import Glibc
import SchemaTesting
import Testing

@Suite struct CheckpointCommandTests {
  let scratch: ScratchDirectory

  /// Two partitions of one group with three epochs each.
  init() throws {
    scratch = try ScratchDirectory()
    for partition in 0..<2 as Range<Int32> {
      let directory = CheckpointLayout.directory(state: scratch.url.path, name: "shop", partition: partition)
      let store = try PartitionStore(opening: directory)
      try store.truncate(after: nil)
      let lineage = Lineage(high: 1, low: UInt64(partition))
      for epoch in 0..<3 as Range<UInt64> {
        _ = try store.append(
          EpochHeader(
            lineage: lineage, epoch: epoch, clock: 1_772_368_496_123_000, partition: partition, partitionCount: 2,
            offsets: [TopicOffset(topic: "myOrders", next: Int64(epoch) * 10)], rulesRevision: 4,
            engineVersion: "0.1.0", cleanShutdown: epoch == 2)
        ) { writer in
          writer.put(key: Array("customer-\(epoch)".utf8), value: [1, 2, 3, UInt8(epoch)])
          if epoch == 2 { writer.remove(key: Array("customer-0".utf8)) }
        }
        try store.sync()
        try store.confirm(epoch)
      }
    }
  }

  private func log(of partition: Int) throws -> URL {
    let directory = scratch.url.appendingPathComponent("shop/p\(partition)")
    let names = try FileManager.default.contentsOfDirectory(atPath: directory.path)
    return directory.appendingPathComponent(try #require(names.first { $0.hasPrefix("log-") }))
  }

  @Test(arguments: ["inspect", "verify"]) func soundState(command: String) async throws {
    for place in ["", "/shop", "/shop/p0"] {
      let outcome = try await Binary.run(["checkpoint", command, scratch.url.path + place])
      #expect(outcome.status == 0, "\(outcome.errorText)")
      #expect(outcome.text.contains("/shop/p0: sound\n"))
      #expect(outcome.text.contains("/shop/p1: sound\n") == (place != "/shop/p0"))
      #expect(outcome.text.contains("epochs        0 to 2"))
      #expect(outcome.text.contains("clock         2026-03-01T12:34:56.123Z"))
      #expect(outcome.text.contains("next        myOrders 20"))
      #expect(outcome.text.contains("shutdown      clean"))
      #expect(outcome.text.contains("live state    2 keys") == (command == "verify"))
    }
  }

  @Test func jsonHasStableNames() async throws {
    let outcome = try await Binary.run(["checkpoint", "verify", "--json", "--epochs", "2", scratch.url.path])
    #expect(outcome.status == 0)
    let document = try JSONValue(outcome.output)
    #expect(document["sound"] == .bool(true))
    #expect(document["partitions"]?.elements?.count == 2)
    let partition = try #require(document["partitions"]?.elements?.last)
    #expect(partition["sound"] == .bool(true))
    #expect(partition["first_epoch"]?.integer == 0)
    #expect(partition["last_epoch"]?.integer == 2)
    #expect(partition["live_keys"]?.integer == 2)
    let epochs = try #require(partition["epochs"]?.elements)
    #expect(epochs.map { $0["epoch"]?.integer } == [1, 2])
    let newest = try #require(epochs.last)
    // Topic names are left as they are.
    #expect(newest["offsets"]?.members == [JSONValue.Member(name: "myOrders", value: .number("20"))])
    #expect(newest["clean_shutdown"] == .bool(true))
    #expect(newest["rules_revision"]?.integer == 4)
    #expect(newest["entries"]?.integer == 2)
    #expect(newest["removals"]?.integer == 1)
    #expect(newest["clock"]?.string == "2026-03-01T12:34:56.123Z")
    #expect(newest["clock_microseconds"]?.integer == 1_772_368_496_123_000)
  }

  @Test(arguments: ["inspect", "verify"]) func damageIsNamed(command: String) async throws {
    let log = try log(of: 1)
    var bytes = try Data(contentsOf: log)
    bytes[bytes.count / 2] ^= 0x40
    try bytes.write(to: log)
    for json in [[], ["--json"]] {
      let outcome = try await Binary.run(["checkpoint", command, scratch.url.path] + json)
      #expect(outcome.status == 65)
      #expect(outcome.errorText.contains("1 of 2 partitions are not sound"))
      #expect(outcome.errorText.contains("\(log.path) at byte "))
      if json.isEmpty {
        #expect(outcome.text.contains("/shop/p0: sound\n"))
        #expect(outcome.text.contains("/shop/p1: DAMAGED\n"))
      } else {
        #expect(outcome.text.contains("\"sound\" : false"))
      }
    }
    // Looking changes nothing.
    #expect(try Data(contentsOf: log) == bytes)
  }

  /// A part of the state that is not there, or cannot be read, is said by every command that goes over all of it.
  @Test(arguments: ["inspect", "verify"]) func aMissingPartitionIsNamed(command: String) async throws {
    let p0 = scratch.url.appendingPathComponent("shop/p0")
    try FileManager.default.removeItem(at: p0)
    for replacement in ["nothing", "an empty directory", "a file"] {
      switch replacement {
      case "an empty directory": try FileManager.default.createDirectory(at: p0, withIntermediateDirectories: false)
      case "a file":
        try FileManager.default.removeItem(at: p0)
        try Data().write(to: p0)
      default: break
      }
      for place in ["", "/shop"] {
        let outcome = try await Binary.run(["checkpoint", command, scratch.url.path + place])
        #expect(outcome.status == 0, "\(outcome.errorText)")
        #expect(outcome.errorText == "warning: shop: partition 0 of 2 is not here\n", "\(replacement)")
      }
      let one = try await Binary.run(["checkpoint", command, scratch.url.path + "/shop/p1"])
      #expect(one.errorText == "")
    }
    let copy = scratch.url.path + "-copy"
    defer { try? FileManager.default.removeItem(atPath: copy) }
    let backup = try await Binary.run(["checkpoint", "backup", scratch.url.path, "--to", copy])
    #expect(backup.status == 0)
    #expect(backup.errorText == "warning: shop: partition 0 of 2 is not here\n")
  }

  @Test(.enabled(if: getuid() != 0, "root reads every directory"))
  func aDirectoryThatCannotBeReadIsAnError() async throws {
    let p0 = scratch.url.appendingPathComponent("shop/p0").path
    try FileManager.default.setAttributes([.posixPermissions: 0], ofItemAtPath: p0)
    defer { try? FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: p0) }
    for command in ["inspect", "verify"] {
      let outcome = try await Binary.run(["checkpoint", command, scratch.url.path])
      #expect(outcome.status == 66 && outcome.errorText.contains(p0), "\(outcome.errorText)")
    }
  }

  @Test func aFileThatCannotBeReadIsNotCalledDamaged() async throws {
    let unreadable = try log(of: 0).path
    try FileManager.default.removeItem(atPath: unreadable)
    // For the superuser too.
    try #require(mkfifo(unreadable, 0o600) == 0)
    let outcome = try await Binary.run(["checkpoint", "verify", scratch.url.path])
    #expect(outcome.status == 66 && outcome.errorText.contains("cannot open \(unreadable)"), "\(outcome.errorText)")

    // Beside one that is damaged.
    let damaged = try log(of: 1)
    var bytes = try Data(contentsOf: damaged)
    bytes[bytes.count / 2] ^= 1
    try bytes.write(to: damaged)
    let both = try await Binary.run(["checkpoint", "verify", scratch.url.path])
    #expect(both.status == 65 && both.errorText.contains(damaged.path), "\(both.errorText)")
  }

  @Test func mixedUpDirectoriesAreNotSound() async throws {
    let files = FileManager.default
    try files.removeItem(at: scratch.url.appendingPathComponent("shop/p0"))
    try files.copyItem(
      at: scratch.url.appendingPathComponent("shop/p1"), to: scratch.url.appendingPathComponent("shop/p0"))
    let copy = scratch.url.path + "-copy"
    for arguments in [
      ["inspect", scratch.url.path], ["verify", scratch.url.path], ["backup", scratch.url.path, "--to", copy],
    ] {
      let outcome = try await Binary.run(["checkpoint"] + arguments)
      #expect(outcome.status == 65)
      #expect(
        outcome.errorText.contains("/shop/p0 holds the state of partition 1: directories were mixed up"),
        "\(arguments): \(outcome.errorText)")
    }
    #expect(!files.fileExists(atPath: copy) && !files.fileExists(atPath: copy + ".partial"))
  }

  /// `ulimit -f`, LimitFSIZE: a signal would end the process without a word.
  @Test func aLimitOnTheSizeOfFilesIsSaid() async throws {
    let binary = try Binary.path.get().path
    let target = scratch.url.path + "/load.ndjson"
    let outcome = try await Binary.run(
      ["-c", "ulimit -f 1; exec '\(binary)' loadgen --events 10000 --output '\(target)'"],
      of: .success(URL(fileURLWithPath: "/bin/sh")))
    #expect(outcome.status == 74 && outcome.errorText.contains(target), "\(outcome.status): \(outcome.errorText)")
  }

  @Test func unfinishedEndIsNoDamage() async throws {
    let log = try log(of: 0)
    let bytes = try Data(contentsOf: log).dropLast(5)
    try bytes.write(to: log)
    let outcome = try await Binary.run(["checkpoint", "verify", scratch.url.path])
    #expect(outcome.status == 0, "\(outcome.errorText)")
    #expect(outcome.text.contains("/shop/p0: sound, with an unfinished block at the end\n"))
    #expect(outcome.text.contains("epochs        0 to 1"))
  }

  @Test func absentStateEndsWith66() async throws {
    let missing = try await Binary.run(["checkpoint", "inspect", scratch.path("nowhere")])
    #expect(missing.status == 66)
    #expect(missing.errorText.contains("nowhere"))
    try FileManager.default.createDirectory(atPath: scratch.path("empty"), withIntermediateDirectories: true)
    let empty = try await Binary.run(["checkpoint", "verify", scratch.path("empty")])
    #expect(empty.status == 66)
    #expect(empty.errorText.contains("holds no checkpoint"))
  }
}
