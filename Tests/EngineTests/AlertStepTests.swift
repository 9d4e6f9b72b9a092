// Alerts step by step: the window of 48 hours, returns, expiry, corrections, and the start of a live task.

import Customers
import Engine
import Events
import Models
import ReferenceTesting
import Rules
import Testing

struct AlertStepTests {
  /// A customer of three purchases a week apart, and the instants it crosses at.
  private static let purchases = ["2026-01-01T00:00:00Z", "2026-01-08T00:00:00Z", "2026-01-15T00:00:00Z"]
  private static let history = PurchaseHistory(first: at(purchases[0]), last: at(purchases[2]), repeats: 2)

  private static func model(lost: Double = 0.6) throws -> ChurnModel {
    try ChurnModel(
      parameters: ChurnModelPreset.cdnow.parameters, horizon: .days(180), version: "test", lost: lost)
  }

  private static func crossing(_ crossing: Crossing) throws -> Instant {
    guard case .at(let instant) = crossing else { throw NoCrossing() }
    return instant
  }
  private struct NoCrossing: Error {}

  private static func line(_ kind: String, _ what: String, _ number: Int, _ instant: Instant, _ cause: String = "time")
    -> String
  {
    "c \(kind) \(what) #\(number) @\(instantText(instant)) \(cause)"
  }

  private func buy(_ steps: Steps, says last: [String] = []) throws {
    for (number, time) in Self.purchases.enumerated() {
      try steps.apply(order(.orderPaid, "o\(number)", time, amount: 1000), says: number == 2 ? last : [])
    }
  }

  @Test func churnThenLostThenBack() throws {
    let model = try Self.model()
    let steps = Steps(try TestSettings.make(churn: model), alerts: true)
    try buy(steps)
    let churn = try Self.crossing(model.raiseCrossing(Self.history))
    let lost = try Self.crossing(model.lostCrossing(Self.history))
    try #require(churn + .days(3) < lost)
    try steps.advance(to: instantText(churn + .seconds(-1)), says: [])
    let raised = try steps.advance(to: instantText(churn), says: [Self.line("churn", "raised", 1, churn)])
    #expect(raised.first?.crossedAt == instantText(churn))
    #expect(raised.first?.respondBy == instantText(churn + .hours(48)))
    #expect(raised.first?.overdue == nil)
    try steps.advance(to: instantText(lost), says: [Self.line("lost", "raised", 2, lost)])
    let back = lost + .days(2)
    let resolved = try steps.apply(
      order(.orderPaid, "back", instantText(back), amount: 1),
      says: [Self.line("churn", "resolved", 1, back, "event"), Self.line("lost", "resolved", 2, back, "event")])
    #expect(resolved.map(\.resolution) == ["returned", "returned"])
    #expect(steps.task.counters.raised == 2 && steps.task.counters.resolved == 2)
  }

  @Test func aSecondAlertWaitsForTheWindow() throws {
    let usual = try Self.model()
    let churn = try Self.crossing(usual.raiseCrossing(Self.history))
    // Lost ten hours after churn.
    let model = try Self.model(lost: usual.deadProbability(Self.history, at: churn + .hours(10)))
    let lost = try Self.crossing(model.lostCrossing(Self.history))
    try #require(lost > churn && lost <= churn + .hours(10))
    for returns in [false, true] {
      let steps = Steps(try TestSettings.make(churn: model), alerts: true)
      try buy(steps)
      try steps.advance(to: instantText(churn + .hours(47)), says: [Self.line("churn", "raised", 1, churn)])
      if returns {
        let back = churn + .hours(47) + .minutes(30)
        try steps.apply(
          order(.orderPaid, "back", instantText(back), amount: 1),
          says: [Self.line("churn", "resolved", 1, back, "event")])
        try steps.advance(to: instantText(churn + .days(5)), says: [])
      } else {
        let waited = try steps.advance(
          to: instantText(churn + .days(5)), says: [Self.line("lost", "raised", 2, churn + .hours(48))])
        #expect(waited.first?.crossedAt == instantText(lost))
        #expect(waited.first?.respondBy == instantText(lost + .hours(48)))
      }
    }
  }

  @Test func withoutAModelThereIsSilence() throws {
    let steps = Steps(try TestSettings.make(), alerts: true)
    try buy(steps)
    let silent = at(Self.purchases[2]) + .days(30)
    try steps.advance(to: instantText(silent), says: [Self.line("silent", "raised", 1, silent)])
    let expired = silent + .days(90)
    try steps.advance(to: instantText(expired + .days(400)), says: [Self.line("silent", "expired", 1, expired)])
  }

  @Test func whoIsBornAboveTheThresholdIsUnarmed() throws {
    // One purchase: with these parameters and 60 days ahead it is born above 0.60.
    let model = try ChurnModelPreset.cdnow.model(horizon: .days(60))
    let only = PurchaseHistory(first: at(Self.purchases[0]), last: at(Self.purchases[0]), repeats: 0)
    try #require(model.raiseCrossing(only) == .already)
    let steps = Steps(try TestSettings.make(churn: model), alerts: true)
    try steps.apply(order(.orderPaid, "o", Self.purchases[0], amount: 1), says: [])
    let silent = at(Self.purchases[0]) + .days(30)
    try steps.advance(to: instantText(silent), says: [Self.line("silent", "raised", 1, silent)])
    #expect(steps.task.sums().everArmed == 0)
  }

  @Test("MODELS: unarmed is who is born above the threshold, not who begins between it and the clear threshold")
  func aFirstPurchaseBornInBetweenArms() throws {
    let model = try ChurnModelPreset.cdnow.model(horizon: .days(310))
    let only = PurchaseHistory(first: at(Self.purchases[0]), last: at(Self.purchases[0]), repeats: 0)
    let born = model.churnProbability(only, at: only.last)
    try #require(born >= model.clearThreshold && born < model.raiseThreshold)
    let churn = try Self.crossing(model.raiseCrossing(only))
    let steps = Steps(try TestSettings.make(churn: model), alerts: true)
    try steps.apply(order(.orderPaid, "o", Self.purchases[0], amount: 1), says: [])
    try steps.advance(to: instantText(churn), says: [Self.line("churn", "raised", 1, churn)])
    #expect(steps.task.sums().everArmed == 1)
  }

  @Test func aCancelledOrderTakesTheSilenceBack() throws {
    let steps = Steps(try TestSettings.make(), alerts: true)
    try buy(steps)
    let silent = at(Self.purchases[2]) + .days(30)
    try steps.advance(to: instantText(silent), says: [Self.line("silent", "raised", 1, silent)])
    let cancelled = silent + .days(1)
    // The silence is a week older now; its alert waits until the window is over.
    let corrected = try steps.apply(
      order(.orderCancelled, "o2", instantText(cancelled)),
      says: [Self.line("silent", "resolved", 1, cancelled, "refund")])
    #expect(corrected.first?.resolution == "corrected")
    let again = try steps.advance(
      to: instantText(silent + .hours(48)), says: [Self.line("silent", "raised", 2, silent + .hours(48))])
    // Dated by the cancellation: before it nobody could have answered.
    #expect(again.first?.crossedAt == instantText(cancelled))
    #expect(again.first?.respondBy == instantText(cancelled + .hours(48)))
    #expect(steps.task.counters.overdue == 0)
  }

  @Test func aStartIsHeldBackAndThenRaisedAtACappedRate() throws {
    var settings = try TestSettings.make(
      rules: """
        version: 1
        tags:
          - { name: sleeping, layer: value, when: orders.days_since_last >= 20 }
        """, clockMode: .wall)
    settings.alerts.backfillPerSecond = 1
    let steps = Steps(settings, alerts: true)
    for id in ["a", "b", "c", "d"] {
      try steps.apply(order(.orderPaid, "o", "2026-01-01T00:00:00Z", id, amount: 1), says: [])
    }
    let slept = try steps.advance(
      to: "2026-04-20T00:00:00Z",
      says: ["a", "b", "c", "d"].map { "\($0) sleeping set true @2026-01-21T00:00:00.000Z time" })
    #expect(slept.allSatisfy { $0.cause.backfill == true })
    steps.caughtUp()
    let first = try steps.advance(
      to: "2026-04-20T00:00:05Z", says: ["a silent raised #1 @2026-04-20T00:00:05.000Z backfill"])
    #expect(first.first?.crossedAt == "2026-01-31T00:00:00.000Z")
    #expect(first.first?.respondBy == "2026-04-22T00:00:05.000Z")
    #expect(first.first?.overdue == nil && first.first?.cause.backfill == true)
    // One a second, and the second is that of the clock.
    try steps.advance(to: "2026-04-20T00:00:05Z", says: [])
    // Back before its turn: nothing to be raised. The others keep their place, also over a restart.
    try steps.apply(
      order(.orderPaid, "o2", "2026-04-20T00:00:06Z", "b", amount: 1),
      says: ["b sleeping unset - @2026-04-20T00:00:06.000Z event"])
    try steps.restart()
    try steps.advance(to: "2026-04-20T00:00:07Z", says: ["c silent raised #1 @2026-04-20T00:00:07.000Z backfill"])
    try steps.apply(event(.login, "2026-04-20T00:00:07Z", "d"), says: [])
    try steps.advance(to: "2026-04-20T00:00:09Z", says: ["d silent raised #1 @2026-04-20T00:00:09.000Z backfill"])
    // Crossed on 31 January, expired 90 days later; said when the clock gets there.
    let expired = try steps.advance(
      to: "2026-05-09T00:00:00Z",
      says: ["a", "c", "d"].map { "\($0) silent expired #1 @2026-05-09T00:00:00.000Z time" })
    #expect(expired.allSatisfy { $0.status == "expired" })
    // From here on alerts are live.
    try steps.advance(
      to: "2026-05-20T00:00:06Z",
      says: [
        "b sleeping set true @2026-05-10T00:00:06.000Z time", "b silent raised #1 @2026-05-20T00:00:06.000Z time",
      ])
  }

  @Test func whatWaitsForTheWindowAfterBackfillIsBackfillToo() throws {
    let steps = Steps(try TestSettings.make(churn: Self.model(), clockMode: .wall), alerts: true)
    try steps.apply(order(.orderPaid, "o", "2026-01-01T00:00:00Z", amount: 1), says: [])
    try steps.advance(to: "2026-10-01T00:00:00Z", says: [])
    steps.caughtUp()
    let first = try steps.advance(
      to: "2026-10-01T00:00:01.25Z", says: ["c lost raised #1 @2026-10-01T00:00:01.250Z backfill"])
    #expect(first.first?.respondBy == "2026-10-03T00:00:02.000Z")
    try steps.restart()
    let second = try steps.advance(
      to: "2026-10-03T00:00:02Z", says: ["c silent raised #2 @2026-10-03T00:00:02.000Z backfill"])
    #expect(second.first?.crossedAt == "2026-01-31T00:00:00.000Z")
    #expect(second.first?.respondBy == "2026-10-05T00:00:02.000Z" && second.first?.overdue == nil)
    #expect(second.first?.cause.backfill == true && steps.task.counters.overdue == 0)
    let ended = try steps.apply(
      order(.orderPaid, "o2", "2026-10-04T00:00:00Z", amount: 1),
      says: [
        "c lost resolved #1 @2026-10-04T00:00:00.000Z event", "c silent resolved #2 @2026-10-04T00:00:00.000Z event",
      ])
    #expect(ended.map(\.respondBy) == ["2026-10-03T00:00:02.000Z", "2026-10-05T00:00:02.000Z"])
  }

  @Test func aBackfilledAlertStandsUntilItsTimeToRespondIsUp() throws {
    let steps = Steps(try TestSettings.make(clockMode: .wall), alerts: true)
    try buy(steps)
    try steps.advance(to: "2027-06-01T00:00:00Z", says: [])
    steps.caughtUp()
    try steps.advance(to: "2027-06-01T00:00:01Z", says: ["c silent raised #1 @2027-06-01T00:00:01.000Z backfill"])
    try steps.advance(to: "2027-06-03T00:00:00Z", says: [])
    try steps.advance(to: "2027-06-03T00:00:01Z", says: ["c silent expired #1 @2027-06-03T00:00:01.000Z time"])
  }
}
