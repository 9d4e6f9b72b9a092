// `tidewatch import`: turns CSV exports into native events, every row accounted for.

import ArgumentParser
import CommandSupport
import Foundation
import Import
import InputFiles

struct ImportCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "import",
    abstract: "Turn a CSV export into events for 'replay' or a topic.",
    discussion: """
      The map, a YAML file, says which columns there are, how a row's time is written, which rows to leave out, and \
      which event each other row becomes or joins. Look at config/import for examples. The result is NDJSON in \
      Tidewatch's native format, one event a line.

      Every row is accounted for on standard error: applied, filtered (by which filter) or rejected (where and why). \
      --report writes the same as JSON.

      EXIT STATUS: 0 done; 65 a data file is damaged, or with --strict a row was rejected; 66 a data file is missing; \
      73 the output cannot be created; 74 writing failed; 78 the map is wrong (the message says file:line:column).
      """)

  @Option(help: ArgumentHelp("The map of columns to events.", valueName: "map.yaml"))
  var map: String

  @Argument(help: ArgumentHelp("CSV or fixed-width files, plain or gzip, read in this order.", valueName: "data.csv"))
  var data: [String]

  @Option(
    name: .shortAndLong, help: ArgumentHelp("Where to write the events; - is standard output.", valueName: "file"))
  var output = "-"

  @Option(help: ArgumentHelp("Also write the account of all rows there, as JSON.", valueName: "file"))
  var report: String?

  @Flag(help: "Fail if a row is rejected; the output is then not written.")
  var strict = false

  func validate() throws {
    if data.isEmpty { throw ValidationError("Name at least one data file.") }
    if let report, report == output { throw ValidationError("--report and --output cannot be one file.") }
  }

  func run() throws {
    let map: ImportMap
    do throws(ImportMapError) { map = try ImportMap.load(path: self.map) } catch {
      throw CommandFailure(.configuration, error.description)
    }
    for path in data where !FileManager.default.isReadableFile(atPath: path) {
      throw CommandFailure(.noInput, "cannot open \(path): it is missing or may not be read; check the path")
    }
    var file = try OutputFile(output)
    var progress = Progress("import", unit: "rows", total: nil)
    let account: ImportReport
    do {
      account = try Importer.run(
        map: map, inputs: data,
        progress: { done in
          progress.total = done.totalBytes > 0 ? UInt64(done.totalBytes) : nil
          progress.update(done: UInt64(done.bytes), items: UInt64(done.rows))
        },
        write: { line in try file.write(line) })
    } catch {
      progress.clear()
      switch error {
      case let error as ImportMapError: throw CommandFailure(.configuration, error.description)
      case let error as InputFileError: throw CommandFailure(.data, error.description)
      default: throw error
      }
    }
    progress.finish(done: progress.state.total ?? 0, items: UInt64(account.rows))
    Terminal.writeError(account.text)
    if account.rejected * 2 > account.rows {
      Terminal.writeError("warning: most rows were rejected: is it the right map, and a file in plain text or gzip?\n")
    }
    if let report {
      var file = try OutputFile(report)
      let encoder = JSONEncoder()
      encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
      try file.write(encoder.encode(ImportDocument(account)) + [UInt8(ascii: "\n")])
      try file.finish()
    }
    if strict, account.rejected > 0 {
      throw CommandFailure(
        .data,
        "\(account.rejected) rows were rejected, and --strict was asked for: "
          + (file.isReplaced ? "\(file.name) was not written" : "do not use what went to \(file.name)"))
    }
    try file.finish()
  }
}

/// The account of an import as `--report` writes it.
private struct ImportDocument: Encodable {
  struct Filter: Encodable {
    var name: String
    var rows: Int
  }
  struct Rejection: Encodable {
    var file: String
    var line: Int
    var reason: String
  }
  var rows, applied, rejected, events: Int
  var filtered: [Filter]
  /// The first of them; `rejected` counts all.
  var rejections: [Rejection]

  init(_ report: ImportReport) {
    rows = report.rows
    applied = report.applied
    rejected = report.rejected
    events = report.events
    filtered = report.filtered.map { Filter(name: $0.name, rows: $0.rows) }
    rejections = report.rejections.map { Rejection(file: $0.file, line: $0.line, reason: $0.reason) }
  }
}

extension ImportReport {
  /// The account as a person reads it, with a line end after the last line.
  fileprivate var text: String {
    let numbers = [applied, rejected] + filtered.map(\.rows)
    let width = numbers.map { grouped($0).count }.max() ?? 1
    func line(_ what: String, _ number: Int, _ note: String) -> String {
      let digits = grouped(number)
      return "  \(what)  " + String(repeating: " ", count: width - digits.count) + digits
        + (note.isEmpty ? "\n" : "  \(note)\n")
    }
    var text = "\(grouped(rows)) rows:\n"
    text += line("applied ", applied, "in \(grouped(events)) events")
    for filter in filtered { text += line("filtered", filter.rows, filter.name) }
    text += line("rejected", rejected, rejected == 0 ? "" : "the first of them:")
    for rejection in rejections.prefix(10) {
      text += "    \(rejection.file):\(rejection.line): \(rejection.reason)\n"
    }
    return text
  }
}
