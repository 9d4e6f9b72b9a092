// Seeded randomness, places of files, and small helpers of these tests.

import Customers
import Events
import Foundation
import Rules

/// The package's directory.
let packageRoot = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
  .deletingLastPathComponent().path

/// SplitMix64.
struct Seeded: RandomNumberGenerator {
  private var state: UInt64
  init(_ seed: UInt64) { state = seed &* 0x9e37_79b9_7f4a_7c15 &+ 1 }
  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var z = state
    z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
    z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
    return z ^ (z >> 31)
  }
  mutating func below(_ n: Int) -> Int { Int.random(in: 0..<n, using: &self) }
  mutating func chance(_ percent: Int) -> Bool { below(100) < percent }
  mutating func pick<T>(_ list: [T]) -> T { list[below(list.count)] }
}

/// A file of one flag with this condition.
func flagFile(_ when: String, until: String? = nil, define: String = "") -> String {
  func quoted(_ text: String) -> String { "'" + text.replacingOccurrences(of: "'", with: "''") + "'" }
  return "version: 1\n" + define + "tags:\n  - name: t\n    layer: value\n    when: \(quoted(when))\n"
    + (until.map { "    until: \(quoted($0))\n" } ?? "")
}

/// A source with a fixed value for each feature that stands still; what is missing is undefined.
struct Fixed: FeatureSource {
  var numbers: [Feature: Double] = [:]
  var texts: [Feature: UInt64] = [:]
  var now: Instant { Instant(microseconds: 0) }
  func number(_ feature: Feature) -> Double { numbers[feature] ?? .nan }
  func text(_ feature: Feature) -> UInt64 { texts[feature] ?? 0 }
  func at(_ instant: Instant) -> Fixed { self }
  func nextStep(_ feature: Feature) -> Instant { .distantFuture }
  func crossing(_ feature: Feature, threshold: Double) -> Instant { .distantFuture }
}

extension RuleSet {
  /// Of one rule alone.
  func nextChange<S: FeatureSource>(_ index: Int, source: S, current: UInt64) -> Instant {
    var one = RuleSelection()
    one.insert(index)
    return RuleMachine(self).nextChange(of: one, source: source) { _ in current }
  }
}
