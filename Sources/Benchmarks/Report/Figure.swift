// One figure of a benchmark: what was measured in each of several runs, and what is said of it.

/// What a run measured, several times.
public struct Figure: Codable, Sendable, Hashable {
  /// The part of the benchmark it belongs to, for example `run`.
  public var part: String
  /// What was measured, in a few words; unique within its part.
  public var name: String
  /// Of the values: `events/s`, `us/event`, `bytes`, `ms`, ...
  public var unit: String
  /// One of each run, in order.
  public var values: [Double]
  /// To the raw consumer of the same round, one of each run; nil where it makes no sense.
  public var ratiosToFloor: [Double]?
  /// What to know when reading it.
  public var note: String?

  public init(
    _ part: String, _ name: String, _ unit: String, _ values: [Double], ratiosToFloor: [Double]? = nil,
    note: String? = nil
  ) {
    self.part = part
    self.name = name
    self.unit = unit
    self.values = values
    self.ratiosToFloor = ratiosToFloor
    self.note = note
  }

  public var median: Double { values.quantile(0.5) }
  public var min: Double { values.min() ?? .nan }
  public var max: Double { values.max() ?? .nan }
  public var ratioToFloor: Double? { ratiosToFloor.map { $0.quantile(0.5) } }
}

extension [Double] {
  /// The value below which a share of the values lies, between neighbours by interpolation; NaN of nothing.
  public func quantile(_ share: Double) -> Double {
    guard !isEmpty else { return .nan }
    let ordered = sorted()
    let place = Swift.min(Swift.max(share, 0), 1) * Double(ordered.count - 1)
    let low = Int(place)
    let high = Swift.min(low + 1, ordered.count - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - Double(low))
  }
}
