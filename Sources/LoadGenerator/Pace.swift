// Holds a stream to a rate: says how many items may go now, from the time that has passed.

/// At most `perSecond` items a second on average, at even distances; what was missed is caught up with for a quarter second.
public struct Pace: Sendable {
  /// nil: as fast as they come.
  public let perSecond: Double?
  private var began = 0.0
  private var gone = 0.0

  /// - Parameters:
  ///   - perSecond: above 0; nil for no limit.
  ///   - now: seconds of any clock that never goes back.
  public init(perSecond: Double?, now: Double) {
    self.perSecond = perSecond
    began = now
  }

  /// How many may go at once, 0...limit. They are taken as gone.
  public mutating func take(limit: Int, now: Double) -> Int {
    guard let perSecond else { return limit }
    let due = (now - began) * perSecond
    if due - gone > perSecond / 4 { gone = due - perSecond / 4 }
    let count = min(limit, max(0, Int(due - gone)))
    gone += Double(count)
    return count
  }
}
