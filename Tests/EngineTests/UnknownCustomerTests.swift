// A customer's first event: rules that hold of somebody of whom nothing is known are said, whatever the event was about.

import Customers
import Engine
import Events
import ReferenceTesting
import Rules
import Testing

struct UnknownCustomerTests {
  private static let rules = """
    version: 1
    tags:
      - { name: prospect, layer: value, when: orders.count = 0 }
      - { name: quiet, layer: behaviour, when: seen.days_since_last >= 3 }
      - { name: ageless, layer: basic, when: not defined(profile.age) }
      - { name: buyer, layer: value, when: orders.count >= 1 }
      - { name: cartless, layer: behaviour, when: cart.items = 0 }
      - { name: looker, layer: behaviour, when: "events.count(page_view, 7d) >= 1" }
      - { name: always, layer: basic, when: "true" }
      - { name: still, layer: behaviour, when: events.total(30d) < 2, until: events.total(30d) >= 3 }
    """

  @Test func whatHoldsOfTheUnknownIsSaid() throws {
    let steps = Steps(try TestSettings.make(rules: Self.rules))
    let first = "@2024-01-01T00:00:00.000Z event"
    try steps.apply(
      event(.pageView, "2024-01-01T00:00:00Z"),
      says: [
        "c prospect set true \(first)", "c ageless set true \(first)", "c cartless set true \(first)",
        "c looker set true \(first)", "c always set true \(first)", "c still set true \(first)",
      ])
    try steps.advance(
      to: "2024-01-04T00:00:00Z", says: ["c quiet set true @2024-01-04T00:00:00.000Z time"])
  }

  @Test func aFirstOrderSaysWhatItLeaves() throws {
    let steps = Steps(try TestSettings.make(rules: Self.rules))
    let first = "@2024-01-01T00:00:00.000Z event"
    try steps.apply(
      order(.orderPaid, "o", "2024-01-01T00:00:00Z", amount: 100),
      says: [
        "c ageless set true \(first)", "c buyer set true \(first)", "c cartless set true \(first)",
        "c always set true \(first)", "c still set true \(first)",
      ])
  }
}
