// `tidewatch recover`: an operator decides where a halted partition goes on.

import ArgumentParser
import CommandSupport
import Configuration
import Daemon

struct RecoverCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "recover",
    abstract: "Decide where a halted partition goes on: from the disk, from the committed offsets, or behind a gap.",
    discussion: """
      Without a choice it says how each partition stands and which command would help. With one it says what it would do \
      and what that means; only with --yes does it do it. Partitions that are halted for another reason, or not at all, \
      are left alone.

      Stop every daemon of the group first: a partition is locked while a daemon of this machine has it, and Kafka refuses \
      the commit while the group has members. If it is interrupted, run it again.

      EXIT STATUS: 0 done, or nothing to do, or shown; 65 a checkpoint is damaged; 69 Kafka cannot be reached, or the group \
      has members; 74 the disk refused; 79 a partition is halted that this choice does not help.
      """)

  @Option(name: .shortAndLong, help: "The configuration file.")
  var config: String

  @Flag(help: "The disk is right: commit the offsets of an epoch on it.")
  var adoptDisk = false

  @Flag(help: "The committed offsets are right: go on from them with the state on disk.")
  var acceptOffsets = false

  @Flag(help: "Give up input that cannot be read any more, and record it.")
  var skipGap = false

  @Option(
    help: ArgumentHelp(
      "With --skip-gap, where a topic ends before the offset that was to come: 'earliest' if it was recreated, 'end' if its "
        + "log was cut.", valueName: "place"))
  var beyondEnd: RestartPoint?

  @Option(help: ArgumentHelp("Only this partition; may be given several times.", valueName: "number"))
  var partition: [Int32] = []

  @Flag(help: "Do it. Without this, nothing is changed.")
  var yes = false

  func validate() throws {
    if [adoptDisk, acceptOffsets, skipGap].filter({ $0 }).count > 1 {
      throw ValidationError("Choose one of --adopt-disk, --accept-offsets and --skip-gap.")
    }
    if beyondEnd != nil, !skipGap { throw ValidationError("--beyond-end needs --skip-gap.") }
    if yes, action == nil {
      throw ValidationError("--yes needs one of --adopt-disk, --accept-offsets and --skip-gap.")
    }
    if let bad = partition.first(where: { $0 < 0 }) { throw ValidationError("There is no partition \(bad).") }
  }

  private var action: RecoveryAction? {
    if adoptDisk { return .adoptDisk }
    if acceptOffsets { return .acceptOffsets }
    return skipGap ? .skipGap(beyondEnd: beyondEnd) : nil
  }

  func run() throws {
    let configuration = try ConfigurationLoading.load(config)
    let chosen = Set(partition)
    try RecoveryRun(configuration).run(action, chosen: chosen, apply: yes)
  }
}

extension RestartPoint: ExpressibleByArgument {}
