// What a demo is told.

import Events

public struct DemoOptions: Sendable, Hashable {
  /// Seconds from the start to the end; nil runs until it is stopped.
  public var duration: Double?
  public var seed: UInt64 = 1
  /// Days of the shop a second, once its history is loaded.
  public var daysPerSecond = 1.0
  /// Customers who come within the history.
  public var customers = 2_000
  /// The history, loaded as fast as it is taken.
  public var historyDays: Int64 = 150

  public init() {}

  /// H of the churn model, and of the verdict on its alerts.
  static let horizon = TimeSpan.days(30)
  /// The one input. A shop would have several topics; here days pass in moments, and only within one topic does the order
  /// of a customer's events survive that.
  static let topic = "shop-events"
  /// Partitions of each topic. The embedded broker keeps 100,000 records or 5 MB of each.
  static let partitions: Int32 = 4

  /// The shop these options make.
  public var shop: ShopSettings {
    var shop = ShopSettings()
    shop.seed = seed
    shop.customers = customers
    shop.growth = .days(historyDays)
    return shop
  }
}
