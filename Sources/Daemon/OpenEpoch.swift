// How much the epoch being filled has taken: what decides that it is to be sealed.

import Configuration

/// The open epoch of all tasks together.
struct OpenEpoch {
  /// When it was opened, in microseconds of the monotonic clock.
  let openedAt: Int64
  /// Records read.
  private(set) var events = 0
  /// Bytes of them.
  private(set) var inputBytes = 0
  /// Of the tasks, when they were last asked.
  private var outputBytes = 0
  private var changes = 0

  init(openedAt: Int64) { self.openedAt = openedAt }

  mutating func count(recordOf bytes: Int) {
    events += 1
    inputBytes += bytes
  }

  /// Asks the tasks what they have to save: timers add to it as records do, and more outputs than either has bytes.
  mutating func look(at tasks: some Sequence<TaskRuntime>) {
    outputBytes = 0
    changes = 0
    for task in tasks {
      outputBytes += task.logic.outputBytes
      changes += task.changes
    }
  }

  /// It may take no more.
  func isFull(_ bounds: Configuration.Epoch) -> Bool {
    events >= bounds.maxEvents || inputBytes + outputBytes >= bounds.maxBytes || changes >= bounds.maxChanges
  }

  /// It is as old as an epoch should get.
  func isDue(_ bounds: Configuration.Epoch, at now: Int64) -> Bool { left(bounds, at: now) <= 0 }

  /// Microseconds until it is due; negative afterwards.
  func left(_ bounds: Configuration.Epoch, at now: Int64) -> Int64 { openedAt + bounds.interval.microseconds - now }
}
