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
    let rules = context.settings.rules
    let record = table.record(index)
    let view = view(index, at: now)
    var next = Instant.distantFuture
    for rule in selection {
      let stored = record[tag: rule]
      let current = word(stored, of: rules.rules[rule])
      let value = rules.evaluate(rule, source: view, current: current)
      if value != current { change(index, rule: rule, to: value, view: view, cause: cause, late: late) }
      if rules.rules[rule].isTimed {
        next = min(next, rules.nextChange(rule, source: view, current: value, before: next))
      }
    }
    return next
  }

  /// What the record stores for a tag, as the rules see it.
  func word(_ stored: UInt32, of rule: Rule) -> UInt64 {
    guard case .text(let feature) = rule.kind else { return UInt64(stored) }
    if case .gender = feature { return Gender(rawValue: UInt8(truncatingIfNeeded: stored))?.nameHash ?? 0 }
    return symbols.pointee.hash(of: Symbol(number: stored))
  }

  /// The inverse of `word`.
  private func stored(_ word: UInt64, of rule: Rule) -> UInt32 {
    guard case .text(let feature) = rule.kind else { return UInt32(truncatingIfNeeded: word) }
    if word == 0 { return 0 }
    if case .gender = feature {
      return UInt32(Gender.allCases.first { $0.nameHash == word }?.rawValue ?? 0)
    }
    return symbols.pointee.hash(of: .other) == word
      ? Symbol.other.number : symbols.pointee.find(hash: word)?.number ?? 0
  }

  func tagValue(_ stored: UInt32, of rule: Rule) -> TagValue {
    if stored == 0 { return .unset }
    switch rule.kind {
    case .flag: return .flag
    case .cases(let names): return .name(Array(names[min(Int(stored), names.count) - 1].utf8))
    case .text(let feature):
      if case .gender = feature {
        return .name(Array((Gender(rawValue: UInt8(truncatingIfNeeded: stored))?.name ?? "").utf8))
      }
      return .name(symbols.pointee.name(of: Symbol(number: stored)))
    }
  }

  private mutating func change(
    _ index: CustomerIndex, rule: Int, to value: UInt64, view: EngineView, cause: Cause, late: Bool
  ) {
    let definition = context.settings.rules.rules[rule]
    let record = table.record(index)
    let old = record[tag: rule]
    let new = stored(value, of: definition)
    record[tag: rule] = new
    table.markDirty(index)
    if definition.shadow {
      counters.shadowChanges += 1
      return
    }
    emitChange(
      index,
      TagChange(
        name: context.ruleNames[rule], layer: definition.layer, revision: definition.revision,
        features: definition.features, old: tagValue(old, of: definition), new: tagValue(new, of: definition),
        late: late, cause: cause),
      view: view)
  }

  /// Numbers and writes a change that took effect at `view.now`.
  mutating func emitChange(_ index: CustomerIndex, _ change: consuming TagChange, view: EngineView) {
    let record = table.record(index)
    record.header.sequence &+= 1
    counters.tagChanges += 1
    change.sequence = record.header.sequence
    change.effectiveAt = view.now
    change.emittedAt = emission(at: view.now)
    change.backfill = !isLive
    change.write(to: &outputs, view: view, context: context)
    if context.settings.profiles { pendingProfiles.insert(index.number) }
  }
}
