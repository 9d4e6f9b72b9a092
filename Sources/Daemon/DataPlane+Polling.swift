// Records in, and what time brings: each goes to its partition's task, within the bounds of an epoch.

import Checkpoint
import Configuration
import Customers
import Engine
import Events
import Kafka

#if PlantedBugs
  import PlantedBugs
#endif

extension DataPlane {
  var orderedTasks: [TaskRuntime] { tasksByPartition.compactMap { $0 } }

  var pollTimeout: Int32 {
    if moreDue { return 0 }
    guard isAnythingDirty else { return 100 }
    let left = epoch.left(settings.configuration.epoch, at: wall.monotonicMicroseconds)
    // Due already, and the one before still under way: its outcome is looked for now and then.
    let least: Int64 = pipeline.hasUncommitted ? 5 : 0
    return Int32(min(100, max(least, (left + 999) / 1_000)))
  }

  var isAnythingDirty: Bool { tasksByPartition.contains { $0?.isDirty ?? false } }

  func sealIfDue() {
    guard isAnythingDirty else { return }
    let bounds = settings.configuration.epoch
    if epoch.isFull(bounds) {
      advance(.full)
    } else if epoch.isDue(bounds, at: wall.monotonicMicroseconds) {
      advance(.due)
    }
  }

  func poll(timeoutMilliseconds: Int32) {
    var now: Instant?
    // Nothing is assigned while the memory is used up; what may still come was fetched before that.
    isBatchStale = memory.state != .reading
    targets = tasksByPartition.map { $0?.logic.lookAhead }
    defer { forgetTargets() }
    do {
      pendingRebalances += try consumer.poll(timeoutMilliseconds: timeoutMilliseconds, ahead: prefetch) { item in
        let wallNow = now ?? wall.now
        now = wallNow
        handle(item, wall: wallNow)
      }
    } catch {
      if error.isFatal || error.isFenced {
        end = DataPlaneEnd(.restart, "\(error)")
      } else {
        wait(for: "\(error)")
      }
    }
    drainClientEvents()
  }

  /// The record's turn is near.
  private func prefetch(
    _ partition: Int32, _ key: UnsafeRawBufferPointer, _ step: PrefetchStep, _ hash: inout CustomerHash?
  ) {
    guard partition >= 0, Int(partition) < targets.count, let target = targets[Int(partition)] else { return }
    if step == .index { hash = target.hash(ofKey: key) }
    if let hash { target.prefetch(hash, step) }
  }

  /// What they point to may go.
  func forgetTargets() { targets.removeAll(keepingCapacity: true) }

  /// A batch may be larger than an epoch: the bounds hold within it too, and the watchdog is fed.
  private func sealWithinBatch() {
    // Asked to stop: the rest of the batch is read again by the next run, not by this one.
    if stop.isStopping {
      isBatchStale = true
      return
    }
    if !epoch.isFull(settings.configuration.epoch) {
      guard epoch.events % 64 == 0 else { return }
      beat()
      takeOutcome()
      guard end == nil, !isBatchStale else { return }
      lookAtTasks()
      stopAtMemoryLimit()
      if isBatchStale { return }
    }
    sealIfDue()
  }

  private func handle(_ item: InputItem, wall: Instant) {
    #if PlantedBugs
      if PlantedBug.isPlanted(.applyStaleBatch) { isBatchStale = false }
    #endif
    guard !isBatchStale, end == nil else {
      // What concerns the consumer as a whole is of no batch.
      if item.topic < 0, end == nil { handleFailure(item) }
      return
    }
    guard item.topic >= 0, item.partition >= 0, Int(item.partition) < tasksByPartition.count else {
      return handleFailure(item)
    }
    guard let task = tasksByPartition[Int(item.partition)], task.halted == nil else { return }
    switch item.kind {
    case .record:
      // Below: seen before (librdkafka may repeat around a new assignment). Above is legal: transaction markers.
      #if PlantedBugs
        if PlantedBug.isPlanted(.applyRepeated) { task.next[item.topic] = min(task.next[item.topic], item.offset) }
      #endif
      guard item.offset >= task.next[item.topic] else {
        snapshot.droppedRecords += 1
        return
      }
      task.next[item.topic] = item.offset + 1
      task.atEnd[item.topic] = false
      epoch.count(recordOf: (item.value?.count ?? 0) + (item.key?.count ?? 0))
      if task.skips.isEmpty {
        task.logic.consume(item, wall: wall)
      } else {
        consume(item, task, wall: wall)
      }
      snapshot.isKafkaReachable = true
      sealWithinBatch()
    case .end:
      guard item.offset >= task.next[item.topic] else { return }
      task.next[item.topic] = item.offset
      task.atEnd[item.topic] = true
      task.logic.reachedEnd(of: item.topic)
      snapshot.isKafkaReachable = true
    case .outOfRange: haltOutOfRange(task, item)
    case .failure: handleFailure(item)
    }
  }

  /// While records wait to be skipped.
  private func consume(_ item: InputItem, _ task: TaskRuntime, wall: Instant) {
    var item = item
    if task.skips.contains(SkippedOffset(topic: topics[item.topic], offset: item.offset)) {
      item.isSkipped = true
      settings.log.info("\(topics[item.topic]):\(item.partition):\(item.offset) is skipped, as an operator has said")
    }
    task.logic.consume(item, wall: wall)
  }

  private func haltOutOfRange(_ task: TaskRuntime, _ item: InputItem) {
    // Left over from an assignment before.
    guard item.offset >= task.next[item.topic] else { return }
    halt(task.partition, textOfGap(topics[item.topic], item.partition, offset: item.offset))
  }

  private func handleFailure(_ item: InputItem) {
    guard let failure = item.failure else { return }
    snapshot.brokerErrors += 1
    if failure.isFatal || failure.isFenced {
      end = DataPlaneEnd(.restart, "\(failure)")
    } else if failure.code == .unknownTopicOrPartition, topics.indices.contains(item.topic) {
      // librdkafka says so only after it has asked for half a minute.
      end = topicsGone([topics[item.topic]])
    } else if failure.code == .maxPollExceeded || failure.isRetriable {
      settings.log.warning("\(failure)")
    } else if item.partition >= 0, tasks[item.partition] != nil {
      halt(item.partition, "\(failure)")
    } else {
      settings.log.error("\(failure)")
    }
  }

  /// Copies ahead what the tasks have changed, and asks what the open epoch has.
  func lookAtTasks() {
    let leaving = settings.copying.leaving / max(1, tasks.count)
    for task in tasksByPartition where task?.halted == nil {
      task?.copyAhead(leaving: leaving, atLeast: settings.copying.atOnce)
    }
    epoch.look(at: tasksByPartition.lazy.compactMap { $0 })
  }

  /// Of a wave of timers due together, in all partitions, between two looks for records: some milliseconds of work.
  private static let timersAtOnce = 400

  func tick() {
    let now = wall.now
    let began = wall.monotonicMicroseconds
    moreDue = false
    let share = max(16, Self.timersAtOnce / max(1, tasks.count))
    for task in tasksByPartition {
      guard let task, task.halted == nil else { continue }
      if task.logic.tick(wall: now, maxTimers: share) { moreDue = true }
    }
    lookAtTasks()
    snapshot.maxTickMicroseconds = max(snapshot.maxTickMicroseconds, wall.monotonicMicroseconds - began)
    watchWall(now)
  }
}
