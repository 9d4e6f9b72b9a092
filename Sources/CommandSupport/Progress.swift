// Shows how far long work is: a bar that redraws itself on a terminal, now and then a plain line elsewhere.

import Glibc

/// Reports on standard error, so that standard output stays the result's. Not thread-safe: one owner.
public struct Progress: ~Copyable {
  public enum Style: Sendable {
    case bar
    case lines
    case none
  }

  public private(set) var state: ProgressState
  private let style: Style
  private let start = ContinuousClock.now
  private var nextReport: ContinuousClock.Instant
  private var barIsOnScreen = false

  /// - Parameters:
  ///   - label: what is being done, for example `import`.
  ///   - unit: what the items are, in the plural.
  ///   - total: what `done` reaches in the end, nil if unknown.
  ///   - style: nil chooses a bar on a terminal and lines elsewhere.
  public init(_ label: String, unit: String, total: UInt64?, style: Style? = nil) {
    state = ProgressState(label: label, unit: unit, total: total)
    self.style = style ?? (Terminal.isTerminal(2) ? .bar : .lines)
    // Nothing is said about work that is over at once.
    nextReport = start + .milliseconds(self.style == .bar ? 300 : 10_000)
  }

  /// What `done` reaches in the end, for work that learns it late.
  public var total: UInt64? {
    get { state.total }
    set { state.total = newValue }
  }

  /// True when it is time to say something again. Call it every thousand items or so, it reads a clock (some 30 ns).
  public var isDue: Bool { ContinuousClock.now >= nextReport }

  /// Says how far the work is, if it is time to.
  public mutating func update(done: UInt64, items: UInt64) {
    state.done = done
    state.items = items
    if style == .none { return }
    let now = ContinuousClock.now
    if now < nextReport { return }
    state.elapsedSeconds = (now - start) / .seconds(1)
    switch style {
    case .bar:
      nextReport = now + .milliseconds(100)
      barIsOnScreen = true
      Terminal.writeError("\r\u{1b}[K" + state.bar(width: Terminal.columns(2) - 1))
    case .lines:
      nextReport = now + .seconds(10)
      Terminal.writeError(state.line + "\n")
    case .none: break
    }
  }

  /// Takes the bar off the screen, before other text is written or at the end; the next `update` draws it again.
  public mutating func clear() {
    if barIsOnScreen { Terminal.writeError("\r\u{1b}[K") }
    barIsOnScreen = false
  }

  /// Ends the report with one line that stays: how many, how long, how fast.
  public mutating func finish(done: UInt64, items: UInt64) {
    clear()
    state.done = done
    state.items = items
    state.elapsedSeconds = (ContinuousClock.now - start) / .seconds(1)
    if style != .none { Terminal.writeError(state.closing + "\n") }
  }
}

/// The few things commands ask of a terminal.
public enum Terminal {
  public static func isTerminal(_ descriptor: Int32) -> Bool { isatty(descriptor) == 1 }

  /// Columns of the terminal behind `descriptor`; 80 where it does not say.
  public static func columns(_ descriptor: Int32) -> Int {
    var size = winsize()
    guard ioctl(descriptor, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0 else { return 80 }
    return Int(size.ws_col)
  }

  /// Writes to standard error. There is nothing to do when that fails.
  public static func writeError(_ text: String) { write(text, to: 2) }

  /// Writes to standard output; false when the reader has gone away or the disk is full.
  @discardableResult
  public static func write(_ text: String) -> Bool { write(text, to: 1) }

  /// Writes what a command was asked for to standard output.
  /// - Throws: `CommandFailure(.inputOutput)`, for instance when the disk is full.
  public static func writeResult(_ text: String) throws(CommandFailure) {
    guard !write(text, to: 1) else { return }
    throw CommandFailure(
      .inputOutput, "cannot write the result to standard output: \(String(cString: strerror(errno)))")
  }

  @discardableResult
  private static func write(_ text: String, to descriptor: Int32) -> Bool {
    var text = text
    return text.withUTF8 { bytes in
      var written = 0
      while written < bytes.count {
        let count = Glibc.write(descriptor, bytes.baseAddress! + written, bytes.count - written)
        if count < 0 && errno == EINTR { continue }
        if count <= 0 { return false }
        written += count
      }
      return true
    }
  }
}
