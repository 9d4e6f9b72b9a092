// The syntax tree of an expression: what was written, before names and types mean anything.

package enum ArithmeticOperator: String, Hashable, Sendable {
  case add = "+"
  case subtract = "-"
  case multiply = "*"
  case divide = "/"
}

package struct Syntax: Sendable {
  package indirect enum Kind: Sendable {
    /// The digits as written.
    case number(String, Unit?)
    case text(String)
    case truth(Bool)
    /// A feature without parentheses, a definition, or an argument such as `page_view`.
    case name(String)
    /// A feature with a window, or a function. The span is the name's.
    case call(String, Span, [Syntax])
    case negative(Syntax)
    case arithmetic(ArithmeticOperator, Syntax, Syntax)
    case comparison(Comparison, Syntax, Syntax)
    case between(Syntax, Syntax, Syntax, negated: Bool)
    case member(Syntax, List, negated: Bool)
    case not(Syntax)
    case and([Syntax])
    case or([Syntax])
  }

  package enum List: Sendable {
    case named(String, Span)
    case entries([Syntax])
  }

  package let kind: Kind
  package let span: Span
  /// 1 for a leaf.
  package let depth: Int
}
