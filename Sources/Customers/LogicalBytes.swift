// What a record says, without how it lies in memory: the input of `state_digest`.

import Events

extension CustomerRecord {
  /// Appends every logical field: names instead of symbol numbers, lists in a canonical order, no timers and no caches.
  public func appendLogicalBytes(to buffer: inout [UInt8], symbols: borrowing SymbolTable) {
    func put<T: FixedWidthInteger>(_ value: T, _ buffer: inout [UInt8]) {
      withUnsafeBytes(of: value.littleEndian) { buffer.append(contentsOf: $0) }
    }
    let archived = archived
    let profile = profile
    let alerts = alerts
    put(UInt32(id.count), &buffer)
    buffer.append(contentsOf: id)
    put(header.firstSeen.microseconds, &buffer)
    put(header.lastSeen.microseconds, &buffer)
    put(archived.paid, &buffer)
    put(archived.netMinor, &buffer)
    put(archived.grossMinor, &buffer)
    put(archived.purchases, &buffer)
    put(archived.purchaseDays, &buffer)
    put(archived.discounted, &buffer)
    put(archived.refundedOrders, &buffer)
    put(archived.refunds, &buffer)
    put(archived.first.microseconds, &buffer)
    put(archived.last.microseconds, &buffer)
    put(archived.lastGap.microseconds, &buffer)
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
    put(cartClearedAt.microseconds, &buffer)
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
    put(profile.birthDay, &buffer)
    put(profile.gender, &buffer)
    put(symbols.hash(of: profile.region), &buffer)
    put(symbols.hash(of: profile.occupation), &buffer)
    put(header.sequence, &buffer)
    put(alerts.lastNumber, &buffer)
    put(alerts.lastRaisedSeconds, &buffer)
    put(alerts.flags, &buffer)
    put(alerts.judgedAtSeconds, &buffer)
    for kind in AlertKind.allCases {
      put(alerts[kind].number, &buffer)
      put(alerts[kind].crossedAtSeconds, &buffer)
    }
  }
}
