// Who must be alerted when, found without solving for anything: every customer, every hour, state variables and the
// probabilities themselves. Written from the words at the top of Sources/Engine/Alerts.swift, not from its code.

import Customers
import Engine
import Events
import Models

/// One line of a customer's alert history.
struct AlertLine: Equatable, CustomStringConvertible {
  var kind: AlertKind
  var number: Int
  /// `raised`, `returned`, `corrected` or `expired`.
  var what: String
  var time: Instant
  var description: String { "\(kind.name) #\(number) \(what) \(instantText(time))" }
}

/// One customer's alerts by brute force.
struct AlertScan {
  let model: ChurnModel?
  let policy: AlertPolicy
  private(set) var lines: [AlertLine] = []
  private(set) var wasArmed = false

  private var history: PurchaseHistory?
  private var isArmed = false
  /// Kinds that had their alert in this silence.
  private var had: Set<AlertKind> = []
  private var open: [AlertKind: (number: Int, crossedAt: Instant)] = [:]
  private var raised = 0
  private var lastRaised: Instant?
  /// When the purchases last changed: nothing could be known of this silence before.
  private var judgedAt = Instant.distantPast
  /// Everything up to here has been looked at.
  private var looked = Instant.distantPast

  init(model: ChurnModel?, policy: AlertPolicy) {
    self.model = model
    self.policy = policy
  }

  /// Walks to `end` hour by hour.
  mutating func walk(to end: Instant) {
    while looked < end {
      if isIdle {
        looked = end
        return
      }
      look(at: min(end, looked + .hours(1)))
    }
  }

  /// The orders changed at `now`, to which the scan has walked: the purchases of the customer are now these.
  mutating func purchasesChanged(to new: PurchaseHistory?, at now: Instant) {
    let old = history
    history = new
    looked = now
    if old != new { judgedAt = now }
    if old?.last != new?.last {
      let returned = new.map { new in old.map { new.last > $0.last } ?? true } ?? false
      for kind in AlertKind.allCases { end(kind, as: returned ? "returned" : "corrected", at: now) }
      had = []
      judge()
    } else if let new, let model, old != new {
      // The same silence, seen in another light.
      if model.churnProbability(new, at: now) < model.clearThreshold {
        end(.churn, as: "corrected", at: now)
        had.remove(.churn)
        isArmed = true
        wasArmed = true
      } else if !had.contains(.churn) {
        judge()
      }
      if had.contains(.lost), model.deadProbability(new, at: now) < model.lostThreshold {
        end(.lost, as: "corrected", at: now)
        had.remove(.lost)
      }
    }
    look(at: now)
  }

  /// Whether the customer's last purchase was born below the clear or above the raise threshold; a first one arms wherever it is not above.
  private mutating func judge() {
    guard let history, let model else {
      isArmed = false
      return
    }
    let born = model.churnProbability(history, at: history.last)
    if born >= model.raiseThreshold { isArmed = false }
    if born < model.clearThreshold || history.repeats == 0 && born < model.raiseThreshold {
      isArmed = true
      wasArmed = true
    }
  }

  /// Nothing can happen any more in this silence.
  private var isIdle: Bool {
    open.isEmpty && !AlertKind.allCases.contains { isPossible($0) }
  }

  private func isPossible(_ kind: AlertKind) -> Bool {
    guard let history else { return false }
    switch kind {
    case .churn: return model != nil && isArmed && !had.contains(.churn)
    case .lost:
      guard let model, !had.contains(.lost) else { return false }
      return model.deadProbability(history, at: history.last) < model.lostThreshold
    case .silent: return !isArmed && !had.contains(.silent) && !had.contains(.churn)
    }
  }

  private func holds(_ kind: AlertKind, at instant: Instant) -> Bool {
    guard let history else { return false }
    switch kind {
    case .churn: return model.map { $0.churnProbability(history, at: instant) >= $0.raiseThreshold } ?? false
    case .lost: return model.map { $0.deadProbability(history, at: instant) >= $0.lostThreshold } ?? false
    case .silent: return instant >= history.last + policy.silentAfter
    }
  }

  /// One step of the scan: what became true since the last one?
  private mutating func look(at now: Instant) {
    defer { looked = now }
    while true {
      // Between two steps the order matters: whatever was first comes first.
      var first: (time: Instant, rank: Int, act: (inout AlertScan) -> Void)?
      func consider(_ time: Instant, _ rank: Int, _ act: @escaping (inout AlertScan) -> Void) {
        if first.map({ (time, rank) < ($0.time, $0.rank) }) ?? true { first = (time, rank, act) }
      }
      let respected = lastRaised.map { $0 + policy.window } ?? .distantPast
      for kind in AlertKind.allCases {
        guard let alert = open[kind] else { continue }
        let expiry = max(alert.crossedAt + policy.expireAfter, respected)
        if expiry <= now {
          consider(max(expiry, looked), 0) { $0.end(kind, as: "expired", at: max(expiry, $0.looked)) }
        }
      }
      for (rank, kind) in AlertKind.allCases.enumerated()
      where isPossible(kind) && holds(kind, at: now) && respected <= now {
        let time = max(respected, firstSecond(kind, from: looked, to: now))
        consider(time, 1 + rank) { $0.raise(kind, at: time) }
      }
      guard let first else { return }
      first.act(&self)
      looked = max(looked, first.time)
    }
  }

  /// The first whole second in [from, to] at which a condition that holds at `to` holds; `from` itself if it does there.
  private func firstSecond(_ kind: AlertKind, from: Instant, to: Instant) -> Instant {
    if holds(kind, at: from) { return from }
    var low = from.roundedUpToSecond.microseconds / 1_000_000 - 1
    var high = to.microseconds / 1_000_000
    while high - low > 1 {
      let middle = (low + high) / 2
      if holds(kind, at: Instant(seconds: middle)) { high = middle } else { low = middle }
    }
    return Instant(seconds: high)
  }

  private mutating func raise(_ kind: AlertKind, at now: Instant) {
    guard let history else { return }
    raised += 1
    lastRaised = now
    had.insert(kind)
    if kind == .churn { isArmed = false }
    let crossedAt = max(judgedAt, firstSecond(kind, from: history.last, to: now))
    open[kind] = (raised, crossedAt)
    lines.append(AlertLine(kind: kind, number: raised, what: "raised", time: now))
  }

  private mutating func end(_ kind: AlertKind, as what: String, at now: Instant) {
    guard let alert = open.removeValue(forKey: kind) else { return }
    lines.append(AlertLine(kind: kind, number: alert.number, what: what, time: now))
  }
}

extension AlertLine {
  init?(_ record: SaidRecord) {
    guard let kind = AlertKind.allCases.first(where: { $0.name == record.kind }), let number = record.alertNumber else {
      return nil
    }
    let what = record.status == "resolved" ? record.resolution : record.status
    self.init(kind: kind, number: number, what: what ?? "", time: at(record.emittedAt))
  }
}
