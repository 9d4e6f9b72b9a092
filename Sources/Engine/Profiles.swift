// A customer's profile as JSON: tags and the main features, as of one instant.

import Customers
import Events
import Rules

extension EngineTask {
  /// Writes the profiles of customers whose tags changed since the last call: once each, in order of customer id.
  public mutating func flushProfiles() {
    if pendingProfiles.isEmpty { return }
    let changed = pendingProfiles.map { CustomerIndex(number: $0) }
    pendingProfiles.removeAll(keepingCapacity: true)
    for index in sortedByID(changed) { writeProfile(index, at: table.record(index).header.asOf) }
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
    // Most are told apart by a number, without a look at their records.
    var keyed = list.map { (prefix: sortingPrefix(of: id(of: $0)), index: $0) }
    keyed.sort {
      $0.prefix == $1.prefix
        ? id(of: $0.index).lexicographicallyPrecedes(id(of: $1.index)) : $0.prefix < $1.prefix
    }
    return keyed.map(\.index)
  }

  private mutating func writeProfile(_ index: CustomerIndex, at now: Instant) {
    let view = view(index, at: now)
    let record = view.customer.record
    let context = context
    // Collected first: the output buffer is borrowed while it is written to.
    var tags: [(name: TextRange, value: TagValue)] = []
    for (number, facts) in context.texts.facts.enumerated()
    where !facts.shadow && number < record.tagCount && record[tag: number] != 0 {
      tags.append((facts.key, tagValue(record[tag: number], of: facts.values)))
    }
    let symbols = UnsafePointer(symbols)
    outputs.append(.profiles, key: record.id, emittedAt: now, json: &json) { id in
      id.literal("p-")
      CustomerKey(id: record.id).write(to: &id)
      id.literal("-")
      id.decimal(Int64(record.header.sequence))
      // Without a change of tags a profile still ages.
      id.literal("-")
      id.decimal(now.microseconds)
    } value: { json in
      json.beginObject()
      json.key("customer")
      json.string(record.id)
      json.key("as_of")
      json.instant(now)
      json.key("sequence")
      json.integer(Int64(record.header.sequence))
      json.key("first_seen")
      json.instant(record.header.firstSeen)
      json.key("last_seen")
      json.instant(record.header.lastSeen)
      json.key("tags")
      json.beginObject()
      for (place, tag) in tags.enumerated() {
        if place > 0 { json.literal(",") }
        json.literal(tag.name, of: context.texts)
        tag.value.write(to: &json, texts: context.texts, symbols: symbols.pointee)
      }
      json.endObject()
      json.key("features")
      json.beginObject()
      for deciding in context.texts.profile where !deciding.feature.isUndefined(in: view) {
        json.element(deciding, view: view, context: context)
      }
      json.endObject()
      json.key("events")
      json.eventCounts(view: view)
      json.key("categories")
      json.preferences(view.customer.preferredCategories(limit: ProfileFeatures.listedPreferences), view: view)
      json.key("channels")
      json.preferences(view.customer.preferredChannels(limit: ProfileFeatures.listedPreferences), view: view)
      json.key("alerts")
      json.beginArray()
      for kind in AlertKind.allCases where record.alerts[kind].number != 0 {
        json.beginObject()
        json.key("kind")
        json.string(kind.name)
        json.key("crossed_at")
        json.instant(Instant(seconds: Int64(record.alerts[kind].crossedAtSeconds)))
        json.endObject()
      }
      json.endArray()
      json.endObject()
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

extension Feature {
  func isUndefined(in view: EngineView) -> Bool {
    type == .text ? view.text(self) == 0 : view.number(self).isNaN
  }
}

extension JSONWriter {
  /// Each type seen in the last 30 days with its counts over 1, 7 and 30 days.
  fileprivate mutating func eventCounts(view: EngineView) {
    beginObject()
    for type in EventType.allCases {
      let month = view.number(.eventCount(type, days: 30))
      if month == 0 { continue }
      key(type.name)
      beginObject()
      key("1d")
      double(view.number(.eventCount(type, days: 1)))
      key("7d")
      double(view.number(.eventCount(type, days: 7)))
      key("30d")
      double(month)
      endObject()
    }
    endObject()
  }

  fileprivate mutating func preferences(_ list: [CustomerView.Preference], view: EngineView) {
    beginArray()
    for preference in list {
      beginObject()
      key("name")
      string(preference.name)
      key("share")
      double(rounded(preference.share))
      endObject()
    }
    endArray()
  }
}
