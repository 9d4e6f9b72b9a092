// A report as a table: for the terminal, and as Markdown for the documentation.

import CommandSupport

extension BenchmarkReport {
  private static let columns = ["part", "figure", "median", "min", "max", "runs", "x floor", "unit"]

  private var rows: [[String]] {
    figures.map { figure in
      [
        figure.part, figure.name, quantity(figure.median), quantity(figure.min), quantity(figure.max),
        "\(figure.values.count)", figure.ratioToFloor.map { fixedText($0, 2) } ?? "", figure.unit,
      ]
    }
  }

  /// Columns of equal width, with the machine before and the notes after them.
  public var text: String {
    let all = [Self.columns] + rows
    let widths = Self.columns.indices.map { column in all.map { $0[column].count }.max() ?? 0 }
    func line(_ row: [String]) -> String {
      let cells = row.indices.map { column in
        let padding = String(repeating: " ", count: widths[column] - row[column].count)
        return (2...6).contains(column) ? padding + row[column] : row[column] + padding
      }
      return trimmed(cells.joined(separator: "  ")) + "\n"
    }
    var text = heading
    text += line(Self.columns) + line(widths.map { String(repeating: "-", count: $0) })
    var part = ""
    for (row, figure) in zip(rows, figures) {
      var row = row
      if figure.part == part { row[0] = "" }
      part = figure.part
      text += line(row)
    }
    for note in notes { text += "  \(note)\n" }
    for warning in warnings { text += "NOTE: \(warning)\n" }
    return text
  }

  private var heading: String {
    "\(machine.cpu), \(machine.cores) cores, \(fixedText(Double(machine.memoryBytes) / 1_073_741_824, 1)) GiB, "
      + "Linux \(machine.kernel), load \(fixedText(machine.loadAtStart, 1)) at the start; commit \(versions.commit), "
      + "\(versions.swift), librdkafka \(versions.librdkafka), simdjson \(versions.simdjson)\n"
      + "\(grouped(workload.events)) events, \(grouped(workload.customers)) customers, seed \(workload.seed), "
      + "\(workload.partitions) partitions, broker: \(workload.broker), \(takenAt)\n\n"
  }

  private var notes: [String] {
    figures.compactMap { figure in figure.note.map { "\(figure.part), \(figure.name): \($0)" } }
  }

  /// A Markdown table with the same content.
  public var markdown: String {
    var text = "Measured \(takenAt) on \(heading.replacing("\n\n", with: ".").replacing("\n", with: "; "))\n\n"
    for warning in warnings { text += "> \(warning)\n\n" }
    text += "| " + Self.columns.joined(separator: " | ") + " |\n"
    text += "|" + Self.columns.indices.map { (2...6).contains($0) ? " ---: |" : " --- |" }.joined() + "\n"
    for row in rows { text += "| " + row.joined(separator: " | ") + " |\n" }
    if !notes.isEmpty { text += "\n" + notes.map { "- \($0)\n" }.joined() }
    return text
  }
}

/// Three or four digits that count: `1,234,567`, `812`, `12.3`, `0.041`.
public func quantity(_ value: Double) -> String {
  guard value.isFinite else { return "-" }
  let size = abs(value)
  if size >= 1_000 { return grouped(Int(value.rounded())) }
  if size >= 100 || value == 0 { return fixedText(value, 0) }
  if size >= 10 { return fixedText(value, 1) }
  if size >= 1 { return fixedText(value, 2) }
  return fixedText(value, 3)
}

func fixedText(_ value: Double, _ digits: Int) -> String {
  guard value.isFinite, abs(value) < 1e15 else { return "-" }
  return (value < 0 ? "-" : "") + fixed(abs(value), digits: digits)
}

private func trimmed(_ text: String) -> String {
  var text = text
  while text.last == " " { text.removeLast() }
  return text
}
