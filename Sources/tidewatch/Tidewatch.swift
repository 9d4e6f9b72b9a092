// The command line: the root command and how every command ends.

import ArgumentParser
import CommandSupport
import Foundation

@main
struct Tidewatch: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "tidewatch",
    abstract: "Keep customer tags and churn alerts current from a stream of shop events.",
    discussion: """
      Reads clickstream and order events from Kafka, keeps one small record per customer, and says at once when a \
      tag changes or a customer is about to leave.

      \(ExitStatus.help)
      """,
    version: "0.4.0",
    // One line a command, in the order in which a newcomer meets them.
    subcommands: [
      DemoCommand.self, RunCommand.self, CheckCommand.self, ReplayCommand.self, ImportCommand.self,
      CheckpointCommand.self, RecoverCommand.self, SkipCommand.self, LoadgenCommand.self,
    ]
  )

  /// Commands throw `CommandFailure` to choose their exit status; everything else is ArgumentParser's own.
  /// On the main actor, so that a command without `async` runs on the main thread and may block.
  @MainActor
  static func main() async {
    // A limit on the size of files (`ulimit -f`, LimitFSIZE) is a full disk: the write says so.
    signal(SIGXFSZ, SIG_IGN)
    do {
      var command = try parseAsRoot()
      if var command = command as? any AsyncParsableCommand {
        try await command.run()
      } else {
        try command.run()
      }
      end(.ok)
    } catch let failure as CommandFailure {
      FileHandle.standardError.write(Data("tidewatch: \(failure.message)\n".utf8))
      end(failure.status)
    } catch {
      exit(withError: error)
    }
  }

  /// Threads of the Kafka client may be at work still: `exit` would pull their libraries from under them.
  private static func end(_ status: ExitStatus) -> Never {
    fflush(nil)
    _exit(status.rawValue)
  }
}
