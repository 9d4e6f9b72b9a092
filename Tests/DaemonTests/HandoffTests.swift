// The hand-off between data plane, committer and rewrite on real threads. To be run with the thread sanitizer
// (`make test-threads`), which looks at what these do; without it they still show that nothing is lost on the way.

import Daemon
import Foundation
import Handoff
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

  /// Not sendable: only the lane says who has it.
  private final class Parcel {
    var number: Int
    init(_ number: Int) { self.number = number }
  }

  @Test("a lane brings everything in order, also back, and nobody waits at it for ever", arguments: [1, 4])
  func lane(capacity: Int) throws {
    let there = Lane<Parcel>(capacity: capacity)
    let back = Lane<Parcel>(capacity: capacity)
    let doubler = try SystemThreads().start("double") {
      while let parcel = there.take() {
        parcel.number *= 2
        if !back.put(parcel) { return }
      }
      back.finish()
    }
    let feeder = try SystemThreads().start("feed") {
      for number in 0..<2_000 where !there.put(Parcel(number)) { return }
      there.finish()
    }
    var taken: [Int] = []
    while let parcel = back.take() { taken.append(parcel.number) }
    feeder.join()
    doubler.join()
    #expect(taken == (0..<2_000).map { $0 * 2 })
    #expect(back.take() == nil)

    let full = Lane<Parcel>(capacity: capacity)
    for number in 0..<capacity { #expect(full.put(Parcel(number))) }
    let abandoner = try SystemThreads().start("abandon") { full.abandon() }
    #expect(!full.put(Parcel(0)), "nobody takes it")
    abandoner.join()
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
