// The hand-off between data plane, committer and rewrite on real threads. To be run with the thread sanitizer
// (`make test-threads`), which looks at what these do; without it they still show that nothing is lost on the way.

import Daemon
import Foundation
import Testing

@Suite struct HandoffTests {
  @Test("epochs, rewrites and reloads pass between the threads", arguments: [0, 7]) func threads(abortEvery: Int) throws
  {
    let bench = try PipelineBench(records: 5_000)
    bench.producer.abortEvery = abortEvery
    let directory = FileManager.default.temporaryDirectory.appending(path: "tidewatch-handoff-\(UUID())").path
    defer { try? FileManager.default.removeItem(atPath: directory) }
    bench.runOnSystemThreads(until: 5_000, stateIn: directory)
    #expect(bench.end == DataPlaneEnd(.ok))
    #expect(bench.producer.committed == (0..<5_000).map { "0-0-\($0)" })
    #expect(bench.producer.lastValue == "5000 \((0..<5_000).reduce(0, +))")
    #expect((bench.producer.aborts > 0) == (abortEvery > 0))
  }

  @Test("a ring before the wait is not missed, and one wakes one waiter once") func signal() throws {
    let signal = SystemThreads().makeSignal()
    signal.notify()
    signal.wait(milliseconds: 60_000)
    let started = SystemWall().monotonicMicroseconds
    signal.wait(milliseconds: 20)
    #expect(SystemWall().monotonicMicroseconds - started >= 20_000, "the first ring was used up")
    let thread = try SystemThreads().start("ring") { signal.notify() }
    signal.wait(milliseconds: 60_000)
    thread.join()
  }
}
