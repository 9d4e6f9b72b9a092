// `tidewatch skip`: a record is not to be read.

import ArgumentParser
import CommandSupport
import Configuration
import Daemon

struct SkipCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "skip",
    abstract: "Have records that are still to come pass as dead letters, unread.",
    discussion: """
      For a record that the daemon cannot get over. When it comes, it goes to the dead letters with its original bytes and \
      the reason 'skipped'; the checkpoint records that it was skipped, and by when. Nothing can be taken out of a state: \
      records that were read cannot be skipped.

      Says what it would do; only with --yes does it do it. Stop every daemon of the group first.

      EXIT STATUS: 0 done, or nothing to do, or shown; 65 a checkpoint is damaged; 69 Kafka cannot be reached, or the group \
      has members; 74 the disk refused; 79 a record cannot be skipped, or its partition is halted for another reason.
      """)

  @Argument(help: ArgumentHelp("Topic, partition and offset of the record.", valueName: "topic:partition:offset"))
  var records: [RecordAddress]

  @Option(name: .shortAndLong, help: "The configuration file.")
  var config: String

  @Flag(help: "Do it. Without this, nothing is changed.")
  var yes = false

  func run() throws {
    let configuration = try ConfigurationLoading.load(config)
    try RecoveryRun(configuration).run(.skip(records), chosen: Set(records.map(\.partition)), apply: yes)
  }
}

extension RecordAddress: ExpressibleByArgument {
  public init?(argument: String) { self.init(argument) }
}
