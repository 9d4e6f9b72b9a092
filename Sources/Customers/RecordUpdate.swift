// What one event does to one record, and which parts of it were touched.

import Events

extension CustomerTable {
  /// True when this customer has shown an event of this id within the remembered span.
  public func isDuplicate(_ event: Event, of index: CustomerIndex) -> Bool {
    record(index).hasSeen(eventHash: event.idHash)
  }

  /// Applies `event`, which is no duplicate, to a record and marks it dirty. `now`: the customer's clock after the event,
  /// at or after `event.time` and never before `header.asOf`. Returns the parts touched.
  public mutating func apply(
    _ event: Event, to index: CustomerIndex, now: Instant, symbols: inout SymbolTable,
    context: RecordContext, counters: inout RecordCounters
  ) -> FeatureGroups {
    let record = record(index)
    let limits = context.limits
    markDirty(index)
    record.header.asOf = max(record.header.asOf, now)
    record.header.firstSeen = min(record.header.firstSeen, event.time)
    record.header.lastSeen = max(record.header.lastSeen, event.time)
    record.remember(eventHash: event.idHash, now: now, limits: limits, arena: &arena, counters: &counters)
    record.countEvent(
      type: event.type, day: context.calendar.day(of: event.time), today: context.calendar.day(of: now), arena: &arena)
    var touched: FeatureGroups = [.seen, .events(event.type)]

    switch event.type {
    case .orderPaid, .orderPlaced:
      record.applyOrder(event, now: now, context: context, arena: &arena, counters: &counters)
      record.clearCart(at: event.time)
      touched.formUnion([.orders, .cart])
    case .orderCancelled, .orderRefunded:
      record.applyOrder(event, now: now, context: context, arena: &arena, counters: &counters)
      touched.insert(.orders)
    case .addToCart:
      record.addToCart(event, limits: limits, arena: &arena, counters: &counters)
      touched.insert(.cart)
    case .removeFromCart:
      record.removeFromCart(event, limits: limits, arena: &arena, counters: &counters)
      touched.insert(.cart)
    default: break
    }

    let weight = event.type.preferenceWeight
    if weight > 0, !(event.category.isEmpty && event.channel.isEmpty) {
      let factor = record.decayWeights(to: event.time, halfLife: limits.preferenceHalfLife)
      if !event.category.isEmpty {
        record.addPreference(
          .categories, symbol: symbols.intern(event.category), weight: weight * factor, slots: limits.preferenceSlots,
          symbols: symbols, arena: &arena)
        touched.insert(.categories)
      }
      if !event.channel.isEmpty {
        record.addPreference(
          .channels, symbol: symbols.intern(event.channel), weight: weight * factor, slots: limits.preferenceSlots,
          symbols: symbols, arena: &arena)
        touched.insert(.channels)
      }
    }
    if record.applyProfile(event, symbols: &symbols) { touched.insert(.profile) }
    return touched
  }

  /// Gives a record the number of tag slots that the rule set has, and marks it dirty if that changes it.
  public mutating func resizeTags(of index: CustomerIndex, to count: Int) {
    let record = record(index)
    if record.tagCount == count { return }
    record.resizeTags(to: count, in: &arena)
    markDirty(index)
  }
}

extension CustomerRecord {
  /// The latest word on each attribute wins; of two said in the same second the larger value, so that the order of
  /// arrival does not matter. True if the event said anything.
  func applyProfile(_ event: Event, symbols: inout SymbolTable) -> Bool {
    let seconds = event.time.secondsClamped
    var said = false
    if let birth = event.profile.birthDate {
      said = true
      if (seconds, birth.number) > (header.profile.birthDaySaid, header.profile.birthDay) {
        header.profile.birthDay = birth.number
        header.profile.birthDaySaid = seconds
      }
    }
    if let gender = event.profile.gender {
      said = true
      if (seconds, UInt32(gender.rawValue)) > (header.profile.genderSaid, header.profile.gender) {
        header.profile.gender = UInt32(gender.rawValue)
        header.profile.genderSaid = seconds
      }
    }
    if !event.profile.region.isEmpty {
      said = true
      let symbol = symbols.intern(event.profile.region)
      if (seconds, symbols.hash(of: symbol)) > (header.profile.regionSaid, symbols.hash(of: header.profile.region)) {
        header.profile.region = symbol
        header.profile.regionSaid = seconds
      }
    }
    if !event.profile.occupation.isEmpty {
      said = true
      let symbol = symbols.intern(event.profile.occupation)
      if (seconds, symbols.hash(of: symbol))
        > (header.profile.occupationSaid, symbols.hash(of: header.profile.occupation))
      {
        header.profile.occupation = symbol
        header.profile.occupationSaid = seconds
      }
    }
    return said
  }
}
