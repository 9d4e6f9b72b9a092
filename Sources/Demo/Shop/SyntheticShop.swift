// A shop with customers whose true lives are known: yields its events in order of time. Pure: settings in, events out.
// This file: the course of time, and what goes out. What customers do is in `SyntheticShop+Visits`.

import Events

/// A synthetic shop. Equal settings yield equal events, however the time is cut into calls of `next`.
///
/// `ShopTruth` of the same settings knows each customer's purchases and moment of leaving.
public struct SyntheticShop: Sendable {
  public let settings: ShopSettings
  /// Everything before this has been yielded.
  public private(set) var now: Instant
  /// Records yielded so far, wrong ones among them.
  public private(set) var eventCount = 0
  /// Wrong on purpose, duplicates among them, by kind (`ShopDirt.rawValue`).
  public private(set) var dirtCounts = [Int](repeating: 0, count: ShopDirt.allCases.count)

  var customers: [ShopCustomer] = []
  var schedule = ShopSchedule()
  var orderCount = 0
  private var arrivals: ShopArrivals
  private var dirt: ShopRandom
  private var writer = ShopEventWriter()
  private var eventNumber = 0
  /// Written but not yet due. `ShopEvent.key` and `value` are ranges of its bytes.
  private var pending = ShopBatch()

  public init(_ settings: ShopSettings) {
    self.settings = settings
    now = settings.opening
    arrivals = ShopArrivals(settings)
    dirt = ShopRandom(seed: settings.seed, customer: -1, stream: 4)
    schedule.plan(.arrive, of: 0, at: arrivals.next())
  }

  /// How many customers have come so far.
  public var customerCount: Int { customers.count }

  /// Appends what happens from `now` to `instant` (exclusive) to `batch`, in order of time, and moves on to it.
  public mutating func next(until instant: Instant, into batch: inout ShopBatch) {
    guard instant > now else { return }
    while let action = schedule.first, action.time < instant {
      _ = schedule.removeFirst()
      perform(action)
    }
    now = instant
    release(before: instant, into: &batch)
  }

  /// As above, in a batch of its own.
  public mutating func next(until instant: Instant) -> ShopBatch {
    var batch = ShopBatch()
    next(until: instant, into: &batch)
    return batch
  }

  /// The next customer comes in.
  mutating func openDoor(at time: Instant) {
    customers.append(ShopCustomer(settings, number: customers.count, arrival: time))
    schedule.plan(.arrive, of: customers.count, at: arrivals.next())
  }

  // MARK: What goes out

  /// Notes an event to be sent at its time, and now and then something wrong beside it.
  mutating func emit(_ draft: ShopDraft) {
    var draft = draft
    draft.number = newNumber()
    let clean = append(draft, key: draft.customer, sentAt: draft.time)
    if dirt.uniform() < settings.dirtyShare { spoil(draft, clean: clean) }
  }

  private mutating func newNumber() -> Int {
    eventNumber += 1
    return eventNumber
  }

  @discardableResult
  private mutating func append(_ draft: ShopDraft, key customer: Int, sentAt time: Instant) -> Range<Int> {
    let keyStart = pending.bytes.count
    ShopCustomerID.append(customer, to: &pending.bytes)
    let valueStart = pending.bytes.count
    writer.write(draft, to: &pending.bytes)
    let value = valueStart..<pending.bytes.count
    pending.events.append(
      ShopEvent(
        time: time, stream: draft.type.shopStream, type: draft.type, customer: draft.customer,
        key: keyStart..<valueStart, value: value, dirt: draft.dirt))
    return value
  }

  /// Adds a wrong record made from a clean one; the clean one stays, so that the truth is in the stream.
  private mutating func spoil(_ clean: ShopDraft, clean bytes: Range<Int>) {
    var draft = clean
    let kinds = ShopDirt.allCases
    var kind = kinds[dirt.below(kinds.count)]
    if kind == .unknownCurrency, clean.amount == nil { kind = .malformed }
    // A stale order would change the truth if it were accepted; before the horizon has passed everything is accepted.
    let isOld = clean.time > settings.opening + .days(60)
    if kind == .stale, clean.type.shopStream != .clickstream || !isOld { kind = .noTime }
    if kind == .keyMismatch, customers.count < 2 { kind = .noType }
    draft.dirt = kind
    let sentAt = clean.time + .seconds(1)
    if kind == .duplicate {
      resend(bytes, of: draft, at: sentAt)
      return
    }
    draft.number = newNumber()
    draft.time = sentAt
    var key = clean.customer
    switch kind {
    case .unknownCurrency: draft.currency = .unknown
    case .future: draft.time = sentAt + .days(3)
    case .stale: draft.time = sentAt - .days(20)
    case .keyMismatch: key = (clean.customer + 1 + dirt.below(customers.count - 1)) % customers.count
    case .malformed, .noCustomer, .noTime, .noType, .duplicate: break
    }
    let value = append(draft, key: key, sentAt: sentAt)
    guard kind == .malformed else { return }
    let cut = value.lowerBound + 1 + dirt.below(value.count - 2)
    pending.bytes.removeSubrange(cut..<value.upperBound)
    pending.events[pending.events.count - 1].value = value.lowerBound..<cut
  }

  private mutating func resend(_ value: Range<Int>, of draft: ShopDraft, at time: Instant) {
    let keyStart = pending.bytes.count
    ShopCustomerID.append(draft.customer, to: &pending.bytes)
    let valueStart = pending.bytes.count
    for index in value { pending.bytes.append(pending.bytes[index]) }
    pending.events.append(
      ShopEvent(
        time: time, stream: draft.type.shopStream, type: draft.type, customer: draft.customer,
        key: keyStart..<valueStart, value: valueStart..<pending.bytes.count, dirt: .duplicate))
  }

  /// Moves what is due to `batch`, in order of time (and of emission within one instant).
  private mutating func release(before instant: Instant, into batch: inout ShopBatch) {
    var order = pending.events.indices.map { (pending.events[$0].time, $0) }
    order.sort { $0 < $1 }
    let due = order.prefix { $0.0 < instant }
    for (_, index) in due {
      let event = pending.events[index]
      copy(event, to: &batch)
      eventCount += 1
      if let kind = event.dirt { dirtCounts[Int(kind.rawValue)] += 1 }
    }
    var rest = ShopBatch()
    // In order of emission, which breaks ties.
    for (_, index) in order.dropFirst(due.count).sorted(by: { $0.1 < $1.1 }) { copy(pending.events[index], to: &rest) }
    pending = rest
  }

  private func copy(_ event: ShopEvent, to batch: inout ShopBatch) {
    var event = event
    let start = batch.bytes.count
    batch.bytes.append(contentsOf: pending.bytes[event.key])
    event.key = start..<batch.bytes.count
    batch.bytes.append(contentsOf: pending.bytes[event.value])
    event.value = event.key.upperBound..<batch.bytes.count
    batch.events.append(event)
  }
}

extension EventType {
  /// The topic on which the shop sends events of this type.
  var shopStream: ShopStream {
    switch self {
    case .orderPlaced, .orderPaid, .orderCancelled, .orderRefunded: .orders
    case .profileUpdate: .customers
    default: .clickstream
    }
  }
}
