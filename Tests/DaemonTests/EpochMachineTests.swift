// One epoch, one transaction: the order of the steps, and what each outcome leads to.

import Configuration
import Daemon
import Testing

private typealias Step = EpochMachine.Step
private typealias Action = EpochMachine.Action

@Suite struct EpochMachineTests {
  @Test(
    "exactly_once: append, begin, produce, offsets, commit, confirm; at_least_once: append, produce, flush, offsets")
  func order() {
    #expect(
      run(.exactlyOnce, []) == [
        .perform(.append), .perform(.beginTransaction), .perform(.produce), .perform(.sendOffsets),
        .perform(.commitTransaction), .perform(.confirm), .finished,
      ])
    #expect(
      run(.atLeastOnce, []) == [
        .perform(.append), .perform(.produce), .perform(.flush), .perform(.commitOffsets), .perform(.confirm),
        .finished,
      ])
  }

  @Test("a commit that timed out is the same call again", arguments: Configuration.Delivery.allCases)
  func retry(delivery: Configuration.Delivery) {
    for step in EpochMachine.steps(delivery) {
      let actions = run(delivery, [(step, .retry("later")), (step, .retry("later"))])
      #expect(actions.filter { $0 == .perform(step) }.count == 3)
      #expect(actions.last == .finished)
    }
  }

  @Test("an abort inside the transaction aborts it and reloads; before it there is nothing to abort")
  func abort() {
    for step in [Step.produce, .sendOffsets, .commitTransaction] {
      #expect(Array(run(.exactlyOnce, [(step, .abort("x"))]).suffix(2)) == [.abortTransaction, .reload])
      #expect(Array(run(.exactlyOnce, [(step, .lost("x"))]).suffix(2)) == [.abortTransaction, .drop])
    }
    #expect(run(.exactlyOnce, [(.beginTransaction, .abort("x"))]).suffix(1) == [.reload])
    #expect(run(.atLeastOnce, [(.commitOffsets, .lost("x"))]).suffix(1) == [.drop])
  }

  @Test("undelivered records are produced again, all of them") func resend() {
    let actions = run(.atLeastOnce, [(.flush, .resend("broken"))])
    #expect(actions.filter { $0 == .perform(.produce) }.count == 2)
    #expect(actions.filter { $0 == .perform(.append) }.count == 1)
    #expect(actions.last == .finished)
  }

  @Test("fatal ends the process, and nothing is done after it") func fatal() {
    var machine = EpochMachine(delivery: .exactlyOnce)
    _ = machine.close()
    #expect(machine.finish(.fatal("fenced")) == .exit("fenced"))
    #expect(machine.finish(.done) == nil && machine.close() == nil && machine.giveUp() == nil)
    var full = EpochMachine(delivery: .atLeastOnce)
    _ = full.close()
    #expect(full.finish(.halt("disk full")) == .halt("disk full"))
  }

  @Test("giving up: before the commit abort and drop; a commit of unknown outcome ends the process") func giveUp() {
    for step in EpochMachine.steps(.exactlyOnce) where step != .confirm {
      var machine = EpochMachine(delivery: .exactlyOnce)
      advance(&machine, to: step)
      switch step {
      case .append, .beginTransaction: #expect(machine.giveUp() == .drop)
      case .commitTransaction:
        guard case .exit = machine.giveUp() else {
          Issue.record("a commit under way was given up")
          return
        }
      default:
        #expect(machine.giveUp() == .abortTransaction)
        #expect(machine.finishAbort(.done) == .drop)
      }
    }
    var offsets = EpochMachine(delivery: .atLeastOnce)
    advance(&offsets, to: .commitOffsets)
    #expect(offsets.giveUp() == .drop)
  }

  @Test("abort is repeated until it is answered") func abortRetries() {
    var machine = EpochMachine(delivery: .exactlyOnce)
    advance(&machine, to: .produce)
    #expect(machine.finish(.abort("x")) == .abortTransaction)
    #expect(machine.finishAbort(.retry("slow")) == .abortTransaction)
    #expect(machine.finishAbort(.done) == .reload)
    #expect(machine.state == .collecting)
  }

  @Test("random outcomes: confirm only ever follows a commit, and every run ends", arguments: 0..<500 as Range<UInt64>)
  func random(seed: UInt64) {
    var state = seed &* 0x9e37_79b9_7f4a_7c15 | 1
    func next(_ bound: UInt64) -> UInt64 {
      state ^= state << 13
      state ^= state >> 7
      state ^= state << 17
      return state % bound
    }
    let delivery: Configuration.Delivery = seed % 2 == 0 ? .exactlyOnce : .atLeastOnce
    var machine = EpochMachine(delivery: delivery)
    var action = machine.close()
    var committed = false
    var steps = 0
    while let current = action, steps < 1_000 {
      steps += 1
      let outcomes: [StepOutcome] = [
        .done, .done, .done, .retry("r"), .abort("a"), .lost("l"), .fatal("f"), .halt("h"), .resend("s"),
      ]
      let outcome = outcomes[Int(next(UInt64(outcomes.count)))]
      switch current {
      case .perform(let step):
        if step == .confirm { #expect(committed) }
        if step == .commitTransaction || step == .commitOffsets { committed = outcome == .done }
        action = machine.finish(outcome)
      case .abortTransaction:
        #expect(delivery == .exactlyOnce && !committed)
        action = machine.finishAbort(outcome)
      case .finished:
        #expect(committed && machine.state == .collecting)
        action = nil
      case .reload, .drop, .exit, .halt: action = nil
      }
    }
    #expect(steps < 1_000)
  }

  /// Every action of one epoch; each step is `done` unless `outcomes` has something else left for it.
  private func run(_ delivery: Configuration.Delivery, _ outcomes: [(Step, StepOutcome)]) -> [Action] {
    var machine = EpochMachine(delivery: delivery)
    var left = outcomes
    var actions: [Action] = []
    var action = machine.close()
    while let current = action, actions.count < 100 {
      actions.append(current)
      switch current {
      case .perform(let step):
        let index = left.firstIndex { $0.0 == step }
        action = machine.finish(index.map { left.remove(at: $0).1 } ?? .done)
      case .abortTransaction: action = machine.finishAbort(.done)
      default: action = nil
      }
    }
    return actions
  }

  private func advance(_ machine: inout EpochMachine, to step: Step) {
    _ = machine.close()
    while machine.state != .closing(step) { _ = machine.finish(.done) }
  }
}
