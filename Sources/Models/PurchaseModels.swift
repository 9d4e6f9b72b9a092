// MBG/NBD (the default) and BG/NBD (for comparison): from parameters and a purchase history to a SilenceCurve.

import Events
import Glibc

/// What the purchase models need to know of a customer: O(1), exact under insertion of orders.
public struct PurchaseHistory: Hashable, Sendable {
  /// The first purchase.
  public let first: Instant
  /// The last purchase; one before `first` counts as `first`.
  public let last: Instant
  /// x: days with a purchase after the first one; a negative number counts as 0.
  public let repeats: Int

  public init(first: Instant, last: Instant, repeats: Int) {
    self.first = first
    self.last = max(first, last)
    self.repeats = max(0, repeats)
  }

  /// t_x = last - first in days, >= 0.
  public var recency: Double { days(last - first) }
  /// T - t_x at `instant` in days; 0 before the last purchase.
  public func silence(at instant: Instant) -> Double { days(max(instant, last) - last) }
}

/// Days in a span, as the models count them.
func days(_ span: TimeSpan) -> Double { Double(span.microseconds) / 86_400_000_000 }

/// Modified BG/NBD (Batislam et al. 2007): a customer may leave after any purchase, the first included.
public struct MBGNBD: Hashable, Sendable {
  let parameters: PurchaseParameters

  /// - Parameters:
  ///   - r: shape of the purchase rate, 1e-9...1e9.
  ///   - alpha: scale of the purchase rate in `unit`, 1e-6...1e9 days.
  ///   - a: with `b`, the Beta law of leaving after a purchase; each 1e-9...1e9.
  /// - Throws: `ModelParameterError` naming the parameter and its range.
  public init(r: Double, alpha: Double, a: Double, b: Double, unit: TimeUnit) throws(ModelParameterError) {
    parameters = try PurchaseParameters(model: "MBG/NBD", r: r, alpha: alpha, a: a, b: b, unit: unit)
  }

  init(parameters: PurchaseParameters) { self.parameters = parameters }

  /// The curve of a customer with `repeats` (x >= 0) repeat purchase days, the last `recency` (t_x >= 0) days after
  /// the first purchase.
  public func curve(repeats: Int, recency: Double) -> SilenceCurve {
    let x = Double(repeats)
    return SilenceCurve(
      shape: parameters.r + x, scale: parameters.alphaDays + recency,
      logDeadOdds: log(parameters.a / (parameters.b + x)))
  }

  /// The curve of a customer.
  public func curve(_ history: PurchaseHistory) -> SilenceCurve {
    curve(repeats: history.repeats, recency: history.recency)
  }
}

/// BG/NBD (Fader, Hardie & Lee 2005). A customer with one purchase is alive for certain, so P(dead) never rises for
/// x = 0: this is why MBG/NBD is the default and this model is here to compare with.
public struct BGNBD: Hashable, Sendable {
  let parameters: PurchaseParameters

  /// Parameters and errors as for `MBGNBD`.
  public init(r: Double, alpha: Double, a: Double, b: Double, unit: TimeUnit) throws(ModelParameterError) {
    parameters = try PurchaseParameters(model: "BG/NBD", r: r, alpha: alpha, a: a, b: b, unit: unit)
  }

  /// The curve of a customer with `repeats` (x >= 0) repeat purchase days, the last `recency` (t_x >= 0) days after
  /// the first purchase.
  public func curve(repeats: Int, recency: Double) -> SilenceCurve {
    let x = Double(repeats)
    let odds = repeats > 0 ? log(parameters.a / (parameters.b + (x - 1))) : -.infinity
    return SilenceCurve(shape: parameters.r + x, scale: parameters.alphaDays + recency, logDeadOdds: odds)
  }

  /// The curve of a customer.
  public func curve(_ history: PurchaseHistory) -> SilenceCurve {
    curve(repeats: history.repeats, recency: history.recency)
  }
}
