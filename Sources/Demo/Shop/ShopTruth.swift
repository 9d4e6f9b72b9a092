// What really happens to the customers of a synthetic shop, also in times to come: the judge of alerts.

import Events

/// The truth about a shop's customers. Made from the settings alone, it agrees with the events of every `SyntheticShop` of
/// the same settings, and knows the future.
///
/// A *purchase* is a paid order that is neither cancelled nor wholly refunded, at the moment of its payment. A customer has
/// *left* from the last purchase on.
public struct ShopTruth: Sendable {
  private struct Life: Sendable {
    var process: PurchaseProcess
    var purchases: [Instant] = []
  }

  public let settings: ShopSettings
  private var arrivals: ShopArrivals
  private var arrived: [Instant] = []
  private var lives: [Life] = []

  public init(_ settings: ShopSettings) {
    self.settings = settings
    arrivals = ShopArrivals(settings)
  }

  /// The first visit of a customer, counted from 0.
  public mutating func arrival(of customer: Int) -> Instant {
    while arrived.count <= customer {
      let moment = arrivals.next()
      lives.append(Life(process: PurchaseProcess(settings, customer: arrived.count, arrival: moment)))
      arrived.append(moment)
    }
    return arrived[customer]
  }

  /// How many customers have come by `instant`: they are 0..<count.
  public mutating func customers(by instant: Instant) -> Int {
    if arrived.isEmpty { _ = arrival(of: 0) }
    while let last = arrived.last, last <= instant { _ = arrival(of: arrived.count) }
    var low = 0
    var high = arrived.count
    while low < high {
      let middle = (low + high) / 2
      if arrived[middle] <= instant { low = middle + 1 } else { high = middle }
    }
    return low
  }

  /// All purchases up to and including `instant`.
  public mutating func purchases(of customer: Int, through instant: Instant) -> ArraySlice<Instant> {
    draw(customer, through: instant)
    let all = lives[customer].purchases
    return all[..<(all.firstIndex { $0 > instant } ?? all.endIndex)]
  }

  /// Is there a purchase in (`after`, `through`]?
  public mutating func buys(_ customer: Int, after: Instant, through: Instant) -> Bool {
    draw(customer, through: through)
    // From the end: asked about the present, whose purchases are the latest drawn.
    for purchase in lives[customer].purchases.reversed() where purchase <= through { return purchase > after }
    return false
  }

  public mutating func hasBought(_ customer: Int, by instant: Instant) -> Bool {
    draw(customer, through: instant)
    return lives[customer].purchases.first.map { $0 <= instant } ?? false
  }

  /// The moment of leaving, if that is `instant` or before; nil for those who have not left yet, or never bought.
  public mutating func left(_ customer: Int, by instant: Instant) -> Instant? {
    draw(customer, through: instant)
    guard lives[customer].process.upcoming == nil, let last = lives[customer].process.last, last <= instant else {
      return nil
    }
    return last
  }

  private mutating func draw(_ customer: Int, through instant: Instant) {
    _ = arrival(of: customer)
    while let purchase = lives[customer].process.upcoming, purchase <= instant {
      lives[customer].purchases.append(purchase)
      lives[customer].process.advance()
    }
  }
}
