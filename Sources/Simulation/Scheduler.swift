// A cooperative scheduler for the threads of simulated processes. Each is a real thread, so that production code may block
// as it likes; but only the one that holds the token runs, and who gets it next is drawn from a seed. So a run can be
// repeated exactly.
//
// The only file of the simulator with unchecked sendability: everything simulated is guarded by the token.

import CheckpointTesting
import Daemon
import Events
import Glibc
import Handoff

/// Hands the token on at every call of a modelled port, sleep or wait.
///
/// Time is simulated: it goes on a little at each hand-over, and jumps to the next sleeper when nobody else can run.
package final class Scheduler: @unchecked Sendable {
  fileprivate final class Thread {
    let name: String
    let process: SimulatedProcess?
    let condition = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
    var hasEnded = false
    var isJoined = false
    /// Not before this instant; nil while it could run at once.
    var wakeAt: Int64?
    /// Woken earlier by this signal.
    var awaited: SimulatedSignal?
    /// Woken by the end of this thread.
    var joined: Thread?
    var native = pthread_t()

    init(name: String, process: SimulatedProcess?) {
      self.name = name
      self.process = process
      pthread_cond_init(condition, nil)
    }

    deinit {
      pthread_cond_destroy(condition)
      condition.deallocate()
    }
  }

  private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
  private let finished = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
  private var threads: [Thread] = []
  /// Ended, and perhaps joined by nobody.
  private var endedThreads: [Thread] = []
  private var running: Thread?
  private var random: SeededGenerator
  private var time: Int64 = 1_000_000
  /// In percent: how often a yield hands the token to another thread.
  private let switchPercent: Int
  /// How often the token changed hands.
  package private(set) var switches = 0

  package init(seed: UInt64, switchPercent: Int = 30) {
    random = SeededGenerator(seed: seed ^ 0x7363_6865_6475_6C65)
    self.switchPercent = switchPercent
    pthread_mutex_init(mutex, nil)
    pthread_cond_init(finished, nil)
  }

  deinit {
    pthread_mutex_destroy(mutex)
    pthread_cond_destroy(finished)
    mutex.deallocate()
    finished.deallocate()
  }

  /// Simulated microseconds since the beginning; only rises.
  package var now: Int64 { locked { time } }

  private func locked<Result>(_ body: () -> Result) -> Result {
    pthread_mutex_lock(mutex)
    defer { pthread_mutex_unlock(mutex) }
    return body()
  }

  // MARK: Threads

  /// Starts a thread that runs when it is given the token. `body` may use whatever the token guards.
  package func start(_ name: String, of process: SimulatedProcess? = nil, _ body: @escaping () -> Void)
    throws(ThreadError)
    -> any RunningThread
  {
    let thread = Thread(name: name, process: process)
    pthread_mutex_lock(mutex)
    threads.append(thread)
    pthread_mutex_unlock(mutex)
    let start = Unmanaged.passRetained(Start(scheduler: self, thread: thread, body: body))
    let code = pthread_create(
      &thread.native, nil,
      { argument in
        guard let argument else { return nil }
        let start = Unmanaged<Start>.fromOpaque(argument).takeRetainedValue()
        start.scheduler.enter(start.thread)
        start.body()
        start.scheduler.leave(start.thread)
        return nil
      }, start.toOpaque())
    guard code == 0 else {
      start.release()
      locked { threads.removeAll { $0 === thread } }
      throw ThreadError(name: name, code: code)
    }
    return SimulatedThread(scheduler: self, thread: thread)
  }

  private final class Start {
    let scheduler: Scheduler
    let thread: Thread
    let body: () -> Void
    init(scheduler: Scheduler, thread: Thread, body: @escaping () -> Void) {
      self.scheduler = scheduler
      self.thread = thread
      self.body = body
    }
  }

  private func enter(_ thread: Thread) {
    pthread_mutex_lock(mutex)
    thread.native = pthread_self()
    while running !== thread { pthread_cond_wait(thread.condition, mutex) }
    pthread_mutex_unlock(mutex)
  }

  private func leave(_ thread: Thread) {
    pthread_mutex_lock(mutex)
    thread.hasEnded = true
    threads.removeAll { $0 === thread }
    endedThreads.append(thread)
    for other in threads where other.joined === thread {
      other.joined = nil
      other.wakeAt = nil
    }
    pass()
    pthread_mutex_unlock(mutex)
  }

  /// Runs all threads to their end. Called by the one thread that is not simulated.
  package func run() {
    pthread_mutex_lock(mutex)
    pass()
    while !threads.isEmpty { pthread_cond_wait(finished, mutex) }
    running = nil
    let left = endedThreads.filter { !$0.isJoined }
    endedThreads = []
    pthread_mutex_unlock(mutex)
    for thread in left { pthread_join(thread.native, nil) }
  }

  /// Gives the token to somebody who can run, letting time go on if nobody can. The mutex is held.
  private func pass() {
    if threads.isEmpty {
      running = nil
      pthread_cond_signal(finished)
      return
    }
    let next = choose()
    switches += 1
    running = next
    pthread_cond_signal(next.condition)
  }

  private func choose() -> Thread {
    while true {
      let ready = threads.filter { canRun($0) }
      if !ready.isEmpty {
        let chosen = ready[ready.count == 1 ? 0 : Int.random(in: 0..<ready.count, using: &random)]
        chosen.wakeAt = nil
        chosen.awaited = nil
        return chosen
      }
      let next = threads.compactMap { thread -> Int64? in
        guard thread.joined == nil else { return nil }
        return max(thread.wakeAt ?? time, thread.process?.pausedUntil ?? .min)
      }.min()
      guard let next else {
        // A defect of the program under test (or of the simulator): there is nothing to go on with.
        fatalError("deadlock: \(threads.map(\.name).joined(separator: ", ")) wait for each other")
      }
      time = max(time + 1, next)
    }
  }

  private func canRun(_ thread: Thread) -> Bool {
    if thread.joined != nil { return false }
    if let process = thread.process, process.pausedUntil > time { return false }
    return thread.wakeAt.map { $0 <= time } ?? true
  }

  private var current: Thread? {
    guard let running, pthread_equal(running.native, pthread_self()) != 0 else { return nil }
    return running
  }

  /// A place where another thread may go on. Does nothing on a thread that is not simulated.
  package func yield() {
    locked {
      guard let thread = current else { return }
      time += Int64.random(in: 1...100, using: &random)
      let isPaused = (thread.process?.pausedUntil ?? .min) > time
      guard isPaused || Int.random(in: 0..<100, using: &random) < switchPercent else { return }
      handOver(thread)
    }
  }

  /// Lets the simulated time pass.
  package func sleep(microseconds: Int64) {
    locked {
      guard let thread = current else { return }
      // A dead process's threads have no effect any more: they are only to come to their end.
      thread.wakeAt = time + (isDead(thread) ? 1 : max(1, microseconds))
      handOver(thread)
    }
  }

  private func isDead(_ thread: Thread) -> Bool { thread.process?.isDead ?? false }

  /// The process is killed: whatever its threads wait for, they go on, to unwind.
  package func kill(_ process: SimulatedProcess) {
    locked {
      process.isDead = true
      process.pausedUntil = .min
      for thread in threads where thread.process === process {
        thread.wakeAt = nil
        thread.awaited = nil
      }
    }
  }

  /// The mutex is held; returns with it, when the token has come back.
  private func handOver(_ thread: Thread) {
    pass()
    while running !== thread { pthread_cond_wait(thread.condition, mutex) }
  }

  fileprivate func wait(for signal: SimulatedSignal, milliseconds: Int32) {
    locked {
      guard let thread = current else { return }
      if !signal.isRung {
        thread.wakeAt = time + (isDead(thread) ? 1 : max(1, Int64(milliseconds) * 1_000))
        thread.awaited = signal
        handOver(thread)
      }
      signal.isRung = false
    }
  }

  fileprivate func ring(_ signal: SimulatedSignal) {
    locked {
      signal.isRung = true
      for thread in threads where thread.awaited === signal {
        thread.awaited = nil
        thread.wakeAt = nil
      }
    }
  }

  fileprivate func join(_ thread: Thread) {
    locked {
      if !thread.hasEnded, let waiting = current {
        waiting.joined = thread
        handOver(waiting)
      }
      thread.isJoined = true
      endedThreads.removeAll { $0 === thread }
    }
    pthread_join(thread.native, nil)
  }
}

private struct SimulatedThread: RunningThread, @unchecked Sendable {
  let scheduler: Scheduler
  let thread: Scheduler.Thread
  func join() { scheduler.join(thread) }
}

private final class SimulatedSignal: Signal, @unchecked Sendable {
  let scheduler: Scheduler
  var isRung = false
  init(_ scheduler: Scheduler) { self.scheduler = scheduler }
  func notify() { scheduler.ring(self) }
  func wait(milliseconds: Int32) { scheduler.wait(for: self, milliseconds: milliseconds) }
}

/// One simulated process: its threads, and the clocks it sees.
package final class SimulatedProcess: Threads, Wall, @unchecked Sendable {
  package let scheduler: Scheduler
  /// Microseconds between the simulated time and this process's wall clock; may be changed at any time.
  package var wallOffset: Int64
  /// Stopped (SIGSTOP) until this simulated instant.
  package var pausedUntil: Int64 = .min
  /// Killed: its ports do nothing any more, and its waits return at once.
  package fileprivate(set) var isDead = false

  /// How fast the wall goes, in simulated microseconds: days must pass in minutes for rules that wait for days.
  package let wallRate: Int64

  package init(_ scheduler: Scheduler, wallOffset: Int64 = 1_000_000_000_000, wallRate: Int64 = 1) {
    self.scheduler = scheduler
    self.wallOffset = wallOffset
    self.wallRate = wallRate
  }

  package func start(_ name: String, _ body: @escaping @Sendable () -> Void) throws(ThreadError) -> any RunningThread {
    try scheduler.start(name, of: self, body)
  }
  package func makeSignal() -> any Signal { SimulatedSignal(scheduler) }

  package var now: Instant { Instant(microseconds: scheduler.now * wallRate + wallOffset) }
  package var monotonicMicroseconds: Int64 { scheduler.now }
  package func sleep(milliseconds: Int32) { scheduler.sleep(microseconds: Int64(milliseconds) * 1_000) }
}

/// A value that only the holder of the token touches, for code that has to be sendable.
package struct TokenGuarded<Value>: @unchecked Sendable {
  package let value: Value
  package init(_ value: Value) { self.value = value }
}
