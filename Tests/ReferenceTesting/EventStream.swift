// Random but lifelike streams of one customer: sessions, carts, orders with their whole life, profiles; then the arrival
// order, with events late, doubled and out of order within the horizon.

import Events

/// What kind of stream to make.
public struct StreamOptions: Sendable {
  /// Visits to the shop; each brings one to some ten events.
  public var visits = 40
  /// Instants fall on whole seconds.
  public var wholeSeconds = false
  /// No event arrives later than this after one that happened after it.
  public var lateness = TimeSpan.days(7)
  public var isShuffled = true
  public var hasDuplicates = true
  /// Names of categories and channels to draw from.
  public var names = 6
  public var customer = "c"
  public init() {}
}

public struct EventStream: Sendable {
  /// In order of arrival.
  public var arrivals: [SampleEvent]

  public init(seed: UInt64, options: StreamOptions = StreamOptions()) {
    var maker = StreamMaker(random: Seeded(seed), options: options)
    arrivals = maker.make()
  }

  /// The same events in another order of arrival within the horizon.
  public static func arrange(
    _ events: [SampleEvent], lateness: TimeSpan, random: inout Seeded
  ) -> [SampleEvent] {
    let delayed = events.enumerated().map { index, event -> (Instant, Int, SampleEvent) in
      let delay: Int64 =
        switch random.index(10) {
        case 0..<5: 0
        case 5..<8: random.int(0...min(3_600_000_000, lateness.microseconds - 1))
        default: random.int(0...lateness.microseconds - 1)
        }
      return (event.time + TimeSpan(microseconds: delay), index, event)
    }
    return delayed.sorted { ($0.0, $0.1) < ($1.0, $1.1) }.map(\.2)
  }
}

private struct StreamMaker {
  var random: Seeded
  let options: StreamOptions
  var events: [SampleEvent] = []
  var time = Instant(seconds: 0)
  var orderNumber = 0

  mutating func make() -> [SampleEvent] {
    // Between 2005 and 2027.
    time = Instant(seconds: random.int(1_104_537_600...1_798_761_600))
    let pace = random.logUniform(0.05, 40)  // days between visits
    for _ in 0..<options.visits {
      let gap = random.logUniform(pace / 20, pace * 3) * 86_400e6
      time = time + TimeSpan(microseconds: Int64(gap))
      // Now and then exactly at an edge: midnight UTC, or a whole day after the last event.
      if random.chance(0.05) { time = Instant(seconds: time.microseconds / 86_400_000_000 * 86_400) }
      visit()
    }
    events = events.enumerated().map { index, event in
      var event = event
      event.id = random.chance(0.95) ? "e\(index)" : nil
      if options.wholeSeconds { event.time = event.time.roundedUpToSecond }
      return event
    }
    .sorted { $0.time < $1.time }
    guard options.isShuffled else { return withDuplicates(events) }
    return withDuplicates(EventStream.arrange(events, lateness: options.lateness, random: &random))
  }

  /// Repeats some events a little later, well within what duplicate detection remembers.
  private mutating func withDuplicates(_ list: [SampleEvent]) -> [SampleEvent] {
    guard options.hasDuplicates else { return list }
    var result: [SampleEvent] = []
    var pending: [(after: Int, asOf: Instant, event: SampleEvent)] = []
    var asOf = Instant.distantPast
    for (index, event) in list.enumerated() {
      asOf = max(asOf, event.time)
      for repeated in pending where repeated.after <= index && asOf - repeated.asOf < .hours(20) {
        result.append(repeated.event)
      }
      pending.removeAll { $0.after <= index }
      result.append(event)
      if event.id != nil, random.chance(0.1) { pending.append((index + random.index(6), asOf, event)) }
    }
    return result
  }

  private mutating func visit() {
    let channel = random.pick(["app", "web", "store", "mini"])
    if random.chance(0.15) { profile() }
    for _ in 0..<random.index(5) {
      say(random.pick(StreamMaker.browsing), channel: channel)
      pause()
    }
    if random.chance(0.4) {
      for _ in 0...random.index(3) {
        say(.addToCart, channel: channel, amount: amount(), product: random.chance(0.9) ? product() : nil)
        pause()
      }
      if random.chance(0.3) { say(.removeFromCart, channel: channel, product: random.chance(0.9) ? product() : nil) }
    }
    if random.chance(0.35) { order(channel: channel) }
    if random.chance(0.1) { say(.supportTicket, channel: channel) }
    if random.chance(0.04) {
      say(.orderRefunded, channel: channel, amount: random.int(1...5000))
    }
  }

  private mutating func order(channel: String) {
    orderNumber += 1
    let id = "o\(orderNumber)"
    let total = random.chance(0.03) ? 0 : amount()
    let placed = time
    if random.chance(0.8) { say(.orderPlaced, channel: channel, order: id, amount: random.chance(0.5) ? total : nil) }
    guard random.chance(0.9) else {
      if random.chance(0.5) { say(.orderCancelled, order: id, after: hours(0, 72)) }
      return
    }
    let paid = random.chance(0.7) ? TimeSpan(microseconds: 0) : hours(0, 48)
    say(.orderPaid, channel: channel, order: id, amount: total, after: paid)
    // Paid twice under one order id: the same order.
    if random.chance(0.05) { say(.orderPaid, channel: channel, order: id, amount: amount(), after: hours(0, 96)) }
    if random.chance(0.06) { say(.orderCancelled, order: id, after: hours(1, 300)) }
    if random.chance(0.15) {
      for _ in 0...random.index(2) {
        let part = random.int(0...max(0, total))
        say(.orderRefunded, order: id, amount: random.chance(0.3) ? total : part, after: hours(1, 1500))
      }
    }
    // By a producer whose clock is behind: dated before the order.
    if random.chance(0.03) {
      events.append(refund(id, at: placed - hours(1, 40), amount: random.chance(0.2) ? nil : total / 2))
    }
    if random.chance(0.03) { say(.orderRefunded, order: id, after: hours(1, 900)) }
  }

  private mutating func refund(_ order: String, at time: Instant, amount: Int64?) -> SampleEvent {
    var event = SampleEvent(.orderRefunded, at: time, customer: options.customer)
    event.order = order
    event.amount = amount
    return event
  }

  private mutating func profile() {
    var event = SampleEvent(.profileUpdate, at: time, customer: options.customer)
    if random.chance(0.5) { event.birthDate = LocalDay(number: Int32(random.int(-14_000...11_000))) }
    if random.chance(0.1) { event.birthDate = CivilDate(year: 1988, month: 2, day: 29).localDay }
    if random.chance(0.5) { event.gender = random.pick(Gender.allCases) }
    if random.chance(0.5) { event.region = random.pick(["beijing", "上海", "leeds", "lima"]) }
    if random.chance(0.5) { event.occupation = random.pick(["nurse", "teacher", "driver"]) }
    events.append(event)
    // Said twice in one second: the order of arrival must not decide.
    if random.chance(0.2) {
      event.gender = random.pick(Gender.allCases)
      event.region = "quito"
      event.occupation = "baker"
      event.birthDate = LocalDay(number: Int32(random.int(-14_000...11_000)))
      events.append(event)
    }
  }

  private mutating func say(
    _ type: EventType, channel: String? = nil, order: String? = nil, amount: Int64? = nil, product: String? = nil,
    after: TimeSpan = TimeSpan(microseconds: 0)
  ) {
    var event = SampleEvent(type, at: time + after, customer: options.customer)
    event.order = order
    event.amount = amount
    event.product = product
    if random.chance(0.8) { event.channel = channel }
    if random.chance(0.6) { event.category = "k\(random.index(options.names))" }
    if type == .orderPaid || type == .orderPlaced {
      event.coupon = random.chance(0.2)
      if random.chance(0.15) { event.discount = random.int(1...500) }
    }
    events.append(event)
  }

  private mutating func pause() { time = time + TimeSpan(microseconds: random.int(0...600_000_000)) }
  private mutating func amount() -> Int64 { Int64(random.logUniform(10, 500_000)) }
  private mutating func product() -> String { "p\(random.index(6))" }
  private mutating func hours(_ low: Int64, _ high: Int64) -> TimeSpan {
    TimeSpan(microseconds: random.int(low * 3_600_000_000...high * 3_600_000_000))
  }

  private static let browsing: [EventType] = [
    .activity, .pageView, .pageView, .productView, .productView, .search, .favorite, .checkout, .login, .share, .like,
    .comment, .review, .storeVisit, .surveyResponse, .identityLink, .alertAck,
  ]
}
