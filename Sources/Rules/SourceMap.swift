// Finds the place in the file of each character of a YAML scalar, whatever its quoting and folding.

import Yams

/// A rule file by lines, as YAML counts them.
struct SourceMap {
  let file: String
  private let scalars: [Unicode.Scalar]
  private var lineStarts: [Int] = [0]

  init(file: String, text: String) {
    self.file = file
    scalars = Array(text.unicodeScalars)
    for (index, c) in scalars.enumerated() where Self.endsLine(c) {
      let isHalfOfPair = c == "\r" && index + 1 < scalars.count && scalars[index + 1] == "\n"
      if !isHalfOfPair { lineStarts.append(index + 1) }
    }
  }

  private static func endsLine(_ c: Unicode.Scalar) -> Bool {
    c == "\n" || c == "\r" || c == "\u{85}" || c == "\u{2028}" || c == "\u{2029}"
  }

  private func offset(of mark: Mark?) -> Int {
    guard let mark, mark.line >= 1, mark.line <= lineStarts.count else { return 0 }
    return min(lineStarts[mark.line - 1] + max(0, mark.column - 1), scalars.count)
  }

  private func position(_ offset: Int) -> Position {
    var low = 0
    var high = lineStarts.count
    while high - low > 1 {
      let middle = (low + high) / 2
      if lineStarts[middle] <= offset { low = middle } else { high = middle }
    }
    return Position(line: low + 1, column: offset - lineStarts[low] + 1)
  }

  /// The scalar's value with places. Walks value and file side by side: white space of either may differ by folding, an
  /// escape or a doubled quote counts as one character. What cannot be matched keeps the place reached.
  func expression(_ scalar: Node.Scalar) -> ExpressionText {
    let value = Array(scalar.string.unicodeScalars)
    var at = offset(of: scalar.mark)
    switch scalar.style {
    case .singleQuoted, .doubleQuoted: at += 1
    case .literal, .folded: while at < scalars.count, !Self.endsLine(scalars[at]) { at += 1 }
    default: break
    }
    var positions: [Position] = []
    positions.reserveCapacity(value.count + 1)
    for c in value {
      if isSpace(c) {
        positions.append(position(at))
        skipSpace(&at)
        continue
      }
      skipSpace(&at)
      positions.append(position(at))
      guard at < scalars.count else { continue }
      if scalar.style == .doubleQuoted, scalars[at] == "\\", at + 1 < scalars.count {
        let lengths: [Unicode.Scalar: Int] = ["x": 4, "u": 6, "U": 10]
        at += lengths[scalars[at + 1]] ?? 2
      } else if scalar.style == .singleQuoted, c == "'" {
        at += 2
      } else {
        at += 1
      }
      at = min(at, scalars.count)
    }
    positions.append(position(at))
    return ExpressionText(file: file, scalars: value, positions: positions)
  }

  private func skipSpace(_ at: inout Int) {
    while at < scalars.count, isSpace(scalars[at]) || Self.endsLine(scalars[at]) { at += 1 }
  }
}
