// `tidewatch replay --journal`: from the journal's directory to the files of a replay.

import Checkpoint
import CommandSupport
import Configuration
import Daemon
import Engine
import Events
import Foundation
import Replay

struct JournalReplaying {
  var config: String
  var journal: String
  var output: String

  func run() throws {
    let configuration = try ConfigurationLoading.load(config)
    let factory = try ConfigurationLoading.factory(configuration)
    for warning in configuration.warnings { Terminal.writeError("warning: \(warning)\n") }
    let replay = JournalReplay(
      factory, group: configuration.kafka.group, topics: configuration.inputs.map(\.topic))
    let partitions: [JournalSummary]
    var counts = [Int](repeating: 0, count: OutputTopic.allCases.count)
    do {
      let files = try OutputFiles(directory: output)
      partitions = try replay.run(directory: journal) { _, outputs in
        for entry in outputs.entries { counts[Int(entry.topic.rawValue)] += 1 }
        try files.take(&outputs)
      }
      try files.finish()
    } catch let error as OutputError {
      throw CommandFailure(error.isCreation ? .cannotCreate : .inputOutput, error.description)
    } catch let error as DiskError {
      throw CommandFailure(error.kind == .notFound ? .noInput : .inputOutput, "\(error)")
    } catch let error as JournalError {
      if case .noFiles = error { throw CommandFailure(.noInput, error.description) }
      throw CommandFailure(.data, error.description)
    } catch {
      throw CommandFailure(.data, "\(journal): \(error)")
    }
    for summary in partitions where summary.tornBytes > 0 {
      Terminal.writeError(
        "warning: partition \(summary.partition): the last \(summary.tornBytes) bytes are an epoch that was not finished\n"
      )
    }
    let document = document(partitions, counts)
    guard FileManager.default.createFile(atPath: "\(output)/summary.json", contents: Data(document.utf8)) else {
      throw CommandFailure(.cannotCreate, "cannot write \(output)/summary.json; is the disk full?")
    }
    try Terminal.writeResult(document)
  }

  private func document(_ partitions: [JournalSummary], _ counts: [Int]) -> String {
    let rows = partitions.map { summary in
      let epochs = summary.epochs.map { "[\($0.lowerBound), \($0.upperBound)]" } ?? "[]"
      return "    {\"partition\": \(summary.partition), \"epochs\": \(epochs), \"restores\": \(summary.restores), "
        + "\"records\": \(summary.records), \"ticks\": \(summary.ticks), \"outputs\": \(summary.outputs), "
        + "\"clock_micros\": \(summary.clock.microseconds)}"
    }
    let outputs = OutputTopic.allCases.map { "\"\($0.name)\": \(counts[Int($0.rawValue)])" }
    return "{\n  \"outputs\": {\(outputs.joined(separator: ", "))},\n  \"partitions\": [\n"
      + rows.joined(separator: ",\n") + "\n  ]\n}\n"
  }
}
