// Where the published data lies, and small tools the tests share.

import Foundation
import Models

/// The folder with reference vectors and CDNOW, or nil: `TIDEWATCH_TEST_DATA`, else `../shared/data` beside the
/// package.
let testData: URL? = {
  let package = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent()
  let folder =
    ProcessInfo.processInfo.environment["TIDEWATCH_TEST_DATA"].map { URL(fileURLWithPath: $0) }
    ?? package.deletingLastPathComponent().appendingPathComponent("shared/data")
  return FileManager.default.fileExists(atPath: folder.appendingPathComponent("reference_vectors.json").path)
    ? folder : nil
}()

/// SplitMix64: the same numbers from the same seed everywhere.
struct Seeded: RandomNumberGenerator {
  var state: UInt64
  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }
  /// Evenly spread over the orders of magnitude.
  mutating func logUniform(_ low: Double, _ high: Double) -> Double {
    exp(Double.random(in: log(low)...log(high), using: &self))
  }
}

func isClose(_ a: Double, _ b: Double, relative: Double = 1e-9, absolute: Double = 1e-12) -> Bool {
  abs(a - b) <= max(absolute, relative * max(abs(a), abs(b)))
}

/// ln L of one customer under MBG/NBD or BG/NBD, from the papers and not from `SilenceCurve`: times in alpha's unit.
struct Likelihood {
  var r, alpha, a, b: Double
  var modified: Bool

  func log(x: Double, recency: Double, age: Double) -> Double {
    let s = r + x
    let common = lgamma(s) - lgamma(r) + r * Foundation.log(alpha) - logBeta(a, b)
    let alive = logBeta(a, b + x + (modified ? 1 : 0)) - s * Foundation.log(alpha + age)
    if !modified && x == 0 { return common + alive }
    let dead = logBeta(a + 1, b + x - (modified ? 0 : 1)) - s * Foundation.log(alpha + recency)
    let top = max(alive, dead)
    return common + top + Foundation.log(exp(alive - top) + exp(dead - top))
  }

  private func logBeta(_ p: Double, _ q: Double) -> Double { lgamma(p) + lgamma(q) - lgamma(p + q) }
}
