// Whether the data plane reads, by what its memory limit leaves. Pure.

/// `state.memory_limit`: at the limit nothing more is read until less than 95 % of it is used.
///
/// | state | roomy | tight | full |
/// | --- | --- | --- | --- |
/// | reading | – | – | stop → closing |
/// | closing | read → reading | pause → paused | pause → paused |
/// | paused | read → reading | – | – |
///
/// *Closing* lasts from the moment in which the limit is found reached, which may be in the middle of a batch, until what
/// was read is committed. Records of that batch were dropped: reading begins again at explicit offsets also where the
/// outputs that were committed have made room.
package struct MemoryGate: Sendable {
  package enum State: Hashable, Sendable, CaseIterable {
    case reading, closing, paused
  }

  /// What is used, against the limit.
  package enum Level: Hashable, Sendable, CaseIterable {
    /// Below 95 % of it, or there is none.
    case roomy
    case tight
    /// At the limit, or beyond.
    case full
  }

  package enum Action: Hashable, Sendable {
    /// Apply nothing more; commit what was applied, then look again.
    case stop
    /// Read nothing from now on.
    case pause
    /// Read from where the tasks stand.
    case read
  }

  /// In bytes; 0 = none.
  package let limit: Int
  package private(set) var state = State.reading

  package init(limit: Int) { self.limit = limit }
  /// For tests of each pair.
  package init(limit: Int, state: State) {
    self.limit = limit
    self.state = state
  }

  package func level(_ used: Int) -> Level {
    if limit == 0 { return .roomy }
    if used >= limit { return .full }
    // Divided first: a limit may be large, and a small one is not worth more.
    return used < limit - limit / 20 ? .roomy : .tight
  }

  package mutating func handle(_ level: Level) -> Action? {
    switch (state, level) {
    case (.reading, .full):
      state = .closing
      return .stop
    case (.closing, .tight), (.closing, .full):
      state = .paused
      return .pause
    case (.closing, .roomy), (.paused, .roomy):
      state = .reading
      return .read
    case (.reading, .roomy), (.reading, .tight), (.paused, .tight), (.paused, .full): return nil
    }
  }
}
