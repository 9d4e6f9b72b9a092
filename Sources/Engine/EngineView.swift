// A customer as the rules see it: the record's features, and the churn model's on top.

import Customers
import Events
import Models
import Rules

struct EngineView: FeatureSource {
  let customer: CustomerView
  /// Of the engine, which outlives the view: not counted, as in `CustomerView`.
  private let context: Unmanaged<EngineContext>

  init(customer: CustomerView, context: Unmanaged<EngineContext>) {
    self.customer = customer
    self.context = context
  }

  private var churn: ChurnModel? { context._withUnsafeGuaranteedRef { $0.settings.churn } }

  var now: Instant { customer.now }

  /// Empty without a purchase.
  var history: PurchaseHistory? {
    let totals = customer.record.totals
    guard totals.purchases > 0 else { return nil }
    return PurchaseHistory(first: totals.first, last: totals.last, repeats: Int(max(1, totals.purchaseDays)) - 1)
  }

  func number(_ feature: Feature) -> Double {
    switch feature {
    case .churnProbability:
      guard let history, let model = churn else { return .nan }
      return model.churnProbability(history, at: now)
    case .lostProbability:
      guard let history, let model = churn else { return .nan }
      return model.deadProbability(history, at: now)
    default: return customer.number(feature)
    }
  }

  func text(_ feature: Feature) -> UInt64 { customer.text(feature) }
  func at(_ instant: Instant) -> EngineView { EngineView(customer: customer.at(instant), context: context) }
  func nextStep(_ feature: Feature) -> Instant { customer.nextStep(feature) }
  func nextStep(_ feature: Feature, before limit: Instant) -> Instant { customer.nextStep(feature, before: limit) }

  func crossing(_ feature: Feature, threshold: Double) -> Instant {
    switch feature {
    case .churnProbability, .lostProbability:
      // Outside (0, 1) a probability is either always or never there.
      guard threshold > 0, threshold < 1, let history, let model = churn else { return .distantFuture }
      let found =
        feature == .churnProbability
        ? model.churnCrossing(history, of: threshold) : model.deadCrossing(history, of: threshold)
      guard case .at(let instant) = found, instant > now else { return .distantFuture }
      return instant
    default: return customer.crossing(feature, threshold: threshold)
    }
  }
}
