// How a command ends: one table of exit statuses (sysexits.h and one of our own) for all of them, and the error that carries one.

/// The exit statuses of every command.
public enum ExitStatus: Int32, CaseIterable, Sendable {
  case ok = 0
  case failure = 1
  case usage = 64
  case data = 65
  case noInput = 66
  case unavailable = 69
  case software = 70
  case cannotCreate = 73
  case inputOutput = 74
  case restart = 75
  case configuration = 78
  case stateRefused = 79

  public var meaning: String {
    switch self {
    case .ok: "done"
    case .failure: "failed for a reason that has no code of its own"
    case .usage: "wrong arguments"
    case .data: "the input or a file of state is damaged or not in its format"
    case .noInput: "an input file is missing or cannot be opened"
    case .unavailable: "Kafka cannot be reached, or a topic is missing"
    case .software: "halted until an operator has looked: a lost range, damage, a full disk"
    case .restart: "fenced, a commit of unknown outcome, or the system's clock set back: start again, nothing is lost"
    case .cannotCreate: "an output file or directory cannot be created"
    case .inputOutput: "reading or writing failed, for example a full disk"
    case .stateRefused: "state on disk and offsets in Kafka disagree: yours to decide"
    case .configuration: "the configuration or a rule file is wrong"
    }
  }

  /// The table as `--help` prints it.
  public static var help: String {
    let rows = allCases.map { status in
      let code = String(status.rawValue)
      return "  " + code + String(repeating: " ", count: max(1, 4 - code.count)) + status.meaning
    }
    return "EXIT STATUS:\n" + rows.joined(separator: "\n")
  }
}

/// Ends a command with a message on standard error and an exit status.
public struct CommandFailure: Error, CustomStringConvertible {
  public var status: ExitStatus
  /// What happened, where, and what to do. May have several lines.
  public var message: String

  public init(_ status: ExitStatus, _ message: String) {
    self.status = status
    self.message = message
  }

  public var description: String { message }
}
