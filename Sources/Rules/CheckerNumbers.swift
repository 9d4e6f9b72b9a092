// Types of numbers: literals, arithmetic, and how constants take the type of what they meet.

import Customers

extension Checker {
  typealias Operand = (term: Term, type: NumberType, span: Span)

  /// The operand as a number, or a problem that says what it is instead.
  mutating func number(_ syntax: Syntax, of purpose: String) throws(RuleProblem) -> Operand {
    let checked = try check(syntax)
    guard case .number(let term, let type) = checked else {
      throw syntax.span.problem("\(purpose) takes numbers, but this is \(checked.described)")
    }
    return (term, type, syntax.span)
  }

  func refuseContinuous(_ term: Term, _ span: Span) throws(RuleProblem) {
    if case .feature(let feature) = term, feature.behaviour == .continuous { throw continuousProblem(feature, span) }
  }

  func literal(_ digits: String, _ unit: Unit?, _ span: Span) throws(RuleProblem) -> Checked {
    let text = unit == .percent ? digits + "e-2" : digits
    guard let value = Double(text), value.isFinite else { throw span.problem("this is not a number") }
    switch unit {
    case nil: return .number(.constant(value), .untyped)
    case .percent: return .number(.constant(value), .ratio)
    case .hours: return .number(.constant(value / 24), .days)
    case .days: return .number(.constant(value), .days)
    case .weeks: return .number(.constant(value * 7), .days)
    }
  }

  /// A bare constant in `type`: money is written in major units and computed in minor ones.
  private func constant(_ term: Term, as type: NumberType) -> Term {
    guard type == .money, case .constant(let value) = term else { return term }
    var power = 1.0
    for _ in 0..<exponent { power *= 10 }
    let scaled = value * power
    let whole = scaled.rounded()
    // 19.99 * 100 is a hair off 1999: what was meant is the whole minor unit.
    return .constant(abs(scaled - whole) <= 1e-9 * max(1, abs(scaled)) ? whole : scaled)
  }

  /// Both operands in one type. `verb` is for the message: "compared", "added".
  func unify(_ a: Operand, _ b: Operand, verb: String) throws(RuleProblem) -> (Term, Term, NumberType) {
    switch (a.type, b.type) {
    case (let x, let y) where x == y: return (a.term, b.term, x)
    case (.untyped, let type): return (constant(a.term, as: type), b.term, type)
    case (let type, .untyped): return (a.term, constant(b.term, as: type), type)
    default:
      var hint = ""
      for operand in [a, b] {
        if case .feature(.cartAgeHours) = operand.term { hint = "; cart.age_hours counts hours: write 24, not 24h" }
        if case .constant = operand.term, operand.type == .ratio { hint = "; a percentage is a ratio: 30% is 0.3" }
      }
      throw a.span.joined(b.span, unlessElsewhere: true).problem(
        "\(a.type.described) cannot be \(verb) with \(b.type.described)\(hint)")
    }
  }

  mutating func negative(_ operand: Syntax) throws(RuleProblem) -> Checked {
    let value = try number(operand, of: "`-`")
    try refuseContinuous(value.term, value.span)
    if case .constant(let constant) = value.term { return .number(.constant(-constant), value.type) }
    return .number(.negative(value.term), value.type)
  }

  mutating func arithmetic(_ operation: ArithmeticOperator, _ a: Syntax, _ b: Syntax, _ span: Span)
    throws(RuleProblem) -> Checked
  {
    var x = try number(a, of: "`\(operation.rawValue)`")
    var y = try number(b, of: "`\(operation.rawValue)`")
    try refuseContinuous(x.term, x.span)
    try refuseContinuous(y.term, y.span)
    let type: NumberType
    switch operation {
    case .add, .subtract: (x.term, y.term, type) = try unify(x, y, verb: operation == .add ? "added" : "subtracted")
    case .multiply: type = try product(x, y, span)
    case .divide: type = try quotient(&x, &y, span)
    }
    if case .constant(let p) = x.term, case .constant(let q) = y.term {
      let value: Double
      switch operation {
      case .add: value = p + q
      case .subtract: value = p - q
      case .multiply: value = p * q
      case .divide: value = p / q
      }
      guard value.isFinite else { throw span.problem("the value of this constant is too large or undefined") }
      return .number(.constant(value), type)
    }
    return .number(.arithmetic(operation, x.term, y.term), type)
  }

  private func product(_ x: Operand, _ y: Operand, _ span: Span) throws(RuleProblem) -> NumberType {
    switch (x.type, y.type) {
    case (.untyped, let type), (let type, .untyped): return type
    case (.number, let type), (let type, .number): return type == .ratio ? .number : type
    case (.ratio, let type), (let type, .ratio): return type
    default: throw span.problem("\(x.type.described) cannot be multiplied by \(y.type.described)")
    }
  }

  private func quotient(_ x: inout Operand, _ y: inout Operand, _ span: Span) throws(RuleProblem) -> NumberType {
    if case .constant(0) = y.term { throw y.span.problem("division by zero") }
    switch (x.type, y.type) {
    case (.untyped, .untyped): return .untyped
    case (let type, .untyped): return type
    case (.untyped, .number): return .ratio
    case (.untyped, let type):
      x.term = constant(x.term, as: type)
      return .ratio
    case (let a, let b) where a == b: return .ratio
    case (let type, .number), (let type, .ratio): return type
    default:
      throw span.problem("\(x.type.described) cannot be divided by \(y.type.described)")
    }
  }
}

extension Span {
  /// The piece from one operand to the other; this operand alone when the other stands in another expression.
  fileprivate func joined(_ other: Span, unlessElsewhere: Bool) -> Span {
    let sameText =
      text.positions.first == other.text.positions.first && text.positions.count == other.text.positions.count
    return sameText ? joined(other) : self
  }
}
