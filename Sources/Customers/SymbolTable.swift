// Names that recur (categories, channels, regions): kept once a task, referred to by a small number.

import Events

/// A name of a `SymbolTable`. Numbers differ from task to task; compare names or hashes across tasks.
public struct Symbol: Hashable, Sendable {
  public var number: UInt32
  public init(number: UInt32) { self.number = number }
  /// No name.
  public static let none = Symbol(number: 0)
  /// Stands for every further name once the table is full.
  public static let other = Symbol(number: 1)
}

/// Interned names, found by their 64-bit hash (XXH3, seed 0). Bounded: see `limit`.
public struct SymbolTable: Sendable {
  /// The most names it takes, `(other)` included.
  public let limit: Int
  private var names: [[UInt8]]
  private var hashes: [UInt64]
  /// Open addressing over `hashes`; 0 = empty. A power of two, at most half full.
  private var index: [UInt32]
  /// Names beyond `limit` that became `.other`.
  public private(set) var overflow = 0
  /// Names from here on are not in a checkpoint yet.
  public private(set) var savedCount = 2

  public init(limit: Int) {
    self.limit = max(2, limit)
    names = [[], Array("(other)".utf8)]
    hashes = [0, 1]
    index = Array(repeating: 0, count: 64)
  }

  public var count: Int { names.count }
  public func name(of symbol: Symbol) -> [UInt8] { names[Int(symbol.number)] }
  /// The name, borrowed.
  @inline(__always)
  public func withName<R>(of symbol: Symbol, _ body: (UnsafeBufferPointer<UInt8>) -> R) -> R {
    names[Int(symbol.number)].withUnsafeBufferPointer { body($0) }
  }
  @inline(__always) public func hash(of symbol: Symbol) -> UInt64 { hashes[Int(symbol.number)] }

  /// The symbol with this hash, if the name was seen.
  public func find(hash: UInt64) -> Symbol? {
    var position = Int(truncatingIfNeeded: hash) & (index.count - 1)
    while index[position] != 0 {
      if hashes[Int(index[position])] == hash { return Symbol(number: index[position]) }
      position = (position + 1) & (index.count - 1)
    }
    return nil
  }

  /// The symbol of `name`, new or known; `.none` for an empty name, `.other` when full.
  public mutating func intern(_ name: ByteSlice) -> Symbol {
    if name.isEmpty { return .none }
    let hash = name.hash()
    if let known = find(hash: hash) { return known }
    guard names.count < limit else {
      overflow += 1
      return .other
    }
    return append(Array(name.buffer), hash: hash)
  }

  /// Puts back a name from a checkpoint; names must come in the order of their numbers.
  public mutating func restore(number: UInt32, name: [UInt8]) -> Bool {
    if Int(number) < names.count { return names[Int(number)] == name }
    guard Int(number) == names.count else { return false }
    let hash = name.withUnsafeBufferPointer { ByteSlice(base: $0.baseAddress, count: $0.count).hash() }
    _ = append(name, hash: hash)
    savedCount = names.count
    return true
  }

  /// Calls back with every name not yet saved, and counts them as saved.
  public mutating func drainUnsaved(_ body: (UInt32, [UInt8]) throws -> Void) rethrows {
    while savedCount < names.count {
      try body(UInt32(savedCount), names[savedCount])
      savedCount += 1
    }
  }

  private mutating func append(_ name: [UInt8], hash: UInt64) -> Symbol {
    names.append(name)
    hashes.append(hash)
    if names.count * 2 > index.count {
      index = Array(repeating: 0, count: index.count * 2)
      for number in 2..<names.count { place(UInt32(number)) }
    } else {
      place(UInt32(names.count - 1))
    }
    return Symbol(number: UInt32(names.count - 1))
  }

  private mutating func place(_ number: UInt32) {
    var position = Int(truncatingIfNeeded: hashes[Int(number)]) & (index.count - 1)
    while index[position] != 0 { position = (position + 1) & (index.count - 1) }
    index[position] = number
  }
}
