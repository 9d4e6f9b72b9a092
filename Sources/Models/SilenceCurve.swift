// What silence does to one customer: P(alive), P(no purchase ahead) and when each reaches a threshold.
//
// BG/NBD and MBG/NBD differ only in the odds of having left right after a purchase, so both reduce to this curve:
//
//     A = alpha + t_x,  z = T - t_x (the silence),  u = (A + z)/A,  q = (A + z)/(A + z + H),  s = r + x
//     P(alive)                       = 1 / (1 + c u^s)
//     P(no purchase in the next H)   = 1 - P(alive) (1 - q^s)
//
// Each expression below is built from operations that are monotone in z and all lean the same way, so its rounded
// value is monotone too as long as the C library's exp, expm1 and log1p are. This is why p_churn is written as one
// minus a product of two falling factors and not as a sum: the crossing of a threshold stays a single point in
// floating point as well.
//
// Only exp, expm1, log and log1p of the C library are used. Two versions of it may differ in the last bit; never
// write an unrounded probability where two machines must agree.

import Glibc

/// One customer's response to silence, between purchases. All times are in days.
public struct SilenceCurve: Sendable, Hashable {
  /// `s = r + x`, > 0.
  public let shape: Double
  /// `A = alpha + t_x` in days, > 0.
  public let scale: Double
  /// `ln c`: log odds of having left for good right after the last purchase; minus infinity when that is impossible.
  public let logDeadOdds: Double

  /// P(alive) after `silence` days (>= 0) without a purchase. Never rises.
  public func pAlive(silence: Double) -> Double {
    1 / (1 + exp(logDeadOdds + shape * log1p(silence / scale)))
  }

  /// 1 - P(alive) after `silence` days (>= 0), without the cancellation. Never falls.
  public func pDead(silence: Double) -> Double {
    1 / (1 + exp(-(logDeadOdds + shape * log1p(silence / scale))))
  }

  /// P(no purchase in the `horizon` days that follow `silence` days of silence). Never falls with silence.
  public func churnProbability(silence: Double, horizon: Double) -> Double {
    let alive = pAlive(silence: silence)
    let buysIfAlive = -expm1(-shape * log1p(horizon / (scale + silence)))
    return 1 - alive * buysIfAlive
  }

  /// The silence in days at which `pDead` reaches `theta` (in 0..<1, exclusive), 0 if it starts there;
  /// infinity where it never does. Closed form.
  public func silence(untilDead theta: Double) -> Double {
    let logU = (logOdds(theta) - logDeadOdds) / shape
    return logU <= 0 ? 0 : scale * expm1(logU)
  }

  /// The silence in days at which `churnProbability` reaches `theta` (in 0..<1, exclusive), 0 if it starts there.
  public func silence(untilChurn theta: Double, horizon: Double) -> Double {
    churnProbability(silence: 0, horizon: horizon) >= theta ? 0 : solveChurn(theta, horizon: horizon).silence
  }

  /// Newton's method on ln P(no purchase) - ln theta in d = ln u, which is y = ln(alpha + T) up to a constant but
  /// keeps its digits when the silence is short against A. Every iterate stays inside a bracket that holds the root;
  /// a step that would leave it is replaced by bisection, so the loop ends whatever the parameters.
  /// The caller knows that the root is not behind the last purchase; for one that is, the answer is near 0.
  package func solveChurn(_ theta: Double, horizon: Double) -> (silence: Double, steps: Int) {
    // P(no purchase) is at least P(dead) and at least q^s. Where the greater of the two reaches theta the root is
    // behind us; both have closed forms, so the bracket is tight from the start.
    let logTheta = log(theta)
    let whenDead = silence(untilDead: theta)
    let whenSlow = horizon / expm1(-logTheta / shape) - scale
    let bound = min(whenDead, whenSlow)
    if !(bound > 0) { return (0, 0) }
    // Never dead while silent (BG/NBD, x = 0): q^s is all there is.
    if logDeadOdds == -.infinity { return (bound, 0) }

    var low = 0.0
    var high = log1p(bound / scale)
    // e^100 times even the smallest scale lies far beyond the last instant: the caller finds "never" by evaluating.
    high = min(high, 100)
    var d = high
    for step in 1...64 {
      let age = scale * exp(d)
      // Log odds of alive-and-silent against dead: now, and if the horizon passes without a purchase.
      let now = -shape * d - logDeadOdds
      let ahead = now - shape * log1p(horizon / age)
      let (logNow, weightNow) = softplus(now)
      let (logAhead, weightAhead) = softplus(ahead)
      let miss = logAhead - logNow - logTheta
      let slope = shape * (weightNow - weightAhead * (age / (age + horizon)))
      if miss == 0 { return (scale * expm1(d), step) }
      if miss < 0 { low = d } else { high = d }
      var next = d - miss / slope
      if !(next > low && next < high) { next = low + (high - low) / 2 }
      let moved = abs(next - d)
      d = next
      // Half a second on a quadratic method leaves an error far below a microsecond; a bracket without room is done.
      if moved * age < 5e-6 || moved <= 0x1p-52 * d { return (scale * expm1(d), step) }
    }
    return (scale * expm1(d), 64)
  }
}

/// ln(theta / (1 - theta)).
private func logOdds(_ theta: Double) -> Double { log(theta) - log1p(-theta) }

/// ln(1 + e^z) and its derivative 1/(1 + e^-z), neither overflowing.
private func softplus(_ z: Double) -> (value: Double, slope: Double) {
  let e = exp(-abs(z))
  let rest = log1p(e)
  return z > 0 ? (z + rest, 1 / (1 + e)) : (rest, e / (1 + e))
}
