// Ready parameters for a first start. They are another shop's; who uses one must be told so.

import Events

/// Published parameters to begin with until a shop has fitted its own.
public enum ChurnModelPreset: String, Sendable, CaseIterable {
  /// MBG/NBD on the CDNOW sample: 2,357 buyers of CDs, first purchase in early 1997, 39 weeks.
  case cdnow

  public var parameters: MBGNBD {
    switch self {
    case .cdnow: MBGNBD(parameters: PurchaseParameters(r: 0.5248, alphaDays: 6.183 * 7, a: 0.8914, b: 1.614))
    }
  }

  /// A churn model of these parameters with the usual thresholds. On CDNOW no horizon arms 90 % of the purchases, so
  /// the default is the longest of `ChurnModel.horizonChoices`.
  /// - Throws: `ModelParameterError` for a horizon out of range.
  public func model(horizon: TimeSpan = .days(180)) throws(ModelParameterError) -> ChurnModel {
    try ChurnModel(parameters: parameters, horizon: horizon, version: "\(version)-h\(horizon.wholeDays)d")
  }

  /// For `ChurnModel.version`, to be followed by the horizon.
  public var version: String {
    switch self {
    case .cdnow: "mbgnbd-cdnow-1"
    }
  }

  /// What to tell the operator at start-up.
  public var warning: String {
    switch self {
    case .cdnow:
      "the churn model uses the CDNOW preset: the purchase rhythm of a CD shop in 1997, not yours. Set your own r, "
        + "alpha, a, b and horizon; with these, 38 % of purchases (54 % with a horizon of 60 days) get no churn alert, "
        + "only the silent one, being above 0.60 from their beginning"
    }
  }
}
