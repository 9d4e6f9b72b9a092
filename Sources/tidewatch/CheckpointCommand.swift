// `tidewatch checkpoint`, and looking at saved state without changing it.

import ArgumentParser
import Checkpoint
import CommandSupport
import Foundation

struct CheckpointCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "checkpoint",
    abstract: "Look at the state on disk, copy it, export it, repair it.",
    subcommands: [Inspect.self, Verify.self, Repair.self, Backup.self, Export.self])

  struct Inspect: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Show what a state directory holds: partitions, epochs, offsets, clock, versions.",
      discussion: """
        DIR is the state directory, a consumer group's directory in it, or one partition's. Reads the heads of the \
        files and checks the logs; 'verify' reads every byte. Takes no lock and changes nothing, so it may be used on a \
        running daemon's directory, where the end of a log may look unfinished.

        EXIT STATUS: 0 everything read is sound; 65 something is damaged (the message says which file, at which byte); \
        66 DIR is missing or holds no checkpoint, or something in it cannot be read; 74 the device failed.
        """)
    @OptionGroup var options: Options

    func run() throws {
      try report(options) { path throws(DiskError) in
        try PartitionReport.inspect(path, blockLimit: options.epochs)
      }
    }
  }

  struct Verify: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Read every byte of a state directory and check every checksum.",
      discussion: """
        Like 'inspect', and reads both generations whole, restores the newest in memory and counts its live keys. May be \
        used on a running daemon's directory: what looks wrong is looked at again before it is called damaged.

        EXIT STATUS: 0 everything is sound; 65 something is damaged (the message says which file, at which byte); \
        66 DIR is missing or holds no checkpoint, or something in it cannot be read; 74 the device failed.
        """)
    @OptionGroup var options: Options

    func run() throws {
      try report(options) { path throws(DiskError) in try PartitionReport.verify(path, blockLimit: options.epochs) }
    }
  }

  struct Options: ParsableArguments {
    @Argument(help: "State directory, as state.dir in the configuration.")
    var directory: String

    @Flag(help: "Print JSON, one object, for other programs.")
    var json = false

    @Option(help: ArgumentHelp("How many of the newest epochs to list per partition.", valueName: "count"))
    var epochs = 1

    func validate() throws {
      if !(0...100_000).contains(epochs) { throw ValidationError("--epochs must be between 0 and 100000.") }
    }
  }
}

/// Reads every partition below the directory, prints the reports, and fails if one is bad.
private func report(
  _ options: CheckpointCommand.Options, read: (String) throws(DiskError) -> PartitionReport
) throws {
  let reports: [PartitionReport]
  do {
    reports = try checkpointPartitions(under: options.directory).map(read)
  } catch let error as DiskError {
    throw CommandFailure(error.statusOfReading, error.description)
  }
  if options.json {
    let encoder = JSONEncoder()
    encoder.keyEncodingStrategy = .convertToSnakeCase
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    let data = try encoder.encode(CheckpointDocument(reports))
    try Terminal.writeResult(String(decoding: data, as: UTF8.self) + "\n")
  } else {
    try Terminal.writeResult(reports.map(\.text).joined(separator: "\n"))
  }
  let order = PartitionOrder(reports.compactMap(\.place), under: options.directory)
  order.warnOfMissing()
  let bad = reports.filter { !$0.isSound }
  // Damage is said before what cannot be read, which may be sound.
  let isReadable: (PartitionReport) -> Bool = { if case .disk = $0.error { false } else { true } }
  if let first = bad.first(where: isReadable) ?? bad.first {
    let reason = first.error?.description ?? first.firstDamage?.description ?? "damaged"
    let status: ExitStatus = if case .disk(let error) = first.error { error.statusOfReading } else { .data }
    throw CommandFailure(status, "\(bad.count) of \(reports.count) partitions are not sound. \(reason)")
  }
  try order.refuseMisplaced()
}

extension PartitionOrder {
  func warnOfMissing() {
    for sentence in missing { Terminal.writeError("warning: \(sentence)\n") }
  }

  func refuseMisplaced() throws {
    if let first = misplaced.first { throw CommandFailure(.data, first) }
  }
}
