// What a synthetic shop is made of. Equal settings give equal shops, event for event.

import Events

/// The parameters of a synthetic shop.
///
/// Buying follows MBG/NBD, in days: a customer buys at a rate drawn from Gamma(`r`, `alpha`), and after each purchase, the
/// first one too, leaves for good with a probability drawn once from Beta(`a`, `b`).
public struct ShopSettings: Sendable, Hashable {
  public var seed: UInt64 = 1
  /// The shop's first moment.
  public var opening = Instant(seconds: 1_767_225_600)  // 2026-01-01T00:00:00Z
  /// How many customers come within `growth`. After that they keep coming at the last pace.
  public var customers = 2_000
  public var growth = TimeSpan.days(150)
  public var r = 2.0
  public var alphaDays = 16.0
  public var a = 1.0
  public var b = 9.0
  /// Share of customers who only look and never buy.
  public var visitorShare = 0.12
  /// Share of records that are wrong on purpose (or sent twice).
  public var dirtyShare = 0.002

  public init() {}
}
