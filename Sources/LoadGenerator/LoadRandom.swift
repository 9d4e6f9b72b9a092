// Random numbers of the workload: equal on every machine. Only integer and IEEE arithmetic, nothing of libm, whose last
// bits differ between machines.

/// SplitMix64, and the distributions that the workload needs.
struct LoadRandom: Sendable {
  private var state: UInt64

  init(seed: UInt64) { state = seed &* 0xD6E8_FEB8_6659_FD93 &+ 0x9E37_79B9_7F4A_7C15 }

  @inline(__always) mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }

  /// In [0, 1).
  @inline(__always) mutating func uniform() -> Double { Double(next() >> 11) * 0x1p-53 }

  /// About normal, mean 0 and deviation 1: the sum of twelve uniform numbers, so never beyond 6.
  @inline(__always) mutating func normal() -> Double {
    var sum: UInt64 = 0
    for _ in 0..<3 {
      let bits = next()
      sum &+= (bits & 0xFFFF) &+ ((bits >> 16) & 0xFFFF) &+ ((bits >> 32) & 0xFFFF) &+ (bits >> 48)
    }
    return (Double(sum) + 6) * 0x1p-16 - 6
  }
}

/// e to the power of x, |x| < 60, to about 13 digits.
@inline(__always) func exponential(_ x: Double) -> Double {
  let scaled = x * 1.442_695_040_888_963_4
  let whole = scaled.rounded(.toNearestOrEven)
  let rest = (scaled - whole) * 0.693_147_180_559_945_3
  // Taylor, |rest| <= 0.35: the last term is below 10^-14.
  var sum = 1.0
  var factor = 11.0
  while factor >= 1 {
    sum = 1 + rest * sum / factor
    factor -= 1
  }
  return Double(sign: .plus, exponent: Int(whole), significand: sum)
}
