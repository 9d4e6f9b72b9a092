// What the rules say of a customer of whom nothing is known: asked once, so that a first event need not ask them all.

import Customers
import Events
import Rules

extension EngineTask {
  /// Of a record without orders, cart, preferences and profile: the rules that hold for it, or will in silence. All others
  /// have to be looked at only once something that they read was touched.
  ///
  /// Such a record says the same at any instant, but for how long the customer has been known; and that, every event
  /// touches.
  static func rulesOfUnknown(
    _ machine: borrowing RuleMachine, _ context: EngineContext, sources: CustomerView.Sources
  ) -> RuleSelection {
    var table = CustomerTable(seed: 0)
    let (index, _) = [UInt8](repeating: 0, count: 1).withUnsafeBytes {
      table.findOrInsert($0, hash: table.hash(of: $0), tagCount: machine.count)
    }
    let now = Instant(microseconds: 0)
    let record = table.record(index)
    record.header.firstSeen = now
    record.header.lastSeen = now
    sources.forgetSums()
    let view = EngineView(
      customer: CustomerView(record: record, now: now, sources: sources), context: Unmanaged.passUnretained(context))
    var selection = RuleSelection()
    for number in 0..<machine.count {
      var rule = RuleSelection()
      rule.insert(number)
      var known = KnownTerms()
      if machine.evaluate(number, source: view, current: 0, known: &known) != 0
        || machine.nextChange(of: rule, source: view, current: { _ in 0 }) != .distantFuture
      {
        selection.formUnion(rule)
      }
    }
    return selection
  }
}
