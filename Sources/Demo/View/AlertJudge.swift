// How right the churn alerts were: each against the truth, and against customers picked at random at the same moments.

import Events

/// Judges alerts by the shop's truth. Shop time only; equal input gives equal verdicts.
public struct AlertJudge: Sendable {
  /// A share of a whole, in words that CI can read.
  public struct Tally: Sendable, Hashable {
    public var right = 0
    public var all = 0
    public init() {}
    /// 0...1; nil when nothing was judged.
    public var share: Double? { all > 0 ? Double(right) / Double(all) : nil }
    mutating func add(_ isRight: Bool) {
      all += 1
      if isRight { right += 1 }
    }
  }

  /// How many customers are picked at random for each alert: many, so that the base rate is steady.
  static let picksPerAlert = 20

  public let horizon: TimeSpan
  /// Churn alerts after which the customer truly bought nothing within the horizon.
  public private(set) var churn = Tally()
  /// `lost` alerts of customers who had truly left.
  public private(set) var lost = Tally()
  /// Customers with a purchase and no open alert, picked when churn alerts were raised, who bought nothing in the horizon.
  public private(set) var base = Tally()
  /// Days from the last purchase to the alert, over all churn alerts.
  public private(set) var silenceDays = 0.0
  private var truth: ShopTruth
  private var random: ShopRandom
  /// By customer: open alerts, one bit a kind, and the last moment at which one was raised.
  private var open: [UInt8] = []
  private var lastRaised: [Instant] = []

  public init(_ settings: ShopSettings, horizon: TimeSpan) {
    self.horizon = horizon
    truth = ShopTruth(settings)
    random = ShopRandom(seed: settings.seed, customer: -1, stream: 5)
  }

  public enum Kind: UInt8, Sendable, CaseIterable {
    case churn, lost, silent
  }

  /// An alert was raised at `instant`, by the shop's clock.
  public mutating func raised(_ kind: Kind, customer: Int, at instant: Instant) {
    reserve(customer)
    switch kind {
    case .churn:
      churn.add(!truth.buys(customer, after: instant, through: instant + horizon))
      if let last = truth.purchases(of: customer, through: instant).last {
        silenceDays += Double((instant - last).microseconds) / ShopTime.day
      }
      pickOthers(at: instant)
    case .lost: lost.add(truth.left(customer, by: instant) != nil)
    case .silent: break
    }
    open[customer] |= 1 << kind.rawValue
    lastRaised[customer] = max(lastRaised[customer], instant)
  }

  /// An alert came to its end: the customer came back, or nobody answered. One that expired leaves the customer at risk.
  public mutating func resolved(_ kind: Kind, customer: Int) {
    reserve(customer)
    open[customer] &= ~(1 << kind.rawValue)
  }

  /// Of the customers who had left for at least the horizon by `instant`: how many have been alerted since they left.
  public mutating func found(at instant: Instant) -> Tally {
    var tally = Tally()
    for customer in 0..<truth.customers(by: instant - horizon) {
      guard let left = truth.left(customer, by: instant - horizon) else { continue }
      tally.add(customer < lastRaised.count && lastRaised[customer] > left)
    }
    return tally
  }

  private mutating func pickOthers(at instant: Instant) {
    let count = truth.customers(by: instant)
    guard count > 0 else { return }
    var picked = 0
    // At the beginning there may be hardly anyone to pick.
    for _ in 0..<(Self.picksPerAlert * 10) where picked < Self.picksPerAlert {
      let customer = random.below(count)
      let isWatched = customer < open.count && open[customer] != 0
      guard !isWatched, truth.hasBought(customer, by: instant) else { continue }
      picked += 1
      base.add(!truth.buys(customer, after: instant, through: instant + horizon))
    }
  }

  private mutating func reserve(_ customer: Int) {
    while open.count <= customer {
      open.append(0)
      lastRaised.append(.distantPast)
    }
  }
}
