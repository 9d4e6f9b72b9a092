// Random numbers of the synthetic shop: a small generator with named streams, so that what one customer does never shifts
// what another does, and the distributions that the purchase process needs.

import Glibc

/// SplitMix64. Equal seeds give equal numbers on every machine; the distributions go through libm, whose last bits may
/// differ between machines.
struct ShopRandom: Sendable {
  private var state: UInt64

  /// The stream `stream` of customer `customer` (or of the shop itself, -1).
  init(seed: UInt64, customer: Int, stream: UInt64) {
    state = Self.mix(seed &+ 0x9E37_79B9_7F4A_7C15)
    state = Self.mix(state ^ UInt64(bitPattern: Int64(customer)) &* 0xD6E8_FEB8_6659_FD93)
    state = Self.mix(state ^ stream &* 0xA076_1D64_78BD_642F)
  }

  private static func mix(_ value: UInt64) -> UInt64 {
    var z = value
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    return Self.mix(state)
  }

  /// In (0, 1): never 0, so that its logarithm is finite.
  mutating func uniform() -> Double { (Double(next() >> 11) + 0.5) * 0x1p-53 }

  /// In 0..<bound; `bound` at least 1. The bias (below 2^-32 here) does not matter.
  mutating func below(_ bound: Int) -> Int { Int(((next() >> 32) &* UInt64(max(1, bound))) >> 32) }

  mutating func chance(_ probability: Double) -> Bool { uniform() < probability }

  mutating func between(_ low: Double, _ high: Double) -> Double { low + (high - low) * uniform() }

  /// Mean 1 / `rate`.
  mutating func exponential(rate: Double) -> Double { -log(uniform()) / rate }

  mutating func normal() -> Double { sqrt(-2 * log(uniform())) * cos(2 * .pi * uniform()) }

  /// Mean `shape` (scale 1). Marsaglia and Tsang 2000; below 1 boosted by U^(1/shape).
  mutating func gamma(shape: Double) -> Double {
    if shape < 1 { return gamma(shape: shape + 1) * pow(uniform(), 1 / shape) }
    let d = shape - 1.0 / 3
    let c = 1 / sqrt(9 * d)
    while true {
      let x = normal()
      let v = (1 + c * x) * (1 + c * x) * (1 + c * x)
      if v > 0, log(uniform()) < 0.5 * x * x + d - d * v + d * log(v) { return d * v }
    }
  }

  /// Mean a / (a + b).
  mutating func beta(_ a: Double, _ b: Double) -> Double {
    let x = gamma(shape: a)
    let y = gamma(shape: b)
    return x + y > 0 ? x / (x + y) : 0
  }
}
