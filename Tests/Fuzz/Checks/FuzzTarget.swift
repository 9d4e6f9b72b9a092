// What is fuzzed: for each target, bytes from anywhere and what must hold of them.

/// Something that must not be.
public struct FuzzFinding: Error, CustomStringConvertible {
  public let description: String
  init(_ description: String) { self.description = description }
}

public enum FuzzTarget: String, CaseIterable, Sendable {
  /// A partition's directory: see `DirectoryInput`.
  case reader
  /// One record in the native format.
  case native
  /// One record in the Segment format.
  case segment
  /// What an epoch of at_least_once has to say again after a crash, read from its block.
  case outbox
  /// Native records, one a line, through the engine, its checkpoint and back.
  case engine
  /// A rule file.
  case rules
  /// A configuration file.
  case config
  /// Commit metadata.
  case tag

  public func check(_ bytes: [UInt8]) throws(FuzzFinding) {
    switch self {
    case .reader: try ReaderCheck.run(bytes)
    case .native: try DecoderCheck.run(bytes, .native)
    case .segment: try DecoderCheck.run(bytes, .segment)
    case .outbox: try OutboxCheck.run(bytes)
    case .engine: try EngineCheck.run(bytes)
    case .rules: try TextChecks.rules(bytes)
    case .config: try TextChecks.configuration(bytes)
    case .tag: try TextChecks.tag(bytes)
    }
  }
}

func require(_ condition: Bool, _ finding: @autoclosure () -> String) throws(FuzzFinding) {
  if !condition { throw FuzzFinding(finding()) }
}
