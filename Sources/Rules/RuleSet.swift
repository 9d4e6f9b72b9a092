// The rules of one file, compiled: what the engine holds and calls.

import Customers
import Events

/// The layer a tag belongs to.
public enum RuleLayer: String, CaseIterable, Sendable {
  case basic, behaviour, value
}

/// A name for people, in one language.
public struct RuleTitle: Hashable, Sendable {
  /// As in the file, such as `en` or `zh`.
  public let language: String
  public let text: String
}

/// What values a tag takes.
public enum RuleKind: Hashable, Sendable {
  /// Set (1) or unset (0).
  case flag
  /// The number, from 1, of the case that applies; the names in the order of the file.
  case cases([String])
  /// The hash of the feature's text.
  case text(Feature)
}

/// One tag and how it is decided.
public struct Rule: Sendable {
  public let name: String
  public let layer: RuleLayer
  /// In the order of the languages' codes.
  public let titles: [RuleTitle]
  /// For `.cases`, the titles of each case; empty lists where the file gives none.
  public let caseTitles: [[RuleTitle]]
  /// At least 1; raised by the author when the meaning changes.
  public let revision: Int32
  /// Computed and counted, never emitted.
  public let shadow: Bool
  public let kind: RuleKind
  /// The parts of a record that it reads.
  public let groups: FeatureGroups
  /// What it reads, in the order written, each once: the deciding values of an output.
  public let features: [Feature]
  /// Whether silence alone can flip it.
  public let isTimed: Bool
  /// Stable hash of the meaning: differs when anything but titles, layout, comments and revision does.
  public let fingerprint: UInt64

  /// The name of a value that `evaluate` returned: a case's name, `true` of a flag; nil when unset, and for texts,
  /// whose names the engine keeps.
  public func valueName(_ value: UInt64) -> String? {
    switch kind {
    case .flag: value == 0 ? nil : "true"
    case .cases(let names): value == 0 || value > UInt64(names.count) ? nil : names[Int(value - 1)]
    case .text: nil
    }
  }
}

/// A compiled rule file. Values of tags: 0 is unset; a flag is 1; cases count from 1; a text is its hash.
public struct RuleSet: Sendable {
  /// In the order of the file; at most `RuleLimits.tags`.
  public let rules: [Rule]
  /// `revision` at the top of the file, 1 when absent.
  public let revision: Int32
  /// All parts of a record that any rule reads.
  public let groups: FeatureGroups
  /// Stable hash over the whole set: names, layers, revisions, shadows and meanings, in order.
  public let fingerprint: UInt64
  /// Whether any rule reads `churn.*`.
  public let usesChurnModel: Bool
  @usableFromInline let program: Program
  /// By bit of `FeatureGroups`.
  @usableFromInline let readers: [RuleSelection]

  init(rules: [Rule], revision: Int32, program: Program) {
    self.rules = rules
    self.revision = revision
    self.program = program
    var groups: FeatureGroups = []
    var readers = [RuleSelection](repeating: RuleSelection(), count: 64)
    var canonical = "revision \(revision)\n"
    for (index, rule) in rules.enumerated() {
      groups.formUnion(rule.groups)
      for bit in 0..<64 where rule.groups.rawValue & (1 << UInt64(bit)) != 0 { readers[bit].insert(index) }
      canonical += "\(rule.name) \(rule.layer.rawValue) \(rule.revision) \(rule.shadow) \(rule.fingerprint)\n"
    }
    self.groups = groups
    self.readers = readers
    fingerprint = textHash(canonical)
    usesChurnModel = rules.contains { rule in
      rule.features.contains { $0 == .churnProbability || $0 == .lostProbability }
    }
  }

  @inlinable public var count: Int { program.entries.count }

  /// The value of rule `index` (0 ..< count) for a customer whose value was `current` (0 when none). `current` matters
  /// to rules with `until` only.
  @inlinable
  public func evaluate<S: FeatureSource>(_ index: Int, source: S, current: UInt64) -> UInt64 {
    withView { $0.run(from: $0.start(of: index, current), source) }
  }

  @inlinable
  func withView<R>(_ body: (ProgramView) -> R) -> R {
    // Of an empty list nothing is ever read.
    func base<T>(_ list: UnsafeBufferPointer<T>) -> UnsafePointer<T> {
      list.baseAddress ?? UnsafePointer(bitPattern: MemoryLayout<T>.alignment).unsafelyUnwrapped
    }
    return program.code.withUnsafeBufferPointer { code in
      program.features.withUnsafeBufferPointer { features in
        program.words.withUnsafeBufferPointer { words in
          program.watches.withUnsafeBufferPointer { watches in
            program.entries.withUnsafeBufferPointer { entries in
              readers.withUnsafeBufferPointer { readers in
                body(
                  ProgramView(
                    code: base(code), features: base(features), words: base(words), watches: base(watches),
                    entries: base(entries), readers: base(readers)))
              }
            }
          }
        }
      }
    }
  }

  /// The rules that read any of `groups`.
  @inlinable
  public func affected(by groups: FeatureGroups) -> RuleSelection {
    withView { $0.affected(by: groups.intersection(self.groups)) }
  }
}

extension ProgramView {
  @inlinable
  func start(of index: Int, _ current: UInt64) -> Int {
    current == 0 ? entries[index].start : entries[index].startSet
  }

  @inlinable
  func affected(by groups: FeatureGroups) -> RuleSelection {
    var result = RuleSelection()
    var bits = groups.rawValue
    while bits != 0 {
      result.formUnion(readers[bits.trailingZeroBitCount])
      bits &= bits &- 1
    }
    return result
  }
}

/// A rule set in raw memory of its own: what a task runs, for every event, without counting a reference.
/// Answers as the `RuleSet` it is made of. One thread at a time: it computes in memory of its own.
public struct RuleMachine: ~Copyable {
  @usableFromInline let view: ProgramView
  @usableFromInline let groups: FeatureGroups
  @usableFromInline let memory: RuleMemory
  @usableFromInline let watching: WatchTable
  public let count: Int

  public init(_ rules: RuleSet) {
    func copy<T>(_ list: [T]) -> UnsafePointer<T> {
      let memory = UnsafeMutablePointer<T>.allocate(capacity: max(1, list.count))
      memory.initialize(from: list, count: list.count)
      return UnsafePointer(memory)
    }
    let program = rules.program
    view = ProgramView(
      code: copy(program.code), features: copy(program.features), words: copy(program.words),
      watches: copy(program.watches), entries: copy(program.entries), readers: copy(rules.readers))
    groups = rules.groups
    watching = WatchTable(program)
    memory = RuleMemory(numbers: .allocate(capacity: RuleMemory.capacity))
    count = rules.count
  }

  deinit {
    view.code.deallocate()
    view.features.deallocate()
    view.words.deallocate()
    view.watches.deallocate()
    view.entries.deallocate()
    view.readers.deallocate()
    memory.numbers.deallocate()
  }

  /// See `RuleSet.evaluate`.
  /// - Parameter known: of this source as it is; to be handed from rule to rule.
  @inlinable
  public func evaluate<S: FeatureSource>(_ index: Int, source: S, current: UInt64, known: inout KnownTerms) -> UInt64 {
    view.run(from: view.start(of: index, current), source, memory, &known)
  }

  /// All rules, also those that read nothing.
  public var all: RuleSelection {
    var all = RuleSelection()
    for index in 0..<count { all.insert(index) }
    return all
  }

  /// See `RuleSet.affected`.
  @inlinable
  public func affected(by groups: FeatureGroups) -> RuleSelection {
    view.affected(by: groups.intersection(self.groups))
  }
}
