// What the data plane tells others: snapshots, heartbeats, the clients' own log lines.

import Events
import Kafka

extension DataPlane {
  /// Shows systemd and the admin server that the data plane goes round.
  func beat() {
    let now = wall.monotonicMicroseconds
    snapshot.beat = now
    // A committer that hangs is a data plane that hangs.
    if now - (line.busySince ?? now) < settings.configuration.epoch.stallAfter.microseconds { notifier?.beat(now: now) }
    publish(force: false)
  }

  func publish(force: Bool) {
    let now = wall.monotonicMicroseconds
    guard force || lastPublished == .min || now - lastPublished >= 250_000 else { return }
    lastPublished = now
    snapshot.wall = wall.now
    var counters = pastCounters
    for task in orderedTasks { counters.add(task.logic.counters) }
    snapshot.counters = counters
    if let warning = rejections.see(counters, at: now) { settings.log.warning(warning) }
    snapshot.memoryUsed = memoryUsed
    snapshot.partitions = partitionSnapshots()
    published.write(snapshot)
    notifier?.status(
      "\(snapshot.phase.rawValue), \(tasks.count) partitions, \(snapshot.counters.customers) customers", now: now)
  }

  private func partitionSnapshots() -> [PartitionSnapshot] {
    var list = orderedTasks.map { task in
      var shown = PartitionSnapshot(partition: task.partition, phase: task.halted == nil ? .running : .halted)
      shown.clock = task.logic.clock
      shown.epoch = task.confirmed
      shown.logBytes = task.logBytes
      shown.baseBytes = task.baseBytes
      shown.lag = topics.indices.map { topic in
        guard let ends, topic < ends.count, Int(task.partition) < ends[topic].count else { return nil }
        return max(0, ends[topic][Int(task.partition)] - task.next[topic])
      }
      switch task.logic.clockStatus {
      case .followingWall: shown.isFollowingWall = true
      case .stalled(let stalled):
        shown.isStalled = true
        shown.detail =
          "the clock stands still until \(stalled.map { topics[$0] }.joined(separator: ", ")) grows: it was not seen to "
          + "for \(settings.configuration.sourceStall.text), or since this start"
      case .catchingUp(let lagging):
        shown.detail = "catching up with \(lagging.map { topics[$0] }.joined(separator: ", "))"
      case .eventTime: break
      }
      if let halted = task.halted { shown.detail = halted }
      return shown
    }
    for (partition, reason) in halted where tasks[partition] == nil {
      var shown = PartitionSnapshot(partition: partition, phase: .halted)
      shown.detail = reason
      list.append(shown)
    }
    return list.sorted { $0.partition < $1.partition }
  }

  /// The consumer's log lines and errors; the producer's come with the committer's report.
  func drainClientEvents() {
    for event in consumer.drainEvents() { note(event) }
  }

  /// A client's log line or error, into our log and readiness.
  func note(_ event: ClientEvent) {
    switch event {
    case .log(let level, let facility, let text):
      if level <= 3 {
        settings.log.warning("kafka \(facility): \(text)")
      } else {
        settings.log.debug("kafka \(facility): \(text)")
      }
    case .brokerError(let error):
      snapshot.brokerErrors += 1
      settings.log.debug("\(error)")
    case .allBrokersDown(let error):
      snapshot.brokerErrors += 1
      if snapshot.isKafkaReachable { settings.log.warning("\(error)") }
      snapshot.isKafkaReachable = false
    case .fatal(let error): end = DataPlaneEnd(.restart, "\(error)")
    case .statistics: break
    }
  }

  /// What the source watch has seen: growth for the clocks, ends for lag, and the partition count.
  func takeLooks() {
    for look in looks.take() {
      if let failure = look.failure {
        settings.log.debug("looking at the end offsets: \(failure)")
        continue
      }
      snapshot.isKafkaReachable = true
      let gone = missingTopics.see(look.missing, at: look.at)
      if !gone.isEmpty {
        end = topicsGone(gone)
        return
      }
      if look.ends.isEmpty, look.partitionCounts.allSatisfy({ $0 == partitionCount }) { continue }
      let before = lastLook
      lastLook = look
      ends = look.ends
      if let changed = look.partitionCounts.firstIndex(where: { $0 != partitionCount }) {
        end = DataPlaneEnd(
          .halted,
          "topic \(topics[changed]) has \(look.partitionCounts[changed]) partitions now, it had \(partitionCount): "
            + textOfMovedCustomers(before: partitionCount))
        return
      }
      for topic in topics.indices {
        let grew = before.map { zip($0.ends[topic], look.ends[topic]).contains { $0 < $1 } } ?? false
        for task in orderedTasks where task.halted == nil {
          if grew { task.logic.topicGrew(topic, at: look.at) }
          // Exactly there: a task that is beyond an older look may have more to read. One that is not read at all does not
          // hear of what comes next: its clock stands.
          if memory.state != .paused, look.ends[topic][Int(task.partition)] == task.next[topic] {
            task.atEnd[topic] = true
            task.logic.reachedEnd(of: topic)
          }
        }
      }
    }
  }
}
