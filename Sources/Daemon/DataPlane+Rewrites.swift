// Bases, made anew beside the work: one partition at a time.

import Checkpoint
import Kafka

#if PlantedBugs
  import PlantedBugs
#endif

extension DataPlane {
  /// The tasks, in the order in which their bases are looked at: where the disk is slow, the first partitions must not keep
  /// the others waiting for ever.
  private var tasksInTurn: [TaskRuntime] {
    let all = orderedTasks
    let turn = all.firstIndex { $0.partition > lastRewritten } ?? 0
    return (all[turn...] + all[..<turn]).filter { $0.halted == nil }
  }

  /// Whose log the committer should close behind the epoch that is being sealed, so that a rewrite can begin: one of its
  /// members, whose stores are ours until then.
  func taskToRewrite(of members: [TaskRuntime]) -> Int32? {
    guard rewrites.isIdle else { return nil }
    return tasksInTurn.first { task in task.store.isRewriteDue && members.contains { $0 === task } }?.partition
  }

  /// Takes over what is finished, and begins the next of those whose log is closed.
  func takeRewrites() {
    if let (partition, result) = rewrites.takeFinished() { finishRewrite(partition, result) }
    guard rewrites.isIdle else { return }
    for task in tasksInTurn where mayStart(task) {
      do {
        guard let rewriter = try task.store.startRewriteIfDue() else { continue }
        lastRewritten = task.partition
        settings.log.debug("partition \(task.partition): rewriting the base at epoch \(rewriter.epoch)")
        do { try rewrites.start(rewriter, partition: task.partition) } catch {
          task.store.finishRewrite(.failure(.cancelled))
          settings.log.warning("\(error)")
        }
        return
      } catch {
        end = DataPlaneEnd(.halted, "partition \(task.partition): \(error)")
        return
      }
    }
  }

  /// A rewrite of this one can begin without a wait for the disk.
  private func mayStart(_ task: TaskRuntime) -> Bool {
    #if PlantedBugs
      if PlantedBug.isPlanted(.baseFromUncommitted) { return true }
    #endif
    return task.store.isLogClosed
  }

  func finishRewrite(_ partition: Int32, _ result: Result<NewBase, CheckpointError>) {
    tasks[partition]?.store.finishRewrite(result)
    switch result {
    case .success(let base):
      snapshot.rewrites += 1
      snapshot.rewrittenBytes &+= base.bytes
      settings.log.debug("partition \(partition): new base of \(base.bytes) bytes, \(base.keyCount) keys")
    case .failure(.cancelled): break
    case .failure(let error):
      snapshot.failedRewrites += 1
      settings.log.error("partition \(partition): the base could not be rewritten, the older one stays: \(error)")
    }
  }
}
