// `summary.json`, as documented in the README.

extension ReplaySummary {
  /// The document, ending in a line end. Elapsed time and rate are the only fields that differ between two runs.
  public func json(currency: String) -> String {
    let rate = elapsedSeconds > 0 ? Double(read) / elapsedSeconds : 0
    let reasons = rejectedBy.sorted { $0.key.rawValue < $1.key.rawValue }
      .map { "\"\($0.key.rawValue)\": \($0.value)" }.joined(separator: ", ")
    let overflows = overflows.named.map { "\"\($0.key)\": \($0.value)" }.joined(separator: ", ")
    return """
      {
        "events": {"read": \(read), "applied": \(applied), "duplicate": \(engine.duplicates), "late": \(engine.late), \
      "rejected": \(rejected)},
        "rejected_by": {\(reasons)},
        "overflows": {\(overflows)},
        "customers": \(customers.customers),
        "customers_with_order": \(customers.buyers),
        "customers_ever_armed": \(customers.everArmed),
        "orders": \(customers.paidOrders),
        "currency": "\(currency)",
        "revenue_minor": \(customers.netMinor),
        "gross_minor": \(customers.grossMinor),
        "tag_changes": \(engine.tagChanges),
        "shadow_changes": \(engine.shadowChanges),
        "alerts": {"raised": \(engine.raised), "resolved": \(engine.resolved), "expired": \(engine.expired), \
      "churn": \(engine.raisedChurn), "lost": \(engine.raisedLost), "silent": \(engine.raisedSilent), \
      "overdue": \(engine.overdue)},
        "state_digest": "\(hex(stateDigest))",
        "elapsed_seconds": \(rounded(elapsedSeconds)),
        "events_per_second": \(Int(rate))
      }

      """
  }
}

private func hex(_ value: UInt64) -> String {
  let digits = String(value, radix: 16)
  return String(repeating: "0", count: 16 - digits.count) + digits
}

private func rounded(_ seconds: Double) -> Double { (seconds * 1000).rounded() / 1000 }
