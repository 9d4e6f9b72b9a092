// Work on several partitions at once, for which the data plane waits: opening and restoring their states.

import Handoff
import Synchronization

package struct ParallelWork {
  package let threads: any Threads
  /// Threads at most, 1 or more.
  package let width: Int

  package init(threads: any Threads, width: Int) {
    self.threads = threads
    self.width = width
  }

  /// A sign of life of whoever works.
  package final class Pulse: Sendable {
    private let beats = Atomic<Int>(0)
    package func beat() { beats.wrappingAdd(1, ordering: .relaxed) }
    fileprivate var count: Int { beats.load(ordering: .relaxed) }
  }

  private final class Round<Item, Output>: Sendable {
    struct State {
      var items: [Item]
      var next = 0
      var outputs: [Output?]
      var left: Int
    }
    private let state: Guarded<Transferred<State>>
    let pulse = Pulse()
    private let finished: any Signal

    init(_ items: [Item], _ finished: any Signal) {
      state = Guarded(Transferred(State(items: items, outputs: items.map { _ in nil }, left: items.count)))
      self.finished = finished
    }

    private func change<Result>(_ body: (inout State) -> Result) -> Result {
      state.withLock { held in
        var state = held.value
        let result = body(&state)
        held = Transferred(state)
        return Transferred(result)
      }.value
    }

    func work(_ body: (Item, Pulse) -> Output) {
      while true {
        let taken = change { state -> (Int, Item)? in
          guard state.next < state.items.count else { return nil }
          defer { state.next += 1 }
          return (state.next, state.items[state.next])
        }
        guard let (number, item) = taken else { return }
        let output = body(item, pulse)
        change {
          $0.outputs[number] = output
          $0.left -= 1
        }
        pulse.beat()
        finished.notify()
      }
    }

    var isDone: Bool { change { $0.left == 0 } }
    var outputs: [Output] { change { $0.outputs.compactMap(\.self) } }
  }

  /// Calls `work` for each item, each on one thread, and returns what they gave, in order.
  /// - Parameter beat: called while they get on: a thread that hangs shows.
  package func run<Item, Output>(
    _ items: [Item], beat: () -> Void, _ work: @escaping @Sendable (Item, Pulse) -> Output
  ) -> [Output] {
    let finished = threads.makeSignal()
    let round = Round<Item, Output>(items, finished)
    var running: [any RunningThread] = []
    for _ in 0..<min(width, items.count) {
      // Fewer will do.
      guard let thread = try? threads.start("tw-restore", { round.work(work) }) else { break }
      running.append(thread)
    }
    if running.isEmpty { round.work(work) }
    var seen = round.pulse.count
    while !round.isDone {
      finished.wait(milliseconds: 100)
      let now = round.pulse.count
      if now != seen { beat() }
      seen = now
    }
    for thread in running { thread.join() }
    return round.outputs
  }
}
