// The next instant at which silence alone flips any of a customer's rules: solved for, never scanned, and for all of them
// together, since many wait for the same instants.

import Customers
import Events

extension RuleMachine {
  /// The earliest instant after `source.now` at which silence alone can flip any of `rules` away from its value now,
  /// rounded up to a second; `.distantFuture` when it never does. Never later than the true flip. Where one of the rules was
  /// looked at for `RuleLimits.changeCandidates` instants and did not flip, it answers with the last of them: evaluate there and
  /// ask again.
  /// - Parameter current: what `evaluate` has returned for a rule at `source.now`.
  @inlinable
  public func nextChange<S: FeatureSource>(
    of rules: RuleSelection, source: S, current: (Int) -> UInt64
  ) -> Instant {
    for word in 0..<watching.words { watching.wanted[word] = 0 }
    for rule in rules {
      watching.tried[rule] = 0
      let mask = watching.mask(of: rule, current(rule))
      for word in 0..<watching.words { watching.wanted[word] |= mask[word] }
    }
    let due = watching.due
    var earliest = Instant.distantFuture
    watching.forEachWanted { index in
      due[index] = view.next(watching.watches[index], source, limit: earliest)
      earliest = min(earliest, due[index])
    }
    var now = source.now
    var isTired = false
    while earliest != .distantFuture {
      // A source that does not move on is moved on: the loop ends whatever it answers.
      let candidate = max(earliest, now + TimeSpan(microseconds: 1)).roundedUpToSecond
      let then = source.at(candidate)
      now = then.now
      var known = KnownTerms()
      watching.findReady(by: candidate)
      // A rule waits for more while its tag is set.
      for rule in rules where watching.isReady(watching.mask(of: rule, 1)) {
        let value = current(rule)
        guard watching.isReady(watching.mask(of: rule, value)) else { continue }
        if view.run(from: view.start(of: rule, value), then, memory, &known) != value { return candidate }
        watching.tried[rule] += 1
        if watching.tried[rule] >= RuleLimits.changeCandidates { isTired = true }
      }
      if isTired { return candidate }
      earliest = .distantFuture
      watching.forEachWanted { index in
        // What lies ahead of the candidate stays as it was: nothing happens in between.
        if due[index] <= candidate { due[index] = view.nextAgain(watching.watches[index], then) }
        earliest = min(earliest, due[index])
      }
    }
    return .distantFuture
  }
}

extension ProgramView {
  /// `next` once the watch was due at `source.now`. A crossing whose solution fell short by the rounding of its
  /// arithmetic is not over: it is looked at again a second later.
  @inlinable
  func nextAgain<S: FeatureSource>(_ watch: Watch, _ source: S) -> Instant {
    let instant = next(watch, source, limit: .distantFuture)
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
