// What rules compile to: one flat array of 16-byte instructions with forward jumps only, and side tables.
// Forward jumps mean that every run ends; the builder counts the stack, so that the machine need not check it.

import Customers
import Events

@usableFromInline
package enum Operation: UInt8, Sendable {
  /// Push the number of `feature`.
  case feature
  /// Push the constant in `bits`.
  case constant
  /// Pop b, a; push the result.
  case add, subtract, multiply, divide, least, greatest
  /// Replace the top.
  case negate, absolute
  /// Replace the top by its score: `bits` is start | count << 32 in `words`; `sense` means descending.
  case score
  /// Slot `operand` known: push it and jump.
  case recall
  /// Keep the top in slot `operand`.
  case keep
  /// Push slot `operand`, which is known.
  case kept
  /// Jump when (`feature` compared with the constant in `bits`) == `sense`.
  case testFeature
  /// Jump when (slot `operand`, which is known, compared with the constant in `bits`) == `sense`.
  case testKept
  /// Pop a; jump when (a compared with the constant in `bits`) == `sense`.
  case testConstant
  /// Pop b, a; jump when (a compared with b) == `sense`.
  case test
  /// Pop a; jump when (a in the list `bits`, xor `comparison` is `.unequal`) == `sense`. False when undefined.
  case testNumbers
  /// Jump when (text of `feature` equals hash `bits`, xor `.unequal`) == `sense`. False when absent.
  case testText
  /// Likewise with the sorted list `bits`.
  case testTexts
  /// Jump when (text of `feature` equals that of feature `bits`, xor `.unequal`) == `sense`.
  case testTextPair
  /// Pop a; jump when (a is defined) == `sense`.
  case testDefined
  /// Jump when (text of `feature` is present) == `sense`.
  case testPresent
  case jump
  /// End with the value in `bits`.
  case finish
  /// End with the text of `feature`.
  case finishText
  /// End with the bits of the top.
  case finishNumber
}

@usableFromInline
package struct Instruction: Sendable {
  @usableFromInline package var operation: Operation
  @usableFromInline package var comparison: Comparison
  @usableFromInline package var sense: Bool
  /// A slot.
  @usableFromInline package var operand: UInt8
  /// Index into `features`.
  @usableFromInline package var feature: UInt16
  /// Instructions to skip, from this one, when the jump is taken. Never 0 in a jump.
  @usableFromInline package var target: UInt16
  @usableFromInline package var bits: UInt64

  init(
    _ operation: Operation, comparison: Comparison = .equal, sense: Bool = false, operand: UInt8 = 0,
    feature: UInt16 = 0, bits: UInt64 = 0
  ) {
    self.operation = operation
    self.comparison = comparison
    self.sense = sense
    self.operand = operand
    self.feature = feature
    self.target = 0
    self.bits = bits
  }
}

/// Something that silence can change and that a rule reads.
@usableFromInline
package struct Watch: Hashable, Sendable {
  @usableFromInline
  package enum Kind: UInt8, Sendable {
    /// Every step of `feature`.
    case step
    /// `feature` reaches the constant in `bits`.
    case crossing
    /// `feature` reaches the number that the code at `bits` computes, which silence leaves as it is.
    case crossingComputed
    /// Likewise, and exceeds it.
    case exceedingComputed
  }
  @usableFromInline package var kind: Kind
  @usableFromInline package var feature: UInt16
  @usableFromInline package var bits: UInt64
}

/// Where the code and watches of one rule stand.
@usableFromInline
package struct RuleEntry: Sendable {
  /// First instruction while the tag is unset, and while it is set.
  @usableFromInline package var start: Int
  @usableFromInline package var startSet: Int
  /// Watches `watches ..< watchesUnset` matter while the tag is unset, `watches ..< watchesSet` while it is set.
  @usableFromInline package var watches: Int
  @usableFromInline package var watchesUnset: Int
  @usableFromInline package var watchesSet: Int
}

/// A program as the machine reads it: borrowed memory, nothing to retain.
@usableFromInline
package struct ProgramView {
  @usableFromInline let code: UnsafePointer<Instruction>
  @usableFromInline let features: UnsafePointer<Feature>
  @usableFromInline let words: UnsafePointer<UInt64>
  @usableFromInline let watches: UnsafePointer<Watch>
  @usableFromInline let entries: UnsafePointer<RuleEntry>
  /// By bit of `FeatureGroups`.
  @usableFromInline let readers: UnsafePointer<RuleSelection>

  @usableFromInline
  init(
    code: UnsafePointer<Instruction>, features: UnsafePointer<Feature>, words: UnsafePointer<UInt64>,
    watches: UnsafePointer<Watch>, entries: UnsafePointer<RuleEntry>, readers: UnsafePointer<RuleSelection>
  ) {
    self.code = code
    self.features = features
    self.words = words
    self.watches = watches
    self.entries = entries
    self.readers = readers
  }
}

@usableFromInline
package struct Program: Sendable {
  @usableFromInline package var code: [Instruction] = []
  @usableFromInline package var features: [Feature] = []
  /// Hashes, sorted within each list; cut points and number lists as bits of Doubles.
  @usableFromInline package var words: [UInt64] = []
  @usableFromInline package var watches: [Watch] = []
  @usableFromInline package var entries: [RuleEntry] = []
}
