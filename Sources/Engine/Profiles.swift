// A customer's profile as JSON: tags and the main features, as of one instant.

import CXXHash
import Customers
import Events
import Rules

extension EngineTask {
  /// Writes the profiles of customers who changed since the last call: once each, in order of customer id.
  public mutating func flushProfiles() {
    if pendingProfiles.isEmpty { return }
    let changed = pendingProfiles.map { CustomerIndex(number: $0) }
    pendingProfiles.removeAll(keepingCapacity: true)
    let sorted = sortedByID(changed)
    for (place, index) in sorted.enumerated() {
      table.places.prefetchAhead(of: place, in: sorted)
      writeProfile(index, at: table.record(index).header.asOf)
    }
  }

  /// What a profile says of the customer has changed.
  @inline(__always)
  mutating func profileChanged(_ index: CustomerIndex) {
    if context.settings.profiles { pendingProfiles.insert(index.number) }
  }

  /// Writes the profiles of the customers in these places as of the clock, so that many can be written in bounded parts.
  /// - Parameter places: cut to `0..<placeCount`; the order is that of the table.
  public mutating func emitProfiles(in places: Range<Int>) {
    for number in places.clamped(to: 0..<table.slotCount) {
      let index = CustomerIndex(number: UInt32(number))
      if !table.isFree(index) { writeProfileNow(index) }
    }
  }

  /// All customers in order of id.
  public func customersByID() -> [CustomerIndex] {
    sortedByID((0..<UInt32(table.slotCount)).map { CustomerIndex(number: $0) }.filter { !table.isFree($0) })
  }

  /// Valid until the task changes.
  public func id(of index: CustomerIndex) -> UnsafeRawBufferPointer { table.record(index).id }

  /// Asks for the memory of customers who come some places behind this one in a list that is gone through.
  public mutating func prefetchAhead(of place: Int, in list: [CustomerIndex]) {
    table.places.prefetchAhead(of: place, in: list)
  }

  /// Writes one customer's profile as of the clock, under the current rules: where a sweep after a change of rules has not
  /// come to the customer yet, it is brought to them first.
  public mutating func emitProfile(of index: CustomerIndex) {
    if table.record(index).header.ruleGeneration != ruleLayouts.currentGeneration { adoptRules(index) }
    writeProfileNow(index)
  }

  private mutating func writeProfileNow(_ index: CustomerIndex) {
    // An older one must not follow it.
    pendingProfiles.remove(index.number)
    let asOf = table.record(index).header.asOf
    writeProfile(index, at: clock == .distantPast ? asOf : max(asOf, clock))
  }

  func sortedByID(_ list: [CustomerIndex]) -> [CustomerIndex] {
    let places = table.places
    // Most are told apart by their prefix, without a look at their records.
    var keyed: [(prefix: SortingPrefix, index: CustomerIndex)] = []
    keyed.reserveCapacity(list.count)
    for (number, index) in list.enumerated() {
      places.prefetchAhead(of: number, in: list)
      keyed.append((SortingPrefix(of: places.record(index).id), index))
    }
    keyed.sort {
      $0.prefix == $1.prefix
        ? places.record($0.index).id.precedes(places.record($1.index).id) : $0.prefix < $1.prefix
    }
    return keyed.map(\.index)
  }

  private mutating func writeProfile(_ index: CustomerIndex, at now: Instant) {
    let view = view(index, at: now)
    let record = view.customer.record
    let context = context
    let symbols = UnsafePointer(symbols)
    outputs.append(.profiles, key: record.id, emittedAt: now, json: &json) { id, value in
      // A late event may change what a profile says, and neither its instant nor its tags.
      let hash = tw_xxh3_64(id.bytes.baseAddress.map { $0 + value.lowerBound }, value.count, 0)
      id.profileID(of: record)
      id.hex(hash)
    } value: { json in
      let texts = context.texts
      json.literal("{\"customer\":")
      json.string(record.id)
      json.literal(",\"as_of\":")
      json.instant(now)
      json.literal(",\"sequence\":")
      json.decimal(Int64(record.header.sequence))
      json.literal(",\"first_seen\":")
      json.instant(record.header.firstSeen)
      json.literal(",\"last_seen\":")
      json.instant(record.header.lastSeen)
      json.literal(",\"tags\":{")
      var isFirst = true
      for number in 0..<min(texts.facts.count, record.tagCount) where record[tag: number] != 0 {
        let facts = texts.facts[number]
        if facts.shadow { continue }
        if !isFirst { json.literal(",") }
        isFirst = false
        json.literal(facts.key, of: texts)
        TagValue(record[tag: number], of: facts.values).write(to: &json, texts: texts, symbols: symbols.pointee)
      }
      json.literal("},\"features\":{")
      for deciding in texts.profile { json.elementIfDefined(deciding, view: view, context: context) }
      json.literal("},\"events\":{")
      view.customer.forEachRecentType { type, counts in
        json.recentEvents(texts.recentEvents[Int(type.rawValue)], counts, of: texts)
      }
      json.literal("},\"categories\":[")
      view.customer.forEachPreferredCategory(limit: ProfileFeatures.listedPreferences) {
        json.preference($0, share: $1)
      }
      json.literal("],\"channels\":[")
      view.customer.forEachPreferredChannel(limit: ProfileFeatures.listedPreferences) { json.preference($0, share: $1) }
      json.literal("],\"alerts\":[")
      let alerts = record.alerts
      for kind in AlertKind.allCases where alerts[kind].number != 0 {
        json.beginObject()
        json.key("kind")
        json.string(kind.name)
        json.key("crossed_at")
        json.instant(Instant(seconds: Int64(alerts[kind].crossedAtSeconds)))
        json.endObject()
      }
      json.literal("]}")
    }
  }

  /// In a compacted topic the customer's profile goes with its record: an empty value, which is written as none.
  mutating func writeProfileEnd(_ index: CustomerIndex, at now: Instant) {
    let record = table.record(index)
    outputs.append(.profiles, key: record.id, emittedAt: emission(at: now), json: &json) { id, _ in
      id.profileID(of: record)
      id.literal("end-")
      id.decimal(now.microseconds)
    } value: { _ in
    }
  }
}

/// What a profile shows.
enum ProfileFeatures {
  /// Categories and channels listed at most.
  static let listedPreferences = 5
  static let all: [Feature] = [
    .ordersCount(.life), .ordersCount(.days(30)), .ordersCount(.days(90)), .ordersCount(.days(365)), .ordersPaid(.life),
    .ordersRevenue(.life), .ordersRevenue(.days(30)), .ordersRevenue(.days(90)), .ordersRevenue(.days(365)),
    .ordersGross(.life),
    .ordersAverage(.life), .ordersAverage(.days(30)), .ordersAverage(.days(90)), .ordersAverage(.days(365)),
    .daysSinceFirstOrder, .daysSinceLastOrder, .ordersMeanGapDays, .ordersLastGapDays, .repeatRate, .repeatDays,
    .ordersGrowth(days: 90),
    .discountShare(.life), .refundsCount(.life), .refundRate, .eventTotal(days: 1), .eventTotal(days: 7),
    .eventTotal(days: 30), .eventCount(.supportTicket, days: 90), .daysSinceFirstSeen, .daysSinceLastSeen, .cartItems,
    .cartValue,
    .cartAgeHours, .topCategory, .topCategoryShare, .topChannel, .topChannelShare, .age, .gender, .region, .occupation,
    .churnProbability, .lostProbability,
  ]
}

extension JSONWriter {
  /// But for its last part.
  fileprivate mutating func profileID(of record: CustomerRecord) {
    literal("p-")
    CustomerKey(id: record.id).write(to: &self)
    literal("-")
    decimal(Int64(record.header.sequence))
    literal("-")
  }

  fileprivate mutating func recentEvents(
    _ head: TextRange, _ counts: CustomerView.RecentEvents, of texts: RuleTexts
  ) {
    separate()
    literal(head, of: texts)
    decimal(Int64(counts.day))
    literal(",\"7d\":")
    decimal(Int64(counts.week))
    literal(",\"30d\":")
    decimal(Int64(counts.month))
    endObject()
  }

  fileprivate mutating func preference(_ name: UnsafeBufferPointer<UInt8>, share: Double) {
    separate()
    literal("{\"name\":")
    string(name)
    literal(",\"share\":")
    rounded(share)
    endObject()
  }
}
