// What of a condition silence can change: the instants a rule has to wait for.

import Customers

/// Gathers watches without doubles, in the order met.
struct WatchCollector {
  enum Kind: Hashable {
    case step
    /// Bits of the threshold.
    case crossing(UInt64)
    /// A threshold to compute, still in silence; to be reached or exceeded.
    case computed(Term, exceeding: Bool)
  }
  struct Item: Hashable {
    let kind: Kind
    let feature: Feature
  }

  private(set) var items: [Item] = []
  private var known: Set<Item> = []

  private mutating func add(_ feature: Feature, _ kind: Kind) {
    let item = Item(kind: kind, feature: feature)
    if known.insert(item).inserted { items.append(item) }
  }

  mutating func collect(_ condition: Condition) {
    switch condition {
    case .truth, .text, .texts, .definedText: break  // texts never change in silence
    case .comparison(let comparison, .feature(let feature), let other) where feature.isRising && other.isStill:
      cross(comparison, feature, other)
    case .comparison(let comparison, let other, .feature(let feature)) where feature.isRising && other.isStill:
      cross(comparison.mirrored, feature, other)
    case .comparison(_, let a, let b):
      steps(a)
      steps(b)
    case .number(.feature(let feature), let list, _) where feature.isRising:
      for value in list { cross(.equal, feature, .constant(value)) }
    case .number(let term, _, _): steps(term)
    case .definedNumber(.feature(let feature)) where feature.isRising: break  // known once, known for ever
    case .definedNumber(let term): steps(term)
    case .not(let inner): collect(inner)
    case .and(let all), .or(let all): for one in all { collect(one) }
    }
  }

  /// `x >= c` changes where x reaches c; `x > c` where it reaches the next number after c; `x = c` at both.
  private mutating func cross(_ comparison: Comparison, _ feature: Feature, _ threshold: Term) {
    let reaches = comparison != .greater && comparison != .lessOrEqual
    let exceeds = comparison != .greaterOrEqual && comparison != .less
    if case .constant(let value) = threshold {
      if reaches { add(feature, .crossing(value.bitPattern)) }
      if exceeds { add(feature, .crossing(value.nextUp.bitPattern)) }
    } else {
      if reaches { add(feature, .computed(threshold, exceeding: false)) }
      if exceeds { add(feature, .computed(threshold, exceeding: true)) }
    }
  }

  private mutating func steps(_ term: Term) {
    switch term {
    case .score(.feature(let feature), let cuts, _) where feature.isRising:
      for cut in cuts { add(feature, .crossing(cut.bitPattern)) }
    case .feature(let feature):
      if feature.behaviour == .step { add(feature, .step) }
    case .constant: break
    case .arithmetic(_, let a, let b):
      steps(a)
      steps(b)
    case .negative(let a), .absolute(let a), .score(let a, _, _): steps(a)
    case .least(let terms), .greatest(let terms): for term in terms { steps(term) }
    }
  }
}
