// Expression text to tokens.

package enum Symbol: String, Sendable {
  case open = "("
  case close = ")"
  case openList = "["
  case closeList = "]"
  case comma = ","
  case plus = "+"
  case minus = "-"
  case times = "*"
  case divided = "/"
  case equal = "="
  case unequal = "!="
  case less = "<"
  case lessOrEqual = "<="
  case greater = ">"
  case greaterOrEqual = ">="
}

package enum Keyword: String, CaseIterable, Sendable {
  case and, or, not, `in`, between, `true`, `false`
}

/// What stands behind a number.
package enum Unit: String, CaseIterable, Sendable {
  case percent = "%"
  case hours = "h"
  case days = "d"
  case weeks = "w"
}

package struct Token: Sendable {
  package enum Kind: Equatable, Sendable {
    /// The digits as written, without the unit.
    case number(String, Unit?)
    case text(String)
    case name(String)
    case keyword(Keyword)
    case symbol(Symbol)
    case end
  }
  package let kind: Kind
  package let span: Span
}

package struct Lexer {
  private let text: ExpressionText
  private var at = 0

  package init(_ text: ExpressionText) { self.text = text }

  /// The tokens up to and with `.end`.
  package static func tokens(of text: ExpressionText) throws(RuleProblem) -> [Token] {
    guard text.scalars.count <= RuleLimits.expressionLength else {
      throw Span(text: text, range: 0..<min(24, text.scalars.count)).problem(
        "the expression is longer than \(RuleLimits.expressionLength) characters; move parts of it to `define`")
    }
    var lexer = Lexer(text)
    var tokens: [Token] = []
    while true {
      let token = try lexer.next()
      tokens.append(token)
      if token.kind == .end { return tokens }
    }
  }

  private var current: Unicode.Scalar? { at < text.scalars.count ? text.scalars[at] : nil }
  private func peek(_ distance: Int) -> Unicode.Scalar? {
    at + distance < text.scalars.count ? text.scalars[at + distance] : nil
  }
  private func span(from start: Int) -> Span { Span(text: text, range: start..<at) }

  private mutating func next() throws(RuleProblem) -> Token {
    while let c = current, isSpace(c) { at += 1 }
    let start = at
    guard let c = current else { return Token(kind: .end, span: span(from: start)) }
    if isDigit(c) { return try number() }
    if isLetter(c) { return name() }
    if c == "\"" || c == "'" { return try quoted(by: c) }
    return try symbol(c)
  }

  private mutating func number() throws(RuleProblem) -> Token {
    let start = at
    while let c = current, isDigit(c) { at += 1 }
    if current == ".", let digit = peek(1), isDigit(digit) {
      at += 1
      while let c = current, isDigit(c) { at += 1 }
    }
    let digits = text.string(start..<at)
    guard at - start <= 18 else {
      throw span(from: start).problem("the number has more than 18 digits; write a smaller one")
    }
    var look = at
    while look < text.scalars.count, isSpace(text.scalars[look]) { look += 1 }
    if look < text.scalars.count, text.scalars[look] == "%" {
      at = look + 1
      return Token(kind: .number(digits, .percent), span: span(from: start))
    }
    let unitStart = at
    while let c = current, isLetter(c) || isDigit(c) || c == "." { at += 1 }
    if unitStart == at { return Token(kind: .number(digits, nil), span: span(from: start)) }
    guard let unit = Unit(rawValue: text.string(unitStart..<at)) else {
      throw span(from: start).problem(
        "unknown unit behind a number; known units are d (days), h (hours), w (weeks) and %")
    }
    return Token(kind: .number(digits, unit), span: span(from: start))
  }

  private mutating func name() -> Token {
    let start = at
    while let c = current {
      let continues = isLetter(c) || isDigit(c) || (c == "." && peek(1).map(isLetter) == true)
      if !continues { break }
      at += 1
    }
    let name = text.string(start..<at)
    if let keyword = Keyword(rawValue: name) { return Token(kind: .keyword(keyword), span: span(from: start)) }
    return Token(kind: .name(name), span: span(from: start))
  }

  private mutating func quoted(by quote: Unicode.Scalar) throws(RuleProblem) -> Token {
    let start = at
    at += 1
    while let c = current, c != quote { at += 1 }
    guard current == quote else { throw span(from: start).problem("the text has no closing quote") }
    at += 1
    return Token(kind: .text(text.string(start + 1..<at - 1)), span: span(from: start))
  }

  private mutating func symbol(_ c: Unicode.Scalar) throws(RuleProblem) -> Token {
    let start = at
    at += 1
    if let second = current {
      let pair = String(String.UnicodeScalarView([c, second]))
      switch pair {
      case "<=", ">=", "!=":
        at += 1
        if let symbol = Symbol(rawValue: pair) { return Token(kind: .symbol(symbol), span: span(from: start)) }
      case "==":
        at += 1
        return Token(kind: .symbol(.equal), span: span(from: start))
      case "&&", "||", "<>", "=>", "=<":
        at += 1
        let meant = ["&&": "and", "||": "or", "<>": "!=", "=>": ">=", "=<": "<="]
        throw span(from: start).problem("unknown operator", suggestion: meant[pair])
      default: break
      }
    }
    if let symbol = Symbol(rawValue: String(Character(c))) {
      return Token(kind: .symbol(symbol), span: span(from: start))
    }
    let meant = ["!": "not", "&": "and", "|": "or", "≥": ">=", "≤": "<=", "≠": "!=", "×": "*", "÷": "/"]
    throw span(from: start).problem(
      "this character has no meaning in an expression", suggestion: meant[String(Character(c))])
  }
}

package func isSpace(_ c: Unicode.Scalar) -> Bool { c == " " || c == "\n" || c == "\t" || c == "\r" }
package func isDigit(_ c: Unicode.Scalar) -> Bool { ("0"..."9").contains(c) }
package func isLetter(_ c: Unicode.Scalar) -> Bool { ("a"..."z").contains(c) || ("A"..."Z").contains(c) || c == "_" }
