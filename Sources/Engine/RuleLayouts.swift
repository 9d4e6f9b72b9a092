// What the tag slots of a record mean. Slots are numbered by the rule set; when that changes, records written under an
// older numbering are brought over one by one, either when they are touched or by a sweep.

import Customers
import Events
import Rules

/// One tag as a generation of rules knew it.
struct TagSlot: Equatable, Sendable {
  var name: String
  var layer: RuleLayer
  var revision: Int32
  var shadow: Bool
  /// `flag`, `cases:a,b`, `text:profile.region`: values carry over only between equal kinds, cases by their names.
  var kind: String
  /// Names of cases, for values of tags that no longer exist.
  var caseNames: [String] { kind.hasPrefix("cases:") ? kind.dropFirst(6).split(separator: ",").map(String.init) : [] }

  init(_ rule: Rule) {
    name = rule.name
    layer = rule.layer
    revision = rule.revision
    shadow = rule.shadow
    kind =
      switch rule.kind {
      case .flag: "flag"
      case .cases(let names): "cases:" + names.joined(separator: ",")
      case .text(let feature): "text:" + feature.name
      }
  }

  /// What a stored value of this tag meant, to be written with texts that hold `caseName` as their only case.
  func value(_ stored: UInt32, symbols: borrowing SymbolTable) -> TagValue {
    if kind == "flag" { return .flag }
    if kind.hasPrefix("cases:") { return caseName(stored) == nil ? .unset : .named(0) }
    if kind == "text:" + Feature.gender.name {
      return Gender(rawValue: UInt8(truncatingIfNeeded: stored)).map { .gender($0) } ?? .unset
    }
    return Int(stored) < symbols.count ? .symbol(Symbol(number: stored)) : .unset
  }

  /// What a value stored under `self` is under `other`; nil where it means nothing there.
  func value(_ stored: UInt32, under other: TagSlot) -> UInt32? {
    guard name == other.name, shadow == other.shadow else { return nil }
    if kind == other.kind { return stored }
    guard kind.hasPrefix("cases:"), other.kind.hasPrefix("cases:"), let name = caseName(stored) else { return nil }
    return other.caseNames.firstIndex(of: name).map { UInt32($0 + 1) }
  }

  /// The name of a case; `stored` is not 0.
  func caseName(_ stored: UInt32) -> String? {
    let names = caseNames
    return Int(stored) <= names.count ? names[Int(stored) - 1] : nil
  }

  /// One line of a checkpoint's layout entry: fields separated by tabs.
  var line: String { "\(name)\t\(layer.rawValue)\t\(revision)\t\(shadow ? 1 : 0)\t\(kind)" }

  init?(line: Substring) {
    let fields = line.split(separator: "\t", omittingEmptySubsequences: false)
    guard fields.count == 5, let layer = RuleLayer(rawValue: String(fields[1])), let revision = Int32(fields[2]) else {
      return nil
    }
    name = String(fields[0])
    self.layer = layer
    self.revision = revision
    shadow = fields[3] == "1"
    kind = String(fields[4])
  }
}

/// One generation of rules, and of what they were reckoned with.
struct RuleLayout: Equatable, Sendable {
  var fingerprint: UInt64
  var revision: Int32
  /// `EngineSettings.basis`; 0 = not known, since it was written before there was any.
  var basis: UInt64
  var slots: [TagSlot]

  init(_ settings: EngineSettings) {
    fingerprint = settings.rules.fingerprint
    revision = settings.rules.revision
    basis = settings.basis
    slots = settings.rules.rules.map(TagSlot.init)
  }

  func hasRules(of other: RuleLayout) -> Bool {
    fingerprint == other.fingerprint && revision == other.revision && slots == other.slots
  }

  var encoded: [UInt8] {
    Array(("\(fingerprint)\t\(revision)\t\(basis)\n" + slots.map(\.line).joined(separator: "\n")).utf8)
  }

  init?(encoded: UnsafeRawBufferPointer) {
    let lines = String(decoding: encoded, as: UTF8.self).split(separator: "\n")
    guard let head = lines.first?.split(separator: "\t"), (2...3).contains(head.count),
      let fingerprint = UInt64(head[0]), let revision = Int32(head[1]),
      let basis = head.count == 3 ? UInt64(head[2]) : 0
    else { return nil }
    self.fingerprint = fingerprint
    self.revision = revision
    self.basis = basis
    slots = []
    for line in lines.dropFirst() {
      guard let slot = TagSlot(line: line) else { return nil }
      slots.append(slot)
    }
  }
}

/// All generations that a record may still be written in; the last is the current one.
struct RuleLayouts: Sendable {
  private(set) var generations: [UInt32: RuleLayout] = [:]
  private(set) var currentGeneration: UInt32 = 1
  /// Generations that no checkpoint holds yet.
  private var unsaved: [UInt32] = [1]

  init(current settings: EngineSettings) { generations[1] = RuleLayout(settings) }

  var current: RuleLayout? { generations[currentGeneration] }

  mutating func restore(generation: UInt32, layout: RuleLayout) {
    if !isRestored {
      generations.removeAll()
      unsaved.removeAll()
      currentGeneration = generation
      isRestored = true
    }
    generations[generation] = layout
    currentGeneration = max(currentGeneration, generation)
  }
  private var isRestored = false

  /// True when the rules, or what they are reckoned with, differ from the newest generation: they become a new one. A basis
  /// that is not known is taken for this one.
  mutating func adopt(_ settings: EngineSettings) -> Bool {
    let layout = RuleLayout(settings)
    if current == layout { return false }
    let isKnown = current.map { $0.basis != 0 || !$0.hasRules(of: layout) } ?? true
    if isKnown { currentGeneration += 1 }
    generations[currentGeneration] = layout
    unsaved.append(currentGeneration)
    return true
  }

  mutating func drainUnsaved(_ body: (UInt32, [UInt8]) throws -> Void) rethrows {
    for generation in unsaved {
      if let layout = generations[generation] { try body(generation, layout.encoded) }
    }
    unsaved.removeAll()
  }
}

extension EngineTask {
  /// Brings a record to the current rules: carries values over, takes back tags that are gone, evaluates all.
  mutating func adoptRules(_ index: CustomerIndex) {
    let record = table.record(index)
    guard let old = ruleLayouts.generations[record.header.ruleGeneration], let new = ruleLayouts.current else {
      // Unknown numbering: the values mean nothing. Cannot happen with a checkpoint that passed `finishRestore`.
      table.resizeTags(of: index, to: 0)
      table.resizeTags(of: index, to: machine.count)
      record.header.ruleGeneration = ruleLayouts.currentGeneration
      return
    }
    let now = clock == .distantPast ? record.header.asOf : max(record.header.asOf, clock)
    let view = view(index, at: now)
    var carried = [UInt32](repeating: 0, count: new.slots.count)
    var occasion = ChangeOccasion(cause: .ruleChange, late: false)
    for (position, slot) in old.slots.enumerated() where position < record.tagCount && record[tag: position] != 0 {
      let stored = record[tag: position]
      if let target = new.slots.firstIndex(where: { $0.name == slot.name }),
        let value = slot.value(stored, under: new.slots[target])
      {
        carried[target] = value
      } else if !slot.shadow {
        let texts = RuleTexts(removed: slot, caseName: slot.caseName(stored) ?? "")
        emitChange(
          index,
          TagChange(facts: texts.facts[0], old: slot.value(stored, symbols: symbols.pointee), new: .unset),
          texts: texts, view: view, &occasion)
      }
    }
    record.header.ruleGeneration = ruleLayouts.currentGeneration
    record.header.asOf = now
    table.markDirty(index)
    table.resizeTags(of: index, to: carried.count)
    for (position, value) in carried.enumerated() { record[tag: position] = value }
    let isOtherBasis = old.basis != 0 && old.basis != new.basis
    let cause: Cause = old.hasRules(of: new) ? .modelChange : .ruleChange
    var next = transition(index, machine.all, at: now, cause: cause, late: false)
    if isOtherBasis {
      next = min(next, updateAlerts(index, before: record.totals, now: now, upTo: next, cause: .modelChange))
    }
    schedule(index, due: min(record.header.due, next))
  }

  /// One batch of the sweep after a change of rules or of what they are reckoned with.
  mutating func sweepRules(atMost limit: Int) {
    guard var slot = ruleSweep else { return }
    var left = min(limit, context.settings.sweepBatch)
    while left > 0, slot < table.slotCount {
      let index = CustomerIndex(number: slot)
      slot += 1
      if table.isFree(index) || table.record(index).header.ruleGeneration == ruleLayouts.currentGeneration { continue }
      left -= 1
      fireTimers(of: index, upTo: clock)
      if table.isFree(index) { continue }
      adoptRules(index)
    }
    ruleSweep = slot < table.slotCount ? slot : nil
  }
}
