// What a record says, without how it lies in memory: the input of `state_digest`.

import Events

extension CustomerRecord {
  /// Appends every logical field: names instead of symbol numbers, lists in a canonical order, no timers and no caches.
  public func appendLogicalBytes(to buffer: inout [UInt8], symbols: borrowing SymbolTable) {
    func put<T: FixedWidthInteger>(_ value: T, _ buffer: inout [UInt8]) {
      withUnsafeBytes(of: value.littleEndian) { buffer.append(contentsOf: $0) }
    }
    put(UInt32(id.count), &buffer)
    buffer.append(contentsOf: id)
    put(header.firstSeen.microseconds, &buffer)
    put(header.lastSeen.microseconds, &buffer)
    put(header.archived.paid, &buffer)
    put(header.archived.netMinor, &buffer)
    put(header.archived.grossMinor, &buffer)
    put(header.archived.purchases, &buffer)
    put(header.archived.purchaseDays, &buffer)
    put(header.archived.discounted, &buffer)
    put(header.archived.refundedOrders, &buffer)
    put(header.archived.refunds, &buffer)
    put(header.archived.first.microseconds, &buffer)
    put(header.archived.last.microseconds, &buffer)
    put(header.archived.lastGap.microseconds, &buffer)
    put(UInt32(orders.count), &buffer)
    buffer.append(contentsOf: UnsafeRawBufferPointer(orders))
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
      put(key, &buffer)
      put(sum, &buffer)
    }
    put(header.cartClearedAt.microseconds, &buffer)
    buffer.append(contentsOf: UnsafeRawBufferPointer(cart))
    put(header.weightsAt.microseconds, &buffer)
    put(header.categoryTotal.bitPattern, &buffer)
    put(header.channelTotal.bitPattern, &buffer)
    for section in [Section.categories, .channels] {
      let byName = preferences(section).sorted { symbols.hash(of: $0.symbol) < symbols.hash(of: $1.symbol) }
      for entry in byName {
        put(symbols.hash(of: entry.symbol), &buffer)
        put(entry.weight.bitPattern, &buffer)
      }
    }
    put(header.profile.birthDay, &buffer)
    put(header.profile.gender, &buffer)
    put(symbols.hash(of: header.profile.region), &buffer)
    put(symbols.hash(of: header.profile.occupation), &buffer)
    put(header.sequence, &buffer)
    put(header.alerts.lastNumber, &buffer)
    put(header.alerts.lastRaisedSeconds, &buffer)
    put(header.alerts.flags, &buffer)
    put(header.alerts.judgedAtSeconds, &buffer)
    for kind in AlertKind.allCases {
      put(header.alerts[kind].number, &buffer)
      put(header.alerts[kind].crossedAtSeconds, &buffer)
    }
  }
}
