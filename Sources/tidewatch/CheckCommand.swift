// `tidewatch check`: is the configuration right, and with --kafka, are the topics there?

import ArgumentParser
import CommandSupport
import Configuration
import Daemon
import Glibc
import Kafka

struct CheckCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "check", abstract: "Check the configuration and the rules; with --kafka also the topics.",
    discussion:
      "Prints a summary, or every mistake with its place and what would be right. Starts nothing, changes nothing.")

  @Option(name: .shortAndLong, help: "The configuration file.")
  var config: String

  @Flag(help: "Ask the brokers for the topics: they exist and their partition counts agree.")
  var kafka = false

  func run() throws {
    let configuration = try ConfigurationLoading.load(config)
    let factory = try ConfigurationLoading.factory(configuration)
    do throws(KafkaError) { try Daemon.checkClients(configuration) } catch {
      throw CommandFailure(.configuration, "kafka: \(error)")
    }
    try Terminal.writeResult(ConfigurationSummary.text(configuration, factory.versions) + "\n")
    let warnings = configuration.warnings + (StateDirectory.warning(configuration.state.directory).map { [$0] } ?? [])
    for warning in warnings { try Terminal.writeResult("warning: \(warning)\n") }
    guard kafka else { return }
    switch Daemon.checkTopics(configuration) {
    case .success(let found):
      try Terminal.writeResult("kafka: reached; \(found.partitionCount) partitions of every input\n")
      if !found.missing.isEmpty {
        try Terminal.writeResult("kafka: to be created at start: \(found.missing.joined(separator: ", "))\n")
      }
    case .failure(let problem): throw CommandFailure(.unavailable, problem.description)
    }
  }
}

/// Whether the daemon could write its state, if it ran as this user: it often runs as another.
private enum StateDirectory {
  static func warning(_ path: String) -> String? {
    // What is not there yet is made in the nearest directory that is.
    var place = path
    while access(place, F_OK) != 0, errno == ENOENT, place.contains("/"), place != "/" {
      place = place.split(separator: "/", omittingEmptySubsequences: false).dropLast().joined(separator: "/")
      if place.isEmpty { place = "/" }
    }
    if access(place, W_OK | X_OK) == 0 { return nil }
    return
      "state.dir \(path): this user may not write in \(place) (\(String(cString: strerror(errno)))); the daemon's must"
  }
}

enum ConfigurationSummary {
  /// What will run, in a few lines.
  static func text(_ c: Configuration, _ versions: TaskVersions) -> String {
    var lines = [
      "\(c.file): ok",
      "kafka      \(c.kafka.bootstrap), group \(c.kafka.group), instance \(c.kafka.instance)",
    ]
    for input in c.inputs {
      lines.append(
        "input      \(input.topic) (\(input.format.rawValue), \(input.partitioner.rawValue)\(input.required ? ", required" : ""))"
      )
    }
    lines.append("outputs    \(c.outputs.enabled.map(\.topic).joined(separator: ", "))")
    lines.append(
      "delivery   \(c.delivery.rawValue), an epoch every \(c.epoch.interval.text), \(grouped(c.epoch.maxEvents)) events, "
        + "\(grouped(c.epoch.maxChanges)) changed customers or \(grouped(c.epoch.maxBytes)) bytes")
    lines.append("clock      \(c.clock.rawValue), days begin in \(c.timeZone), late events until \(c.lateness.text)")
    lines.append("rules      \(c.rulesPath), revision \(versions.rulesRevision)")
    if let churn = c.churn {
      let model = churn.model
      lines.append(
        "churn      \(model.version), horizon \(model.horizon.text), raise \(model.raiseThreshold), "
          + "clear \(model.clearThreshold), lost \(model.lostThreshold)")
    }
    let limit = c.state.memoryLimit > 0 ? "at most \(grouped(c.state.memoryLimit)) bytes of memory" : "no memory limit"
    lines.append("state      \(c.state.directory), \(limit)")
    lines.append("admin      \(c.admin.listen.map { "http://\($0.host):\($0.port)" } ?? "off")")
    return lines.joined(separator: "\n")
  }
}
