// The promise to the engine: a predicate on a probability flips exactly once, at the second that was promised.

import Events
import Models
import Testing

/// The first whole second in (floor, ceiling] at which `reached` holds, by bisection alone; nil where there is none.
private func bisect(_ floor: Int64, _ ceiling: Int64, _ reached: (Int64) -> Bool) -> Int64? {
  guard reached(ceiling) else { return nil }
  var low = floor
  var high = ceiling
  while high - low > 1 {
    let middle = low + (high - low) / 2
    if reached(middle) { high = middle } else { low = middle }
  }
  return high
}

private let lastSecond = Int64.max / 1_000_000

/// Checks one crossing against the predicate it stands for: the oracle's second, the neighbours, and points around.
private func verify(
  _ crossing: Crossing, last: Instant, theta: Double, random: inout Seeded, _ context: String,
  _ probability: (Instant) -> Double
) {
  if probability(last) >= theta {
    #expect(crossing == .already, "\(context)")
    return
  }
  let floor = Int64((Double(last.microseconds) / 1e6).rounded(.down)) - 1
  let oracle = bisect(floor, lastSecond) { probability(Instant(seconds: $0)) >= theta }
  guard case .at(let instant) = crossing else {
    #expect(crossing == .never && oracle == nil, "\(context)")
    return
  }
  let second = instant.microseconds / 1_000_000
  #expect(instant.microseconds % 1_000_000 == 0 && instant >= last, "\(context)")
  #expect(second == oracle, "\(context)")
  #expect(probability(instant) >= theta, "\(context)")
  #expect(probability(instant - .seconds(1)) < theta, "\(context)")
  for _ in 0..<12 {
    // Nearby at first, then anywhere: the predicate never turns back.
    let distance = Int64(random.logUniform(1, 1e9))
    #expect(probability(instant + .seconds(distance)) >= theta, "\(context), \(distance) s after")
    #expect(probability(max(last, instant - .seconds(distance))) < theta || instant <= last, "\(context)")
  }
  for distance in Int64(1)...8 {
    #expect(probability(instant + .seconds(distance)) >= theta, "\(context), \(distance) s after")
    #expect(probability(max(last, instant - .seconds(distance))) < theta || instant <= last, "\(context)")
  }
}

private func randomHistory(_ random: inout Seeded) -> PurchaseHistory {
  let x = Bool.random(using: &random) ? Int.random(in: 0...5, using: &random) : Int(random.logUniform(1, 100_001)) - 1
  let first = Int64.random(in: -2_000_000_000_000_000...4_000_000_000_000_000, using: &random)
  // From a microsecond to a century between the first purchase and the last.
  let recency = x == 0 ? 0 : Int64(random.logUniform(1, 3.2e15))
  let last = first + recency
  // Half of all orders come at a whole second.
  let rounded = Bool.random(using: &random) ? last : last - last % 1_000_000
  return PurchaseHistory(
    first: Instant(microseconds: first), last: Instant(microseconds: max(first, rounded)), repeats: x)
}

@Suite("Crossings") struct CrossingTests {
  @Test("equal the bisection oracle, and the predicate is monotone", arguments: 0..<40)
  func oracle(seed: Int) throws {
    var random = Seeded(state: UInt64(seed))
    for _ in 0..<150 {
      // Half of the trials around what shops have, half anywhere that makes sense of the words.
      let wide = Bool.random(using: &random)
      let shape = wide ? (1e-3, 1e3) : (0.1, 10)
      let parameters = try MBGNBD(
        r: random.logUniform(shape.0, shape.1), alpha: wide ? random.logUniform(1e-3, 1e5) : random.logUniform(1, 300),
        a: random.logUniform(shape.0, shape.1), b: random.logUniform(shape.0, shape.1), unit: .days)
      let horizon = TimeSpan.hours(Int64(random.logUniform(24, 24 * 3_650)))
      let model = try ChurnModel(parameters: parameters, horizon: horizon, version: "test")
      let history = randomHistory(&random)
      let theta = [0.6, 0.55, Double.random(in: 0.01...0.99, using: &random)].randomElement(using: &random) ?? 0.6
      let context = "seed \(seed) \(parameters) H \(horizon.wholeDays) d \(history) theta \(theta)"
      verify(
        model.churnCrossing(history, of: theta), last: history.last, theta: theta, random: &random, "churn, \(context)"
      ) { model.churnProbability(history, at: $0) }
      verify(
        model.deadCrossing(history, of: theta), last: history.last, theta: theta, random: &random, "dead, \(context)"
      ) { model.deadProbability(history, at: $0) }
    }
  }

  @Test("stay sane at the limits of the parameters and of time")
  func extremes() throws {
    let edges = [1e-9, 1.0, 1e9]
    let instants = [
      Instant.distantPast, Instant(microseconds: -1), Instant(microseconds: 0), Instant(microseconds: 1),
      .distantFuture - .seconds(1), .distantFuture,
    ]
    for r in edges {
      for alpha in [1e-6, 1.0, 1e9] {
        for a in edges {
          for b in edges {
            let parameters = try MBGNBD(r: r, alpha: alpha, a: a, b: b, unit: .days)
            let model = try ChurnModel(parameters: parameters, horizon: .days(60), version: "test")
            for first in instants {
              for (x, span) in [(0, 0), (1, 1), (100_000, Int64.max / 4), (Int.max, 1)] {
                let history = PurchaseHistory(
                  first: first, last: first + TimeSpan(microseconds: span), repeats: x)
                for instant in [history.last, .distantFuture, .distantPast] {
                  let churn = model.churnProbability(history, at: instant)
                  let dead = model.deadProbability(history, at: instant)
                  #expect(churn >= 0 && churn <= 1 && dead >= 0 && dead <= 1, "\(parameters) \(history)")
                }
                for theta in [1e-6, 0.6, 0.999999] {
                  for crossing in [model.churnCrossing(history, of: theta), model.deadCrossing(history, of: theta)] {
                    if case .at(let instant) = crossing { #expect(instant >= history.last) }
                  }
                }
              }
            }
            // A plain date, where the exact promise must hold even for these.
            let history = PurchaseHistory(
              first: Instant(seconds: 1_700_000_000), last: Instant(microseconds: 1_710_000_000_000_001), repeats: 3)
            for theta in [0.001, 0.6, 0.999] {
              let crossing = model.deadCrossing(history, of: theta)
              guard case .at(let instant) = crossing else { continue }
              #expect(model.deadProbability(history, at: instant) >= theta)
              #expect(model.deadProbability(history, at: instant - .seconds(1)) < theta)
            }
          }
        }
      }
    }
  }

  @Test("are exact however wrong the solver's estimate is")
  func wrongEstimates() {
    var random = Seeded(state: 3)
    for _ in 0..<3_000 {
      let last = Instant(microseconds: Int64.random(in: -4_000_000_000_000...4_000_000_000_000, using: &random))
      let firstSecond = last.roundedUpToSecond.microseconds / 1_000_000
      let truth = firstSecond + Int64(random.logUniform(1, 1e10)) - 1
      let days = [
        0, -5, .infinity, .nan, random.logUniform(1e-6, 1e8), Double(truth - firstSecond) / 86_400,
        Double(truth - firstSecond + Int64.random(in: -20...20, using: &random)) / 86_400,
      ]
      for estimate in days {
        let found = Crossing.afterPurchase(at: last, silence: estimate) { $0 >= Instant(seconds: truth) }
        #expect(found == .at(Instant(seconds: truth)), "last \(last) truth \(truth) estimate \(estimate)")
        #expect(Crossing.afterPurchase(at: last, silence: estimate) { _ in false } == .never)
      }
    }
  }

  @Test("thresholds outside 0..<1")
  func thresholds() throws {
    let model = try ChurnModelPreset.cdnow.model()
    let history = PurchaseHistory(first: Instant(seconds: 0), last: Instant(seconds: 0), repeats: 0)
    for theta: Double in [0, -1, -.infinity] { #expect(model.churnCrossing(history, of: theta) == .already) }
    for theta: Double in [1, 2, .infinity] { #expect(model.deadCrossing(history, of: theta) == .never) }
  }

  @Test("rise with silence, and stand still before the last purchase")
  func monotone() throws {
    var random = Seeded(state: 5)
    for _ in 0..<500 {
      let parameters = try MBGNBD(
        r: random.logUniform(0.05, 20), alpha: random.logUniform(1, 1_000), a: random.logUniform(0.05, 20),
        b: random.logUniform(0.05, 20), unit: .days)
      let model = try ChurnModel(parameters: parameters, horizon: .days(60), version: "test")
      let history = randomHistory(&random)
      #expect(model.churnProbability(history, at: .distantPast) == model.churnProbability(history, at: history.last))
      var churn = 0.0
      var dead = 0.0
      // From the last purchase over seconds to five thousand years.
      for power in 0..<38 {
        let instant = history.last + .seconds(Int64(1) << power)
        let (nextChurn, nextDead) = (
          model.churnProbability(history, at: instant), model.deadProbability(history, at: instant)
        )
        #expect(nextChurn >= churn && nextDead >= dead, "\(parameters) \(history)")
        // No purchase ahead is at least as likely as having left.
        #expect(nextChurn >= nextDead - 1e-15)
        (churn, dead) = (nextChurn, nextDead)
      }
    }
  }

  @Test("the solver needs about four steps for what shops have")
  func steps() throws {
    var random = Seeded(state: 9)
    var total = 0
    var solved = 0
    var worst = 0
    for _ in 0..<20_000 {
      let curve = ChurnModelPreset.cdnow.parameters.curve(
        repeats: Int(random.logUniform(1, 200)), recency: random.logUniform(1, 700))
      guard curve.churnProbability(silence: 0, horizon: 60) < 0.6 else { continue }
      let steps = curve.solveChurn(0.6, horizon: 60).steps
      solved += 1
      total += steps
      worst = max(worst, steps)
    }
    #expect(solved > 5_000)
    #expect(Double(total) / Double(solved) < 5, "mean \(Double(total) / Double(solved))")
    #expect(worst <= 10, "worst \(worst)")
  }
}
