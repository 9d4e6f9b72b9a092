// Random well-typed expressions with their own slow evaluation, independent of everything in Rules: a tree is printed
// for the compiler and walked here.

import Customers
import Events
import Rules

enum NumberKind: CaseIterable { case number, money, ratio, days }

indirect enum Number {
  /// Text and value in the units of its context (money: minor).
  case literal(String, Double)
  case feature(Feature)
  case binary(String, Number, Number)
  case negative(Number)
  case absolute(Number)
  case extreme(String, [Number])
  case score(Number, [(String, Double)], descending: Bool)

  func value(_ source: some FeatureSource) -> Double {
    switch self {
    case .literal(_, let value): return value
    case .feature(let feature): return source.number(feature)
    case .binary(let operation, let a, let b):
      let x = a.value(source)
      let y = b.value(source)
      switch operation {
      case "+": return x + y
      case "-": return x - y
      case "*": return x * y
      default: return y == 0 ? .nan : x / y
      }
    case .negative(let a): return -a.value(source)
    case .absolute(let a): return abs(a.value(source))
    case .extreme(let name, let all):
      let values = all.map { $0.value(source) }
      if values.contains(where: \.isNaN) { return .nan }
      return (name == "min" ? values.min() : values.max()) ?? .nan
    case .score(let a, let cuts, let descending):
      let x = a.value(source)
      if x.isNaN { return .nan }
      let passed = cuts.count { x >= $0.1 }
      return Double(descending ? cuts.count - passed + 1 : passed + 1)
    }
  }
}

indirect enum Truth {
  case constant(Bool)
  case compare(String, Number, Number)
  case between(Number, Number, Number, negated: Bool)
  case inNumbers(Number, [(String, Double)], negated: Bool)
  case text(Feature, String, equal: Bool)
  case textPair(Feature, Feature, equal: Bool)
  case inTexts(Feature, [String], negated: Bool)
  case definedNumber(Number)
  case definedText(Feature)
  case not(Truth)
  case and([Truth])
  case or([Truth])

  func holds(_ source: some FeatureSource) -> Bool {
    switch self {
    case .constant(let value): return value
    case .compare(let operation, let a, let b):
      let x = a.value(source)
      let y = b.value(source)
      if x.isNaN || y.isNaN { return false }
      switch operation {
      case "=", "==": return x == y
      case "!=": return x != y
      case "<": return x < y
      case "<=": return x <= y
      case ">": return x > y
      default: return x >= y
      }
    case .between(let a, let low, let high, let negated):
      let (x, l, h) = (a.value(source), low.value(source), high.value(source))
      return negated ? x < l || x > h : x >= l && x <= h
    case .inNumbers(let a, let list, let negated):
      let x = a.value(source)
      return !x.isNaN && list.contains { $0.1 == x } != negated
    case .text(let feature, let text, let equal):
      let hash = source.text(feature)
      return hash != 0 && (hash == textHash(text)) == equal
    case .textPair(let a, let b, let equal):
      let (x, y) = (source.text(a), source.text(b))
      return x != 0 && y != 0 && (x == y) == equal
    case .inTexts(let feature, let list, let negated):
      let hash = source.text(feature)
      return hash != 0 && list.contains { textHash($0) == hash } != negated
    case .definedNumber(let a): return !a.value(source).isNaN
    case .definedText(let feature): return source.text(feature) != 0
    case .not(let a): return !a.holds(source)
    case .and(let all): return all.allSatisfy { $0.holds(source) }
    case .or(let all): return all.contains { $0.holds(source) }
    }
  }
}

/// Makes trees and prints them, some parts as definitions and lists.
struct ExpressionMaker {
  var random: Seeded
  /// Exponents of the money literals.
  let exponent = 2
  var features: [Feature] = ExpressionMaker.allFeatures
  /// Continuous features, used against constants only.
  var continuous: [Feature] = [.churnProbability, .lostProbability]
  private(set) var definitions: [String] = []

  static let texts = ["female", "male", "other"]
  static let allFeatures: [Feature] = {
    var all: [Feature] = []
    for entry in FeatureCatalogue.entries {
      for window in [Window.life, .days(1), .days(7), .days(30), .days(90)] {
        switch (entry.parameters, window) {
        case (.none, .life), (.window, _), (.days(most: 30...), .days(1...30)), (.eventAndDays, .days(1...30)):
          for type in [EventType.pageView, .supportTicket] {
            let feature = entry.make(window, type)
            if !all.contains(feature) { all.append(feature) }
          }
        default: break
        }
      }
    }
    return all.filter { $0.behaviour != .continuous }
  }()

  init(seed: UInt64) { random = Seeded(seed) }

  mutating func startFile() { definitions = [] }

  // MARK: Making

  private func kind(_ type: FeatureType) -> NumberKind? {
    switch type {
    case .number: .number
    case .money: .money
    case .ratio: .ratio
    case .days: .days
    case .text: nil
    }
  }

  mutating func literal(_ kind: NumberKind) -> (String, Double) {
    let whole = random.below(8)
    switch kind {
    case .number: return ("\(whole)", Double(whole))
    case .money:
      return random.chance(30) ? ("\(whole).25", Double(whole * 100 + 25)) : ("\(whole)", Double(whole * 100))
    case .ratio: return random.chance(50) ? ("\(whole * 25)%", Double(whole) / 4) : ("\(whole).5", Double(whole) + 0.5)
    case .days:
      switch random.below(4) {
      case 0: return ("\(whole)d", Double(whole))
      case 1: return ("\(whole * 12)h", Double(whole) / 2)
      case 2: return ("\(whole)w", Double(whole * 7))
      default: return ("\(whole)", Double(whole))
      }
    }
  }

  mutating func feature(_ kind: NumberKind) -> Number {
    let fitting = features.filter { self.kind($0.type) == kind }
    return .feature(random.pick(fitting))
  }

  /// With `typed`, something that holds a feature, so that its type is `kind` wherever it stands.
  mutating func number(_ kind: NumberKind, depth: Int, typed: Bool) -> Number {
    if !typed, random.chance(40) {
      let (text, value) = literal(kind)
      return .literal(text, value)
    }
    if depth <= 0 || random.chance(30) { return feature(kind) }
    switch random.below(8) {
    case 0:
      return .binary("+", number(kind, depth: depth - 1, typed: true), number(kind, depth: depth - 1, typed: false))
    case 1:
      return .binary("-", number(kind, depth: depth - 1, typed: false), number(kind, depth: depth - 1, typed: true))
    case 2:
      let factor = number(.number, depth: depth - 1, typed: kind == .number)
      if kind == .ratio { return .binary("*", number(.ratio, depth: depth - 1, typed: true), literalNumber(.ratio)) }
      return .binary("*", factor, number(kind, depth: depth - 1, typed: true))
    case 3:
      if kind == .ratio {
        let other = random.pick(NumberKind.allCases)
        return .binary("/", number(other, depth: depth - 1, typed: false), number(other, depth: depth - 1, typed: true))
      }
      let divisor = literal(.number)
      return .binary(
        "/", number(kind, depth: depth - 1, typed: true), .literal("\(divisor.0).5", divisor.1 + 0.5))
    case 4: return .negative(number(kind, depth: depth - 1, typed: true))
    case 5: return .absolute(number(kind, depth: depth - 1, typed: true))
    case 6:
      var all = [number(kind, depth: depth - 1, typed: true)]
      for _ in 0...random.below(2) { all.append(number(kind, depth: depth - 1, typed: false)) }
      all.shuffle(using: &random)
      return .extreme(random.pick(["min", "max"]), all)
    default:
      guard kind == .number else { return feature(kind) }
      return score(number(random.pick(NumberKind.allCases), depth: depth - 1, typed: true))
    }
  }

  private mutating func literalNumber(_ kind: NumberKind) -> Number {
    let (text, value) = literal(kind)
    return .literal(text, value)
  }

  /// Cuts are bare numbers here, for any type but money.
  private mutating func score(_ a: Number) -> Number {
    guard !isMoney(a) else {
      return .score(a, [("1", 100), ("2.5", 250), ("4", 400)], descending: random.chance(50))
    }
    var cut = random.below(3)
    var cuts: [(String, Double)] = []
    for _ in 0...random.below(4) {
      cuts.append(("\(cut)", Double(cut)))
      cut += 1 + random.below(3)
    }
    return .score(a, cuts, descending: random.chance(50))
  }

  private func isMoney(_ a: Number) -> Bool {
    switch a {
    case .literal: return false
    case .feature(let feature): return feature.type == .money
    case .binary("/", let a, let b): return isMoney(a) && !isMoney(b)
    case .binary(_, let a, let b): return isMoney(a) || isMoney(b)
    case .negative(let a), .absolute(let a): return isMoney(a)
    case .extreme(_, let all): return all.contains { isMoney($0) }
    case .score: return false
    }
  }

  mutating func truth(depth: Int) -> Truth {
    if depth > 0, random.chance(60) {
      switch random.below(3) {
      case 0: return .not(truth(depth: depth - 1))
      case 1: return .and((0...random.below(3)).map { _ in truth(depth: depth - 1) })
      default: return .or((0...random.below(3)).map { _ in truth(depth: depth - 1) })
      }
    }
    let kind = random.pick(NumberKind.allCases)
    let operations = ["=", "==", "!=", "<", "<=", ">", ">="]
    let textFeatures = features.filter { $0.type == .text }
    switch random.below(13) {
    case 0: return .constant(random.chance(50))
    case 1:
      return .between(
        number(kind, depth: 1, typed: true), number(kind, depth: 1, typed: false), number(kind, depth: 1, typed: false),
        negated: random.chance(50))
    case 2:
      return .inNumbers(
        number(kind, depth: 1, typed: true), (0...random.below(3)).map { _ in literal(kind) },
        negated: random.chance(50))
    case 3 where !textFeatures.isEmpty:
      return .text(random.pick(textFeatures), random.pick(Self.texts), equal: random.chance(50))
    case 4 where !textFeatures.isEmpty:
      return .textPair(random.pick(textFeatures), random.pick(textFeatures), equal: random.chance(50))
    case 5 where !textFeatures.isEmpty:
      return .inTexts(
        random.pick(textFeatures), (0...random.below(3)).map { _ in random.pick(Self.texts) },
        negated: random.chance(50))
    case 6: return .definedNumber(number(kind, depth: 1, typed: true))
    case 7 where !textFeatures.isEmpty: return .definedText(random.pick(textFeatures))
    case 8 where !continuous.isEmpty:
      let share = Double(random.below(21)) / 20
      let literal = Number.literal("\(share)", share)
      let feature = Number.feature(random.pick(continuous))
      return random.chance(50)
        ? .compare(random.pick(operations), feature, literal) : .compare(random.pick(operations), literal, feature)
    default:
      let a = number(kind, depth: 2, typed: true)
      let b = number(kind, depth: 2, typed: false)
      return random.chance(50) ? .compare(random.pick(operations), a, b) : .compare(random.pick(operations), b, a)
    }
  }

  // MARK: Printing

  /// Some texts move to `define` and leave their name behind.
  private mutating func place(_ text: String) -> String {
    guard random.chance(10), definitions.count < 100 else { return text }
    definitions.append(text)
    return "d\(definitions.count - 1)"
  }

  mutating func print(_ a: Number) -> String {
    switch a {
    case .literal(let text, _): return text
    case .feature(let feature): return feature.name
    case .binary(let operation, let x, let y): return place("(\(print(x)) \(operation) \(print(y)))")
    case .negative(let x): return "-(\(print(x)))"
    case .absolute(let x): return "abs(\(print(x)))"
    case .extreme(let name, let all): return place("\(name)(\(all.map { print($0) }.joined(separator: ", ")))")
    case .score(let x, let cuts, let descending):
      let list = cuts.map(\.0).joined(separator: ", ")
      return place("score(\(print(x)), \(list)\(descending ? ", descending" : ""))")
    }
  }

  mutating func print(_ a: Truth) -> String {
    switch a {
    case .constant(let value): return "\(value)"
    case .compare(let operation, let x, let y): return "\(print(x)) \(operation) \(print(y))"
    case .between(let x, let low, let high, let negated):
      return "\(print(x)) \(negated ? "not " : "")between \(print(low)) and \(print(high))"
    case .inNumbers(let x, let list, let negated):
      return "\(print(x)) \(negated ? "not " : "")in [\(list.map(\.0).joined(separator: ", "))]"
    case .text(let feature, let text, let equal): return "\(feature.name) \(equal ? "=" : "!=") \"\(text)\""
    case .textPair(let x, let y, let equal): return "\(x.name) \(equal ? "=" : "!=") \(y.name)"
    case .inTexts(let feature, let list, let negated):
      return "\(feature.name) \(negated ? "not " : "")in [\(list.map { "\"\($0)\"" }.joined(separator: ", "))]"
    case .definedNumber(let x): return "defined(\(print(x)))"
    case .definedText(let feature): return "defined(\(feature.name))"
    case .not(let x): return place("not (\(print(x)))")
    case .and(let all): return place("(" + all.map { "(\(print($0)))" }.joined(separator: " and ") + ")")
    case .or(let all): return place("(" + all.map { "(\(print($0)))" }.joined(separator: " or ") + ")")
    }
  }

  /// The `define` part of a file for what has been printed.
  var definitionText: String {
    definitions.isEmpty
      ? "" : "define:\n" + definitions.enumerated().map { "  d\($0.offset): '\($0.element)'\n" }.joined()
  }
}
