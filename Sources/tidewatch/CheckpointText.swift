// A checkpoint report as a person reads it.

import Checkpoint
import CommandSupport
import Engine
import Events

extension PartitionReport {
  /// Several lines, with a line end after the last.
  var text: String {
    var lines = ["\(directory): \(verdict)"]
    if let epochs {
      lines.append("  epochs        \(epochs.lowerBound) to \(epochs.upperBound)")
    } else if error == nil {
      lines.append("  epochs        none yet")
    }
    if let liveKeyCount, let liveBytes {
      lines.append("  live state    \(grouped(liveKeyCount)) keys, \(sizeText(liveBytes))")
    }
    if let newest = blocks.last {
      let header = newest.header
      lines.append("  lineage       \(header.lineage)")
      lines.append("  partition     \(header.partition) of \(header.partitionCount)")
      lines.append("  clock         \(instantText(header.clock))")
      lines.append("  rules         revision \(header.rulesRevision)\(inParentheses(header.rulesFingerprint))")
      lines.append(
        "  versions      engine \(orNone(header.engineVersion)), model \(orNone(header.modelVersion)), "
          + "time zones \(orNone(header.timeZoneVersion)), format \(newest.formatVersion)")
      lines.append("  shutdown      \(header.cleanShutdown ? "clean" : "none after the newest epoch")")
    }
    for block in blocks.reversed() {
      let offsets = block.header.offsets.map { "\($0.topic) \($0.next)" }.joined(separator: ", ")
      let outbox = block.hasOutbox ? ", outbox \(sizeText(UInt64(block.outboxBytes)))" : ""
      lines.append("  epoch \(block.header.epoch)")
      lines.append("    tag         \(block.tag)")
      lines.append("    next        \(offsets.isEmpty ? "no topics" : offsets)")
      if !block.header.skips.isEmpty {
        let skips = block.header.skips.map { "\($0.topic) \($0.offset)" }.joined(separator: ", ")
        lines.append("    to skip     \(skips)")
      }
      lines.append(
        "    entries     \(grouped(block.entryCount)), \(grouped(block.tombstoneCount)) of them removals\(outbox)")
    }
    for (index, each) in interventions.enumerated() {
      lines.append("  \(index == 0 ? "by hand     " : "            ")  epoch \(each.epoch): \(each.intervention.text)")
    }
    lines.append("  files         \(files.count), \(sizeText(bytes))")
    for file in files {
      lines.append("    " + file.text)
      if let damage = file.damage { lines.append("      damaged: \(damage)") }
    }
    if let olderEnd {
      lines.append("  older         leads to epoch \(olderEnd) only, and could not stand in for the newest base")
    }
    if let tornTail { lines.append("  unfinished    \(tornTail); opening cuts it off") }
    if let error { lines.append("  cannot open   \(error)") }
    return lines.joined(separator: "\n") + "\n"
  }

  private var verdict: String {
    if isSound { return tornTail == nil ? "sound" : "sound, with an unfinished block at the end" }
    return error == nil ? "an older generation is damaged, the newest is sound" : "DAMAGED"
  }
}

extension Intervention {
  /// `2026-03-01T12:34:56.123Z skipped_gap orders, offset 3 to 9`
  fileprivate var text: String {
    func offset(_ number: Int64) -> String { number < 0 ? "none" : String(number) }
    let place = topic.isEmpty ? "" : " \(topic)"
    let range = from < 0 && to < 0 ? "" : ", offset \(offset(from)) to \(offset(to))"
    return "\(instantText(wallMicroseconds)) \(kind.name)\(place)\(range)"
  }
}

extension Intervention.Kind {
  /// As reports and JSON have it.
  var name: String {
    switch self {
    case .adoptedDisk: "adopted_disk"
    case .acceptedOffsets: "accepted_offsets"
    case .skippedGap: "skipped_gap"
    case .skippedRecord: "skipped_record"
    case .repaired: "repaired"
    case .restartedTopic: "restarted_topic"
    }
  }
}

extension PartitionReport.File {
  fileprivate var text: String {
    var words = [name.padded(to: 24), kind.rawValue.padded(to: 10), sizeText(bytes).padded(to: 10)]
    if let epochs {
      words.append(
        epochs.lowerBound == epochs.upperBound
          ? "epoch \(epochs.lowerBound)" : "epochs \(epochs.lowerBound) to \(epochs.upperBound)")
    }
    if kind == .log || kind == .base { words.append("\(grouped(entryCount)) entries") }
    if let formatVersion { words.append("format \(formatVersion)") }
    if kind == .log || kind == .base, !isCurrent { words.append("(older generation)") }
    return words.joined(separator: " ")
  }
}

/// `2026-03-01T12:34:56.123Z`
func instantText(_ microseconds: Int64) -> String {
  if microseconds == Instant.distantPast.microseconds { return "not started" }
  var bytes: [UInt8] = []
  bytes.appendRFC3339(Instant(microseconds: microseconds))
  return String(decoding: bytes, as: UTF8.self)
}

/// `512 B`, `12.3 MiB`
func sizeText(_ bytes: UInt64) -> String {
  if bytes < 1024 { return "\(bytes) B" }
  var value = Double(bytes) / 1024
  for unit in ["KiB", "MiB", "GiB"] {
    if value < 1024 { return "\(fixed(value, digits: 1)) \(unit)" }
    value /= 1024
  }
  return "\(fixed(value, digits: 1)) TiB"
}

private func orNone(_ text: String) -> String { text.isEmpty ? "none" : text }
private func inParentheses(_ text: String) -> String { text.isEmpty ? "" : " (\(text))" }

extension String {
  fileprivate func padded(to width: Int) -> String { self + String(repeating: " ", count: max(0, width - count)) }
}
