// Base rewrites in the background, one at a time: they read closed files only, so the data plane goes on appending.

import Checkpoint
import Handoff
import Synchronization

/// Started and asked by the data-plane thread.
final class RewriteWorker {
  private final class Job: Sendable {
    let cancelled = Atomic<Bool>(false)
    let result = Shared<Result<NewBase, CheckpointError>?>(nil)
  }

  private let threads: any Threads
  private var running: (partition: Int32, job: Job, thread: any RunningThread)?

  init(_ threads: any Threads) { self.threads = threads }

  var isIdle: Bool { running == nil }

  /// Only when idle.
  func start(_ rewriter: BaseRewriter, partition: Int32) throws(ThreadError) {
    let job = Job()
    let thread = try threads.start("tw-rewrite") {
      let result: Result<NewBase, CheckpointError>
      do throws(CheckpointError) {
        result = .success(try rewriter.run { job.cancelled.load(ordering: .relaxed) })
      } catch {
        result = .failure(error)
      }
      job.result.write(result)
    }
    running = (partition, job, thread)
  }

  /// The result of the job, once it is there.
  func takeFinished() -> (partition: Int32, result: Result<NewBase, CheckpointError>)? {
    guard let (partition, job, thread) = running, let result = job.result.read() else { return nil }
    thread.join()
    running = nil
    return (partition, result)
  }

  /// Stops the job of a partition that is given back (nil: of any) and waits for its end, for it holds files open there.
  func cancel(partition: Int32?) -> (partition: Int32, result: Result<NewBase, CheckpointError>)? {
    guard let (owner, job, thread) = running, partition == nil || partition == owner else { return nil }
    job.cancelled.store(true, ordering: .relaxed)
    thread.join()
    running = nil
    return (owner, job.result.read() ?? .failure(.cancelled))
  }
}
