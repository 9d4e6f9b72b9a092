// The typed tree: names resolved, definitions unfolded, money in minor units. What the compiler reads.

import Customers

/// An expression whose value is a number.
package indirect enum Term: Hashable, Sendable {
  case constant(Double)
  case feature(Feature)
  case arithmetic(ArithmeticOperator, Term, Term)
  case negative(Term)
  case absolute(Term)
  case least([Term])
  case greatest([Term])
  /// 1 below the first cut, 2 from there, ...; `descending` counts the other way round. Cuts ascend strictly.
  case score(Term, cuts: [Double], descending: Bool)
}

/// A text of a rule with the hash it is compared by.
package struct TextConstant: Hashable, Sendable {
  package let text: String
  package let hash: UInt64
}

/// An expression that holds or does not.
package indirect enum Condition: Hashable, Sendable {
  case truth(Bool)
  case comparison(Comparison, Term, Term)
  case number(Term, in: [Double], negated: Bool)
  case text(Feature, in: [TextConstant], negated: Bool)
  case texts(Feature, Feature, negated: Bool)
  case definedNumber(Term)
  case definedText(Feature)
  case not(Condition)
  case and([Condition])
  case or([Condition])
}

extension Term {
  /// Calls `body` on every feature, in the order written.
  package func forEachFeature(_ body: (Feature) -> Void) {
    switch self {
    case .constant: break
    case .feature(let feature): body(feature)
    case .arithmetic(_, let a, let b):
      a.forEachFeature(body)
      b.forEachFeature(body)
    case .negative(let a), .absolute(let a), .score(let a, _, _): a.forEachFeature(body)
    case .least(let terms), .greatest(let terms): for term in terms { term.forEachFeature(body) }
    }
  }

  /// Whether silence leaves the value as it is.
  package var isStill: Bool {
    var still = true
    forEachFeature { if $0.behaviour != .constant { still = false } }
    return still
  }

  /// The same for every spelling of the same meaning: what the fingerprint is taken of.
  package var canonical: String {
    switch self {
    case .constant(let value): "\(value)"
    case .feature(let feature): feature.name
    case .arithmetic(let operation, let a, let b): "(\(a.canonical) \(operation.rawValue) \(b.canonical))"
    case .negative(let a): "-(\(a.canonical))"
    case .absolute(let a): "abs(\(a.canonical))"
    case .least(let terms): "min(\(terms.map(\.canonical).joined(separator: ", ")))"
    case .greatest(let terms): "max(\(terms.map(\.canonical).joined(separator: ", ")))"
    case .score(let a, let cuts, let descending):
      "score(\(a.canonical), \(cuts.map { "\($0)" }.joined(separator: ", "))\(descending ? ", descending" : ""))"
    }
  }
}

extension Condition {
  /// Calls `body` on every feature, in the order written.
  package func forEachFeature(_ body: (Feature) -> Void) {
    switch self {
    case .truth: break
    case .comparison(_, let a, let b):
      a.forEachFeature(body)
      b.forEachFeature(body)
    case .number(let term, _, _), .definedNumber(let term): term.forEachFeature(body)
    case .text(let feature, _, _), .definedText(let feature): body(feature)
    case .texts(let a, let b, _):
      body(a)
      body(b)
    case .not(let a): a.forEachFeature(body)
    case .and(let all), .or(let all): for one in all { one.forEachFeature(body) }
    }
  }

  package var canonical: String {
    switch self {
    case .truth(let value): "\(value)"
    case .comparison(let comparison, let a, let b): "(\(a.canonical) \(comparison.symbol) \(b.canonical))"
    case .number(let term, let list, let negated):
      "(\(term.canonical) \(negated ? "not in" : "in") [\(list.map { "\($0)" }.joined(separator: ", "))])"
    case .text(let feature, let list, let negated):
      "(\(feature.name) \(negated ? "not in" : "in") [\(list.map { "\"\($0.text)\"" }.joined(separator: ", "))])"
    case .texts(let a, let b, let negated): "(\(a.name) \(negated ? "!=" : "=") \(b.name))"
    case .definedNumber(let term): "defined(\(term.canonical))"
    case .definedText(let feature): "defined(\(feature.name))"
    case .not(let a): "not \(a.canonical)"
    case .and(let all): "(\(all.map(\.canonical).joined(separator: " and ")))"
    case .or(let all): "(\(all.map(\.canonical).joined(separator: " or ")))"
    }
  }
}
