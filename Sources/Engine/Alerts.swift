// Churn alerts: who is raised, resolved, expired, and when to look again.
//
// A purchase starts a silence. Born below the clear threshold it arms the customer; born at or above the raise threshold
// it disarms; in between nothing changes, but a first purchase arms: nothing was above before. In a silence each kind is raised
// at most once:
//   churn   armed, and the churn probability reaches the raise threshold
//   lost    1 - P(alive) reaches the lost threshold after the purchase
//   silent  not armed and not alerted by `churn` in this silence: `silentAfter` has passed since the purchase
// and never two within `window`: the later one waits, and is raised then if it still holds.
//
// What crossed before the task had caught up is raised as backfill, by a sweep or, where it had to wait for the window, later.

import Customers
import Events
import Models

/// One record on the alert topic.
enum AlertStatus {
  case raised
  /// The customer bought again.
  case resolved
  /// Corrected by late events or refunds: the silence that was alerted never was.
  case withdrawn
  case expired

  var name: StaticString {
    switch self {
    case .raised: "raised"
    case .resolved, .withdrawn: "resolved"
    case .expired: "expired"
    }
  }
}

/// Kinds of alert and when each crosses, in order of precedence: at most one of each.
private struct Crossings {
  typealias Element = (kind: AlertKind, instant: Instant)
  private var elements: (Element, Element, Element) = (
    (.churn, .distantFuture), (.churn, .distantFuture), (.churn, .distantFuture)
  )
  private(set) var count = 0

  mutating func append(_ kind: AlertKind, _ instant: Instant) {
    switch count {
    case 0: elements.0 = (kind, instant)
    case 1: elements.1 = (kind, instant)
    default: elements.2 = (kind, instant)
    }
    count += 1
  }

  subscript(place: Int) -> Element {
    switch place {
    case 0: elements.0
    case 1: elements.1
    default: elements.2
    }
  }

  func first(notAfter limit: Instant) -> Element? {
    for place in 0..<count where self[place].instant <= limit { return self[place] }
    return nil
  }
}

extension EngineContext {
  fileprivate func arm(_ state: inout AlertState, history: PurchaseHistory?) {
    guard let history, let model = settings.churn else {
      state.set.remove(.armed)
      return
    }
    let born = model.churnProbability(history, at: history.last)
    if born >= model.raiseThreshold {
      state.set.remove(.armed)
    } else if born < model.clearThreshold || history.repeats == 0 {
      state.set.formUnion([.armed, .everArmed])
    }
  }

  /// The kinds that can still be raised in this silence, in order of precedence, with the instant each crosses.
  /// - Parameter limit: one that crosses behind it may be left out.
  fileprivate func crossings(
    _ history: PurchaseHistory, state: AlertState, upTo limit: Instant = .distantFuture
  ) -> Crossings {
    var found = Crossings()
    let flags = state.set
    if let model = settings.churn {
      // What is not reached at the limit need not be solved for: churn never falls in silence.
      if flags.contains(.armed), !flags.contains(.spentChurn),
        limit == .distantFuture || model.churnProbability(history, at: limit) >= model.raiseThreshold,
        case .at(let instant) = model.raiseCrossing(history)
      {
        found.append(.churn, instant)
      }
      if !flags.contains(.spentLost), case .at(let instant) = model.lostCrossing(history) {
        found.append(.lost, instant)
      }
    }
    if !flags.contains(.armed), flags.isDisjoint(with: [.spentSilent, .spentChurn]) {
      found.append(.silent, (history.last + settings.alerts.silentAfter).roundedUpToSecond)
    }
    return found
  }

  fileprivate func earliestRaise(_ state: AlertState) -> Instant {
    state.lastNumber == 0 ? .distantPast : Instant(seconds: Int64(state.lastRaisedSeconds)) + settings.alerts.window
  }

  fileprivate func nextExpiry(_ state: AlertState) -> Instant {
    var next = Instant.distantFuture
    for kind in AlertKind.allCases where state[kind].number != 0 { next = min(next, expiry(kind, state)) }
    return next
  }

  /// Counted from the crossing; an alert raised long after it, as backfill, still stands until its time to respond is up.
  fileprivate func expiry(_ kind: AlertKind, _ state: AlertState) -> Instant {
    max(Instant(seconds: Int64(state[kind].crossedAtSeconds)) + settings.alerts.expireAfter, earliestRaise(state))
  }
}

extension EngineTask {
  /// Brings a customer's alerts up to `now` (its clock).
  /// - Parameters:
  ///   - before: the totals before the event that caused this.
  ///   - limit: after `now`: when the customer is looked at again in any case.
  ///   - cause: a change of the model also means that what was decided before is looked at again.
  /// - Returns: the earliest instant at which silence alone calls for another look; behind `limit` it may be any there.
  mutating func updateAlerts(
    _ index: CustomerIndex, before: OrderTotals, now: Instant, upTo limit: Instant, cause: Cause
  ) -> Instant {
    let context = context
    guard context.settings.alerts.enabled else { return .distantFuture }
    let record = table.record(index)
    let totals = record.totals
    var state = record.alerts
    defer {
      if state != record.alerts { table.setAlerts(state, of: index) }
    }
    let view = view(index, at: now)
    let history = view.history
    let isNewSilence =
      (before.purchases > 0) != (totals.purchases > 0) || totals.purchases > 0 && before.last != totals.last

    if before.first != totals.first || before.last != totals.last || before.purchaseDays != totals.purchaseDays {
      state.judgedAtSeconds = now.secondsClamped
    }
    if isNewSilence {
      let returned = totals.purchases > 0 && (before.purchases == 0 || totals.last > before.last)
      for kind in AlertKind.allCases where state[kind].number != 0 {
        end(kind, of: index, state: &state, as: returned ? .resolved : .withdrawn, view: view, cause: cause)
      }
      state.set.subtract([.spentChurn, .spentLost, .spentSilent, .heldBack])
      state.set.subtract(.backfilled)
      context.arm(&state, history: history)
    } else if let history,
      before.first != totals.first || before.purchaseDays != totals.purchaseDays || cause.isModelChange
    {
      correct(index, state: &state, history: history, view: view, cause: cause)
    }
    guard let history else { return .distantFuture }

    var next = expire(index, state: &state, view: view)
    let numberBefore = state.lastNumber
    let found = context.crossings(history, state: state, upTo: limit)
    for place in 0..<found.count {
      let (kind, crossing) = found[place]
      if crossing > now {
        next = min(next, crossing)
        continue
      }
      // It became true with the model, and nobody could have answered before.
      if cause.isModelChange { state.judgedAtSeconds = max(state.judgedAtSeconds, now.secondsClamped) }
      if !isLive || state.set.contains(.heldBack) {
        state.set.insert(.heldBack)  // the backfill sweep will come to it, at its own pace
        continue
      }
      let allowed = context.earliestRaise(state)
      if emission(at: now) < allowed {
        next = min(next, allowed)
        continue
      }
      // Held back by the window only after it was held back as backfill: then nobody can have answered in time.
      let isBackfill =
        !state.set.isDisjoint(with: .backfilled) && crossing <= Instant(seconds: Int64(state.lastRaisedSeconds))
      raise(
        kind, of: index, crossedAt: crossing, state: &state, view: view, cause: isBackfill ? .backfill : cause)
    }
    // Raising one kind changes what the others wait for: the window has just begun. Only then are they solved for again.
    if state.lastNumber != numberBefore {
      let left = context.crossings(history, state: state, upTo: limit)
      for place in 0..<left.count { next = min(next, max(left[place].instant, context.earliestRaise(state))) }
    }
    next = min(next, context.nextExpiry(state))
    return next > now ? next : (now + .seconds(1)).roundedUpToSecond
  }

  /// An order was added or taken back behind the last purchase, or the model is another: the same silence means something
  /// else now.
  private mutating func correct(
    _ index: CustomerIndex, state: inout AlertState, history: PurchaseHistory, view: EngineView, cause: Cause
  ) {
    guard let model = context.settings.churn else { return }
    if model.churnProbability(history, at: view.now) < model.clearThreshold {
      end(.churn, of: index, state: &state, as: .withdrawn, view: view, cause: cause)
      state.set.subtract([.spentChurn, .backfilled(.churn)])
      state.set.formUnion([.armed, .everArmed])
    } else if !state.set.contains(.spentChurn) {
      context.arm(&state, history: history)
    }
    if state.set.contains(.spentLost), model.deadProbability(history, at: view.now) < model.lostThreshold {
      end(.lost, of: index, state: &state, as: .withdrawn, view: view, cause: cause)
      state.set.subtract([.spentLost, .backfilled(.lost)])
    }
  }

  private mutating func expire(_ index: CustomerIndex, state: inout AlertState, view: EngineView) -> Instant {
    let emitted = emission(at: view.now)
    for kind in AlertKind.allCases
    where state[kind].number != 0 && context.expiry(kind, state) <= emitted {
      end(kind, of: index, state: &state, as: .expired, view: view, cause: .time)
    }
    return context.nextExpiry(state)
  }

  mutating func raise(
    _ kind: AlertKind, of index: CustomerIndex, crossedAt: Instant, state: inout AlertState, view: EngineView,
    cause: Cause
  ) {
    let emitted = emission(at: view.now)
    // Timers fire before events: what an event found already crossed (an order was taken back, or came late) became true
    // with that event, and nobody could have answered before.
    let crossedAt = max(crossedAt, Instant(seconds: Int64(state.judgedAtSeconds)))
    state.lastNumber &+= 1
    // Rounded up: never let a second alert out before the window has passed.
    state.lastRaisedSeconds = emitted.roundedUpToSecond.secondsClamped
    var open = OpenAlert()
    open.number = state.lastNumber
    open.crossedAtSeconds = crossedAt.secondsClamped
    state[kind] = open
    switch kind {
    case .churn:
      counters.raisedChurn += 1
      state.set.insert(.spentChurn)
      state.set.remove(.armed)
    case .lost:
      counters.raisedLost += 1
      state.set.insert(.spentLost)
    case .silent:
      counters.raisedSilent += 1
      state.set.insert(.spentSilent)
    }
    if cause.isBackfill { state.set.insert(.backfilled(kind)) } else { state.set.remove(.backfilled(kind)) }
    let respondBy = respondBy(kind, state)
    let overdue = emitted > respondBy
    if overdue { counters.overdue += 1 }
    writeAlert(
      kind, of: index, number: open.number, status: .raised, crossedAt: crossedAt, respondBy: respondBy,
      overdue: overdue, view: emitted > view.now ? self.view(index, at: emitted) : view, cause: cause)
    table.markDirty(index)
  }

  /// By when an open alert must be answered. One raised as backfill is counted from its emission; where another was raised
  /// behind it, that one's emission, a window later or more, stands in.
  private func respondBy(_ kind: AlertKind, _ state: AlertState) -> Instant {
    let window = context.settings.alerts.window
    let open = state[kind]
    if !state.set.contains(.backfilled(kind)) { return Instant(seconds: Int64(open.crossedAtSeconds)) + window }
    let lastRaised = Instant(seconds: Int64(state.lastRaisedSeconds))
    return open.number == state.lastNumber ? lastRaised + window : lastRaised
  }

  private mutating func end(
    _ kind: AlertKind, of index: CustomerIndex, state: inout AlertState, as status: AlertStatus, view: EngineView,
    cause: Cause
  ) {
    let open = state[kind]
    if open.number == 0 { return }
    let respondBy = respondBy(kind, state)
    state[kind] = OpenAlert()
    if case .expired = status { counters.expired += 1 } else { counters.resolved += 1 }
    writeAlert(
      kind, of: index, number: open.number, status: status, crossedAt: Instant(seconds: Int64(open.crossedAtSeconds)),
      respondBy: respondBy, overdue: false, view: view, cause: cause)
  }

  /// Before the customer is evicted: what is open expires, whatever its age.
  mutating func endAlerts(of index: CustomerIndex, view: EngineView) {
    var state = table.record(index).alerts
    for kind in AlertKind.allCases where state[kind].number != 0 {
      end(kind, of: index, state: &state, as: .expired, view: view, cause: .retention)
    }
  }

  // MARK: Backfill

  /// The input has been caught up with: from here on the customers who crossed before are raised, at a capped rate.
  public mutating func caughtUp() {
    if isLive { return }
    isLive = true
    metadataDirty = true
    backfillSweep = 0
  }

  mutating func sweepBackfill() {
    let second = clock.microseconds / 1_000_000
    guard var slot = backfillSweep, second != backfillSecond else { return }
    backfillSecond = second
    var raised = 0
    while raised < context.settings.alerts.backfillPerSecond, slot < table.slotCount {
      let index = CustomerIndex(number: slot)
      slot += 1
      guard !table.isFree(index), table.record(index).alerts.set.contains(.heldBack) else { continue }
      let before = counters.raised
      raiseHeldBack(index)
      raised += counters.raised - before
    }
    backfillSweep = slot < table.slotCount ? slot : nil
  }

  private mutating func raiseHeldBack(_ index: CustomerIndex) {
    let record = table.record(index)
    var state = record.alerts
    state.set.remove(.heldBack)
    let view = view(index, at: record.header.asOf)
    if let history = view.history,
      let (kind, crossing) = context.crossings(history, state: state).first(notAfter: record.header.asOf)
    {
      raise(kind, of: index, crossedAt: crossing, state: &state, view: view, cause: .backfill)
    }
    table.setAlerts(state, of: index)
    schedule(
      index,
      due: min(
        record.header.due,
        updateAlerts(
          index, before: record.totals, now: record.header.asOf, upTo: .distantFuture, cause: .time)))
  }
}
