// Units and checked ranges of model parameters: what every model's initialiser shares.

/// The unit a model's `alpha` was estimated in. Models compute in days; `alpha` is converted once, at construction.
public enum TimeUnit: String, Sendable, CaseIterable {
  case days
  case weeks

  /// Days in one unit.
  public var days: Double {
    switch self {
    case .days: 1
    case .weeks: 7
    }
  }
}

/// A model parameter outside the range in which the mathematics holds. Names the parameter and the range.
public struct ModelParameterError: Error, Equatable, CustomStringConvertible, Sendable {
  /// The model, for example `MBG/NBD`.
  public let model: String
  /// The parameter as the configuration names it, for example `alpha`.
  public let parameter: String
  /// The value that was refused.
  public let value: Double
  /// The allowed range in words, with its unit.
  public let allowed: String

  public var description: String {
    "\(model): parameter \(parameter) is \(value); it must be \(allowed)"
  }
}

/// Refuses `value` unless it is a number within `range`; NaN is in no range.
func check(
  _ value: Double, _ parameter: String, of model: String, in range: ClosedRange<Double>, unit: String = ""
) throws(ModelParameterError) {
  guard range.contains(value) else {
    let suffix = unit.isEmpty ? "" : " \(unit)"
    throw ModelParameterError(
      model: model, parameter: parameter, value: value,
      allowed: "between \(range.lowerBound) and \(range.upperBound)\(suffix)")
  }
}

/// The four parameters BG/NBD and MBG/NBD have in common, checked, `alpha` in days.
struct PurchaseParameters: Hashable, Sendable {
  let r: Double
  let alphaDays: Double
  let a: Double
  let b: Double

  static let shapes = 1e-9...1e9
  static let alphas = 1e-6...1e9

  init(model: String, r: Double, alpha: Double, a: Double, b: Double, unit: TimeUnit) throws(ModelParameterError) {
    try check(r, "r", of: model, in: Self.shapes)
    let scale = unit.days
    // Refused in the unit it was given in, so that the message shows the number its reader wrote.
    try check(
      alpha, "alpha", of: model, in: Self.alphas.lowerBound / scale...Self.alphas.upperBound / scale,
      unit: unit.rawValue)
    try check(a, "a", of: model, in: Self.shapes)
    try check(b, "b", of: model, in: Self.shapes)
    self.init(r: r, alphaDays: alpha * scale, a: a, b: b)
  }

  /// For constants of this module, known to be in range.
  init(r: Double, alphaDays: Double, a: Double, b: Double) {
    self.r = r
    self.alphaDays = alphaDays
    self.a = a
    self.b = b
  }
}
