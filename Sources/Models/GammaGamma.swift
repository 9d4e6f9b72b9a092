// Gamma-Gamma: what a customer's next purchase is worth, given the average so far.

/// The Gamma-Gamma spend model. Amounts are in the currency's major unit, the one `gamma` was estimated in.
public struct GammaGamma: Hashable, Sendable {
  public let p: Double
  public let q: Double
  public let gamma: Double

  /// - Parameters:
  ///   - p: shape of one customer's amounts, 1e-9...1e9.
  ///   - q: shape of the spread between customers, above 1 (else the mean does not exist) to 1e9.
  ///   - gamma: scale in money, 1e-9...1e12.
  /// - Throws: `ModelParameterError` naming the parameter and its range.
  public init(p: Double, q: Double, gamma: Double) throws(ModelParameterError) {
    let model = "Gamma-Gamma"
    try check(p, "p", of: model, in: 1e-9...1e9)
    guard q > 1, q <= 1e9 else {
      throw ModelParameterError(model: model, parameter: "q", value: q, allowed: "above 1.0 and at most 1e9")
    }
    try check(gamma, "gamma", of: model, in: 1e-9...1e12, unit: "in the currency's major unit")
    self.p = p
    self.q = q
    self.gamma = gamma
  }

  /// E[M]: the expected amount of a purchase for a customer whose `purchases` (>= 0) so far averaged `average`.
  /// With none it is the shop's mean.
  public func expectedSpend(average: Double, purchases: Int) -> Double {
    let x = Double(max(0, purchases))
    return p * (gamma + x * average) / (p * x + (q - 1))
  }
}
