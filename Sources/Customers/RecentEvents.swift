// Duplicate detection: the ids of a customer's last events, kept for a day of its own clock.

import Events

/// 12 bytes, as in checkpoints but for what `EncodedRecord` says.
struct RecentEvent {
  private var low: UInt32
  private var high: UInt32
  /// The customer's clock at arrival, seconds since 1970.
  var arrivedSeconds: UInt32
  static var arrivedOffset: Int { MemoryLayout<RecentEvent>.offset(of: \.arrivedSeconds).unsafelyUnwrapped }

  init(idHash: UInt64, arrivedSeconds: UInt32) {
    low = UInt32(truncatingIfNeeded: idHash)
    high = UInt32(truncatingIfNeeded: idHash >> 32)
    self.arrivedSeconds = arrivedSeconds
  }
  var idHash: UInt64 { UInt64(high) << 32 | UInt64(low) }
}

extension CustomerRecord {
  /// In order of arrival.
  var recent: UnsafeMutableBufferPointer<RecentEvent> {
    UnsafeMutableBufferPointer(
      start: pointer(.recent).assumingMemoryBound(to: RecentEvent.self), count: count(.recent))
  }

  /// Whether this customer has shown an event of this id less than `span` ago, by its own clock: what was seen before that is
  /// forgotten, though it may not have made room yet.
  public func hasSeen(eventHash: UInt64, at time: Instant, within span: TimeSpan) -> Bool {
    if eventHash == 0 { return false }
    let oldest = max(header.asOf, time) - span
    for event in recent where event.idHash == eventHash { return event.arrivedSeconds >= oldest.secondsClamped }
    return false
  }

  func remember(
    eventHash: UInt64, now: Instant, limits: RecordLimits, arena: inout RecordArena, counters: inout RecordCounters
  ) {
    guard eventHash != 0, limits.maxRecentEvents > 0 else { return }
    let seconds = now.secondsClamped
    let oldest = (now - limits.recentEventSpan).secondsClamped
    let list = recent
    var expired = 0
    while expired < list.count, list[expired].arrivedSeconds < oldest { expired += 1 }
    if expired == 0, list.count >= limits.maxRecentEvents {
      expired = 1
      counters.recentOverflow += 1
    }
    remove(.recent, at: 0, count: expired)
    insert(.recent, at: recent.count, in: &arena).assumingMemoryBound(to: RecentEvent.self)
      .initialize(to: RecentEvent(idHash: eventHash, arrivedSeconds: seconds))
  }
}

extension Instant {
  /// Whole seconds since 1970, clamped to 0...UInt32.max (until 2106).
  @inlinable public var secondsClamped: UInt32 {
    UInt32(clamping: microseconds / 1_000_000)
  }
}
