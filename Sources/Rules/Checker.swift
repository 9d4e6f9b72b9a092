// Syntax to typed tree: resolves names, unfolds definitions, checks types, scales money.
// Numbers are in CheckerNumbers.swift, calls in CheckerCalls.swift.

import Customers
import Events

/// The type of a numeric expression. A bare constant takes the type of what it meets.
package enum NumberType: Hashable, Sendable {
  case untyped, number, money, ratio, days

  var described: String {
    switch self {
    case .untyped: "a constant"
    case .number: "a number"
    case .money: "money"
    case .ratio: "a ratio"
    case .days: "a number of days"
    }
  }
}

/// A checked expression of any type.
package enum Checked: Sendable {
  case number(Term, NumberType)
  case text(Feature)
  case literal(String)
  case truth(Condition)

  var described: String {
    switch self {
    case .number(_, let type): type.described
    case .text, .literal: "a text"
    case .truth: "a condition"
    }
  }
}

package struct Checker {
  /// Functions of the language.
  package static let functions = ["score", "min", "max", "abs", "defined"]

  package let definitions: [String: Syntax]
  package let lists: [String: [Syntax]]
  /// Minor units are 10^-exponent of a major unit.
  package let exponent: Int
  /// Nodes checked since the last tag began.
  private var nodes = 0
  private var unfolding: [String] = []
  private var depth = 0

  package init(definitions: [String: Syntax], lists: [String: [Syntax]], exponent: Int) {
    self.definitions = definitions
    self.lists = lists
    self.exponent = exponent
  }

  /// Starts counting the nodes of another tag.
  package mutating func beginTag() { nodes = 0 }

  /// The expression as a condition.
  package mutating func condition(_ syntax: Syntax) throws(RuleProblem) -> Condition {
    let checked = try check(syntax)
    guard case .truth(let condition) = checked else {
      throw syntax.span.problem("this is \(checked.described), not a condition; compare it with something")
    }
    return condition
  }

  /// The expression as a definition: any type will do.
  package mutating func definition(_ name: String, _ syntax: Syntax) throws(RuleProblem) {
    unfolding = [name]
    defer { unfolding = [] }
    _ = try check(syntax)
  }

  /// The expression as a text feature, for tags that take their value from one.
  package mutating func textFeature(_ syntax: Syntax) throws(RuleProblem) -> Feature {
    let checked = try check(syntax)
    guard case .text(let feature) = checked else {
      throw syntax.span.problem(
        "this is \(checked.described), but `value` takes a text feature such as preferences.category")
    }
    return feature
  }

  package mutating func check(_ syntax: Syntax) throws(RuleProblem) -> Checked {
    nodes += 1
    depth += 1
    defer { depth -= 1 }
    guard nodes <= RuleLimits.nodesPerTag else {
      throw syntax.span.problem("with its definitions unfolded the tag has more than \(RuleLimits.nodesPerTag) parts")
    }
    guard depth <= RuleLimits.expressionDepth else {
      throw syntax.span.problem(
        "with its definitions unfolded the expression is nested deeper than \(RuleLimits.expressionDepth)")
    }
    switch syntax.kind {
    case .number(let digits, let unit): return try literal(digits, unit, syntax.span)
    case .text(let text): return .literal(text)
    case .truth(let value): return .truth(.truth(value))
    case .name(let name): return try self.name(name, syntax.span)
    case .call(let name, let nameSpan, let arguments): return try call(name, nameSpan, arguments, syntax.span)
    case .negative(let operand): return try negative(operand)
    case .arithmetic(let operation, let a, let b): return try arithmetic(operation, a, b, syntax.span)
    case .comparison(let comparison, let a, let b): return .truth(try compare(comparison, a, b, syntax.span))
    case .between(let a, let low, let high, let negated):
      let first = try compare(negated ? .less : .greaterOrEqual, a, low, syntax.span)
      let second = try compare(negated ? .greater : .lessOrEqual, a, high, syntax.span)
      return .truth(negated ? .or([first, second]) : .and([first, second]))
    case .member(let operand, let list, let negated): return .truth(try member(operand, list, negated))
    case .not(let operand): return .truth(.not(try condition(operand)))
    case .and(let operands): return .truth(.and(try conditions(operands)))
    case .or(let operands): return .truth(.or(try conditions(operands)))
    }
  }

  private mutating func conditions(_ operands: [Syntax]) throws(RuleProblem) -> [Condition] {
    var result: [Condition] = []
    for operand in operands { result.append(try condition(operand)) }
    return result
  }

  private mutating func name(_ name: String, _ span: Span) throws(RuleProblem) -> Checked {
    if let definition = definitions[name] {
      if let start = unfolding.firstIndex(of: name) {
        let circle = (unfolding[start...] + [name]).joined(separator: " -> ")
        throw span.problem("a definition refers to itself (\(circle))")
      }
      unfolding.append(name)
      defer { unfolding.removeLast() }
      return try check(definition)
    }
    if let entry = FeatureCatalogue.byName[name] { return checked(try feature(entry, nil, span)) }
    if Self.functions.contains(name) { throw span.problem("this function needs arguments in parentheses") }
    if lists[name] != nil { throw span.problem("this is a list; use it behind `in`") }
    throw span.problem(
      "unknown name (texts stand in quotes)",
      suggestion: nearestName(to: name, among: Array(FeatureCatalogue.byName.keys) + Array(definitions.keys)))
  }

  func checked(_ feature: Feature) -> Checked {
    switch feature.type {
    case .number: .number(.feature(feature), .number)
    case .money: .number(.feature(feature), .money)
    case .ratio: .number(.feature(feature), .ratio)
    case .days: .number(.feature(feature), .days)
    case .text: .text(feature)
    }
  }

  private mutating func compare(_ comparison: Comparison, _ a: Syntax, _ b: Syntax, _ span: Span)
    throws(RuleProblem) -> Condition
  {
    let left = try check(a)
    let right = try check(b)
    switch (left, right) {
    case (.number(let x, let xType), .number(let y, let yType)):
      let (first, second, _) = try unify((x, xType, a.span), (y, yType, b.span), verb: "compared")
      try allowContinuous(first, against: second, a.span)
      try allowContinuous(second, against: first, b.span)
      if case .constant(let p) = first {
        if case .constant(let q) = second { return .truth(comparison.holds(p, q)) }
        return .comparison(comparison.mirrored, second, first)
      }
      return .comparison(comparison, first, second)
    case (.text(let feature), .literal(let text)):
      let constant = try textConstant(text, for: feature, b.span)
      return .text(feature, in: [constant], negated: try negated(comparison, span))
    case (.literal(let text), .text(let feature)):
      let constant = try textConstant(text, for: feature, a.span)
      return .text(feature, in: [constant], negated: try negated(comparison, span))
    case (.text(let x), .text(let y)): return .texts(x, y, negated: try negated(comparison, span))
    case (.literal, .literal): throw span.problem("both sides are constant texts; compare a feature with one")
    case (.truth, _), (_, .truth): throw span.problem("conditions are not compared; join them with `and`, `or`, `not`")
    default: throw span.problem("\(left.described) cannot be compared with \(right.described)")
    }
  }

  private func negated(_ comparison: Comparison, _ span: Span) throws(RuleProblem) -> Bool {
    switch comparison {
    case .equal: return false
    case .unequal: return true
    default: throw span.problem("texts have no order; compare them with =, != or `in`")
    }
  }

  private func allowContinuous(_ term: Term, against other: Term, _ span: Span) throws(RuleProblem) {
    guard case .feature(let feature) = term, feature.behaviour == .continuous else { return }
    if case .constant = other { return }
    throw continuousProblem(feature, span)
  }

  func continuousProblem(_ feature: Feature, _ span: Span) -> RuleProblem {
    span.problem(
      "\(feature.name) changes at every instant, so it may only be compared with a constant (or stand first in "
        + "`score`): otherwise the instant at which the rule flips could not be solved for")
  }

  private mutating func member(_ operand: Syntax, _ list: Syntax.List, _ negated: Bool) throws(RuleProblem)
    -> Condition
  {
    let entries: [Syntax]
    switch list {
    case .entries(let inline): entries = inline
    case .named(let name, let span):
      guard let named = lists[name] else {
        throw span.problem("unknown list", suggestion: nearestName(to: name, among: lists.keys))
      }
      entries = named
    }
    switch try check(operand) {
    case .text(let feature):
      var constants: [TextConstant] = []
      for entry in entries {
        guard case .text(let text) = entry.kind else {
          throw entry.span.problem("\(feature.name) is a text, so the list must hold texts in quotes")
        }
        constants.append(try textConstant(text, for: feature, entry.span))
      }
      return .text(feature, in: constants, negated: negated)
    case .number(let term, let type):
      try refuseContinuous(term, operand.span)
      var constants: [Double] = []
      for entry in entries {
        guard case .number(.constant(let value), let entryType) = try check(entry) else {
          throw entry.span.problem("a list behind `in` holds constants only")
        }
        let (_, constant, _) = try unify(
          (term, type, operand.span), (.constant(value), entryType, entry.span), verb: "compared")
        if case .constant(let scaled) = constant { constants.append(scaled) }
      }
      return .number(term, in: constants, negated: negated)
    case .literal: throw operand.span.problem("a constant text is in a list or is not; use a feature before `in`")
    case .truth: throw operand.span.problem("a condition cannot stand before `in`")
    }
  }

  /// The constant in the form the feature's values have.
  private func textConstant(_ text: String, for feature: Feature, _ span: Span) throws(RuleProblem) -> TextConstant {
    let wanted = Spelling.standardised(text)
    if wanted.isEmpty { throw span.problem("an empty text never occurs; use `not defined(\(feature.name))`") }
    if feature == .gender, !Gender.allCases.contains(where: { $0.name == wanted }) {
      throw span.problem(
        "profile.gender is one of \(Gender.allCases.map(\.name).joined(separator: ", "))",
        suggestion: nearestName(to: wanted, among: Gender.allCases.map(\.name)))
    }
    return TextConstant(text: wanted, hash: textHash(wanted))
  }
}

/// The hash by which texts are compared (XXH3, seed 0; never 0).
package func textHash(_ text: String) -> UInt64 {
  Array(text.utf8).withUnsafeBufferPointer { ByteSlice(base: $0.baseAddress, count: $0.count).hash() }
}
