// Partitions whose directory another process still holds. Members that share `state.dir` hand partitions to each other, and
// one that is frozen, or finishing, lets go later than the group gives its partitions away. The others are read meanwhile.

import Checkpoint
import Engine
import Events
import Kafka

extension DataPlane {
  /// The partition is tried again until it is free, for at most `state.lock_wait`.
  func waitForLock(_ partition: Int32, of directory: String) {
    let wait = settings.configuration.state.lockWait
    settings.log.warning(
      "partition \(partition): another tidewatch process still holds \(directory); waiting for it for up to \(wait.text) "
        + "(state.lock_wait)")
    locked[partition] = wall.monotonicMicroseconds + wait.microseconds
  }

  /// Starts those of the locked partitions that have become free.
  func startUnlocked() {
    guard !locked.isEmpty, case .running = ownership.state, end == nil else { return }
    let now = wall.monotonicMicroseconds
    guard now >= nextLockTry else { return }
    nextLockTry = now + 250_000
    var isStarted = false
    for (partition, deadline) in locked.sorted(by: { $0.key < $1.key }) {
      do {
        let store = try Self.openStore(partition, settings)
        // Asked for under the lock, once: while the broker does not answer, the other partitions go on.
        let committed = try consumer.committed(
          for: topics.map { TopicPartition($0, partition) }, timeoutMilliseconds: 1_000)
        locked[partition] = nil
        settings.log.info("partition \(partition): its directory is free")
        try start(partition, store, committed)
        isStarted = true
      } catch let refusal as HaltPartition {
        if refusal.isByTable { refused.insert(partition) }
        halt(partition, refusal.reason)
      } catch let error as KafkaError where error.isRetriable {
        note("partition \(partition): \(error)")
      } catch CheckpointError.locked(let directory) {
        note("partition \(partition): \(directory) is held by another tidewatch process")
        guard now > deadline else { continue }
        locked[partition] = nil
        halt(
          partition,
          "\(CheckpointError.locked(directory: directory)). It was waited for \(settings.configuration.state.lockWait.text) "
            + "(state.lock_wait)")
      } catch {
        locked[partition] = nil
        halt(partition, "\(error)")
      }
      if end != nil { return }
    }
    guard isStarted else { return }
    // What the table wants committed, before reading begins.
    settle(.starting)
    guard end == nil, case .running = ownership.state else { return }
    startReading()
  }

  private func note(_ reason: String) {
    snapshot.waiting = reason
    snapshot.retries += 1
  }
}
