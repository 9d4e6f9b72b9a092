// Log lines to standard error: one line each, with the level journald understands when it listens.

import Configuration
import Events
import Glibc

/// Writes a line whole; usable from any thread.
public struct Log: Sendable {
  public var level: Configuration.LogLevel
  /// Where lines go; nil is standard error. Tests put their own here.
  private let sink: (@Sendable (Configuration.LogLevel, String) -> Void)?
  private let forJournal: Bool

  public init(level: Configuration.LogLevel, sink: (@Sendable (Configuration.LogLevel, String) -> Void)? = nil) {
    self.level = level
    self.sink = sink
    forJournal = getenv("JOURNAL_STREAM") != nil
  }

  public func debug(_ text: @autoclosure () -> String) { write(.debug, text) }
  public func info(_ text: @autoclosure () -> String) { write(.info, text) }
  public func warning(_ text: @autoclosure () -> String) { write(.warning, text) }
  public func error(_ text: @autoclosure () -> String) { write(.error, text) }

  private func write(_ level: Configuration.LogLevel, _ text: () -> String) {
    guard Self.rank(level) >= Self.rank(self.level) else { return }
    // A line is a record: what came from outside must not forge another.
    let line = text().replacing("\n", with: "\\n")
    if let sink { return sink(level, line) }
    let priority = ["<7>", "<6>", "<4>", "<3>"][Self.rank(level)]
    let stamp = String(decoding: OutputWriter.timestamp(SystemWall().now), as: UTF8.self)
    let full = forJournal ? "\(priority)\(line)\n" : "\(stamp) \(level.rawValue): \(line)\n"
    var bytes = Array(full.utf8)
    _ = bytes.withUnsafeMutableBytes { Glibc.write(2, $0.baseAddress, $0.count) }
  }

  private static func rank(_ level: Configuration.LogLevel) -> Int {
    switch level {
    case .debug: 0
    case .info: 1
    case .warning: 2
    case .error: 3
    }
  }
}
