// Typed trees to instructions.

import Customers

/// What a tag does, typed.
package struct CheckedRule: Sendable {
  package enum Body: Sendable {
    case flag(when: Condition, until: Condition?)
    case cases(guarded: Condition?, [Condition])
    case text(guarded: Condition?, Feature)
  }
  package let body: Body

  package init(body: Body) { self.body = body }
}

package struct ProgramBuilder {
  package private(set) var program = Program()
  private var featureIndices: [Feature: UInt16] = [:]
  private var textLists: [[UInt64]: UInt64] = [:]

  // Of the rule under way.
  private var slots: [Term: UInt8] = [:]
  private var stack = 0
  private var deepest = 0
  private var watches = WatchCollector()

  /// A place in the code to be known later.
  private struct Label { var jumps: [Int] = [] }

  package init() {}

  /// Whether the rule appended last waits for anything.
  package var hasWatches: Bool { program.entries.last.map { $0.watchesSet > $0.watches } ?? false }

  /// Why a rule cannot be compiled though its types are right: it is too large.
  package enum TooLarge: Error { case code, stack, features, watches }

  package mutating func append(_ rule: CheckedRule) throws(TooLarge) {
    stack = 0
    deepest = 0
    let start = program.code.count
    var startSet = start
    var whileUnset: [WatchCollector.Item] = []
    var whileSet: [WatchCollector.Item] = []
    switch rule.body {
    case .flag(let when, let until):
      watches = WatchCollector()
      watches.collect(when)
      whileUnset = watches.items
      slots = repeated([when])
      try flag(when, setTo: 1, otherwise: 0)
      if let until {
        startSet = program.code.count
        watches.collect(until)
        slots = repeated([when, until])
        try flag(.or([when, .not(until)]), setTo: 1, otherwise: 0)
      }
      whileSet = watches.items
    case .cases(let guarded, let cases):
      let conditions = (guarded.map { [$0] } ?? []) + cases
      slots = repeated(conditions)
      try self.cases(guarded, cases)
      watches = WatchCollector()
      for condition in conditions { watches.collect(condition) }
      whileUnset = watches.items
      whileSet = watches.items
    case .text(let guarded, let feature):
      slots = repeated(guarded.map { [$0] } ?? [])
      var end = Label()
      if let guarded { try emit(guarded, jumpWhen: false, &end) }
      program.code.append(Instruction(.finishText, feature: try index(feature)))
      bind(end)
      program.code.append(Instruction(.finish, bits: 0))
      watches = WatchCollector()
      if let guarded { watches.collect(guarded) }
      whileUnset = watches.items
      whileSet = watches.items
    }
    guard deepest <= RuleLimits.stackDepth else { throw .stack }
    guard program.code.count - start <= Int(UInt16.max) else { throw .code }
    let first = program.watches.count
    try append(whileSet)
    guard whileSet.count <= RuleLimits.watches else { throw .watches }
    program.entries.append(
      RuleEntry(
        start: start, startSet: startSet, watches: first, watchesUnset: first + whileUnset.count,
        watchesSet: first + whileSet.count))
  }

  private mutating func append(_ items: [WatchCollector.Item]) throws(TooLarge) {
    for item in items {
      let feature = try index(item.feature)
      switch item.kind {
      case .step: program.watches.append(Watch(kind: .step, feature: feature, bits: 0))
      case .crossing(let bits): program.watches.append(Watch(kind: .crossing, feature: feature, bits: bits))
      case .computed(let term, let exceeding):
        let start = program.code.count
        slots = [:]
        try emit(term)
        program.code.append(Instruction(.finishNumber))
        stack -= 1
        program.watches.append(
          Watch(
            kind: exceeding ? .exceedingComputed : .crossingComputed, feature: feature, bits: UInt64(start)))
      }
    }
  }

  private mutating func flag(_ condition: Condition, setTo value: UInt64, otherwise: UInt64) throws(TooLarge) {
    var unset = Label()
    try emit(condition, jumpWhen: false, &unset)
    program.code.append(Instruction(.finish, bits: value))
    bind(unset)
    program.code.append(Instruction(.finish, bits: otherwise))
  }

  private mutating func cases(_ guarded: Condition?, _ cases: [Condition]) throws(TooLarge) {
    var unset = Label()
    if let guarded { try emit(guarded, jumpWhen: false, &unset) }
    for (number, condition) in cases.enumerated() {
      var next = Label()
      try emit(condition, jumpWhen: false, &next)
      program.code.append(Instruction(.finish, bits: UInt64(number + 1)))
      bind(next)
    }
    bind(unset)
    program.code.append(Instruction(.finish, bits: 0))
  }

  // MARK: Conditions

  /// Code that jumps to `label` when the condition is `sense`, and goes on otherwise.
  private mutating func emit(_ condition: Condition, jumpWhen sense: Bool, _ label: inout Label) throws(TooLarge) {
    switch condition {
    case .truth(let value): if value == sense { jump(Instruction(.jump), &label) }
    case .not(let inner): try emit(inner, jumpWhen: !sense, &label)
    case .and(let all): try chain(all, stopping: false, jumpWhen: sense, &label)
    case .or(let all): try chain(all, stopping: true, jumpWhen: sense, &label)
    case .comparison(let comparison, .feature(let feature), .constant(let value))
    where slots[.feature(feature)] == nil:
      let test = Instruction(
        .testFeature, comparison: comparison, sense: sense, feature: try index(feature), bits: value.bitPattern)
      jump(test, &label)
    case .comparison(let comparison, let a, .constant(let value)):
      try emit(a)
      stack -= 1
      jump(Instruction(.testConstant, comparison: comparison, sense: sense, bits: value.bitPattern), &label)
    case .comparison(let comparison, let a, let b):
      try emit(a)
      try emit(b)
      stack -= 2
      jump(Instruction(.test, comparison: comparison, sense: sense), &label)
    case .number(let term, let list, let negated):
      try emit(term)
      stack -= 1
      let range = words(list.map(\.bitPattern))
      jump(Instruction(.testNumbers, comparison: negated ? .unequal : .equal, sense: sense, bits: range), &label)
    case .text(let feature, let list, let negated):
      var test = Instruction(.testText, comparison: negated ? .unequal : .equal, sense: sense)
      test.feature = try index(feature)
      if list.count == 1 {
        test.bits = list[0].hash
      } else {
        test.operation = .testTexts
        test.bits = words(list.map(\.hash).sorted())
      }
      jump(test, &label)
    case .texts(let a, let b, let negated):
      var test = Instruction(.testTextPair, comparison: negated ? .unequal : .equal, sense: sense)
      test.feature = try index(a)
      test.bits = UInt64(try index(b))
      jump(test, &label)
    case .definedNumber(let term):
      try emit(term)
      stack -= 1
      jump(Instruction(.testDefined, sense: sense), &label)
    case .definedText(let feature):
      jump(Instruction(.testPresent, sense: sense, feature: try index(feature)), &label)
    }
  }

  /// `and` stops at the first false operand, `or` at the first true one.
  private mutating func chain(_ all: [Condition], stopping stop: Bool, jumpWhen sense: Bool, _ label: inout Label)
    throws(TooLarge)
  {
    if sense == stop {
      for one in all { try emit(one, jumpWhen: sense, &label) }
      return
    }
    var past = Label()
    for one in all.dropLast() { try emit(one, jumpWhen: stop, &past) }
    if let last = all.last { try emit(last, jumpWhen: sense, &label) }
    bind(past)
  }

  private mutating func jump(_ instruction: Instruction, _ label: inout Label) {
    label.jumps.append(program.code.count)
    program.code.append(instruction)
  }

  /// The label stands before the next instruction. Distances fit: `append` checks the size of the whole rule, and an
  /// overflow here is cut off there.
  private mutating func bind(_ label: Label) {
    for jump in label.jumps {
      program.code[jump].target = UInt16(clamping: program.code.count - jump)
    }
  }

  // MARK: Numbers

  private mutating func emit(_ term: Term) throws(TooLarge) {
    var known = Label()
    let slot = slots[term]
    if let slot { jump(Instruction(.recall, operand: slot), &known) }
    switch term {
    case .constant(let value): push(Instruction(.constant, bits: value.bitPattern))
    case .feature(let feature): push(Instruction(.feature, feature: try index(feature)))
    case .arithmetic(let operation, let a, let b):
      try emit(a)
      try emit(b)
      let code: Operation =
        switch operation {
        case .add: .add
        case .subtract: .subtract
        case .multiply: .multiply
        case .divide: .divide
        }
      combine(code)
    case .negative(let a):
      try emit(a)
      program.code.append(Instruction(.negate))
    case .absolute(let a):
      try emit(a)
      program.code.append(Instruction(.absolute))
    case .least(let terms): try fold(terms, .least)
    case .greatest(let terms): try fold(terms, .greatest)
    case .score(let a, let cuts, let descending):
      try emit(a)
      program.code.append(Instruction(.score, sense: descending, bits: words(cuts.map(\.bitPattern))))
    }
    if let slot {
      program.code.append(Instruction(.keep, operand: slot))
      bind(known)
    }
  }

  private mutating func fold(_ terms: [Term], _ operation: Operation) throws(TooLarge) {
    for (position, term) in terms.enumerated() {
      try emit(term)
      if position > 0 { combine(operation) }
    }
  }

  private mutating func push(_ instruction: Instruction) {
    program.code.append(instruction)
    stack += 1
    deepest = max(deepest, stack)
  }

  private mutating func combine(_ operation: Operation) {
    program.code.append(Instruction(operation))
    stack -= 1
  }

  // MARK: Tables

  private mutating func index(_ feature: Feature) throws(TooLarge) -> UInt16 {
    if let known = featureIndices[feature] { return known }
    guard let index = UInt16(exactly: program.features.count) else { throw .features }
    program.features.append(feature)
    featureIndices[feature] = index
    return index
  }

  /// start | count << 32 of the list in `words`.
  private mutating func words(_ list: [UInt64]) -> UInt64 {
    if let known = textLists[list] { return known }
    let range = UInt64(program.words.count) | UInt64(list.count) << 32
    program.words.append(contentsOf: list)
    textLists[list] = range
    return range
  }

  /// Slots for the terms that occur more than once: each is computed once in an evaluation.
  private func repeated(_ conditions: [Condition]) -> [Term: UInt8] {
    var counts: [Term: Int] = [:]
    var order: [Term] = []
    func count(_ term: Term) {
      if case .constant = term { return }
      counts[term, default: 0] += 1
      if counts[term] == 2 { order.append(term) }
      if counts[term] != 1 { return }
      switch term {
      case .constant, .feature: break
      case .arithmetic(_, let a, let b):
        count(a)
        count(b)
      case .negative(let a), .absolute(let a), .score(let a, _, _): count(a)
      case .least(let terms), .greatest(let terms): for term in terms { count(term) }
      }
    }
    func count(_ condition: Condition) {
      switch condition {
      case .truth, .text, .texts, .definedText: break
      case .comparison(_, let a, let b):
        count(a)
        count(b)
      case .number(let term, _, _), .definedNumber(let term): count(term)
      case .not(let a): count(a)
      case .and(let all), .or(let all): for one in all { count(one) }
      }
    }
    for condition in conditions { count(condition) }
    var result: [Term: UInt8] = [:]
    for term in order.prefix(RuleLimits.slots) { result[term] = UInt8(result.count) }
    return result
  }
}
