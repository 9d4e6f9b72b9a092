// The next instant at which silence alone flips a rule: solved for, never scanned.

import Customers
import Events

extension ProgramView {
  /// Steps through the instants at which anything the rule reads can change, and evaluates at each, until the value
  /// differs. An answer at or after `limit` may be any instant there.
  @inlinable
  func nextChange<S: FeatureSource>(_ entry: RuleEntry, _ source: S, current: UInt64, limit: Instant) -> Instant {
    let first = entry.watches
    let count = (current == 0 ? entry.watchesUnset : entry.watchesSet) - first
    if count == 0 { return .distantFuture }
    let start = current == 0 ? entry.start : entry.startSet
    return withUnsafeTemporaryAllocation(of: Instant.self, capacity: RuleLimits.watches) { due in
      var view = source
      var earliest = Instant.distantFuture
      for index in 0..<count {
        due[index] = next(watches[first + index], view, limit: min(limit, earliest))
        earliest = min(earliest, due[index])
      }
      var tried = 0
      while true {
        if earliest == .distantFuture || earliest >= limit { return earliest.roundedUpToSecond }
        // A source that does not move on is moved on: the loop ends whatever it answers.
        let candidate = max(earliest, view.now + TimeSpan(microseconds: 1)).roundedUpToSecond
        view = source.at(candidate)
        if run(from: start, view) != current { return candidate }
        tried += 1
        if tried >= RuleLimits.changeCandidates { return candidate }
        earliest = .distantFuture
        for index in 0..<count {
          // What lies ahead of the candidate stays as it was: nothing happens in between.
          if due[index] <= candidate { due[index] = nextAgain(watches[first + index], view, limit: limit) }
          earliest = min(earliest, due[index])
        }
      }
    }
  }

  /// `next` once the watch was due at `source.now`. A crossing whose solution fell short by the rounding of its
  /// arithmetic is not over: it is looked at again a second later.
  @inlinable
  func nextAgain<S: FeatureSource>(_ watch: Watch, _ source: S, limit: Instant) -> Instant {
    let instant = next(watch, source, limit: limit)
    guard instant == .distantFuture, watch.kind == .crossing else { return instant }
    let reached = !(source.number(features[Int(watch.feature)]) < Double(bitPattern: watch.bits))
    return reached ? .distantFuture : source.now + .seconds(1)
  }

  @inlinable
  func next<S: FeatureSource>(_ watch: Watch, _ source: S, limit: Instant) -> Instant {
    let feature = features[Int(watch.feature)]
    switch watch.kind {
    case .step: return source.nextStep(feature, before: limit)
    case .crossing: return source.crossing(feature, threshold: Double(bitPattern: watch.bits))
    case .crossingComputed, .exceedingComputed:
      let threshold = Double(bitPattern: run(from: Int(truncatingIfNeeded: watch.bits), source))
      if threshold.isNaN { return .distantFuture }
      return source.crossing(feature, threshold: watch.kind == .exceedingComputed ? threshold.nextUp : threshold)
    }
  }
}
