// The text of one expression, and where each of its characters stands in the rule file.

/// A place in the rule file; both from 1.
package struct Position: Hashable, Sendable {
  package var line: Int
  package var column: Int

  package init(line: Int, column: Int) {
    self.line = line
    self.column = column
  }
}

/// An expression as it stands in the file. Folding, quoting and escapes of YAML are undone in `scalars` and kept in
/// `positions`.
package struct ExpressionText: Sendable {
  package let file: String
  package let scalars: [Unicode.Scalar]
  /// One longer than `scalars`: the last is the place after the end.
  package let positions: [Position]

  package init(file: String, scalars: [Unicode.Scalar], positions: [Position]) {
    self.file = file
    self.scalars = scalars
    self.positions = positions
  }

  package func string(_ range: Range<Int>) -> String {
    var view = String.UnicodeScalarView()
    view.append(contentsOf: scalars[range])
    return String(view)
  }
}

/// A piece of an expression.
package struct Span: Sendable {
  package let text: ExpressionText
  package let range: Range<Int>

  package func problem(_ message: String, suggestion: String? = nil) -> RuleProblem {
    let place = text.positions[range.lowerBound]
    return RuleProblem(
      file: text.file, line: place.line, column: place.column, text: text.string(range), message: message,
      suggestion: suggestion)
  }

  package func joined(_ other: Span) -> Span {
    Span(
      text: text,
      range: min(range.lowerBound, other.range.lowerBound)..<max(range.upperBound, other.range.upperBound))
  }
}
