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

/// Interned names, found by their 64-bit hash (XXH3, seed 0). Bounded: see `limit`. Raw memory: looked up for every event.
public struct SymbolTable: ~Copyable {
  /// More than a record's tag can name.
  public static let largestLimit = 1 << 16

  /// The most names it takes, `(other)` included; at most `largestLimit`.
  public let limit: Int
  public private(set) var count = 0
  /// How often a name beyond `limit` became `.other`.
  public private(set) var overflow = 0
  /// Names from here on are not in a checkpoint yet.
  public private(set) var savedCount = 2

  private var hashes: UnsafeMutablePointer<UInt64>
  /// Where each name begins in `text`; one more entry than there are names.
  private var starts: UnsafeMutablePointer<Int>
  private var capacity = 64
  private var text: UnsafeMutablePointer<UInt8>
  private var textCapacity = 4096
  /// Open addressing over `hashes`; 0 = empty. A power of two, at most half full.
  private var index: UnsafeMutablePointer<UInt32>
  private var indexCount = 256

  public init(limit: Int) {
    self.limit = min(max(2, limit), Self.largestLimit)
    hashes = .allocate(capacity: capacity)
    starts = .allocate(capacity: capacity + 1)
    starts[0] = 0
    text = .allocate(capacity: textCapacity)
    index = .allocate(capacity: indexCount)
    index.initialize(repeating: 0, count: indexCount)
    add(UnsafeBufferPointer(start: nil, count: 0), hash: 0)
    let other: StaticString = "(other)"
    add(UnsafeBufferPointer(start: other.utf8Start, count: other.utf8CodeUnitCount), hash: 1)
  }

  deinit {
    hashes.deallocate()
    starts.deallocate()
    text.deallocate()
    index.deallocate()
  }

  public var bytesInUse: Int { capacity * 16 + textCapacity + indexCount * 4 }

  public func name(of symbol: Symbol) -> [UInt8] { withName(of: symbol) { Array($0) } }

  /// The name, borrowed.
  @inline(__always)
  public func withName<R>(of symbol: Symbol, _ body: (UnsafeBufferPointer<UInt8>) -> R) -> R {
    let number = checked(symbol)
    return body(UnsafeBufferPointer(start: text + starts[number], count: starts[number + 1] - starts[number]))
  }

  @inline(__always)
  public func hash(of symbol: Symbol) -> UInt64 { hashes[checked(symbol)] }

  /// A number that is no name's, as only a damaged record has, stands for none.
  @inline(__always)
  private func checked(_ symbol: Symbol) -> Int { Int(symbol.number) < count ? Int(symbol.number) : 0 }

  /// The symbol with this hash, if the name was seen.
  @inline(__always)
  public func find(hash: UInt64) -> Symbol? {
    var position = Int(truncatingIfNeeded: hash) & (indexCount - 1)
    while index[position] != 0 {
      if hashes[Int(index[position])] == hash { return Symbol(number: index[position]) }
      position = (position + 1) & (indexCount - 1)
    }
    return nil
  }

  /// The symbol of `name`, new or known; `.none` for an empty name, `.other` when full.
  @inline(__always)
  public mutating func intern(_ name: ByteSlice) -> Symbol {
    if name.isEmpty { return .none }
    let hash = name.hash()
    return find(hash: hash) ?? internNew(name, hash: hash)
  }

  @inline(never)
  private mutating func internNew(_ name: ByteSlice, hash: UInt64) -> Symbol {
    guard count < limit else {
      overflow += 1
      return .other
    }
    return append(name.buffer, hash: hash)
  }

  /// Puts back a name from a checkpoint; names must come in the order of their numbers.
  public mutating func restore(number: UInt32, name: [UInt8]) -> Bool {
    if Int(number) < count { return self.name(of: Symbol(number: number)) == name }
    guard Int(number) == count, count < Self.largestLimit else { return false }
    name.withUnsafeBufferPointer {
      _ = append($0, hash: ByteSlice(base: $0.baseAddress, count: $0.count).hash())
    }
    savedCount = count
    return true
  }

  /// Calls back with every name not yet saved, and counts them as saved.
  public mutating func drainUnsaved(_ body: (UInt32, [UInt8]) throws -> Void) rethrows {
    while savedCount < count {
      try body(UInt32(savedCount), name(of: Symbol(number: UInt32(savedCount))))
      savedCount += 1
    }
  }

  private mutating func append(_ name: UnsafeBufferPointer<UInt8>, hash: UInt64) -> Symbol {
    add(name, hash: hash)
    if count * 2 > indexCount {
      index.deallocate()
      indexCount *= 2
      index = .allocate(capacity: indexCount)
      index.initialize(repeating: 0, count: indexCount)
      for number in 2..<count { place(UInt32(number)) }
    } else {
      place(UInt32(count - 1))
    }
    return Symbol(number: UInt32(count - 1))
  }

  private mutating func add(_ name: UnsafeBufferPointer<UInt8>, hash: UInt64) {
    if count == capacity {
      hashes = Self.grown(hashes, count: count, to: capacity * 2)
      starts = Self.grown(starts, count: count + 1, to: capacity * 2 + 1)
      capacity *= 2
    }
    let end = starts[count] + name.count
    if end > textCapacity {
      text = Self.grown(text, count: starts[count], to: max(textCapacity * 2, end))
      textCapacity = max(textCapacity * 2, end)
    }
    if let source = name.baseAddress { (text + starts[count]).update(from: source, count: name.count) }
    hashes[count] = hash
    count += 1
    starts[count] = end
  }

  private static func grown<T>(_ memory: UnsafeMutablePointer<T>, count: Int, to capacity: Int)
    -> UnsafeMutablePointer<T>
  {
    let larger = UnsafeMutablePointer<T>.allocate(capacity: capacity)
    larger.moveInitialize(from: memory, count: count)
    memory.deallocate()
    return larger
  }

  private func place(_ number: UInt32) {
    var position = Int(truncatingIfNeeded: hashes[Int(number)]) & (indexCount - 1)
    while index[position] != 0 { position = (position + 1) & (indexCount - 1) }
    index[position] = number
  }
}
