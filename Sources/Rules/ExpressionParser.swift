// Tokens to a syntax tree, by operator precedence (Pratt). One problem at a time: the first one found.

package struct ExpressionParser {
  private let tokens: [Token]
  private var at = 0
  private var nesting = 0

  /// How tightly an operator holds its operands; higher is tighter.
  private enum Power {
    static let or = 1
    static let and = 2
    static let not = 3
    static let comparison = 4
    static let sum = 5
    static let product = 6
    static let sign = 7
  }

  private init(tokens: [Token]) { self.tokens = tokens }

  /// The tree of a whole expression.
  package static func parse(_ text: ExpressionText) throws(RuleProblem) -> Syntax {
    var parser = ExpressionParser(tokens: try Lexer.tokens(of: text))
    if parser.token.kind == .end { throw parser.token.span.problem("the expression is empty") }
    let result = try parser.expression(0)
    if parser.token.kind != .end {
      throw parser.unexpected("after a complete expression; `and` or `or` may be missing")
    }
    return result
  }

  private var token: Token { tokens[at] }
  /// The end token is never passed.
  private mutating func advance() { if at < tokens.count - 1 { at += 1 } }

  private mutating func accept(_ symbol: Symbol) -> Bool {
    guard token.kind == .symbol(symbol) else { return false }
    advance()
    return true
  }

  private mutating func expect(_ symbol: Symbol, _ place: String) throws(RuleProblem) {
    if !accept(symbol) { throw unexpected("where `\(symbol.rawValue)` \(place) is due") }
  }

  private func unexpected(_ place: String) -> RuleProblem {
    token.kind == .end
      ? token.span.problem("the expression ends \(place)") : token.span.problem("unexpected text \(place)")
  }

  private func node(_ kind: Syntax.Kind, _ span: Span, depth: Int) throws(RuleProblem) -> Syntax {
    guard depth <= RuleLimits.expressionDepth else {
      throw span.problem(
        "the expression is nested deeper than \(RuleLimits.expressionDepth); move parts of it to `define`")
    }
    return Syntax(kind: kind, span: span, depth: depth)
  }

  /// An expression of operators that hold tighter than `power`.
  private mutating func expression(_ power: Int) throws(RuleProblem) -> Syntax {
    nesting += 1
    defer { nesting -= 1 }
    guard nesting <= RuleLimits.expressionDepth else {
      throw token.span.problem(
        "the expression is nested deeper than \(RuleLimits.expressionDepth); move parts of it to `define`")
    }
    var left = try prefix()
    while let next = try infix(left, above: power) { left = next }
    return left
  }

  private mutating func prefix() throws(RuleProblem) -> Syntax {
    let start = token.span
    switch token.kind {
    case .number(let digits, let unit):
      advance()
      return try node(.number(digits, unit), start, depth: 1)
    case .text(let value):
      advance()
      return try node(.text(value), start, depth: 1)
    case .keyword(.true), .keyword(.false):
      let value = token.kind == .keyword(.true)
      advance()
      return try node(.truth(value), start, depth: 1)
    case .name(let name):
      advance()
      guard token.kind == .symbol(.open) else { return try node(.name(name), start, depth: 1) }
      return try call(name, start)
    case .keyword(.not):
      advance()
      let operand = try expression(Power.not)
      return try node(.not(operand), start.joined(operand.span), depth: operand.depth + 1)
    case .symbol(.minus):
      advance()
      let operand = try expression(Power.sign)
      return try node(.negative(operand), start.joined(operand.span), depth: operand.depth + 1)
    case .symbol(.open):
      advance()
      let inner = try expression(0)
      let end = token.span
      try expect(.close, "of the group")
      return try node(inner.kind, start.joined(end), depth: inner.depth)
    default:
      throw unexpected("where a feature, a number or a condition is due")
    }
  }

  private mutating func call(_ name: String, _ nameSpan: Span) throws(RuleProblem) -> Syntax {
    advance()
    var arguments: [Syntax] = []
    var end = token.span
    if !accept(.close) {
      while true {
        arguments.append(try expression(0))
        end = token.span
        if accept(.close) { break }
        try expect(.comma, "or `)` of `\(name)(...)`")
        guard arguments.count <= RuleLimits.arguments else {
          throw token.span.problem("more than \(RuleLimits.arguments) arguments")
        }
      }
    }
    let depth = (arguments.map(\.depth).max() ?? 0) + 1
    return try node(.call(name, nameSpan, arguments), nameSpan.joined(end), depth: depth)
  }

  /// Extends `left` by the operator that follows, or nil when that holds no tighter than `power`.
  private mutating func infix(_ left: Syntax, above power: Int) throws(RuleProblem) -> Syntax? {
    switch token.kind {
    case .keyword(.or) where power < Power.or:
      return try chain(left, .or, Power.or) { .or($0) }
    case .keyword(.and) where power < Power.and:
      return try chain(left, .and, Power.and) { .and($0) }
    case .symbol(.plus) where power < Power.sum: return try arithmetic(left, .add, Power.sum)
    case .symbol(.minus) where power < Power.sum: return try arithmetic(left, .subtract, Power.sum)
    case .symbol(.times) where power < Power.product: return try arithmetic(left, .multiply, Power.product)
    case .symbol(.divided) where power < Power.product: return try arithmetic(left, .divide, Power.product)
    case .symbol(let symbol) where power < Power.comparison:
      guard let comparison = Comparison(symbol) else { return nil }
      advance()
      let right = try expression(Power.comparison)
      try refuseChain()
      return try binary(.comparison(comparison, left, right), left, right)
    case .keyword(.in) where power < Power.comparison:
      advance()
      return try member(left, negated: false)
    case .keyword(.between) where power < Power.comparison:
      advance()
      return try between(left, negated: false)
    case .keyword(.not) where power < Power.comparison:
      advance()
      if token.kind == .keyword(.in) {
        advance()
        return try member(left, negated: true)
      }
      if token.kind == .keyword(.between) {
        advance()
        return try between(left, negated: true)
      }
      throw unexpected("after `not`, where `in` or `between` is due")
    default: return nil
    }
  }

  private func binary(_ kind: Syntax.Kind, _ left: Syntax, _ right: Syntax) throws(RuleProblem) -> Syntax {
    try node(kind, left.span.joined(right.span), depth: max(left.depth, right.depth) + 1)
  }

  private mutating func arithmetic(_ left: Syntax, _ operation: ArithmeticOperator, _ power: Int) throws(RuleProblem)
    -> Syntax
  {
    advance()
    let right = try expression(power)
    return try binary(.arithmetic(operation, left, right), left, right)
  }

  /// `a and b and c` is one node: long lists of conditions are not deep.
  private mutating func chain(
    _ left: Syntax, _ keyword: Keyword, _ power: Int, _ make: ([Syntax]) -> Syntax.Kind
  ) throws(RuleProblem) -> Syntax {
    var operands = [left]
    while token.kind == .keyword(keyword) {
      advance()
      operands.append(try expression(power))
    }
    let depth = (operands.map(\.depth).max() ?? 0) + 1
    return try node(make(operands), left.span.joined(operands[operands.count - 1].span), depth: depth)
  }

  private func refuseChain() throws(RuleProblem) {
    if case .symbol(let symbol) = token.kind, Comparison(symbol) != nil {
      throw token.span.problem("comparisons do not chain; join two with `and`, or use `between`")
    }
  }

  private mutating func between(_ left: Syntax, negated: Bool) throws(RuleProblem) -> Syntax {
    let low = try expression(Power.comparison)
    guard token.kind == .keyword(.and) else { throw unexpected("where `and` of `between ... and ...` is due") }
    advance()
    let high = try expression(Power.comparison)
    let depth = max(left.depth, low.depth, high.depth) + 2
    return try node(.between(left, low, high, negated: negated), left.span.joined(high.span), depth: depth)
  }

  private mutating func member(_ left: Syntax, negated: Bool) throws(RuleProblem) -> Syntax {
    let start = token.span
    if case .name(let name) = token.kind {
      advance()
      let list = Syntax.List.named(name, start)
      return try node(.member(left, list, negated: negated), left.span.joined(start), depth: left.depth + 1)
    }
    try expect(.openList, "or the name of a list")
    var entries: [Syntax] = []
    var end = token.span
    while true {
      entries.append(try expression(Power.comparison))
      end = token.span
      if accept(.closeList) { break }
      try expect(.comma, "or `]` of the list")
    }
    let list = Syntax.List.entries(entries)
    let depth = max(left.depth, entries.map(\.depth).max() ?? 0) + 1
    return try node(.member(left, list, negated: negated), left.span.joined(end), depth: depth)
  }
}
