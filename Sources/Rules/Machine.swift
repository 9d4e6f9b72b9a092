// Runs a compiled rule against one customer. No class, no existential, no String, no allocation: the stack and the
// slots live on the machine's stack. Inlinable, so that it is specialised for the caller's record.

import Customers
import Events

/// Which terms are known of one source at one instant, and need not be computed again by the rules that follow.
public struct KnownTerms {
  @usableFromInline var slots: UInt64 = 0

  @inlinable public init() {}

  /// What a rule keeps for itself is nothing to the next.
  @inlinable mutating func beginRule() { slots &= (1 << UInt64(RuleLimits.sharedSlots)) - 1 }
  @inlinable func contains(_ slot: UInt8) -> Bool { slots & (1 << UInt64(slot)) != 0 }
  @inlinable mutating func insert(_ slot: UInt8) { slots |= 1 << UInt64(slot) }
}

/// Where the machine computes: its stack, and behind that the slots.
@usableFromInline
struct RuleMemory {
  @usableFromInline let numbers: UnsafeMutablePointer<Double>
  @inlinable init(numbers: UnsafeMutablePointer<Double>) { self.numbers = numbers }
  @inlinable static var capacity: Int { RuleLimits.stackDepth + RuleLimits.sharedSlots + RuleLimits.ownSlots }
}

extension ProgramView {
  /// Runs from instruction `start` to a finish and returns its value.
  @inlinable
  func run<S: FeatureSource>(from start: Int, _ source: S) -> UInt64 {
    withUnsafeTemporaryAllocation(of: Double.self, capacity: RuleMemory.capacity) { memory in
      var known = KnownTerms()
      return run(from: start, source, RuleMemory(numbers: memory.baseAddress.unsafelyUnwrapped), &known)
    }
  }

  /// - Parameter known: what runs over the same source have left in `memory`.
  @inlinable
  func run<S: FeatureSource>(from start: Int, _ source: S, _ memory: RuleMemory, _ known: inout KnownTerms) -> UInt64 {
    let memory = memory.numbers
    let slots = RuleLimits.stackDepth
    known.beginRule()
    var top = -1
    var at = start
    while true {
      let instruction = code[at]
      var jumps = false
      switch instruction.operation {
      case .feature:
        top += 1
        memory[top] = source.number(features[Int(instruction.feature)])
      case .constant:
        top += 1
        memory[top] = Double(bitPattern: instruction.bits)
      case .add:
        top -= 1
        memory[top] = memory[top] + memory[top + 1]
      case .subtract:
        top -= 1
        memory[top] = memory[top] - memory[top + 1]
      case .multiply:
        top -= 1
        memory[top] = memory[top] * memory[top + 1]
      case .divide:
        top -= 1
        memory[top] = memory[top + 1] == 0 ? .nan : memory[top] / memory[top + 1]
      case .least:
        top -= 1
        memory[top] = Self.least(memory[top], memory[top + 1])
      case .greatest:
        top -= 1
        memory[top] = -Self.least(-memory[top], -memory[top + 1])
      case .negate: memory[top] = -memory[top]
      case .absolute: memory[top] = memory[top].magnitude
      case .score: memory[top] = score(memory[top], instruction.bits, descending: instruction.sense)
      case .recall:
        if known.contains(instruction.operand) {
          top += 1
          memory[top] = memory[slots + Int(instruction.operand)]
          jumps = true
        }
      case .keep:
        known.insert(instruction.operand)
        memory[slots + Int(instruction.operand)] = memory[top]
      case .kept:
        top += 1
        memory[top] = memory[slots + Int(instruction.operand)]
      case .testKept:
        let value = memory[slots + Int(instruction.operand)]
        jumps = instruction.comparison.holds(value, Double(bitPattern: instruction.bits)) == instruction.sense
      case .testFeature:
        let value = source.number(features[Int(instruction.feature)])
        jumps = instruction.comparison.holds(value, Double(bitPattern: instruction.bits)) == instruction.sense
      case .testConstant:
        jumps = instruction.comparison.holds(memory[top], Double(bitPattern: instruction.bits)) == instruction.sense
        top -= 1
      case .test:
        jumps = instruction.comparison.holds(memory[top - 1], memory[top]) == instruction.sense
        top -= 2
      case .testNumbers:
        let value = memory[top]
        top -= 1
        let held = !value.isNaN && contains(value, instruction.bits) != (instruction.comparison == .unequal)
        jumps = held == instruction.sense
      case .testText:
        let text = source.text(features[Int(instruction.feature)])
        let held = text != 0 && (text == instruction.bits) != (instruction.comparison == .unequal)
        jumps = held == instruction.sense
      case .testTexts:
        let text = source.text(features[Int(instruction.feature)])
        let held = text != 0 && contains(text: text, instruction.bits) != (instruction.comparison == .unequal)
        jumps = held == instruction.sense
      case .testTextPair:
        let first = source.text(features[Int(instruction.feature)])
        let second = source.text(features[Int(truncatingIfNeeded: instruction.bits)])
        let held = first != 0 && second != 0 && (first == second) != (instruction.comparison == .unequal)
        jumps = held == instruction.sense
      case .testDefined:
        jumps = !memory[top].isNaN == instruction.sense
        top -= 1
      case .testPresent: jumps = (source.text(features[Int(instruction.feature)]) != 0) == instruction.sense
      case .jump: jumps = true
      case .finish: return instruction.bits
      case .finishText: return source.text(features[Int(instruction.feature)])
      case .finishNumber: return memory[top].bitPattern
      }
      at += jumps ? Int(instruction.target) : 1
    }
  }

  /// Undefined when either is.
  @inlinable
  static func least(_ a: Double, _ b: Double) -> Double {
    if a.isNaN || b.isNaN { return .nan }
    return a < b ? a : b
  }

  @inlinable
  func score(_ value: Double, _ list: UInt64, descending: Bool) -> Double {
    if value.isNaN { return value }
    let first = Int(truncatingIfNeeded: list & 0xffff_ffff)
    let count = Int(truncatingIfNeeded: list >> 32)
    var passed = 0
    while passed < count, value >= Double(bitPattern: words[first + passed]) { passed += 1 }
    return Double(descending ? count + 1 - passed : passed + 1)
  }

  @inlinable
  func contains(_ value: Double, _ list: UInt64) -> Bool {
    let first = Int(truncatingIfNeeded: list & 0xffff_ffff)
    for index in first..<first + Int(truncatingIfNeeded: list >> 32) where Double(bitPattern: words[index]) == value {
      return true
    }
    return false
  }

  /// By halving: the list is sorted.
  @inlinable
  func contains(text: UInt64, _ list: UInt64) -> Bool {
    var low = Int(truncatingIfNeeded: list & 0xffff_ffff)
    var high = low + Int(truncatingIfNeeded: list >> 32)
    let end = high
    while low < high {
      let middle = (low + high) / 2
      if words[middle] < text { low = middle + 1 } else { high = middle }
    }
    return low < end && words[low] == text
  }
}
