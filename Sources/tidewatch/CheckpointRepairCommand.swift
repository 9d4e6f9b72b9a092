// `tidewatch checkpoint repair`: what can be saved of a damaged directory, and doing it.

import ArgumentParser
import Checkpoint
import CommandSupport
import Foundation

extension CheckpointCommand {
  struct Repair: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Show what can be saved of damaged state and, with --apply, set the damaged files aside.",
      discussion: """
        Reads every file and finds the newest epoch that the good ones still make. A damaged base is replaced by the \
        generation before it, whose logs lead to the same state. Damage inside a log takes the state back to the epoch \
        before it; the daemon then needs 'tidewatch recover --adopt-disk', and the output says so. Nothing is deleted: \
        files in the way go into a sub-folder, damaged-1, of the partition's directory.

        Stop the daemon first: with --apply each partition's lock is taken.

        EXIT STATUS: 0 nothing to repair, or repaired; 65 damage was found and shown, or nothing can be saved; 66 DIR is \
        missing, cannot be read or holds no checkpoint; 70 a daemon has the directory; 74 the disk refused.
        """)
    @Argument(help: "State directory, one group's in it, or one partition's.")
    var directory: String

    @Flag(help: "Do it. Without this, nothing is changed.")
    var apply = false

    func run() throws {
      var unrepaired = 0
      let partitions = try checkpointPartitions(under: directory)
      for partition in partitions {
        let repair: PartitionRepair
        var folder: String?
        do throws(CheckpointError) {
          if apply {
            let now = Int64(Date().timeIntervalSince1970 * 1e6)
            (repair, folder) = try PartitionRepair.apply(partition, wallMicroseconds: now)
          } else {
            repair = try PartitionRepair(planning: partition)
          }
        } catch { throw CommandFailure(error) }
        Terminal.write(repair.text(folder: folder, isApplied: apply))
        if repair.isNeeded && !apply || repair.isHopeless { unrepaired += 1 }
      }
      if unrepaired > 0 {
        throw CommandFailure(
          .data,
          "\(unrepaired) of \(partitions.count) partitions are damaged and not repaired; the lines above say what to do"
        )
      }
    }
  }
}

extension PartitionRepair {
  fileprivate var isHopeless: Bool {
    switch verdict {
    case .nothingIntact, .mixed: true
    case .sound, .lossless, .cutBack: false
    }
  }

  fileprivate func text(folder: String?, isApplied: Bool) -> String {
    var lines = ["\(directory): \(summary)"]
    func line(_ label: String, _ text: String) {
      lines.append("  " + label + String(repeating: " ", count: max(1, 14 - label.count)) + text)
    }
    for damage in damages { line("damaged", "\(damage)") }
    if let tornTail { line("unfinished", "\(tornTail)") }
    if let newest {
      line("newest", "epoch \(newest.tag.epoch), clock \(instantText(newest.header.clock)), tag \(newest.tag)")
    }
    if isNeeded {
      let place = folder ?? "\(directory)/damaged-1"
      if let cut { line("cut", "\(cut.name) at byte \(cut.at), a copy of it \(isApplied ? "is" : "goes") in \(place)") }
      if !moved.isEmpty { line(isApplied ? "moved" : "to be moved", "\(moved.joined(separator: ", ")) to \(place)") }
    }
    for (index, step) in steps(isApplied: isApplied).enumerated() { line(index == 0 ? "next" : "then", step) }
    return lines.joined(separator: "\n") + "\n"
  }

  private var summary: String {
    switch verdict {
    case .sound:
      tornTail == nil ? "sound, nothing to repair" : "nothing to repair: a start cuts the unfinished end by itself"
    case .lossless: "damaged; nothing is lost by the repair"
    case .cutBack(let lost):
      "damaged; epochs \(lost.lowerBound) to \(lost.upperBound) are lost, the state goes back to epoch \(lost.lowerBound - 1)"
    case .nothingIntact: "damaged, and no epoch can be restored from these files"
    case .mixed(let lineages):
      lineages.count > 1
        ? "files of different states lie here, of lineages \(lineages.map(\.description).joined(separator: " and "))"
        : "files of two histories of one state lie here: a base is not what the logs before it lead to"
    }
  }

  /// What to run next, in order.
  private func steps(isApplied: Bool) -> [String] {
    let partition = newest.map { "--partition \($0.header.partition)" } ?? "--partition N"
    let adopt = "`tidewatch recover --config FILE --adopt-disk \(partition)`"
    let apply = isApplied ? [] : ["stop the daemon, run `tidewatch checkpoint repair --apply \(directory)`"]
    switch verdict {
    case .sound:
      guard tornTail != nil, let newest else { return [] }
      return [
        "start the daemon. If it says that the state is elsewhere, because epoch \(newest.tag.epoch + 1) is committed, the "
          + "end was whole once and has gone bad: run \(adopt), which goes on from epoch \(newest.tag.epoch)"
      ]
    case .lossless: return apply + ["start the daemon"]
    case .cutBack:
      return apply + [
        "run \(adopt), look at what it says, run it again with --yes, start the daemon: it reads again from the offsets of "
          + "that epoch, and what was sent since is sent again with the same ids"
      ]
    case .nothingIntact:
      return [
        "bring back a backup: move \(directory) elsewhere, copy the backup's directory to its place, run \(adopt)",
        "without a backup: move \(directory) elsewhere, set the group's offsets to where it is to begin, and start anew",
      ]
    case .mixed:
      return [
        "find with `tidewatch checkpoint inspect --epochs 1 \(directory)` which files do not belong here and move them away"
      ]
    }
  }
}

/// The partitions below a directory.
/// - Throws: `CommandFailure(.noInput)` when there are none.
func checkpointPartitions(under directory: String) throws -> [String] {
  do {
    let found = try CheckpointLayout.partitions(under: directory)
    if found.isEmpty {
      throw CommandFailure(
        .noInput,
        "\(directory) holds no checkpoint. Give the directory that state.dir names in the configuration, "
          + "one group's in it, or one partition's (p0, p1, ...)")
    }
    return found
  } catch let error as DiskError {
    throw CommandFailure(error.statusOfReading, error.description)
  }
}

extension DiskError {
  /// How a command ends that could not read what it was given.
  var statusOfReading: ExitStatus { kind == .inputOutput ? .inputOutput : .noInput }
}

extension CommandFailure {
  init(_ error: CheckpointError) {
    let status: ExitStatus =
      switch error {
      case .damaged, .unsupportedFormat, .noSuchEpoch: .data
      case .disk(let error): error.kind == .notFound ? .noInput : .inputOutput
      case .locked: .software
      case .poisoned, .misuse, .tooLarge, .cancelled: .failure
      }
    self.init(status, error.description)
  }
}
