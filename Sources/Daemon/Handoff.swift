// The hand-off between threads: the only file of the daemon in which values change hands. Everything else is confined to
// the thread that made it.

import Glibc
import Synchronization

/// A value behind a lock, for what two threads look at: snapshots, commands, results. Held for a few instructions only.
package final class Shared<Value: Sendable>: Sendable {
  private let value: Mutex<Value>

  package init(_ value: Value) { self.value = Mutex(value) }

  func withLock<Result: Sendable>(_ body: (inout Value) -> Result) -> Result { value.withLock { body(&$0) } }
  package func read() -> Value { value.withLock { $0 } }
  package func write(_ new: Value) { value.withLock { $0 = new } }
}

/// Values from one thread to another, in order. The receiver takes all there are and never waits.
package final class Mailbox<Value: Sendable>: Sendable {
  package init() {}
  private let queue = Mutex<[Value]>([])

  package func post(_ value: Value) { queue.withLock { $0.append(value) } }
  func take() -> [Value] {
    queue.withLock { values in
      defer { values = [] }
      return values
    }
  }
}

/// A thread of its own (not of the cooperative pool), for code that blocks in C. Join it exactly once.
struct DedicatedThread: Sendable {
  private final class Body: Sendable {
    let run: @Sendable () -> Void
    init(_ run: @escaping @Sendable () -> Void) { self.run = run }
  }

  private let thread: pthread_t

  /// - Parameter name: for the message when it cannot be started.
  init(_ name: String, run: @escaping @Sendable () -> Void) throws(ThreadError) {
    let body = Unmanaged.passRetained(Body(run))
    var thread = pthread_t()
    var attributes = pthread_attr_t()
    pthread_attr_init(&attributes)
    // Swift's JSON and rule evaluation are not deep, but the default differs between distributions.
    pthread_attr_setstacksize(&attributes, 8 << 20)
    defer { pthread_attr_destroy(&attributes) }
    let code = pthread_create(
      &thread, &attributes,
      { argument in
        guard let argument else { return nil }
        let body = Unmanaged<Body>.fromOpaque(argument).takeRetainedValue()
        body.run()
        return nil
      }, body.toOpaque())
    guard code == 0 else {
      body.release()
      throw ThreadError(name: name, code: code)
    }
    self.thread = thread
  }

  /// Waits for its end.
  func join() { pthread_join(thread, nil) }
}

struct ThreadError: Error, CustomStringConvertible {
  var name: String
  var code: Int32
  var description: String {
    "cannot start thread '\(name)' (errno \(code)): raise the limit of threads (TasksMax, ulimit -u)"
  }
}

/// Stop requests, from the signal thread (or a test) to the data plane.
public final class StopRequest: Sendable {
  private let requested = Atomic<Bool>(false)
  public init() {}
  public func stop() { requested.store(true, ordering: .releasing) }
  public var isStopping: Bool { requested.load(ordering: .acquiring) }
}
