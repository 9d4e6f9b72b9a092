// What all tag changes of one occasion say alike: written once, copied into each. An order changes ten tags at a time.

import Events
import Rules

/// One customer at one instant for one reason: its changes differ in their tags only. Made anew for every occasion, and
/// handed from change to change.
struct ChangeOccasion {
  let cause: Cause
  let late: Bool
  /// Whether the texts are those of this occasion: nothing is written while no tag changes.
  fileprivate(set) var isWritten = false

  init(cause: Cause, late: Bool) {
    self.cause = cause
    self.late = late
  }
}

/// The texts of the occasion at hand, in memory that stays.
struct OccasionTexts: ~Copyable {
  private var json = JSONWriter()
  /// Where each text ends; it begins where the one before it does.
  private var ends = (customer: 0, instants: 0, cause: 0, id: 0)

  /// - Parameter emittedAt: when it is said, where `view.now` is when it took effect.
  mutating func write(
    _ occasion: inout ChangeOccasion, view: EngineView, emittedAt: Instant, backfill: Bool, context: EngineContext
  ) {
    if occasion.isWritten { return }
    occasion.isWritten = true
    let customer = view.customer.record.id
    json.removeAll()
    json.literal("{\"customer\":")
    json.string(customer)
    ends.customer = json.count
    json.literal(",\"effective_at\":")
    json.instant(view.now)
    json.literal(",\"emitted_at\":")
    json.instant(emittedAt)
    json.literal(",\"sequence\":")
    ends.instants = json.count
    if occasion.late { json.literal(",\"late\":true") }
    json.literal(",\"cause\":")
    occasion.cause.write(to: &json, context: context, backfill: backfill)
    json.literal(",\"values\":{")
    ends.cause = json.count
    json.literal("t-")
    CustomerKey(id: customer).write(to: &json)
    json.literal("-")
    ends.id = json.count
  }

  /// `{"customer":"c-1"`
  @inline(__always)
  func customer(to target: inout JSONWriter) { copy(0, ends.customer, to: &target) }
  /// From `,"effective_at":` to `"sequence":`.
  @inline(__always)
  func instants(to target: inout JSONWriter) { copy(ends.customer, ends.instants, to: &target) }
  /// From `,"late":` or `,"cause":` to `"values":{`.
  @inline(__always)
  func cause(to target: inout JSONWriter) { copy(ends.instants, ends.cause, to: &target) }
  /// The CloudEvents id of a change, but for its sequence number.
  @inline(__always)
  func id(to target: inout JSONWriter) { copy(ends.cause, ends.id, to: &target) }

  @inline(__always)
  private func copy(_ start: Int, _ end: Int, to target: inout JSONWriter) {
    guard let base = json.bytes.baseAddress else { return }
    target.literal(padded: base + start, count: end - start)
  }
}
