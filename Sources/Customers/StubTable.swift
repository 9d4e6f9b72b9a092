// What stays of customers who were evicted: where their output ids go on, should they come back.

/// Numbers of the last output records of a customer whose record is gone.
public struct CustomerStub: Equatable, Sendable {
  /// Number of the last tag change.
  public var sequence: UInt32
  /// Number of the last alert.
  public var alertNumber: UInt32

  public init(sequence: UInt32, alertNumber: UInt32) {
    self.sequence = sequence
    self.alertNumber = alertNumber
  }

  /// Nothing was ever said: without a stub the numbers begin at the same place.
  public var isEmpty: Bool { sequence == 0 && alertNumber == 0 }
}

/// Stubs by the 64-bit hash of the customer's id: an open-addressing table with 16 bytes an entry.
///
/// Only the hash is known. Two customers with the same one share a stub that holds the greater numbers, so that neither
/// repeats an id while it is there; that both were evicted is less likely than 1 in 10 million among a million.
package struct StubTable: ~Copyable {
  private struct Entry {
    /// 0 = empty.
    var hash: UInt64 = 0
    var stub = CustomerStub(sequence: 0, alertNumber: 0)
  }

  private static let smallest = 16
  /// None are allocated before the first stub. A power of two, at most 3/4 full.
  private var entries: UnsafeMutablePointer<Entry>?
  private var capacity = 0
  package private(set) var count = 0
  /// Hashes whose entry changed since the last `drainChanges`; some more than once.
  private var changed: [UInt64] = []

  package init() {}
  deinit { entries?.deallocate() }

  package var bytesInUse: Int { capacity * MemoryLayout<Entry>.stride + changed.count * 8 }
  package var hasChanges: Bool { !changed.isEmpty }

  /// 0 marks an empty place.
  private static func stored(_ hash: UInt64) -> UInt64 { hash == 0 ? 1 : hash }

  /// The place of the hash, or the empty one where it would go. There is one: the table is never full.
  private func place(_ hash: UInt64, _ entries: UnsafeMutablePointer<Entry>) -> Int {
    var place = Int(truncatingIfNeeded: hash) & (capacity - 1)
    while entries[place].hash != 0, entries[place].hash != hash { place = (place + 1) & (capacity - 1) }
    return place
  }

  package func find(_ hash: UInt64) -> CustomerStub? {
    guard count > 0, let entries else { return nil }
    let entry = entries[place(Self.stored(hash), entries)]
    return entry.hash == 0 ? nil : entry.stub
  }

  /// Keeps a stub; where there is one under this hash, the greater numbers of both.
  package mutating func insert(_ hash: UInt64, _ stub: CustomerStub) {
    let known = find(hash) ?? stub
    put(
      hash,
      CustomerStub(
        sequence: max(stub.sequence, known.sequence), alertNumber: max(stub.alertNumber, known.alertNumber)))
    changed.append(Self.stored(hash))
  }

  /// Takes the stub out.
  package mutating func take(_ hash: UInt64) -> CustomerStub? {
    guard let stub = remove(hash) else { return nil }
    changed.append(Self.stored(hash))
    return stub
  }

  /// Puts back what a checkpoint says; nil: that there is none.
  package mutating func restore(_ hash: UInt64, _ stub: CustomerStub?) {
    if let stub { put(hash, stub) } else { _ = remove(hash) }
  }

  private mutating func put(_ hash: UInt64, _ stub: CustomerStub) {
    if (count + 1) * 4 > capacity * 3 { grow() }
    guard let entries else { return }
    let place = place(Self.stored(hash), entries)
    if entries[place].hash == 0 { count += 1 }
    entries[place] = Entry(hash: Self.stored(hash), stub: stub)
  }

  private mutating func grow() {
    let old = entries
    let oldCapacity = capacity
    capacity = max(Self.smallest, capacity * 2)
    let larger = UnsafeMutablePointer<Entry>.allocate(capacity: capacity)
    larger.initialize(repeating: Entry(), count: capacity)
    entries = larger
    guard let old else { return }
    for number in 0..<oldCapacity where old[number].hash != 0 {
      larger[place(old[number].hash, larger)] = old[number]
    }
    old.deallocate()
  }

  /// Entries behind it that would not be found over the gap move up.
  private mutating func remove(_ hash: UInt64) -> CustomerStub? {
    guard count > 0, let entries else { return nil }
    var hole = place(Self.stored(hash), entries)
    guard entries[hole].hash != 0 else { return nil }
    let stub = entries[hole].stub
    let mask = capacity - 1
    var next = (hole + 1) & mask
    while entries[next].hash != 0 {
      let home = Int(truncatingIfNeeded: entries[next].hash) & mask
      if (next - home) & mask >= (next - hole) & mask {
        entries[hole] = entries[next]
        hole = next
      }
      next = (next + 1) & mask
    }
    entries[hole] = Entry()
    count -= 1
    return stub
  }

  /// Calls back with each hash whose stub changed since the last call, once, in rising order; nil: there is none now.
  package mutating func drainChanges(_ body: (_ hash: UInt64, _ stub: CustomerStub?) throws -> Void) rethrows {
    if changed.isEmpty { return }
    changed.sort()
    var last: UInt64 = 0
    for hash in changed where hash != last {
      last = hash
      try body(hash, find(hash))
    }
    changed.removeAll(keepingCapacity: changed.count < 1 << 16)
  }
}
