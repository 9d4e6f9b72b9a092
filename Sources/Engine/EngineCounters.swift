// What a task has done, for metrics and summaries. Part of the state: counts go on after a restart.

import Customers

public struct EngineCounters: Sendable, Equatable {
  public var applied = 0
  public var late = 0
  public var duplicates = 0
  /// Behind the lateness horizon: dead letters.
  public var tooLate = 0
  public var tagChanges = 0
  /// Changes of shadow rules: computed, not emitted.
  public var shadowChanges = 0
  /// By `AlertKind.rawValue`.
  public var raisedChurn = 0
  public var raisedLost = 0
  public var raisedSilent = 0
  public var resolved = 0
  public var expired = 0
  /// Emitted after their `respond_by`: broken promises.
  public var overdue = 0
  public var timersFired = 0
  public init() {}

  public var raised: Int { raisedChurn + raisedLost + raisedSilent }

  /// Adds those of another task.
  public mutating func add(_ other: EngineCounters) {
    applied += other.applied
    late += other.late
    duplicates += other.duplicates
    tooLate += other.tooLate
    tagChanges += other.tagChanges
    shadowChanges += other.shadowChanges
    raisedChurn += other.raisedChurn
    raisedLost += other.raisedLost
    raisedSilent += other.raisedSilent
    resolved += other.resolved
    expired += other.expired
    overdue += other.overdue
    timersFired += other.timersFired
  }
}

/// Sums over all customers of a task, computed by a pass over the table.
public struct CustomerSums: Sendable, Equatable {
  public var customers = 0
  /// Customers with at least one paid order.
  public var buyers = 0
  public var paidOrders = 0
  public var grossMinor: Int64 = 0
  public var netMinor: Int64 = 0
  /// Buyers who were armed for `churn` at least once.
  public var everArmed = 0
  public init() {}

  /// Adds those of another task.
  public mutating func add(_ other: CustomerSums) {
    customers += other.customers
    buyers += other.buyers
    paidOrders += other.paidOrders
    grossMinor &+= other.grossMinor
    netMinor &+= other.netMinor
    everArmed += other.everArmed
  }
}
