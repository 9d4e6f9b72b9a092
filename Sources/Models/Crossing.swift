// From a silence in days to the whole second at which a probability reaches its threshold.

import Events

/// When a probability that only silence moves reaches a threshold.
public enum Crossing: Hashable, Sendable {
  /// It is there at the last purchase already.
  case already
  /// A whole second, after the last purchase or at it: there the probability is at least the threshold, one second
  /// before (or at the last purchase, when that is later) it is below.
  case at(Instant)
  /// Not within the range of `Instant`.
  case never

  /// The last whole second an `Instant` can hold.
  private static let lastSecond = Int64.max / 1_000_000

  /// Makes the answer of a solver exact: starts from its estimate and walks, doubling its stride, then bisects, until
  /// `reached` flips between two neighbouring seconds. An estimate good to a second costs two evaluations.
  /// - Parameters:
  ///   - last: the last purchase, where `reached` is false.
  ///   - silence: the estimate, days after `last`; may be infinite.
  ///   - reached: never turns back to false as its argument grows.
  package static func afterPurchase(at last: Instant, silence: Double, reached: (Instant) -> Bool) -> Crossing {
    let micros = last.microseconds
    let (quotient, remainder) = micros.quotientAndRemainder(dividingBy: 1_000_000)
    let firstSecond = remainder > 0 ? quotient + 1 : quotient
    guard firstSecond <= lastSecond else { return .never }
    // One before the first second that counts; known to be below the threshold.
    let floor = firstSecond - 1

    let estimate = ((Double(micros) + silence * 86_400_000_000) / 1_000_000).rounded(.up)
    var high: Int64
    if estimate >= Double(lastSecond) || estimate.isNaN {
      high = lastSecond
    } else {
      high = max(firstSecond, Int64(estimate))
    }

    var low: Int64
    var stride: Int64 = 1
    if reached(Instant(seconds: high)) {
      low = high - 1
      while low > floor, reached(Instant(seconds: low)) {
        high = low
        stride = min(stride * 2, 1 << 40)
        low = max(floor, low - stride)
      }
    } else {
      repeat {
        guard high < lastSecond else { return .never }
        low = high
        high = high > lastSecond - stride ? lastSecond : high + stride
        stride = min(stride * 2, 1 << 40)
      } while !reached(Instant(seconds: high))
    }
    while high - low > 1 {
      let middle = low + (high - low) / 2
      if reached(Instant(seconds: middle)) { high = middle } else { low = middle }
    }
    return .at(Instant(seconds: high))
  }
}
