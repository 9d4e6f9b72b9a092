// Puts the demo's frames out: a screen redrawn in place on a terminal, a line a second elsewhere.

import Glibc

/// Where the demo is shown. Owned by one thread.
public struct DemoScreen {
  private let isTerminal: Bool
  private let write: (String) -> Void
  private var nextLine = 0.0
  private var isOpen = false

  /// - Parameters:
  ///   - plain: lines also on a terminal.
  ///   - write: puts text out, as it is.
  public init(plain: Bool, isTerminal: Bool, write: @escaping (String) -> Void) {
    self.isTerminal = isTerminal && !plain
    self.write = write
  }

  /// Shows a moment: on a terminal each, elsewhere one a second.
  public mutating func show(_ status: DemoStatus, _ board: DemoBoard) {
    if isTerminal {
      let (width, height) = Self.size()
      let lines = DemoFrame.screen(status, board, width: width, height: height - 1)
      // From the top, each line cleared to its end, so that nothing flickers; the cursor hidden meanwhile.
      let text = lines.map { $0 + "\u{1b}[K" }.joined(separator: "\n")
      write((isOpen ? "\u{1b}[H" : "\u{1b}[?25l\u{1b}[2J\u{1b}[H") + text + "\n\u{1b}[J")
      isOpen = true
      return
    }
    guard status.elapsed >= nextLine else { return }
    nextLine = status.elapsed.rounded(.down) + 1
    write(DemoFrame.line(status, board) + "\n")
  }

  /// The last frame stays; the cursor comes back. Also after an error.
  public mutating func close() {
    if isOpen { write("\u{1b}[?25h") }
    isOpen = false
  }

  /// Columns and rows; 80 by 24 where the terminal does not say.
  private static func size() -> (Int, Int) {
    var size = winsize()
    guard ioctl(1, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0, size.ws_row > 0 else { return (80, 24) }
    return (Int(size.ws_col), Int(size.ws_row))
  }
}
