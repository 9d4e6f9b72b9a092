// The hand-off between threads: the only file in which values change hands. Everything else is confined to the thread that
// made it.

import Glibc

/// A value behind a pthread mutex. Not `Synchronization.Mutex`: the thread sanitizer does not see through the contended path
/// of that one, and what it cannot see it cannot check.
package final class Guarded<Value>: @unchecked Sendable {
  private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
  /// Guarded by `mutex`.
  private var value: Value

  package init(_ value: sending Value) {
    self.value = value
    pthread_mutex_init(mutex, nil)
  }

  deinit {
    pthread_mutex_destroy(mutex)
    mutex.deallocate()
  }

  package func withLock<Result: Sendable>(_ body: (inout Value) -> Result) -> Result {
    pthread_mutex_lock(mutex)
    defer { pthread_mutex_unlock(mutex) }
    return body(&value)
  }
}

/// A value behind a lock, for what two threads look at: snapshots, commands, results. Held for a few instructions only.
package final class Shared<Value: Sendable>: Sendable {
  private let value: Guarded<Value>

  package init(_ value: Value) { self.value = Guarded(value) }

  package func withLock<Result: Sendable>(_ body: (inout Value) -> Result) -> Result { value.withLock { body(&$0) } }
  package func read() -> Value { value.withLock { $0 } }
  package func write(_ new: Value) { value.withLock { $0 = new } }
}

/// Values from one thread to another, in order. The receiver takes all there are and never waits.
package final class Mailbox<Value: Sendable>: Sendable {
  package init() {}
  private let queue = Guarded<[Value]>([])

  package func post(_ value: Value) { queue.withLock { $0.append(value) } }
  package func take() -> [Value] {
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

/// A condition variable with a memory of one ring.
package final class SystemSignal: @unchecked Sendable {
  private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
  private let condition = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
  /// Guarded by `mutex`.
  private var isRung = false

  package init() {
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

  package func notify() {
    pthread_mutex_lock(mutex)
    isRung = true
    pthread_cond_signal(condition)
    pthread_mutex_unlock(mutex)
  }

  package func wait(milliseconds: Int32) {
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
package struct DedicatedThread: Sendable {
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
  package init(_ name: String, run: @escaping @Sendable () -> Void) throws(ThreadError) {
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

  package func join() { pthread_join(thread, nil) }
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

/// A queue of bounded length from one thread to another. Who puts a value in does not touch it any more; who takes it out
/// has it alone.
package final class Lane<Value>: @unchecked Sendable {
  private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
  private let changed = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
  private let capacity: Int
  // All guarded by `mutex`.
  private var values: [Value] = []
  private var isFinished = false
  private var isAbandoned = false

  /// - Parameter capacity: values on their way at most, at least 1.
  package init(capacity: Int) {
    self.capacity = max(1, capacity)
    pthread_mutex_init(mutex, nil)
    pthread_cond_init(changed, nil)
  }

  deinit {
    pthread_cond_destroy(changed)
    pthread_mutex_destroy(mutex)
    changed.deallocate()
    mutex.deallocate()
  }

  /// Waits for room. False when nobody takes any more.
  package func put(_ value: Value) -> Bool {
    pthread_mutex_lock(mutex)
    defer { pthread_mutex_unlock(mutex) }
    while values.count >= capacity, !isAbandoned { pthread_cond_wait(changed, mutex) }
    if isAbandoned { return false }
    values.append(value)
    pthread_cond_broadcast(changed)
    return true
  }

  /// Waits for the next value, in order. Nil when no more will come.
  package func take() -> Value? {
    pthread_mutex_lock(mutex)
    defer { pthread_mutex_unlock(mutex) }
    while values.isEmpty, !isFinished { pthread_cond_wait(changed, mutex) }
    if values.isEmpty { return nil }
    let value = values.removeFirst()
    pthread_cond_broadcast(changed)
    return value
  }

  /// No more will be put in.
  package func finish() {
    pthread_mutex_lock(mutex)
    isFinished = true
    pthread_cond_broadcast(changed)
    pthread_mutex_unlock(mutex)
  }

  /// No more will be taken out: whoever wants to put something in learns it.
  package func abandon() {
    pthread_mutex_lock(mutex)
    isAbandoned = true
    pthread_cond_broadcast(changed)
    pthread_mutex_unlock(mutex)
  }
}
