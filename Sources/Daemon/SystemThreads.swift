// The daemon's threads and signals on a real system, and the request to stop.

import Handoff
import Synchronization

extension DedicatedThread: RunningThread {}
extension SystemSignal: Signal {}

/// The system's threads: of their own, not of the cooperative pool, for code that blocks in C.
public struct SystemThreads: Threads {
  public init() {}

  public func start(_ name: String, _ body: @escaping @Sendable () -> Void) throws(ThreadError) -> any RunningThread {
    try DedicatedThread(name, run: body)
  }

  public func makeSignal() -> any Signal { SystemSignal() }
}

/// Stop requests, from the signal thread (or a test) to the data plane.
public final class StopRequest: Sendable {
  private let requested = Atomic<Bool>(false)
  public init() {}
  public func stop() { requested.store(true, ordering: .releasing) }
  public var isStopping: Bool { requested.load(ordering: .acquiring) }
}
