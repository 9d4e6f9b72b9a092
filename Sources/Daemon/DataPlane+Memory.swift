// `state.memory_limit`: reading stops before the state outgrows the memory that it was given.
//
// Nothing is assigned at the consumer then, but the group's partitions stay ours: polling goes on, and with it heartbeats
// and rebalances. Each assignment is weighed before it is read, so one that comes meanwhile is not read either.
//
// The clocks stand while nothing is read: with records unread, silence proves nothing, and an alert cannot be taken back.
// What is due at the clock already goes on (a wave of timers, evictions after a shorter retention): it would have been
// said before the next record anyway, and evictions make room.

import Configuration
import Events

extension DataPlane {
  /// What the tasks need: sums that they keep anyway. Not the process's resident memory, to which Kafka's queues, the
  /// epoch being committed and blocks that lie free add.
  var memoryUsed: Int {
    tasksByPartition.reduce(0) { $0 + ($1.map { $0.logic.bytesNeeded + $0.logic.outputBytes } ?? 0) }
  }

  /// Between records: applies no more of them where the limit is reached.
  func stopAtMemoryLimit() {
    guard memory.limit > 0, memory.handle(memory.level(memoryUsed)) == .stop else { return }
    isBatchStale = true
  }

  /// Once a round: stops reading at the limit, and goes on when there is room again.
  func watchMemory() {
    guard memory.limit > 0, case .running = ownership.state else { return }
    let level = memory.level(memoryUsed)
    switch memory.state {
    case .reading: if level == .full { _ = memory.handle(.full) }
    case .closing: break
    case .paused:
      if level == .roomy { return startReading() }
      // Nobody waits for an operator at the end of a bounded run; but what is due may make room.
      if settings.stopAtEnd, !moreDue { end = DataPlaneEnd(.halted, snapshot.memoryText) }
    }
    guard memory.state == .closing else { return }
    settle(.running)
    // An abort may have taken the tasks back, and weighed them.
    guard end == nil, memory.state == .closing, case .running = ownership.state else { return }
    startReading()
  }

  /// Once after the last epoch, when nothing has come for a second: a burst's memory is not kept until the next one.
  func releaseMemoryWhenIdle() {
    guard !hasReleasedMemory, !pipeline.hasUncommitted, !isAnythingDirty,
      wall.monotonicMicroseconds - epoch.openedAt > 1_000_000
    else { return }
    hasReleasedMemory = true
    for task in orderedTasks { task.releaseMemory() }
  }

  /// Before reading begins: whether there is room for it.
  /// - Returns: false when nothing is to be read.
  func weighBeforeReading() -> Bool {
    snapshot.memoryUsed = memoryUsed
    let level = memory.level(snapshot.memoryUsed)
    let wasPaused = memory.state == .paused
    // Full at once, as after a restart with more state than the limit allows: there is nothing to be committed first.
    if memory.handle(level) == .stop { _ = memory.handle(level) }
    let isPaused = memory.state == .paused
    snapshot.isMemoryExhausted = isPaused
    if isPaused, !wasPaused {
      forgetEnds()
      settings.log.error(
        "\(snapshot.memoryText). What was read is committed; nothing more is read until less than 95 % is used")
    } else if wasPaused, !isPaused {
      settings.log.info("memory: \(snapshot.memoryUsed) of \(memory.limit) bytes are used now, reading goes on")
    }
    return !isPaused
  }

  /// What was known of how far the inputs reach, and let the clocks run, is old as soon as nothing is read.
  private func forgetEnds() {
    for task in orderedTasks where task.halted == nil {
      pastCounters.add(task.logic.counters.withoutCustomers)
      task.logic.resume(epoch: task.confirmed ?? 0, clock: task.logic.clock)
      for topic in task.atEnd.indices { task.atEnd[topic] = false }
    }
  }
}
