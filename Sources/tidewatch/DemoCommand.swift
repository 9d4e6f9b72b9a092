// `tidewatch demo`: everything at once, with a shop whose truth is known.

import ArgumentParser
import CommandSupport
import Configuration
import Daemon
import Demo
import Events

struct DemoCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "demo",
    abstract: "See it work: a synthetic shop through an embedded Kafka broker, alerts judged by the truth.",
    discussion: """
      Starts a Kafka broker inside this process, the daemon with the default tags on a temporary state directory, and a \
      shop whose customers are made up, so that it is known who will truly buy again. Loads the shop's history as fast \
      as it goes, then lets its days pass at --speed. Tag changes, alerts and dead letters are read back from their \
      topics; a churn alert is right when the customer truly buys nothing within the model's horizon.

      On a terminal a screen that redraws itself, elsewhere a line a second; at the end a summary whose first line is \
      'demo: N events, N tag changes, N alerts raised (churn N, lost N, silent N), N of N judged churn alerts right \
      (P %), N dead letters'. Ends after --duration or on Ctrl-C, with exit status 0; nothing is left behind.
      """)

  @Option(
    help: ArgumentHelp("End after this long, such as 15s or 2m. Default: on Ctrl-C.", valueName: "time"),
    transform: { text in
      guard let span = TimeSpan(parsing: text) else { throw ValidationError("write a time like 15s, 500ms or 2m") }
      return span
    })
  var duration: TimeSpan?

  @Option(help: "Equal seeds make equal shops.")
  var seed: UInt64 = 1

  @Option(help: ArgumentHelp("Days of the shop a second, once its history is loaded.", valueName: "days"))
  var speed = 1.0

  @Option(help: ArgumentHelp("Customers who come within the history; more keep coming.", valueName: "count"))
  var customers = 2_000

  @Option(help: ArgumentHelp("Length of the history.", valueName: "days"))
  var history: Int64 = 150

  @Flag(help: "Lines instead of a screen, also on a terminal.")
  var plain = false

  func validate() throws {
    if let duration, duration < .seconds(1) { throw ValidationError("--duration must be at least 1s") }
    guard (0.01...1_000).contains(speed) else { throw ValidationError("--speed must be 0.01 to 1000 days a second") }
    guard (10...1_000_000).contains(customers) else { throw ValidationError("--customers must be 10 to 1000000") }
    guard (1...3_650).contains(history) else { throw ValidationError("--history must be 1 to 3650 days") }
  }

  func run() throws {
    var options = DemoOptions()
    options.duration = duration.map { Double($0.microseconds) / 1_000_000 }
    options.seed = seed
    options.daysPerSecond = speed
    options.customers = customers
    options.historyDays = history

    let stop = StopRequest()
    // Silent: a line on standard error would tear the screen.
    try Signals.watch(stop, log: Log(level: .error) { _, _ in })
    // Who reads our output may go away; that is as good as Ctrl-C.
    var screen = DemoScreen(plain: plain, isTerminal: Terminal.isTerminal(1)) { text in
      if !Terminal.write(text) { stop.stop() }
    }
    let last: (DemoStatus, DemoBoard)
    do {
      last = try DemoRun(options).run(isStopped: { stop.isStopping }, show: { screen.show($0, $1) })
    } catch {
      screen.close()
      throw CommandFailure(.failure, "demo: \(error)")
    }
    screen.close()
    for line in DemoFrame.summary(last.0, last.1) { Terminal.write(line + "\n") }
  }
}
