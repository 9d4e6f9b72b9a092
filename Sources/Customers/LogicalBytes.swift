// What a record says, without how it lies in memory: the input of `state_digest`.

import Events

extension CustomerRecord {
  /// Appends every logical field: names instead of symbol numbers, lists in a canonical order, no timers and no caches.
  public func appendLogicalBytes(to buffer: inout [UInt8], symbols: borrowing SymbolTable) {
    // Fixed fields, and at most 12 bytes a cell or name.
    let bound =
      512 + id.count + UnsafeRawBufferPointer(orders).count + UnsafeRawBufferPointer(cart).count
      + 12 * (cells.count + preferences(.categories).count + preferences(.channels).count)
    withUnsafeTemporaryAllocation(byteCount: bound, alignment: 8) { memory in
      var bytes = LogicalBytes(memory)
      write(to: &bytes, symbols: symbols)
      buffer.append(contentsOf: UnsafeRawBufferPointer(rebasing: memory[..<bytes.count]))
    }
  }

  private func write(to bytes: inout LogicalBytes, symbols: borrowing SymbolTable) {
    bytes.put(UInt32(id.count))
    bytes.put(id)
    bytes.put(header.firstSeen.microseconds)
    bytes.put(header.lastSeen.microseconds)
    let archived = archived
    bytes.put(archived.paid)
    bytes.put(archived.netMinor)
    bytes.put(archived.grossMinor)
    bytes.put(archived.purchases)
    bytes.put(archived.purchaseDays)
    bytes.put(archived.discounted)
    bytes.put(archived.refundedOrders)
    bytes.put(archived.refunds)
    bytes.put(archived.first.microseconds)
    bytes.put(archived.last.microseconds)
    bytes.put(archived.lastGap.microseconds)
    bytes.put(UInt32(orders.count))
    bytes.put(UnsafeRawBufferPointer(orders))
    // A count that overflowed into a second cell is the same count.
    var i = 0
    let cells = cells
    while i < cells.count {
      var sum: UInt64 = 0
      let key = cells[i].key
      while i < cells.count, cells[i].key == key {
        sum += UInt64(cells[i].count)
        i += 1
      }
      bytes.put(key)
      bytes.put(sum)
    }
    bytes.put(cartClearedAt.microseconds)
    bytes.put(UnsafeRawBufferPointer(cart))
    bytes.put(header.weightsAt.microseconds)
    bytes.put(header.categoryTotal.bitPattern)
    bytes.put(header.channelTotal.bitPattern)
    write(preferences(.categories), to: &bytes, symbols: symbols)
    write(preferences(.channels), to: &bytes, symbols: symbols)
    let profile = profile
    bytes.put(profile.birthDay)
    bytes.put(profile.gender)
    bytes.put(symbols.hash(of: profile.region))
    bytes.put(symbols.hash(of: profile.occupation))
    bytes.put(header.sequence)
    let alerts = alerts
    bytes.put(alerts.lastNumber)
    bytes.put(alerts.lastRaisedSeconds)
    bytes.put(alerts.flags)
    bytes.put(alerts.judgedAtSeconds)
    for kind in AlertKind.allCases {
      bytes.put(alerts[kind].number)
      bytes.put(alerts[kind].crossedAtSeconds)
    }
  }

  /// In the order of the names' hashes, which differ.
  private func write(
    _ list: UnsafeMutableBufferPointer<PreferenceEntry>, to bytes: inout LogicalBytes, symbols: borrowing SymbolTable
  ) {
    var written = 0
    var last: UInt64 = 0
    while written < list.count {
      // The next one: the list is short, and sorting it would need memory.
      var least: (hash: UInt64, weight: Float)?
      for entry in list {
        let hash = symbols.hash(of: entry.symbol)
        if written > 0, hash <= last { continue }
        if least.map({ hash < $0.hash }) ?? true { least = (hash, entry.weight) }
      }
      guard let least else { return }
      bytes.put(least.hash)
      bytes.put(least.weight.bitPattern)
      last = least.hash
      written += 1
    }
  }
}

/// Little-endian numbers and raw bytes, one after the other, in memory that is large enough.
private struct LogicalBytes {
  private let memory: UnsafeMutableRawBufferPointer
  private(set) var count = 0

  init(_ memory: UnsafeMutableRawBufferPointer) { self.memory = memory }

  @inline(__always)
  mutating func put<T: FixedWidthInteger>(_ value: T) {
    memory.storeBytes(of: value.littleEndian, toByteOffset: count, as: T.self)
    count += MemoryLayout<T>.size
  }

  mutating func put(_ bytes: UnsafeRawBufferPointer) {
    UnsafeMutableRawBufferPointer(rebasing: memory[count...]).copyMemory(from: bytes)
    count += bytes.count
  }
}
