// Every feature of a record equals what the full history says, whatever the order of arrival.

import Customers
import Events
import ReferenceTesting
import Testing

struct FeatureEqualityTests {
  /// Compares every exact feature at `now`; the differences in words.
  static func differences(_ view: CustomerView, _ reference: ReferenceSnapshot) -> [String] {
    var found: [String] = []
    for feature in testedFeatures {
      let (is_, should) = (view.number(feature), reference.number(feature))
      if !isSame(is_, should) { found.append("\(feature): \(is_), should be \(should)") }
    }
    for feature in testedTexts where view.text(feature) != textHash(reference.text(feature)) {
      found.append(
        "\(feature): \(String(decoding: view.name(feature), as: UTF8.self)), should be "
          + "\(reference.text(feature) ?? "absent")")
    }
    return found
  }

  @Test func everyFeatureAtRandomInstants() throws {
    for seed in testSeeds(150) {
      var random = Seeded(seed ^ 0xfea7)
      let zone = random.pick(testZones)
      let calendar = try ZonedCalendar(identifier: zone)
      var options = StreamOptions()
      options.visits = 10 + random.index(60)
      var limits = RecordLimits()
      limits.maxCartItems = 1000
      let stream = EventStream(seed: seed, options: options)
      let harness = RecordHarness(calendar: calendar, limits: limits)
      var reference = ReferenceCustomer(calendar: calendar)
      let checks = Set((0..<4).map { _ in random.index(stream.arrivals.count) } + [stream.arrivals.count - 1])
      for (position, event) in stream.arrivals.enumerated() {
        let isNew = harness.apply(event)
        try #require(isNew == reference.apply(event), "seed \(seed), event \(position): duplicate detection")
        guard checks.contains(position), let asOf = harness.asOf("c") else { continue }
        var instants = [asOf, asOf + TimeSpan(microseconds: random.int(0...86_400_000_000))]
        instants.append(asOf + TimeSpan(microseconds: random.int(0...400 * 86_400_000_000)))
        instants.append(calendar.start(of: calendar.day(of: asOf) + Int32(1 + random.index(100))))
        let snapshot = reference.snapshot(at: asOf)
        for now in instants {
          let view = try #require(harness.view("c", at: now))
          let wrong = Self.differences(view, snapshot.at(now))
          try #require(wrong.isEmpty, "seed \(seed), \(zone), after event \(position), at \(now): \(wrong)")
        }
      }
    }
  }

  @Test func anyArrivalOrderWithinTheHorizonGivesTheSameFeatures() throws {
    for seed in testSeeds(200) {
      var random = Seeded(seed ^ 0x0dde)
      let calendar = try ZonedCalendar(identifier: random.pick(testZones))
      var options = StreamOptions()
      options.visits = 10 + random.index(50)
      options.isShuffled = false
      options.hasDuplicates = false
      var limits = RecordLimits()
      limits.maxCartItems = 1000
      limits.preferenceSlots = 64
      let inOrder = EventStream(seed: seed, options: options).arrivals
      let shuffled = EventStream.arrange(inOrder, lateness: limits.lateness, random: &random)
      let (a, b) = (
        RecordHarness(calendar: calendar, limits: limits), RecordHarness(calendar: calendar, limits: limits, seed: 99)
      )
      for event in inOrder { a.apply(event) }
      for event in shuffled { b.apply(event) }
      let now = try #require(a.asOf("c"))
      #expect(b.asOf("c") == now)
      let (first, second) = try (#require(a.view("c", at: now)), #require(b.view("c", at: now)))
      for feature in testedFeatures {
        let (x, y) = (first.number(feature), second.number(feature))
        try #require(x == y || x.isNaN && y.isNaN, "seed \(seed), \(feature): \(x) in order, \(y) shuffled")
      }
      for feature in testedTexts { #expect(first.text(feature) == second.text(feature), "seed \(seed)") }
      for feature in [Feature.topCategoryShare, .topChannelShare] {
        let (x, y) = (first.number(feature), second.number(feature))
        #expect(x.isNaN == y.isNaN && !(abs(x - y) > 1e-4), "seed \(seed), \(feature): \(x) in order, \(y) shuffled")
      }
    }
  }
}
