// One epoch, one transaction: the order of the steps, and what each outcome leads to, for every pair of state and outcome.

import Configuration
import Daemon
import Testing

private typealias Step = TransactionMachine.Step
private typealias Action = TransactionMachine.Action
private typealias State = TransactionMachine.State

@Suite struct TransactionMachineTests {
  private static let outcomes: [StepOutcome] = [
    .done, .retry("r"), .resend("s"), .abort("a"), .lost("l"), .fatal("f"), .halt("h"),
  ]

  @Test("exactly_once: write, begin, produce, offsets, flush, commit; at_least_once: write, produce, flush, offsets")
  func order() {
    #expect(
      run(.exactlyOnce, []) == [
        .perform(.write), .perform(.beginTransaction), .perform(.produce), .perform(.sendOffsets),
        .perform(.flush), .perform(.commitTransaction), .committed,
      ])
    #expect(
      run(.atLeastOnce, []) == [
        .perform(.write), .perform(.produce), .perform(.flush), .perform(.commitOffsets), .committed,
      ])
  }

  @Test("the table: every step with every outcome", arguments: Configuration.Delivery.allCases)
  func steps(delivery: Configuration.Delivery) {
    let steps = TransactionMachine.steps(delivery)
    for (index, step) in steps.enumerated() {
      let isOpen = delivery == .exactlyOnce && [.produce, .sendOffsets, .flush, .commitTransaction].contains(step)
      let next: Action = index + 1 < steps.count ? .perform(steps[index + 1]) : .committed
      let expected: [Action] = [
        next, .perform(step), .perform(.produce), isOpen ? .abortTransaction : .aborted,
        isOpen ? .abortTransaction : .refused, .exit("f"), .halt("h"),
      ]
      for (outcome, action) in zip(Self.outcomes, expected) {
        var machine = TransactionMachine(delivery: delivery, state: .performing(step))
        #expect(machine.start() == nil, "a second start")
        #expect(machine.finish(outcome) == action, "\(step) \(outcome)")
        switch action {
        case .perform(let then): #expect(machine.state == .performing(then))
        case .abortTransaction: #expect(machine.state == .aborting(isLost: outcome == .lost("l")))
        default: #expect(machine.state == .ended)
        }
      }
      var machine = TransactionMachine(delivery: delivery, state: .performing(step))
      let given = machine.giveUp()
      switch step {
      case .commitTransaction:
        #expect(given == .exit("the outcome of a commit stayed unknown for too long") && machine.state == .ended)
      case _ where isOpen: #expect(given == .abortTransaction && machine.state == .aborting(isLost: true))
      default: #expect(given == .refused && machine.state == .ended)
      }
    }
  }

  @Test("the table: an abort with every outcome", arguments: [false, true]) func aborting(isLost: Bool) {
    let end: Action = isLost ? .refused : .aborted
    let expected: [Action] = [end, .abortTransaction, .abortTransaction, end, .refused, .exit("f"), .halt("h")]
    for (outcome, action) in zip(Self.outcomes, expected) {
      var machine = TransactionMachine(delivery: .exactlyOnce, state: .aborting(isLost: isLost))
      #expect(machine.start() == nil)
      #expect(machine.finish(outcome) == action, "\(outcome)")
      #expect(machine.state == (action == .abortTransaction ? .aborting(isLost: isLost) : .ended))
    }
    var machine = TransactionMachine(delivery: .exactlyOnce, state: .aborting(isLost: isLost))
    #expect(machine.giveUp() == .exit("an abort was not answered for too long") && machine.state == .ended)
  }

  @Test("the table: nothing comes before the start, and nothing after the end") func idleAndEnded() {
    for outcome in Self.outcomes {
      var idle = TransactionMachine(delivery: .exactlyOnce)
      #expect(idle.finish(outcome) == nil && idle.state == .idle)
      var ended = TransactionMachine(delivery: .exactlyOnce, state: .ended)
      #expect(ended.finish(outcome) == nil && ended.state == .ended)
    }
    var idle = TransactionMachine(delivery: .exactlyOnce)
    #expect(idle.giveUp() == nil && idle.start() == .perform(.write))
    var ended = TransactionMachine(delivery: .exactlyOnce, state: .ended)
    #expect(ended.giveUp() == nil && ended.start() == nil)
  }

  @Test(
    "random outcomes: committed only ever follows a commit, and every run ends", arguments: 0..<500 as Range<UInt64>)
  func random(seed: UInt64) {
    var state = seed &* 0x9e37_79b9_7f4a_7c15 | 1
    func next(_ bound: UInt64) -> UInt64 {
      state ^= state << 13
      state ^= state >> 7
      state ^= state << 17
      return state % bound
    }
    let delivery: Configuration.Delivery = seed % 2 == 0 ? .exactlyOnce : .atLeastOnce
    var machine = TransactionMachine(delivery: delivery)
    var action = machine.start()
    var isCommitted = false
    var steps = 0
    while let current = action, steps < 1_000 {
      steps += 1
      let outcomes = Self.outcomes + [.done, .done]
      let outcome = outcomes[Int(next(UInt64(outcomes.count)))]
      switch current {
      case .perform(let step):
        isCommitted = (step == .commitTransaction || step == .commitOffsets) && outcome == .done
        action = machine.finish(outcome)
      case .abortTransaction:
        #expect(delivery == .exactlyOnce && !isCommitted)
        action = machine.finish(outcome)
      case .committed:
        #expect(isCommitted)
        action = nil
      case .aborted, .refused, .exit, .halt:
        #expect(!isCommitted)
        action = nil
      }
    }
    #expect(steps < 1_000 && machine.state == .ended)
  }

  /// Every action of one epoch; each step is `done` unless `outcomes` has something else left for it.
  private func run(_ delivery: Configuration.Delivery, _ outcomes: [(Step, StepOutcome)]) -> [Action] {
    var machine = TransactionMachine(delivery: delivery)
    var left = outcomes
    var actions: [Action] = []
    var action = machine.start()
    while let current = action, actions.count < 100 {
      actions.append(current)
      switch current {
      case .perform(let step):
        let index = left.firstIndex { $0.0 == step }
        action = machine.finish(index.map { left.remove(at: $0).1 } ?? .done)
      case .abortTransaction: action = machine.finish(.done)
      default: action = nil
      }
    }
    return actions
  }
}
