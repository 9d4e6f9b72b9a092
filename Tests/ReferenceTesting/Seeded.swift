// Reproducible randomness, and how many seeds a run tries.

import Foundation

/// SplitMix64: the same numbers from the same seed everywhere.
public struct Seeded: RandomNumberGenerator, Sendable {
  private var state: UInt64

  public init(_ seed: UInt64) { state = seed &* 0xD129_0B26_9C5D_5A33 &+ 0x5851_F42D_4C95_7F2D }

  public mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }

  public mutating func int(_ range: ClosedRange<Int64>) -> Int64 { Int64.random(in: range, using: &self) }
  public mutating func index(_ count: Int) -> Int { Int.random(in: 0..<count, using: &self) }
  public mutating func chance(_ probability: Double) -> Bool { Double.random(in: 0..<1, using: &self) < probability }
  public mutating func pick<T>(_ list: [T]) -> T { list[index(list.count)] }
  /// Evenly spread over the orders of magnitude.
  public mutating func logUniform(_ low: Double, _ high: Double) -> Double {
    exp(Double.random(in: log(low)...log(high), using: &self))
  }
}

/// The seeds of a property test: `usual` of them, times `TIDEWATCH_TEST_SEEDS` (a factor, 1 when absent).
public func testSeeds(_ usual: Int) -> Range<UInt64> {
  let factor = ProcessInfo.processInfo.environment["TIDEWATCH_TEST_SEEDS"].flatMap(Double.init) ?? 1
  return 1..<UInt64(max(1, Double(usual) * factor)) + 1
}
