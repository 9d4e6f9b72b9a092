// One task of the engine: a pure function over events and clock ticks. No I/O, no wall clock, no randomness.
// This file: the state, applying an event, advancing the clock. Transitions, alerts and checkpoints are extensions.

import Customers
import Events
import Models
import Rules

/// What became of one event.
public enum ApplyResult: Sendable, Equatable {
  case applied
  /// Applied, though behind the task's clock (with the wall's clock: by more than the usual delay of 10 s).
  case late
  /// An event id this customer has shown before: no effect.
  case duplicate
  /// Not applied, older than the lateness horizon: the caller writes a dead letter (`too_late`) with the original bytes.
  case tooLate
}

/// All customers of one partition. Owned by one thread.
///
/// Each customer has a clock of its own, `asOf`: the latest instant at which it was evaluated. Rules are evaluated there and
/// nowhere else, so that what a customer is told depends on the order of its own events only, not on its neighbours.
/// Invariant: between `asOf` and `due` no rule of the customer and no alert can change in silence.
public struct EngineTask: ~Copyable {
  /// An event this far behind the clock is not late: topics and producers are never quite in step.
  static let usualDelay = TimeSpan.seconds(10)

  let context: EngineContext
  /// The same where an event passes: not counted.
  let borrowedContext: Unmanaged<EngineContext>
  let borrowedRecords: Unmanaged<RecordContext>
  let machine: RuleMachine
  var table: CustomerTable
  /// Owned; a pointer, so that views can borrow it.
  let symbols: UnsafeMutablePointer<SymbolTable>
  var timers = TimerQueue()
  /// Of the customers who were evicted.
  var stubs = StubTable()
  /// Of the hash that `stubs` goes by: kept with the state.
  var stubSeed: UInt64
  var ruleLayouts: RuleLayouts
  /// Rules that have to be looked at when a customer is new, whatever its first event touches.
  let rulesOfUnknown: RuleSelection
  /// The task's clock: never goes back.
  public internal(set) var clock = Instant.distantPast
  /// False in `ClockMode.wall` until the input was caught up with for the first time.
  public internal(set) var isLive: Bool
  /// Next slot that a sweep has to look at; nil when there is none under way.
  var ruleSweep: UInt32?
  var backfillSweep: UInt32?
  /// The last second of the clock in which the backfill sweep did its share.
  var backfillSecond: Int64 = 0
  var metadataDirty = true
  /// Whether the checkpoint says what the money in the records is.
  var isCurrencySaved = false
  /// The greatest event time of each topic, which `clock: event` follows: kept with the state, for what was read before a
  /// restart is not read again.
  public var reached: [String: Instant] = [:]
  /// Names of a checkpoint being restored, until all are there: symbol numbers must come without gaps.
  var restoredNames: [UInt32: [UInt8]] = [:]
  /// Customers whose profile is to be written at the end of the epoch.
  var pendingProfiles: Set<UInt32> = []

  private let orderSums = OrderSumCache()
  private let viewSources: CustomerView.Sources
  /// Those due at one instant who have left the queue and not fired yet.
  private var wave = TimerWave()
  /// Where the record being said is written.
  var json = JSONWriter()
  /// What the tag changes being said have in common.
  var occasionTexts = OccasionTexts()
  /// Records said since the caller last removed them.
  public var outputs = OutputBuffer()
  public internal(set) var counters = EngineCounters()
  public internal(set) var recordCounters = RecordCounters()
  /// Customers evicted after long silence since this object was made.
  public internal(set) var evictions = 0

  /// - Parameter seed: of the table's hash, random once for new state; a restored state brings its own.
  public init(settings: EngineSettings, seed: UInt64) {
    context = EngineContext(settings)
    borrowedContext = Unmanaged.passUnretained(context)
    borrowedRecords = Unmanaged.passUnretained(context.records)
    let machine = RuleMachine(settings.rules)
    table = CustomerTable(seed: seed)
    stubSeed = seed
    symbols = .allocate(capacity: 1)
    symbols.initialize(to: SymbolTable(limit: settings.records.maxSymbols))
    viewSources = CustomerView.Sources(
      context: context.records, symbols: UnsafePointer(symbols), known: orderSums)
    ruleLayouts = RuleLayouts(current: settings)
    isLive = settings.clockMode == .event
    rulesOfUnknown = Self.rulesOfUnknown(machine, context, sources: viewSources)
    self.machine = machine
  }

  deinit {
    symbols.deinitialize(count: 1)
    symbols.deallocate()
  }

  public var customerCount: Int { table.count }
  /// Places of customers, some of which may be free after evictions: what `emitProfiles(in:)` counts by.
  public var placeCount: Int { table.slotCount }
  /// Stubs of customers who were evicted.
  public var stubCount: Int { stubs.count }
  /// Entries of the timer queue, with those that were overtaken.
  public var timerCount: Int { timers.count }
  /// Memory held by customers and their index.
  public var bytesInUse: Int { table.bytesInUse }
  /// The same, field by field. Goes over all customers.
  public func bytesByField() -> TableBytes { table.bytesByField() }
  /// What the state needs: customers, their index, timers, stubs and names. Less than what is held after customers were
  /// evicted: the memory that they left is taken by the next.
  public var bytesNeeded: Int {
    table.bytesNeeded + timers.bytesInUse + stubs.bytesInUse + symbols.pointee.bytesInUse
      + wave.bytesInUse + pendingProfiles.capacity * 8
  }
  /// No timer is due before this (the entry there may have been overtaken); `.distantFuture` if there is none.
  /// Work that a sweep has left is not counted.
  public var nextDue: Instant { wave.isEmpty ? timers.first : wave.due }
  /// Whether `advance` goes on with a sweep over all customers (changed rules, held back alerts).
  public var isSweeping: Bool { ruleSweep != nil || backfillSweep != nil }

  // Several small functions here are mutating, or belong to `context`, though they change nothing: a borrowed task is copied
  // to the stack for a call, all of it.

  /// Of the record as it is: after a change of its orders make another.
  mutating func view(_ index: CustomerIndex, at now: Instant) -> EngineView {
    viewSources.forgetSums()
    return EngineView(
      customer: CustomerView(record: table.record(index), now: now, sources: viewSources), context: borrowedContext)
  }

  // MARK: Batches

  /// The hash of a customer's id in this task.
  @inline(__always)
  public func customerHash(of id: UnsafeRawBufferPointer) -> CustomerHash {
    CustomerHash(value: table.hash(of: id), seed: table.seed)
  }
  /// The hash of a customer's id in a task with this seed.
  @inline(__always)
  public static func hash(ofCustomer id: UnsafeRawBufferPointer, seed: UInt64) -> UInt64 {
    CustomerTable.hash(of: id, seed: seed)
  }

  /// Asks for a customer's memory ahead of `apply`, in three steps: each needs what the one before it has brought, so
  /// a batch calls them one after the other at some distance.
  @inline(__always) public mutating func prefetchIndex(_ hash: UInt64) { table.prefetchIndex(hash) }
  @inline(__always) public mutating func prefetchPlace(_ hash: UInt64) { table.prefetchPlace(hash) }
  @inline(__always) public mutating func prefetchRecord(_ hash: UInt64) { table.prefetchRecord(hash) }

  // MARK: Events

  /// Applies one clean event. What it changes is appended to `outputs`.
  /// - Parameter hash: that of its customer's id, where it is at hand; taken if it is this task's.
  public mutating func apply(_ event: Event, hash: CustomerHash? = nil) -> ApplyResult {
    if clock != .distantPast, event.time < clock - context.lateness {
      counters.tooLate += 1
      return .tooLate
    }
    let id = UnsafeRawBufferPointer(event.customer.buffer)
    let hash = if let hash, hash.seed == table.seed { hash.value } else { table.hash(of: id) }
    var (index, isNew) = table.findOrInsert(id, hash: hash, tagCount: machine.count)
    var record = table.record(index)
    if isNew {
      begin(index)
    } else {
      let span = borrowedContext._withUnsafeGuaranteedRef { $0.records.limits.recentEventSpan }
      if record.hasSeen(eventHash: event.idHash, at: event.time, within: span) {
        counters.duplicates += 1
        return .duplicate
      }
      if record.header.ruleGeneration != ruleLayouts.currentGeneration { adoptRules(index) }
    }

    // Behind the wall's clock by more than the usual delay: its consequences are judged as of the clock.
    var now = max(record.header.asOf, event.time)
    let isBehind = event.time < lateBefore
    if isWall, isBehind { now = max(now, clock) }
    fireTimers(of: index, upTo: now)
    if table.isFree(index) {
      // Its silence was too long: it begins anew.
      (index, isNew) = table.findOrInsert(id, hash: hash, tagCount: machine.count)
      record = table.record(index)
      begin(index)
    }

    let before = event.type.concernsOrders ? record.totals : OrderTotals()
    // A local: with the thread sanitizer, `symbols.pointee` counts as an access to all of self.
    let names = symbols
    let touched = borrowedRecords._withUnsafeGuaranteedRef {
      table.apply(event, to: index, now: now, symbols: &names.pointee, context: $0, counters: &recordCounters)
    }
    let isLate = event.time < now
    let cause: Cause =
      switch event.type {
      case .orderRefunded, .orderCancelled: .refund(event.origin, id: event.id)
      default: isLate ? .late(event.origin, id: event.id) : .event(event.origin, id: event.id)
      }
    var due = record.header.due
    var selection = machine.affected(by: touched)
    if isNew { selection.formUnion(rulesOfUnknown) }
    due = min(due, transition(index, selection, at: now, cause: cause, late: isLate))
    if touched.contains(.orders) {
      due = min(due, updateAlerts(index, before: before, now: now, upTo: due, cause: cause))
    }
    schedule(index, due: due)
    profileChanged(index)

    if isBehind {
      counters.late += 1
      return .late
    }
    counters.applied += 1
    return .applied
  }

  /// What a new record starts with.
  private mutating func begin(_ index: CustomerIndex) {
    table.record(index).header.ruleGeneration = ruleLayouts.currentGeneration
    takeStub(index)
  }

  /// Events before this are late. The clock that follows the wall is ahead of every event by the usual delay; the one that
  /// follows events is behind the newest by as much already.
  private var lateBefore: Instant { isWall ? clock - Self.usualDelay : clock }
  private var isWall: Bool { context.clockMode == .wall }

  // MARK: Time

  /// Moves the clock, if `instant` is ahead of it, and fires what is due, in order of instant and then customer id.
  /// - Parameter maxTimers: stop after about so many; a sweep looks at no more customers.
  /// - Returns: true when more is due at the clock, or to be looked at under other rules: call again.
  @discardableResult
  public mutating func advance(to instant: Instant, maxTimers: Int = .max) -> Bool {
    if instant > clock {
      clock = instant
      metadataDirty = true
    }
    if ruleSweep != nil { sweepRules(atMost: max(1, maxTimers)) }
    if backfillSweep != nil { sweepBackfill() }
    let isMoreDue = (timers.first <= clock || !wave.isEmpty) && fireDue(maxTimers: maxTimers)
    return isMoreDue || ruleSweep != nil
  }

  /// Collects at most `maxTimers` and fires about as many: where many are due at one instant, neither may take long.
  private mutating func fireDue(maxTimers: Int) -> Bool {
    var toCollect = maxTimers
    var toFire = maxTimers
    while true {
      if wave.isEmpty {
        guard timers.first <= clock else { return false }
        wave.begin(due: timers.first)
      }
      toCollect -= collectWave(atMost: toCollect)
      // The smallest id may still be in the queue.
      if timers.first <= wave.due { return true }
      while true {
        if toFire <= 0 { return true }
        guard let index = wave.popFirst(in: table.places) else { break }
        if fire(index, ifDueAt: wave.due) { toFire -= 1 }
      }
    }
  }

  /// Takes customers who are due at the wave's instant out of the queue; returns how many entries it took. Those whom an
  /// event has made due before it meanwhile fire at once.
  private mutating func collectWave(atMost limit: Int) -> Int {
    var taken = 0
    while taken < limit, timers.first <= wave.due, let entry = popTimer() {
      taken += 1
      if entry.due < wave.due {
        fire(entry.index, ifDueAt: entry.due)
      } else if table.record(entry.index).due == wave.due {
        wave.append(entry.index, in: table.places)
      }
    }
    wave.endRun(in: table.places)
    return taken
  }

  private mutating func popTimer() -> (index: CustomerIndex, due: Instant)? {
    let entry = timers.pop()
    // Who comes first now was mostly second before, and its place is there to say where the record is.
    let places = table.places
    if let first = timers.customer(at: 0) { places.prefetchRecord(of: first) }
    for place in 1...2 {
      if let second = timers.customer(at: place) { places.prefetchPlace(of: second) }
    }
    return entry
  }

  /// Until a customer fires its time stands in the record: an event of its own may have fired it meanwhile, and a state
  /// saved in the middle of a wave has it.
  @discardableResult
  private mutating func fire(_ index: CustomerIndex, ifDueAt due: Instant) -> Bool {
    let record = table.record(index)
    guard record.due == due else { return false }
    record.header.due = .distantFuture
    fire(index, at: due)
    return true
  }

  /// Fires the customer's own timers up to `limit`, before something else happens to it there. Afterwards it may be gone:
  /// ask `table.isFree`.
  mutating func fireTimers(of index: CustomerIndex, upTo limit: Instant) {
    let record = table.record(index)
    while record.due <= limit {
      let due = record.header.due
      record.header.due = .distantFuture
      fire(index, at: due)
    }
  }

  /// Evaluates at `due` everything that silence can change.
  private mutating func fire(_ index: CustomerIndex, at due: Instant) {
    counters.timersFired += 1
    table.tidy()
    let record = table.record(index)
    table.markDirty(index)
    record.header.asOf = max(record.header.asOf, due)
    if record.header.ruleGeneration != ruleLayouts.currentGeneration { adoptRules(index) }
    let now = record.header.asOf  // new rules were taken up as of the clock, which may be ahead of `due`
    if context.isSilentForLong(record, at: now) { return evict(index, at: now) }
    var next = transition(index, context.timedSelection, at: now, cause: .time, late: false)
    next = min(next, updateAlerts(index, before: record.totals, now: now, upTo: next, cause: .time))
    // A condition that holds now but may not act yet names a later instant; nothing names this one again.
    assert(next > now)
    schedule(index, due: next)
  }

  mutating func schedule(_ index: CustomerIndex, due instant: Instant) {
    let record = table.record(index)
    // The queue knows whole seconds only. Who needs nothing else is looked at when its silence may have lasted too long.
    // Callers never put off what is scheduled: so events push nothing, and the queue does not grow with them.
    let due = min(instant.roundedUpToSecond, context.retentionDue(record))
    if due == record.header.due { return }
    record.header.due = due
    if due != .distantFuture { timers.push(index, due: due) }
  }

  /// When something that became true at `now` (a customer's clock) is said.
  mutating func emission(at now: Instant) -> Instant {
    context.clockMode == .event ? now : max(clock, now)
  }
}
