// The hand-off between threads: the only file of the daemon in which values change hands. Everything else is confined to
// the thread that made it.

import Glibc
import Synchronization

/// A value behind a pthread mutex. Not `Synchronization.Mutex`: the thread sanitizer does not see through the contended path
/// of that one, and what it cannot see it cannot check.
final class Guarded<Value>: @unchecked Sendable {
  private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
  /// Guarded by `mutex`.
  private var value: Value

  init(_ value: sending Value) {
    self.value = value
    pthread_mutex_init(mutex, nil)
  }

  deinit {
    pthread_mutex_destroy(mutex)
    mutex.deallocate()
  }

  func withLock<Result: Sendable>(_ body: (inout Value) -> Result) -> Result {
    pthread_mutex_lock(mutex)
    defer { pthread_mutex_unlock(mutex) }
    return body(&value)
  }
}

/// A value behind a lock, for what two threads look at: snapshots, commands, results. Held for a few instructions only.
package final class Shared<Value: Sendable>: Sendable {
  private let value: Guarded<Value>

  package init(_ value: Value) { self.value = Guarded(value) }

  func withLock<Result: Sendable>(_ body: (inout Value) -> Result) -> Result { value.withLock { body(&$0) } }
  package func read() -> Value { value.withLock { $0 } }
  package func write(_ new: Value) { value.withLock { $0 = new } }
}

/// Values from one thread to another, in order. The receiver takes all there are and never waits.
package final class Mailbox<Value: Sendable>: Sendable {
  package init() {}
  private let queue = Guarded<[Value]>([])

  package func post(_ value: Value) { queue.withLock { $0.append(value) } }
  func take() -> [Value] {
    queue.withLock { values in
      defer { values = [] }
      return values
    }
  }
}

/// A value on its way to another thread. Who sends it does not touch it any more until it has been given back; nothing
/// checks that, so it is used in this file's types only, each of which says who has it when.
package struct Transferred<Value>: @unchecked Sendable {
  package let value: Value
  package init(_ value: Value) { self.value = value }
}

/// The system's threads: of their own, not of the cooperative pool, for code that blocks in C.
public struct SystemThreads: Threads {
  public init() {}

  public func start(_ name: String, _ body: @escaping @Sendable () -> Void) throws(ThreadError) -> any RunningThread {
    try DedicatedThread(name, run: body)
  }

  public func makeSignal() -> any Signal { SystemSignal() }
}

/// A condition variable with a memory of one ring.
private final class SystemSignal: Signal, @unchecked Sendable {
  private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
  private let condition = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
  /// Guarded by `mutex`.
  private var isRung = false

  init() {
    pthread_mutex_init(mutex, nil)
    var attributes = pthread_condattr_t()
    pthread_condattr_init(&attributes)
    // The wall clock may be set while we wait.
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC)
    pthread_cond_init(condition, &attributes)
    pthread_condattr_destroy(&attributes)
  }

  deinit {
    pthread_cond_destroy(condition)
    pthread_mutex_destroy(mutex)
    condition.deallocate()
    mutex.deallocate()
  }

  func notify() {
    pthread_mutex_lock(mutex)
    isRung = true
    pthread_cond_signal(condition)
    pthread_mutex_unlock(mutex)
  }

  func wait(milliseconds: Int32) {
    var deadline = timespec()
    clock_gettime(CLOCK_MONOTONIC, &deadline)
    let nanoseconds = deadline.tv_nsec + Int(max(0, milliseconds)) * 1_000_000
    deadline.tv_sec += nanoseconds / 1_000_000_000
    deadline.tv_nsec = nanoseconds % 1_000_000_000
    pthread_mutex_lock(mutex)
    while !isRung {
      if pthread_cond_timedwait(condition, mutex, &deadline) == ETIMEDOUT { break }
    }
    isRung = false
    pthread_mutex_unlock(mutex)
  }
}

/// A pthread. Join it exactly once.
struct DedicatedThread: RunningThread {
  private final class Body: Sendable {
    let name: String
    let run: @Sendable () -> Void
    init(_ name: String, _ run: @escaping @Sendable () -> Void) {
      self.name = name
      self.run = run
    }
  }

  private let thread: pthread_t

  /// - Parameter name: for the message when it cannot be started, and for whoever looks at the process's threads.
  init(_ name: String, run: @escaping @Sendable () -> Void) throws(ThreadError) {
    let body = Unmanaged.passRetained(Body(name, run))
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
        nameThisThread(body.name)
        body.run()
        return nil
      }, body.toOpaque())
    guard code == 0 else {
      body.release()
      throw ThreadError(name: name, code: code)
    }
    self.thread = thread
  }

  func join() { pthread_join(thread, nil) }
}

/// For `top -H` and the like; what does not fit into 15 bytes is cut off. Through /proc: Glibc's function is behind a macro.
private func nameThisThread(_ name: String) {
  let file = open("/proc/thread-self/comm", O_WRONLY | O_CLOEXEC)
  guard file >= 0 else { return }
  let bytes = Array(name.utf8)
  _ = write(file, bytes, bytes.count)
  close(file)
}

/// The system did not give us a thread.
public struct ThreadError: Error, CustomStringConvertible {
  public var name: String
  /// errno.
  public var code: Int32
  public init(name: String, code: Int32) {
    self.name = name
    self.code = code
  }
  public var description: String {
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
