// The churn model as the engine sees it: parameters, horizon and thresholds in one value, instants in and out.

import Events

/// MBG/NBD with a horizon and alert thresholds: a pure function of a purchase history and an instant.
///
/// Two scores. *Churn* is P(no purchase in the next `horizon`), the one that alerts early; *dead* is 1 - P(alive),
/// precise but late, the one behind the `lost` tier. Both only rise while the customer is silent, so each threshold
/// is crossed at most once between two purchases. For whole seconds `t` and any threshold in 0..<1 (exclusive)
/// `churnProbability(_:at: t) >= threshold` flips exactly at the second `churnCrossing(_:of:)` returns, and the same
/// holds for the dead pair.
///
/// Nothing here allocates. A crossing is about four Newton steps and three evaluations.
public struct ChurnModel: Hashable, Sendable {
  public let parameters: MBGNBD
  /// H: how far ahead churn looks.
  public let horizon: TimeSpan
  /// Names the parameters, the horizon and where they come from; travels with every alert.
  public let version: String
  /// An alert is raised when churn reaches this.
  public let raiseThreshold: Double
  /// An alert may be raised again only after churn was below this; <= `raiseThreshold`.
  public let clearThreshold: Double
  /// The `lost` tier begins when 1 - P(alive) reaches this.
  public let lostThreshold: Double

  let horizonDays: Double

  /// Horizons to choose from with data at hand: the smallest for which at most 10 % of purchases are born above the
  /// raise threshold. Where none qualifies, take the last and expect many customers to be unarmed.
  public static let horizonChoices: [TimeSpan] = [.days(30), .days(60), .days(90), .days(180)]

  /// - Parameters:
  ///   - horizon: one hour to 36,500 days.
  ///   - raise: 0.001...0.999; so are `lost` and `clear`, which must not exceed `raise`.
  /// - Throws: `ModelParameterError` naming what is out of range.
  public init(
    parameters: MBGNBD, horizon: TimeSpan, version: String, raise: Double = 0.60, clear: Double = 0.55,
    lost: Double = 0.60
  ) throws(ModelParameterError) {
    let model = "churn model \(version)"
    let thresholds = 0.001...0.999
    try check(days(horizon), "horizon", of: model, in: 1.0 / 24...36_500, unit: "days")
    try check(raise, "raise threshold", of: model, in: thresholds)
    try check(lost, "lost threshold", of: model, in: thresholds)
    try check(clear, "clear threshold", of: model, in: thresholds)
    guard clear <= raise else {
      throw ModelParameterError(
        model: model, parameter: "clear threshold", value: clear, allowed: "at most the raise threshold, \(raise)")
    }
    self.parameters = parameters
    self.horizon = horizon
    self.version = version
    raiseThreshold = raise
    clearThreshold = clear
    lostThreshold = lost
    horizonDays = days(horizon)
  }

  /// All that it reckons with, in a fixed order.
  public var numbers: [Double] {
    let p = parameters.parameters
    return [p.r, p.alphaDays, p.a, p.b, horizonDays, raiseThreshold, clearThreshold, lostThreshold]
  }

  /// P(no purchase in (instant, instant + horizon]), 0...1; before the last purchase, its value there.
  public func churnProbability(_ history: PurchaseHistory, at instant: Instant) -> Double {
    parameters.curve(history).churnProbability(silence: history.silence(at: instant), horizon: horizonDays)
  }

  /// 1 - P(alive), 0...1; before the last purchase, its value there.
  public func deadProbability(_ history: PurchaseHistory, at instant: Instant) -> Double {
    parameters.curve(history).pDead(silence: history.silence(at: instant))
  }

  /// When churn reaches `threshold` if the customer stays silent. A threshold of 0 or less is reached `already`, one
  /// of 1 or more `never`.
  public func churnCrossing(_ history: PurchaseHistory, of threshold: Double) -> Crossing {
    guard threshold > 0 else { return .already }
    guard threshold < 1 else { return .never }
    let curve = parameters.curve(history)
    if curve.churnProbability(silence: 0, horizon: horizonDays) >= threshold { return .already }
    return .afterPurchase(
      at: history.last, silence: curve.solveChurn(threshold, horizon: horizonDays).silence
    ) { curve.churnProbability(silence: history.silence(at: $0), horizon: horizonDays) >= threshold }
  }

  /// When 1 - P(alive) reaches `threshold` if the customer stays silent; thresholds as for `churnCrossing(_:of:)`.
  public func deadCrossing(_ history: PurchaseHistory, of threshold: Double) -> Crossing {
    guard threshold > 0 else { return .already }
    guard threshold < 1 else { return .never }
    let curve = parameters.curve(history)
    if curve.pDead(silence: 0) >= threshold { return .already }
    return .afterPurchase(at: history.last, silence: curve.silence(untilDead: threshold)) {
      curve.pDead(silence: history.silence(at: $0)) >= threshold
    }
  }

  /// When the `churn` alert is due: `already` means that the last purchase was born above and the customer is unarmed.
  public func raiseCrossing(_ history: PurchaseHistory) -> Crossing { churnCrossing(history, of: raiseThreshold) }

  /// When the `lost` tier is due.
  public func lostCrossing(_ history: PurchaseHistory) -> Crossing { deadCrossing(history, of: lostThreshold) }
}
