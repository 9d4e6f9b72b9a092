// Work on several items at once: each is done once, by one thread, and its result stands in its place.

import Daemon
import Glibc
import Handoff
import Testing

/// The system's threads, as long as they last.
private struct FewThreads: Threads {
  let left: Shared<Int>
  private let system = SystemThreads()

  init(_ count: Int) { left = Shared(count) }

  func start(_ name: String, _ body: @escaping @Sendable () -> Void) throws(ThreadError) -> any RunningThread {
    let isLast = left.withLock { left in
      left -= 1
      return left < 0
    }
    if isLast { throw ThreadError(name: name, code: EAGAIN) }
    return try system.start(name, body)
  }
  func makeSignal() -> any Signal { system.makeSignal() }
}

@Suite struct ParallelWorkTests {
  @Test("every item once, in its place", arguments: [0, 1, 2, 100], [1, 2, 7])
  func order(threads: Int, width: Int) {
    for count in [0, 1, 2, 5, 40] {
      let done = Shared<[Int]>([])
      let work: @Sendable (Int, ParallelWork.Pulse) -> Int = { item, pulse in
        done.withLock { $0.append(item) }
        pulse.beat()
        return item * 2
      }
      let outputs = ParallelWork(threads: FewThreads(threads), width: width).run(Array(0..<count), beat: {}, work)
      #expect(outputs == (0..<count).map { $0 * 2 })
      #expect(done.read().sorted() == Array(0..<count))
    }
  }

  @Test("who hangs gives no sign of life") func hangs() {
    var beats = 0
    // Longer than some looks of the one who waits.
    let hang: @Sendable (Int, ParallelWork.Pulse) -> Void = { _, _ in SystemWall().sleep(milliseconds: 350) }
    _ = ParallelWork(threads: SystemThreads(), width: 2).run([1, 2], beat: { beats += 1 }, hang)
    #expect(beats <= 2, "at the end of each item only")
  }
}
