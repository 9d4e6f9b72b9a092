// The names a task has taken in: whoever divides customers among several tasks must know whether one task could have
// held the names of all.

import Customers

extension EngineTask {
  /// Names (categories, channels, regions, occupations) that it holds at most, out of `RecordLimits.maxSymbols`.
  public var nameLimit: Int { symbols.pointee.limit - Int(Symbol.other.number) - 1 }
  /// Names that it holds.
  public var nameCount: Int { symbols.pointee.count - Int(Symbol.other.number) - 1 }
  /// How often a name was read as `(other)` because there were `nameLimit` already.
  public var leftOutNames: Int { symbols.pointee.overflow }

  /// Hashes of its names in the order in which they came, from the one with this number (counted from 0) on.
  public func nameHashes(from number: Int) -> [UInt64] {
    (max(0, number)..<max(max(0, number), nameCount)).map {
      symbols.pointee.hash(of: Symbol(number: UInt32($0) + Symbol.other.number + 1))
    }
  }
}
