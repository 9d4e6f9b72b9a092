// From rule values to tag changes: evaluate, compare with what the record says, emit, and ask when silence may flip next.

import Customers
import Events
import Rules

extension EngineTask {
  /// Evaluates `selection` at `now`, emits what changed, and returns the earliest instant at which silence may flip one
  /// of those rules.
  mutating func transition(
    _ index: CustomerIndex, _ selection: RuleSelection, at now: Instant, cause: Cause, late: Bool
  ) -> Instant {
    if selection.isEmpty { return .distantFuture }
    let record = table.record(index)
    let view = view(index, at: now)
    let symbols = UnsafePointer(symbols)
    // Until the end nothing of these is changed but the record's tags.
    let (facts, timed) = borrowedContext._withUnsafeGuaranteedRef { ($0.texts.facts, $0.timedSelection) }
    var known = KnownTerms()
    var occasion = ChangeOccasion(cause: cause, late: late)
    for rule in selection {
      let current = facts[rule].values.word(record[tag: rule], symbols)
      let value = machine.evaluate(rule, source: view, current: current, known: &known)
      if value != current {
        change(index, rule: rule, facts[rule], to: value, view: view, &occasion)
      }
    }
    let waiting = selection.intersection(timed)
    if waiting.isEmpty { return .distantFuture }
    return machine.nextChange(of: waiting, source: view) { facts[$0].values.word(record[tag: $0], symbols) }
  }

  private mutating func change(
    _ index: CustomerIndex, rule: Int, _ facts: RuleFacts, to value: UInt64, view: EngineView,
    _ occasion: inout ChangeOccasion
  ) {
    let record = table.record(index)
    let old = record[tag: rule]
    let new = facts.values.stored(value, UnsafePointer(symbols))
    record[tag: rule] = new
    table.markDirty(index)
    if facts.shadow {
      counters.shadowChanges += 1
      return
    }
    let change = TagChange(facts: facts, old: TagValue(old, of: facts.values), new: TagValue(new, of: facts.values))
    borrowedContext._withUnsafeGuaranteedRef { emitChange(index, change, texts: $0.texts, view: view, &occasion) }
  }

  /// Numbers and writes a change that took effect at `view.now`.
  mutating func emitChange(
    _ index: CustomerIndex, _ change: TagChange, texts: RuleTexts, view: EngineView, _ occasion: inout ChangeOccasion
  ) {
    let record = table.record(index)
    record.header.sequence &+= 1
    counters.tagChanges += 1
    let emittedAt = emission(at: view.now)
    borrowedContext._withUnsafeGuaranteedRef { context in
      occasionTexts.write(&occasion, view: view, emittedAt: emittedAt, backfill: !isLive, context: context)
      change.write(
        to: &outputs, json: &json, occasion: occasionTexts, sequence: record.header.sequence, emittedAt: emittedAt,
        texts: texts, symbols: UnsafePointer(symbols), view: view, context: context)
    }
    profileChanged(index)
  }
}

extension RuleFacts.Values {
  /// What the record stores for a tag, as the rules see it.
  @inline(__always)
  func word(_ stored: UInt32, _ symbols: UnsafePointer<SymbolTable>) -> UInt64 {
    switch self {
    case .flag, .cases: UInt64(stored)
    case .gender: Gender(rawValue: UInt8(truncatingIfNeeded: stored))?.nameHash ?? 0
    case .symbol: symbols.pointee.hash(of: Symbol(number: stored))
    }
  }

  /// The inverse of `word`.
  func stored(_ word: UInt64, _ symbols: UnsafePointer<SymbolTable>) -> UInt32 {
    switch self {
    case .flag, .cases: return UInt32(truncatingIfNeeded: word)
    case .gender: return UInt32(Gender.allCases.first { $0.nameHash == word }?.rawValue ?? 0)
    case .symbol:
      if word == 0 { return 0 }
      return symbols.pointee.hash(of: .other) == word
        ? Symbol.other.number : symbols.pointee.find(hash: word)?.number ?? 0
    }
  }
}
