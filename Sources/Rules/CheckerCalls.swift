// Calls: features with a window, and the functions score, min, max, abs, defined.

import Customers
import Events

extension Checker {
  mutating func call(_ name: String, _ nameSpan: Span, _ arguments: [Syntax], _ span: Span) throws(RuleProblem)
    -> Checked
  {
    switch name {
    case "score": return try score(arguments, span)
    case "min", "max": return try extreme(name, arguments, span)
    case "abs":
      guard arguments.count == 1 else { throw span.problem("`abs` takes one argument") }
      let value = try number(arguments[0], of: "`abs`")
      try refuseContinuous(value.term, value.span)
      if case .constant(let constant) = value.term { return .number(.constant(constant.magnitude), value.type) }
      return .number(.absolute(value.term), value.type)
    case "defined":
      guard arguments.count == 1 else { throw span.problem("`defined` takes one argument") }
      switch try check(arguments[0]) {
      case .number(.constant, _), .literal: throw span.problem("a constant is always defined; use a feature")
      case .number(let term, _): return .truth(.definedNumber(term))
      case .text(let feature): return .truth(.definedText(feature))
      case .truth: throw span.problem("a condition is always defined; use a feature")
      }
    default: break
    }
    if let entry = FeatureCatalogue.byName[name] { return checked(try feature(entry, arguments, span)) }
    if definitions[name] != nil { throw span.problem("a definition takes no arguments; write `\(name)`") }
    throw nameSpan.problem(
      "unknown feature or function",
      suggestion: nearestName(to: name, among: Self.functions + FeatureCatalogue.byName.keys.sorted()))
  }

  private mutating func score(_ arguments: [Syntax], _ span: Span) throws(RuleProblem) -> Checked {
    var cuts = arguments.dropFirst()
    var descending = false
    if case .name(let order)? = cuts.last?.kind, order == "descending" || order == "ascending" {
      descending = order == "descending"
      cuts = cuts.dropLast()
    }
    guard let first = arguments.first, (1...RuleLimits.scoreCuts).contains(cuts.count) else {
      throw span.problem(
        "`score` takes a number, 1 to \(RuleLimits.scoreCuts) ascending cut points, and `descending` where more is "
          + "worse"
      )
    }
    let value = try number(first, of: "`score`")
    if case .constant = value.term { throw value.span.problem("`score` of a constant is a constant; use a feature") }
    var points: [Double] = []
    for cut in cuts {
      let operand = try number(cut, of: "`score`")
      guard case .constant = operand.term else { throw operand.span.problem("cut points of `score` are constants") }
      let (_, point, _) = try unify(value, operand, verb: "compared")
      guard case .constant(let constant) = point else { continue }
      if let last = points.last, last >= constant {
        throw operand.span.problem("cut points of `score` must ascend (for less is better, add `descending`)")
      }
      points.append(constant)
    }
    return .number(.score(value.term, cuts: points, descending: descending), .number)
  }

  private mutating func extreme(_ name: String, _ arguments: [Syntax], _ span: Span) throws(RuleProblem) -> Checked {
    guard arguments.count >= 2 else { throw span.problem("`\(name)` takes two or more numbers") }
    var operands: [Operand] = []
    for argument in arguments {
      let operand = try number(argument, of: "`\(name)`")
      try refuseContinuous(operand.term, operand.span)
      operands.append(operand)
    }
    // Bare constants take the type of the first operand that has one.
    let typed = operands.first { $0.type != .untyped } ?? operands[0]
    var terms: [Term] = []
    for operand in operands { terms.append(try unify(typed, operand, verb: "compared").1) }
    return .number(name == "min" ? .least(terms) : .greatest(terms), typed.type)
  }

  /// The feature of a catalogue entry; `arguments` is nil without parentheses.
  func feature(_ entry: FeatureEntry, _ arguments: [Syntax]?, _ span: Span) throws(RuleProblem) -> Feature {
    switch (entry.parameters, arguments) {
    case (.none, nil): return entry.make(.life, .activity)
    case (.none, .some): throw span.problem("this feature takes no parentheses", suggestion: entry.name)
    case (.window, nil): return entry.make(.life, .activity)
    case (.window, .some(let arguments)):
      guard arguments.count == 1 else {
        throw span.problem("this feature takes one window, such as \(entry.name)(90d), or no parentheses for all time")
      }
      return entry.make(.days(try days(arguments[0], most: Window.longestDays)), .activity)
    case (.days(let most), let arguments):
      guard let arguments, arguments.count == 1 else {
        throw span.problem(
          "this feature needs one window of at most \(most)d, such as \(entry.name)(\(min(most, 90))d)")
      }
      return entry.make(.days(try days(arguments[0], most: most)), .activity)
    case (.eventAndDays, let arguments):
      guard let arguments, arguments.count == 2 else {
        throw span.problem("this feature needs an event type and a window, such as \(entry.name)(page_view, 7d)")
      }
      guard case .name(let name) = arguments[0].kind else {
        throw arguments[0].span.problem("an event type such as page_view is due here, without quotes")
      }
      guard let type = FeatureCatalogue.eventsByName[name] else {
        throw arguments[0].span.problem(
          "unknown event type", suggestion: nearestName(to: name, among: FeatureCatalogue.eventsByName.keys))
      }
      let most = type == .supportTicket ? FeatureCatalogue.ticketDays : FeatureCatalogue.eventDays
      return entry.make(.days(try days(arguments[1], most: most)), type)
    }
  }

  private func days(_ syntax: Syntax, most: Int) throws(RuleProblem) -> Int {
    guard case .number(let digits, let unit) = syntax.kind else {
      throw syntax.span.problem("a window is a number of days such as 90d")
    }
    guard let unit, unit == .days || unit == .weeks, let count = Int(digits), count < 100_000 else {
      throw syntax.span.problem(
        "a window is a whole number of days", suggestion: unit == nil && Int(digits) != nil ? "\(digits)d" : nil)
    }
    let days = unit == .weeks ? count * 7 : count
    guard (1...most).contains(days) else { throw syntax.span.problem("the window must be 1d to \(most)d") }
    return days
  }
}
