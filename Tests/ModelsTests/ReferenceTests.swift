// The models against published and independently computed numbers (CDNOW, weeks).

import Foundation
import Models
import Testing

private struct Row {
  var x: Int
  var recency, age: Double
  var alive, silent13, dead60, silent60: Double
}

/// A few rows of the reference vectors, so that this suite never skips altogether.
private let mbgRows = [
  Row(
    x: 0, recency: 0, age: 38.86, alive: 0.3897350809187629, silent13: 0.9514226083991069,
    dead60: 35.320902386620666, silent60: 0),
  Row(
    x: 1, recency: 1.71, age: 38.86, alive: 0.17083648431040804, silent13: 0.9452131422295644,
    dead60: 14.672560473888367, silent60: 6.096517484057841),
  Row(
    x: 7, recency: 29.43, age: 38.86, alive: 0.6227238141691125, silent13: 0.4696658391830066,
    dead60: 44.62707995311749, silent60: 42.45349017950221),
  Row(
    x: 26, recency: 30.86, age: 31, alive: 0.9655661441440617, silent13: 0.03477340574220023,
    dead60: 36.628993367884995, silent60: 36.62662066721051),
]
private let bgRows = [
  Row(x: 0, recency: 0, age: 38.86, alive: 1, silent13: 0.938163168359162, dead60: .infinity, silent60: 0),
  Row(
    x: 2, recency: 30.43, age: 38.86, alive: 0.7265785700806728, silent13: 0.6765090614692374,
    dead60: 75.74776146735294, silent60: 31.556136773743553),
  Row(
    x: 20, recency: 38, age: 39, alive: 0.9440016128285209, silent13: 0.06069936190705784,
    dead60: 46.5111364791118, silent60: 46.46889868179488),
]

private let mbg = Result { try MBGNBD(r: 0.525, alpha: 6.183, a: 0.891, b: 1.614, unit: .weeks) }
private let bg = Result { try BGNBD(r: 0.243, alpha: 4.414, a: 0.793, b: 2.426, unit: .weeks) }

/// T in weeks; a root before the last purchase is reported as the last purchase.
private func expect(_ curve: SilenceCurve, _ row: Row) {
  let silence = (row.age - row.recency) * 7
  func age(_ silence: Double) -> Double { row.recency + silence / 7 }
  #expect(isClose(curve.pAlive(silence: silence), row.alive, relative: 1e-12), "x = \(row.x)")
  #expect(isClose(curve.pDead(silence: silence), 1 - row.alive, relative: 1e-12), "x = \(row.x)")
  #expect(isClose(curve.churnProbability(silence: silence, horizon: 91), row.silent13, relative: 1e-12), "x = \(row.x)")
  if row.dead60.isInfinite {
    #expect(curve.silence(untilDead: 0.6) == .infinity)
  } else {
    #expect(isClose(age(curve.silence(untilDead: 0.6)), row.dead60, relative: 1e-10), "x = \(row.x)")
  }
  #expect(isClose(age(curve.silence(untilChurn: 0.6, horizon: 91)), row.silent60, relative: 5e-9), "x = \(row.x)")
}

@Suite("Reference values, CDNOW") struct ReferenceTests {
  @Test("MBG/NBD: P(alive), P(no purchase in 13 weeks), crossings at 0.60", arguments: mbgRows.indices)
  func publishedMBG(_ index: Int) throws {
    let row = mbgRows[index]
    expect(try mbg.get().curve(repeats: row.x, recency: row.recency * 7), row)
  }

  @Test("BG/NBD: the same; never dead for x = 0", arguments: bgRows.indices)
  func publishedBG(_ index: Int) throws {
    let row = bgRows[index]
    expect(try bg.get().curve(repeats: row.x, recency: row.recency * 7), row)
  }

  @Test("every row of reference_vectors.json", .enabled(if: testData != nil, "TIDEWATCH_TEST_DATA holds no data"))
  func vectors() throws {
    struct Values: Decodable {
      var alive, silent13: Double
      var dead60, dead55, silent60, silent55: Double?
      enum CodingKeys: String, CodingKey {
        case alive = "p_alive"
        case silent13 = "p_nobuy_13"
        case dead60 = "T_star_dead_0.6"
        case dead55 = "T_star_dead_0.55"
        case silent60 = "T_star_nobuy13_0.6"
        case silent55 = "T_star_nobuy13_0.55"
      }
    }
    struct Vector: Decodable {
      var x: Int
      var recency, age: Double
      var mbgnbd, bgnbd: Values
      enum CodingKeys: String, CodingKey {
        case x, mbgnbd, bgnbd
        case recency = "t_x"
        case age = "T"
      }
    }
    struct File: Decodable { var rows: [Vector] }
    let url = try #require(testData).appendingPathComponent("reference_vectors.json")
    let file = try JSONDecoder().decode(File.self, from: Data(contentsOf: url))
    #expect(file.rows.count == 8)
    for vector in file.rows {
      let curves = [
        (try mbg.get().curve(repeats: vector.x, recency: vector.recency * 7), vector.mbgnbd),
        (try bg.get().curve(repeats: vector.x, recency: vector.recency * 7), vector.bgnbd),
      ]
      for (curve, values) in curves {
        expect(
          curve,
          Row(
            x: vector.x, recency: vector.recency, age: vector.age, alive: values.alive, silent13: values.silent13,
            dead60: values.dead60 ?? .infinity, silent60: values.silent60 ?? .nan))
        if let dead55 = values.dead55 {
          #expect(isClose(vector.recency + curve.silence(untilDead: 0.55) / 7, dead55, relative: 1e-10))
        }
        let silent55 = try #require(values.silent55)
        let found = vector.recency + curve.silence(untilChurn: 0.55, horizon: 91) / 7
        #expect(isClose(found, silent55, relative: 5e-9))
      }
    }
  }

  @Test("P(no purchase in the next h) = L(T + h) / L(T)", arguments: [true, false])
  func likelihoodRatio(modified: Bool) throws {
    var random = Seeded(state: modified ? 1 : 2)
    for _ in 0..<2_000 {
      let law = Likelihood(
        r: random.logUniform(0.05, 20), alpha: random.logUniform(0.5, 500), a: random.logUniform(0.05, 20),
        b: random.logUniform(0.05, 20), modified: modified)
      let x = Int.random(in: 0...60, using: &random)
      let recency = x == 0 ? 0 : random.logUniform(0.5, 700)
      let silence = random.logUniform(0.01, 2_000)
      let horizon = random.logUniform(0.5, 400)
      let curve =
        modified
        ? try MBGNBD(r: law.r, alpha: law.alpha, a: law.a, b: law.b, unit: .days).curve(repeats: x, recency: recency)
        : try BGNBD(r: law.r, alpha: law.alpha, a: law.a, b: law.b, unit: .days).curve(repeats: x, recency: recency)
      let ratio = exp(
        law.log(x: Double(x), recency: recency, age: recency + silence + horizon)
          - law.log(x: Double(x), recency: recency, age: recency + silence))
      let p = curve.churnProbability(silence: silence, horizon: horizon)
      #expect(isClose(p, ratio, relative: 1e-10), "\(law) x \(x) t_x \(recency) z \(silence) H \(horizon)")
    }
  }

  @Test(
    "log-likelihood of the CDNOW sample: MBG -9582.13, BG -9582.43",
    .enabled(if: testData != nil, "TIDEWATCH_TEST_DATA holds no data"))
  func cdnowLikelihood() throws {
    let text = try String(
      contentsOf: try #require(testData).appendingPathComponent("CDNOW_sample.txt"), encoding: .utf8)
    func dayNumber(_ yyyymmdd: Int) -> Int {
      let year = yyyymmdd / 10_000
      let cumulative = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334]
      return (year - 1997) * 365 + cumulative[yyyymmdd / 100 % 100 - 1] + yyyymmdd % 100
    }
    let end = dayNumber(19_970_930)
    var days: [Substring: Set<Int>] = [:]
    for line in text.split(whereSeparator: \.isNewline) {
      let fields = line.split(separator: " ")
      let day = dayNumber(try #require(Int(fields[2])))
      if day <= end { days[fields[1], default: []].insert(day) }
    }
    #expect(days.count == 2_357)
    let laws = [
      (Likelihood(r: 0.5248, alpha: 6.183, a: 0.8914, b: 1.614, modified: true), -9582.13),
      (Likelihood(r: 0.2426, alpha: 4.4135, a: 0.7929, b: 2.4257, modified: false), -9582.43),
    ]
    for (law, published) in laws {
      var sum = 0.0
      for (_, dates) in days {
        guard let first = dates.min(), let last = dates.max() else { continue }
        sum += law.log(
          x: Double(dates.count - 1), recency: Double(last - first) / 7, age: Double(end - first) / 7)
      }
      #expect(abs(sum - published) < 0.006, "\(sum)")
    }
  }

  @Test("Gamma-Gamma: mean spend 35.22 without a history, then towards the customer's own average")
  func gammaGamma() throws {
    let model = try GammaGamma(p: 6.25, q: 3.74, gamma: 15.44)
    #expect(abs(model.expectedSpend(average: 0, purchases: 0) - 35.22) < 0.005)
    // By hand: 6.25 (15.44 + 2 * 50) / (12.5 + 2.74).
    #expect(isClose(model.expectedSpend(average: 50, purchases: 2), 721.5 / 15.24))
    #expect(abs(model.expectedSpend(average: 50, purchases: 100_000) - 50) < 0.01)
    #expect(model.expectedSpend(average: 50, purchases: -3) == model.expectedSpend(average: 50, purchases: 0))
  }
}
