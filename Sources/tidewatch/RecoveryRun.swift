// What `recover` and `skip` share: look, say, and with --yes do.

import Checkpoint
import CommandSupport
import Configuration
import Daemon
import Events
import Glibc

struct RecoveryRun {
  private let configuration: Configuration

  init(_ configuration: Configuration) { self.configuration = configuration }

  /// - Parameters:
  ///   - action: nil to say only how the partitions stand.
  ///   - chosen: the partitions that the operator has named; empty for all.
  func run(_ action: RecoveryAction?, chosen: Set<Int32>, apply: Bool) throws {
    let recovery: Recovery
    do throws(RecoveryError) {
      recovery = try Recovery.open(configuration)
      if let strange = chosen.sorted().first(where: { $0 >= recovery.partitionCount }) {
        throw RecoveryError.topics(
          "there is no partition \(strange): the inputs have \(recovery.partitionCount), counted from 0")
      }
      try recovery.look(at: chosen.isEmpty ? nil : chosen.sorted())
    } catch { throw failure(error) }
    Terminal.write(
      "group \(configuration.kafka.group), \(configuration.delivery.rawValue), state in \(configuration.state.directory)\n"
    )
    guard let action else { return try report(recovery) }

    let wall = Self.wallMicroseconds
    let decisions = recovery.findings.map { finding in
      (finding, recovery.decide(action, finding, isChosen: chosen.contains(finding.partition), wall: wall))
    }
    for (finding, decision) in decisions { Terminal.write(text(finding, decision)) }
    let steps = decisions.compactMap { finding, decision in
      if case .apply(let steps) = decision.kind { (finding, steps) } else { nil }
    }
    if steps.isEmpty {
      Terminal.write("Nothing was changed.\n")
    } else if !apply {
      Terminal.write(
        "Nothing was changed. To do this, stop every daemon of the group and run the same command with --yes.\n")
    } else {
      do throws(RecoveryError) {
        try recovery.checkGroupIsEmpty()
        for (finding, steps) in steps {
          try recovery.apply(steps, to: finding)
          Terminal.write("partition \(finding.partition): done\n")
        }
      } catch { throw failure(error) }
      Terminal.write("Start the daemon: \(OperatorCommands(configuration, partition: nil).run)\n")
    }
    try failForRefused(decisions)
  }

  private func text(_ finding: RecoveryFinding, _ decision: RecoveryDecision) -> String {
    let verdict =
      switch decision.kind {
      case .leave: "left alone"
      case .refuse: "not helped by this"
      case .apply: "to be recovered"
      }
    return (["partition \(finding.partition): \(verdict)"] + decision.sentences.map { "  \($0)" })
      .joined(separator: "\n") + "\n"
  }

  private func failForRefused(_ decisions: [(RecoveryFinding, RecoveryDecision)]) throws {
    let refused = decisions.filter { $0.1.kind == .refuse }
    guard let (finding, decision) = refused.first else { return }
    let list = refused.map { String($0.0.partition) }.joined(separator: ", ")
    throw CommandFailure(
      finding.failure.map(status) ?? .stateRefused,
      "still halted: partition \(list). \(decision.sentences.joined(separator: " "))")
  }

  /// How every partition stands; fails if one is halted.
  private func report(_ recovery: Recovery) throws {
    var halted: [RecoveryFinding] = []
    var reason = ""
    for finding in recovery.findings {
      let (health, text) = recovery.diagnose(finding)
      Terminal.write("partition \(finding.partition): \(text)\n")
      switch health {
      case .sound, .new: continue
      default:
        if halted.isEmpty { reason = text }
        halted.append(finding)
      }
    }
    guard let first = halted.first else { return }
    let list = halted.map { String($0.partition) }.joined(separator: ", ")
    throw CommandFailure(first.failure.map(status) ?? .stateRefused, "halted: partition \(list). \(reason)")
  }

  private func failure(_ error: RecoveryError) -> CommandFailure {
    switch error {
    case .kafka, .groupActive, .topics: CommandFailure(.unavailable, "\(error)")
    case .checkpoint(let inner): CommandFailure(status(inner), "\(error)")
    case .notAsWritten: CommandFailure(.stateRefused, "\(error)")
    }
  }

  private func status(_ error: CheckpointError) -> ExitStatus {
    switch error {
    case .disk: .inputOutput
    case .damaged, .unsupportedFormat: .data
    case .locked: .unavailable
    default: .failure
    }
  }

  private static var wallMicroseconds: Int64 {
    var now = timespec()
    clock_gettime(CLOCK_REALTIME, &now)
    return Int64(now.tv_sec) * 1_000_000 + Int64(now.tv_nsec) / 1_000
  }
}
