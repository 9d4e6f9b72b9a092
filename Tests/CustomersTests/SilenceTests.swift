// What a record says about silence, against a scan of every instant at which anything could change.

import Customers
import Events
import ReferenceTesting
import Testing

struct SilenceTests {
  /// A customer some way into a random stream.
  private func harness(seed: UInt64, random: inout Seeded) throws -> (RecordHarness, ReferenceSnapshot, ZonedCalendar) {
    let calendar = try ZonedCalendar(identifier: random.pick(testZones))
    var options = StreamOptions()
    options.visits = 5 + random.index(30)
    options.wholeSeconds = random.chance(0.5)
    var limits = RecordLimits()
    limits.maxCartItems = 1000
    let harness = RecordHarness(calendar: calendar, limits: limits)
    var reference = ReferenceCustomer(calendar: calendar)
    let arrivals = EventStream(seed: seed, options: options).arrivals
    for event in arrivals.prefix(1 + random.index(arrivals.count)) {
      harness.apply(event)
      reference.apply(event)
    }
    let asOf = try #require(harness.asOf("c"))
    return (harness, reference.snapshot(at: asOf), calendar)
  }

  /// Every start of a local day and every whole period since anything, for `days` days after `now`, with the seconds
  /// around them.
  private func candidates(
    _ snapshot: ReferenceSnapshot, after now: Instant, days: Int, calendar: ZonedCalendar
  ) -> [Instant] {
    let end = now + .days(Int64(days))
    var instants: [Instant] = []
    for day in 0...days + 1 { instants.append(calendar.start(of: calendar.day(of: now) + Int32(day))) }
    for (since, period) in snapshot.periods {
      var instant = since
      while instant <= end {
        if instant + period > now { instants.append(instant) }
        instant = instant + period
      }
    }
    return instants.flatMap { [$0, $0 + TimeSpan(microseconds: -1), $0.roundedUpToSecond] }
      .filter { $0 > now && $0 <= end }.sorted()
  }

  @Test func noFeatureMovesBeforeItsNextStep() throws {
    let steps = testedFeatures.filter { $0.behaviour == .step }
    for seed in testSeeds(40) {
      var random = Seeded(seed ^ 0x57e9)
      let (harness, snapshot, calendar) = try harness(seed: seed, random: &random)
      var now = snapshot.now
      if random.chance(0.5) { now = now + TimeSpan(microseconds: random.int(0...200 * 86_400_000_000)) }
      let view = try #require(harness.view("c", at: now))
      let instants = candidates(snapshot, after: now, days: 500, calendar: calendar).map { view.at($0) }
      for feature in steps {
        let value = view.number(feature)
        let next = view.nextStep(feature)
        try #require(next > now && next == next.roundedUpToSecond)
        // Rounding up to a second may only hide the rest of that second.
        if let early = instants.first(where: { $0.now < next && !isSame($0.number(feature), value) }) {
          let hidden = next != .distantFuture && early.now > next + .seconds(-1)
          try #require(
            hidden, "seed \(seed): \(feature) was \(value), is \(early.number(feature)) at \(early.now), before \(next)"
          )
        }
      }
    }
  }

  @Test func risingFeaturesReachTheirThresholdAtTheVeryCrossing() throws {
    let rising: [Feature] = [
      .daysSinceFirstOrder, .daysSinceLastOrder, .daysSinceFirstSeen, .daysSinceLastSeen, .cartAgeHours, .age,
    ]
    for seed in testSeeds(300) {
      var random = Seeded(seed ^ 0xc055)
      let (harness, snapshot, _) = try harness(seed: seed, random: &random)
      let now = snapshot.now + TimeSpan(microseconds: random.int(0...100 * 86_400_000_000))
      let view = try #require(harness.view("c", at: now))
      for feature in rising {
        let value = view.number(feature)
        var thresholds = [Double(random.index(120)), Double(random.index(120)) + 0.5, -1]
        if !value.isNaN { thresholds += [value, value + 1, value.nextUp, value + Double(random.index(40))] }
        for threshold in thresholds {
          let crossing = view.crossing(feature, threshold: threshold)
          let place: Comment = "seed \(seed): \(feature) = \(value) at \(now), to reach \(threshold): \(crossing)"
          if value.isNaN || value >= threshold {
            try #require(crossing == .distantFuture, place)
            continue
          }
          try #require(crossing > now && crossing == crossing.roundedUpToSecond, place)
          try #require(view.at(crossing).number(feature) >= threshold, place)
          try #require(view.at(max(now, crossing + .seconds(-1))).number(feature) < threshold, place)
        }
      }
    }
  }

  @Test func ofWhatNeverMovesNothingIsExpected() throws {
    var random = Seeded(7)
    let (harness, snapshot, _) = try harness(seed: 7, random: &random)
    let view = try #require(harness.view("c", at: snapshot.now))
    for feature in testedFeatures where feature.behaviour == .constant {
      #expect(view.nextStep(feature) == .distantFuture, "\(feature)")
      let later = view.at(snapshot.now + .days(900)).number(feature)
      #expect(isSame(view.number(feature), later), "\(feature)")
    }
  }
}
