// How long processing stood still, counted in buckets: the longest pauses are what a mean hides.

/// Durations of pauses, in microseconds.
public struct PauseHistogram: Sendable, Hashable {
  /// Upper bounds of all buckets but the last, which has none.
  public static let boundsMicroseconds: [Int64] = [
    50, 100, 200, 500, 1_000, 2_000, 3_000, 4_000, 5_000, 7_000, 10_000, 20_000, 50_000, 100_000, 200_000, 500_000,
    1_000_000, 2_000_000, 5_000_000, 10_000_000,
  ]
  /// By bucket, not summed up.
  public private(set) var counts = [Int](repeating: 0, count: boundsMicroseconds.count + 1)
  public private(set) var sumMicroseconds: Int64 = 0
  public private(set) var maxMicroseconds: Int64 = 0

  public init() {}

  public var count: Int { counts.reduce(0, +) }

  public mutating func add(_ microseconds: Int64) {
    let value = max(0, microseconds)
    let bucket = Self.boundsMicroseconds.firstIndex { value <= $0 } ?? Self.boundsMicroseconds.count
    counts[bucket] += 1
    sumMicroseconds &+= value
    maxMicroseconds = max(maxMicroseconds, value)
  }
}
