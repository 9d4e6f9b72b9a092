// The system's clock, set back under us: tasks' clocks never go back, so they stand until it has caught up, and somebody
// should know.

import Events

/// Notices when the system's clock shows less than it did, or than a restored state has seen. Pure.
package struct WallWatch: Sendable {
  /// Less is what a time service does to keep a clock right.
  package static let tolerance = TimeSpan.seconds(1)

  package enum Change: Hashable, Sendable {
    case wentBack(by: TimeSpan)
    case caughtUp
  }

  private var latest = Instant.distantPast
  /// How far the clock is behind the latest instant known; zero where that is within the tolerance.
  package private(set) var behind = TimeSpan.seconds(0)

  package init() {}

  /// - Parameters:
  ///   - now: what the system's clock shows.
  ///   - taskClock: the furthest of the tasks' clocks, which followed it; `.distantPast` when there is none.
  /// - Returns: what is worth a line in the log.
  package mutating func see(_ now: Instant, taskClock: Instant) -> Change? {
    latest = max(latest, now, taskClock)
    let wasBehind = behind > .seconds(0)
    // Once it is behind, until it is past: a clock that is corrected bit by bit says it once.
    behind = latest - now
    if !wasBehind, behind <= Self.tolerance { behind = .seconds(0) }
    switch (wasBehind, behind > .seconds(0)) {
    case (false, true): return .wentBack(by: behind)
    case (true, false): return .caughtUp
    default: return nil
    }
  }
}

/// Notices when the system's clock is set back while the process runs. Pure.
///
/// librdkafka waits by the system's clock: a wait that is under way then lasts as much longer as the clock went back, and
/// neither records nor heartbeats end every one of them. A new process has no such waits.
package struct SetBack: Sendable {
  /// A wait may take so much longer without harm.
  package static let tolerance = TimeSpan.seconds(5)

  /// The wall's time less the monotonic one, in microseconds, as seen last.
  private var offset: Int64?

  package init() {}

  /// To be called every second or so.
  /// - Returns: by how much the clock was set back since the call before, when that is beyond the tolerance.
  package mutating func see(_ now: Instant, monotonicMicroseconds: Int64) -> TimeSpan? {
    let current = now.microseconds - monotonicMicroseconds
    defer { offset = current }
    guard let offset, offset - current > Self.tolerance.microseconds else { return nil }
    return TimeSpan(microseconds: offset - current)
  }
}

extension DataPlane {
  /// Under `clock: event` nothing depends on the system's clock.
  func watchWall(_ now: Instant) {
    guard settings.configuration.clock == .wall else { return }
    let furthest = orderedTasks.lazy.map(\.logic.clock).max() ?? .distantPast
    switch wallWatch.see(now, taskClock: furthest) {
    case .wentBack(let span):
      settings.log.warning(
        "the system's clock went back: it is \(span.microseconds / 1_000_000) s behind what it has shown before. Records are "
          + "read on, but nothing falls due until it has caught up; check the machine's time service (chrony, ntpd)")
    case .caughtUp: settings.log.info("the system's clock has caught up: what waits for time falls due again")
    case nil: break
    }
    snapshot.clockBehind = wallWatch.behind
  }
}
