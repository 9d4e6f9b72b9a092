// The JSON of churn alerts, and the reasons that go with them.

import CXXHash
import Customers
import Events

extension EngineTask {
  mutating func writeAlert(
    _ kind: AlertKind, of index: CustomerIndex, number: UInt32, status: AlertStatus, crossedAt: Instant,
    respondBy: Instant, overdue: Bool, view: EngineView, cause: Cause
  ) {
    let id = view.customer.record.id
    let key = CustomerKey(id: id)
    let emittedAt = emission(at: view.now)
    let context = context
    let settings = context.settings
    profileChanged(index)
    let revenue = view.customer.record.totals.netMinor
    let treatment = settings.alerts.treatments.first { revenue >= $0.revenueAtLeast.minorUnits }
    outputs.append(.churnAlerts, key: id, emittedAt: emittedAt, json: &json) { json, _ in
      json.literal("a-")
      key.write(to: &json)
      json.literal("-")
      json.decimal(Int64(number))
      json.literal("-")
      json.literal(status.name)
    } value: { json in
      json.literal("{\"alert_id\":\"")
      key.write(to: &json)
      json.literal("-")
      json.decimal(Int64(number))
      json.literal("\",\"customer\":")
      json.string(id)
      json.key("kind")
      json.string(kind.name)
      json.key("status")
      json.string(status.name)
      json.key("crossed_at")
      json.instant(crossedAt)
      json.key("emitted_at")
      json.instant(emittedAt)
      json.key("respond_by")
      json.instant(respondBy)
      if overdue {
        json.key("overdue")
        json.bool(true)
      }
      switch kind {
      case .churn, .lost:
        json.key("probability")
        json.rounded(view.number(kind == .churn ? .churnProbability : .lostProbability))
        json.key("threshold")
        json.double((kind == .churn ? settings.churn?.raiseThreshold : settings.churn?.lostThreshold) ?? .nan)
        json.key("horizon_days")
        json.double(Double(settings.churn?.horizon.microseconds ?? 0) / 86_400_000_000)
        json.key("model")
        json.string(settings.churn?.version ?? "none")
      case .silent:
        json.key("silent_days")
        json.double(view.number(.daysSinceLastOrder))
        json.key("threshold_days")
        json.double(Double(settings.alerts.silentAfter.microseconds) / 86_400_000_000)
      }
      switch status {
      case .raised:
        json.key("reasons")
        json.reasons(view: view, context: context)
        if let treatment {
          json.key("treatment")
          json.string(treatment.name)
        }
        json.key("holdout")
        json.bool(key.hash.low % 100 < UInt64(max(0, settings.alerts.holdoutPercent)))
      case .resolved:
        json.key("resolution")
        json.string("returned")
      case .withdrawn:
        json.key("resolution")
        json.string("corrected")
      case .expired: break
      }
      json.key("cause")
      cause.write(to: &json, context: context, backfill: cause.isBackfill)
      json.endObject()
    }
  }
}

extension JSONWriter {
  /// At most three, the most telling first, each with the number behind it.
  fileprivate mutating func reasons(view: EngineView, context: EngineContext) {
    beginArray()
    var left = 3
    func number(_ feature: Feature) -> Double { view.number(feature) }
    func say(_ code: StaticString, _ value: Double, usual: Double = .nan, to json: inout JSONWriter) {
      if left == 0 { return }
      left -= 1
      json.beginObject()
      json.key("code")
      json.string(code)
      json.key("value")
      json.rounded(value)
      if !usual.isNaN {
        json.key("usual")
        json.rounded(usual)
      }
      json.endObject()
    }
    let silence = number(.daysSinceLastOrder)
    let gap = number(.ordersMeanGapDays)
    if gap.isNaN || silence > gap { say("silence_days", silence, usual: gap, to: &self) }
    if number(.ordersCount(.life)) == 1 { say("single_purchase", 1, to: &self) }
    if number(.eventCount(.supportTicket, days: 90)) > 0 {
      say("support_tickets_90d", number(.eventCount(.supportTicket, days: 90)), to: &self)
    }
    if number(.refundRate) > 0 { say("refund_rate", number(.refundRate), to: &self) }
    if number(.ordersGrowth(days: 90)) < 0 { say("spend_growth_90d", number(.ordersGrowth(days: 90)), to: &self) }
    let seen = number(.daysSinceLastSeen)
    if seen >= 14 { say("unseen_days", seen, to: &self) }
    endArray()
  }
}
