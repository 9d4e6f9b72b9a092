// `tidewatch run`: the daemon.

import ArgumentParser
import CommandSupport
import Configuration
import Daemon
import Events

struct RunCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "run",
    abstract: "Run the daemon: events in from Kafka, tag changes and churn alerts out.",
    discussion: """
      Ends on SIGTERM or SIGINT after the open epoch is committed; a second signal ends at once (nothing is lost: what \
      was not committed is read again).
      """)

  @Option(name: .shortAndLong, help: "The configuration file.")
  var config: String

  @Flag(
    help: """
      Stop when every assigned partition was read to its end, and commit. For backfills and tests. The partitions of a member \
      that was killed are assigned only when its session.timeout.ms is over: start it again then.
      """)
  var stopAtEnd = false

  @Option(help: "With --stop-at-end and `clock: event`: where every clock ends, RFC 3339 (2026-03-01T00:00:00Z).")
  var until: String?

  @Option(
    help: ArgumentHelp(
      "Write down every call the engine sees, for `replay --journal`.",
      discussion: "One file a partition. It grows with the input and is never cut: for finding faults, not for ever.",
      valueName: "directory"))
  var journal: String?

  func validate() throws {
    if until != nil, !stopAtEnd { throw ValidationError("--until needs --stop-at-end") }
    if let until, Instant(rfc3339Text: until) == nil {
      throw ValidationError("--until is '\(until)'; write a time like 2026-03-01T00:00:00Z")
    }
  }

  func run() throws {
    let configuration = try ConfigurationLoading.load(config)
    let log = Log(level: configuration.logLevel)
    let stop = StopRequest()
    try Signals.watch(stop, log: log)
    for warning in configuration.warnings { log.warning(warning) }
    if until != nil, configuration.clock != .event {
      throw CommandFailure(
        .usage, "--until needs `clock: event`; with `clock: wall` the clock cannot be told where to stop")
    }
    let factory = try ConfigurationLoading.factory(configuration)
    var settings = DataPlaneSettings(configuration: configuration, factory: factory, log: log)
    if let journal {
      settings.factory = JournalingFactory(
        factory, directory: journal, group: configuration.kafka.group, topics: configuration.inputs.map(\.topic))
    }
    settings.stopAtEnd = stopAtEnd
    settings.until = until.flatMap { Instant(rfc3339Text: $0) }

    let end = Daemon(settings, stop: stop).run()
    switch end.status {
    case .ok: log.info("stopped in good order")
    case .failure: throw CommandFailure(.failure, end.reason)
    case .badConfiguration: throw CommandFailure(.configuration, end.reason)
    case .badTopics: throw CommandFailure(.unavailable, end.reason)
    case .halted: throw CommandFailure(.software, end.reason)
    case .stateRefused: throw CommandFailure(.stateRefused, end.reason)
    case .restart: throw CommandFailure(.restart, end.reason)
    }
  }
}

extension Instant {
  /// nil when the text is not RFC 3339.
  init?(rfc3339Text text: String) {
    var copy = text
    let value = copy.withUTF8 { Instant(rfc3339: $0) }
    guard let value else { return nil }
    self = value
  }
}
