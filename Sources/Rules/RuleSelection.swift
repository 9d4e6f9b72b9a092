// A set of rules by their index: 256 bits, iterated without allocation.

/// Indices of rules, in ascending order.
public struct RuleSelection: Sequence, IteratorProtocol, Hashable, Sendable {
  @usableFromInline var words: (UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0)

  @inlinable public init() {}

  @inlinable public var isEmpty: Bool { words.0 | words.1 | words.2 | words.3 == 0 }

  @inlinable public var count: Int {
    words.0.nonzeroBitCount + words.1.nonzeroBitCount + words.2.nonzeroBitCount + words.3.nonzeroBitCount
  }

  @inlinable public var underestimatedCount: Int { count }

  /// `index` is 0...255.
  @inlinable public func contains(_ index: Int) -> Bool {
    let bit = UInt64(1) << UInt64(index & 63)
    switch index >> 6 {
    case 0: return words.0 & bit != 0
    case 1: return words.1 & bit != 0
    case 2: return words.2 & bit != 0
    case 3: return words.3 & bit != 0
    default: return false
    }
  }

  /// `index` is 0...255; others are ignored.
  @inlinable public mutating func insert(_ index: Int) {
    let bit = UInt64(1) << UInt64(index & 63)
    switch index >> 6 {
    case 0: words.0 |= bit
    case 1: words.1 |= bit
    case 2: words.2 |= bit
    case 3: words.3 |= bit
    default: break
    }
  }

  @inlinable public mutating func formUnion(_ other: RuleSelection) {
    words.0 |= other.words.0
    words.1 |= other.words.1
    words.2 |= other.words.2
    words.3 |= other.words.3
  }

  @inlinable public func intersection(_ other: RuleSelection) -> RuleSelection {
    var both = self
    both.words.0 &= other.words.0
    both.words.1 &= other.words.1
    both.words.2 &= other.words.2
    both.words.3 &= other.words.3
    return both
  }

  /// Removes the lowest index and returns it.
  @inlinable public mutating func next() -> Int? {
    if words.0 != 0 { return Self.takeLowest(&words.0) }
    if words.1 != 0 { return Self.takeLowest(&words.1) + 64 }
    if words.2 != 0 { return Self.takeLowest(&words.2) + 128 }
    if words.3 != 0 { return Self.takeLowest(&words.3) + 192 }
    return nil
  }

  @inlinable static func takeLowest(_ word: inout UInt64) -> Int {
    let bit = word.trailingZeroBitCount
    word &= word &- 1
    return bit
  }

  public static func == (a: RuleSelection, b: RuleSelection) -> Bool { a.words == b.words }
  public func hash(into hasher: inout Hasher) {
    hasher.combine(words.0)
    hasher.combine(words.1)
    hasher.combine(words.2)
    hasher.combine(words.3)
  }
}
