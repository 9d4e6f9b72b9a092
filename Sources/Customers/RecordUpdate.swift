// What one event does to one record, and which parts of it were touched.

import Events

extension CustomerTable {
  /// Applies `event`, which is no duplicate, to a record and marks it dirty. `now`: the customer's clock after the event,
  /// at or after `event.time` and never before `header.asOf`. Returns the parts touched.
  public mutating func apply(
    _ event: Event, to index: CustomerIndex, now: Instant, symbols: inout SymbolTable,
    context: RecordContext, counters: inout RecordCounters
  ) -> FeatureGroups {
    tidy()
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
      record.clearCart(at: event.time, arena: &arena)
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
      // The weights of both have faded, whichever the event names.
      touched.formUnion([.categories, .channels])
      if !event.category.isEmpty {
        record.addPreference(
          .categories, symbol: symbols.intern(event.category), weight: weight * factor, slots: limits.preferenceSlots,
          symbols: symbols, arena: &arena)
      }
      if !event.channel.isEmpty {
        record.addPreference(
          .channels, symbol: symbols.intern(event.channel), weight: weight * factor, slots: limits.preferenceSlots,
          symbols: symbols, arena: &arena)
      }
    }
    if record.applyProfile(event, symbols: &symbols, arena: &arena) { touched.insert(.profile) }
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
  func applyProfile(_ event: Event, symbols: inout SymbolTable, arena: inout RecordArena) -> Bool {
    let said = event.profile
    if said.birthDate == nil, said.gender == nil, said.region.isEmpty, said.occupation.isEmpty { return false }
    let seconds = event.time.secondsClamped
    var profile = profile
    if let birth = said.birthDate, (seconds, birth.number) > (profile.birthDaySaid, profile.birthDay) {
      profile.birthDay = birth.number
      profile.birthDaySaid = seconds
    }
    if let gender = said.gender, (seconds, UInt32(gender.rawValue)) > (profile.genderSaid, profile.gender) {
      profile.gender = UInt32(gender.rawValue)
      profile.genderSaid = seconds
    }
    if !said.region.isEmpty {
      let symbol = symbols.intern(said.region)
      if (seconds, symbols.hash(of: symbol)) > (profile.regionSaid, symbols.hash(of: profile.region)) {
        profile.region = symbol
        profile.regionSaid = seconds
      }
    }
    if !said.occupation.isEmpty {
      let symbol = symbols.intern(said.occupation)
      if (seconds, symbols.hash(of: symbol)) > (profile.occupationSaid, symbols.hash(of: profile.occupation)) {
        profile.occupation = symbol
        profile.occupationSaid = seconds
      }
    }
    setProfile(profile, in: &arena)
    return true
  }
}
