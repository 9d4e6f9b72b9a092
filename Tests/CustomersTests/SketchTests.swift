// Preference sketches against exact decayed weights: within the bound they state, and exact while the names fit.

import Customers
import Events
import ReferenceTesting
import Testing

struct SketchTests {
  @Test(arguments: [(names: 5, slots: 8), (names: 40, slots: 8), (names: 40, slots: 2), (names: 12, slots: 64)])
  func topNamesStayWithinTheBound(names: Int, slots: Int) throws {
    for seed in testSeeds(60) {
      var random = Seeded(seed)
      let calendar = try ZonedCalendar(identifier: "UTC")
      var options = StreamOptions()
      options.visits = 60
      options.names = names
      var limits = RecordLimits()
      limits.preferenceSlots = slots
      limits.maxCartItems = 1000
      let harness = RecordHarness(calendar: calendar, limits: limits)
      var reference = ReferenceCustomer(calendar: calendar)
      for event in EventStream(seed: seed, options: options).arrivals {
        harness.apply(event)
        reference.apply(event)
        guard random.chance(0.05), let asOf = harness.asOf("c"), let view = harness.view("c", at: asOf) else {
          continue
        }
        let snapshot = reference.snapshot(at: asOf)
        try check(view, .topCategory, .topCategoryShare, snapshot.preferences(\.category), slots: slots, seed: seed)
        try check(view, .topChannel, .topChannelShare, snapshot.preferences(\.channel), slots: slots, seed: seed)
        // Whatever the sketch forgets, the sum over all names is exact but for rounding.
        for feature in [Feature.categoryWeight, .channelWeight] {
          let (sum, exact) = (view.number(feature), snapshot.number(feature))
          try #require(abs(sum - exact) <= 1e-4 * max(1, exact), "seed \(seed): \(feature) \(sum), not \(exact)")
        }
      }
    }
  }

  private func check(
    _ view: CustomerView, _ top: Feature, _ topShare: Feature, _ exact: (weights: [String: Double], total: Double),
    slots: Int, seed: UInt64
  ) throws {
    let name = String(decoding: view.name(top), as: UTF8.self)
    let share = view.number(topShare)
    guard exact.total > 0 else {
      try #require(name.isEmpty && share.isNaN)
      return
    }
    // Weights are kept in single precision: some hundred events leave an error of this size.
    let noise = 1e-4
    let bound = exact.weights.count <= slots ? 0 : 1 / Double(slots)
    let ofName = (exact.weights[name] ?? -1) / exact.total
    let ofHeaviest = (exact.weights.values.max() ?? 0) / exact.total
    try #require(
      share >= ofName - noise && share <= ofName + bound + noise, "seed \(seed): \(name) \(share) of \(ofName)")
    try #require(share >= ofHeaviest - noise, "seed \(seed): the heaviest has \(ofHeaviest), \(name) says \(share)")
  }
}
