// Typed trees to instructions.

import Customers

/// What a tag does, typed.
package struct CheckedRule: Sendable {
  package enum Body: Sendable {
    case flag
    case cases([Condition])
    case text(Feature)
  }
  /// The tag may be set only while this holds,
  package let when: Condition
  /// and once it is set, also until this does.
  package let until: Condition?
  package let body: Body

  package init(when: Condition, until: Condition? = nil, body: Body) {
    self.when = when
    self.until = until
    self.body = body
  }

  /// What is read to set the tag.
  var conditions: [Condition] {
    if case .cases(let cases) = body { [when] + cases } else { [when] }
  }
}

package struct ProgramBuilder {
  package private(set) var program = Program()
  private var featureIndices: [Feature: UInt16] = [:]
  private var textLists: [[UInt64]: UInt64] = [:]

  /// Slots for what several rules read.
  private let shared: [Term: UInt8]

  // Of the rule under way.
  private var slots: [Term: UInt8] = [:]
  /// Slots that are known wherever the code so far has gone on to the next instruction.
  private var known: Set<UInt8> = []
  private var stack = 0
  private var deepest = 0
  private var watches = WatchCollector()

  /// A place in the code to be known later.
  private struct Label { var jumps: [Int] = [] }

  /// - Parameter rules: those that will be appended.
  package init(for rules: [CheckedRule] = []) {
    var shared: [Term: UInt8] = [:]
    for term in Self.readBySeveral(rules).prefix(RuleLimits.sharedSlots) { shared[term] = UInt8(shared.count) }
    self.shared = shared
  }

  /// Whether the rule appended last waits for anything.
  package var hasWatches: Bool { program.entries.last.map { $0.watchesSet > $0.watches } ?? false }

  /// Why a rule cannot be compiled though its types are right: it is too large.
  package enum TooLarge: Error { case code, stack, features, watches }

  package mutating func append(_ rule: CheckedRule) throws(TooLarge) {
    stack = 0
    deepest = 0
    let start = program.code.count
    var startSet = start
    watches = WatchCollector()
    for condition in rule.conditions { watches.collect(condition) }
    let whileUnset = watches.items
    slots = slots(for: rule.conditions)
    try emit(rule.body, while: rule.when)
    if let until = rule.until {
      startSet = program.code.count
      watches.collect(until)
      slots = slots(for: rule.conditions + [until])
      try emit(rule.body, while: .or([rule.when, .not(until)]))
    }
    let whileSet = watches.items
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

  /// Code that finishes with the value that `body` gives, and with 0 unless `condition` holds.
  private mutating func emit(_ body: CheckedRule.Body, while condition: Condition) throws(TooLarge) {
    var unset = Label()
    known = []
    try emit(condition, jumpWhen: false, &unset)
    switch body {
    case .flag: program.code.append(Instruction(.finish, bits: 1))
    case .cases(let cases):
      for (number, condition) in cases.enumerated() {
        var next = Label()
        try emit(condition, jumpWhen: false, &next)
        program.code.append(Instruction(.finish, bits: UInt64(number + 1)))
        bind(next)
      }
    case .text(let feature): program.code.append(Instruction(.finishText, feature: try index(feature)))
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
      if let slot = slots[a], known.contains(slot) {
        let test = Instruction(
          .testKept, comparison: comparison, sense: sense, operand: slot, bits: value.bitPattern)
        return jump(test, &label)
      }
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

  /// `and` stops at the first false operand, `or` at the first true one: behind them only what the first has read is known.
  private mutating func chain(_ all: [Condition], stopping stop: Bool, jumpWhen sense: Bool, _ label: inout Label)
    throws(TooLarge)
  {
    var past = Label()
    var knownInAnyCase: Set<UInt8>?
    for (place, one) in all.enumerated() {
      if sense == stop || place == all.count - 1 {
        try emit(one, jumpWhen: sense, &label)
      } else {
        try emit(one, jumpWhen: stop, &past)
      }
      if place == 0 { knownInAnyCase = known }
    }
    bind(past)
    if let knownInAnyCase { known = knownInAnyCase }
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
    let slot = slots[term]
    if let slot, known.contains(slot) { return push(Instruction(.kept, operand: slot)) }
    var recalled = Label()
    let knownBefore = known
    if let slot { jump(Instruction(.recall, operand: slot), &recalled) }
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
      bind(recalled)
      // What it is made of was not read where it was recalled.
      known = knownBefore.union([slot])
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

  // MARK: Slots

  /// The shared slots, and others for what these conditions read more than once: each is computed once in an evaluation.
  private func slots(for conditions: [Condition]) -> [Term: UInt8] {
    var tally = TermTally()
    for condition in conditions { tally.add(condition) }
    var slots = shared
    for term in tally.repeated.filter({ shared[$0] == nil }).prefix(RuleLimits.ownSlots) {
      slots[term] = UInt8(RuleLimits.sharedSlots + slots.count - shared.count)
    }
    return slots
  }

  /// Terms that more than one rule reads. A feature alone is worth a slot from the third on: a slot that is read once costs
  /// about what it saves.
  private static func readBySeveral(_ rules: [CheckedRule]) -> [Term] {
    var readers: [Term: Int] = [:]
    var order: [Term] = []
    for rule in rules {
      var tally = TermTally()
      for condition in rule.conditions + (rule.until.map { [$0] } ?? []) { tally.add(condition) }
      for term in tally.counts.keys.sorted(by: { $0.canonical < $1.canonical }) {
        if readers[term] == nil { order.append(term) }
        readers[term, default: 0] += 1
      }
    }
    return order.filter { term in
      if case .feature = term { readers[term, default: 0] > 2 } else { readers[term, default: 0] > 1 }
    }
  }
}

/// How often terms occur; what a term that occurs again is made of counts with its first occurrence only.
private struct TermTally {
  private(set) var counts: [Term: Int] = [:]
  /// Those that occur more than once.
  private(set) var repeated: [Term] = []

  mutating func add(_ condition: Condition) {
    switch condition {
    case .truth, .text, .texts, .definedText: break
    case .comparison(_, let a, let b):
      add(a)
      add(b)
    case .number(let term, _, _), .definedNumber(let term): add(term)
    case .not(let a): add(a)
    case .and(let all), .or(let all): for one in all { add(one) }
    }
  }

  private mutating func add(_ term: Term) {
    if case .constant = term { return }
    counts[term, default: 0] += 1
    if counts[term] == 2 { repeated.append(term) }
    if counts[term] != 1 { return }
    switch term {
    case .constant, .feature: break
    case .arithmetic(_, let a, let b):
      add(a)
      add(b)
    case .negative(let a), .absolute(let a), .score(let a, _, _): add(a)
    case .least(let terms), .greatest(let terms): for term in terms { add(term) }
    }
  }
}
