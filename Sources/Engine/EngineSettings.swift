// What a task is told once and shares read-only: rules, model, calendar, limits, policies.

import CXXHash
import Customers
import Events
import Models
import Rules

/// Which clock a task follows (DESIGN: the clock of a task).
public enum ClockMode: String, Sendable {
  /// Event time only; never the wall: replay, demo, tests.
  case event
  /// The wall once caught up.
  case wall
}

/// How customers of different worth are to be treated: written into alerts.
public struct Treatment: Sendable, Equatable {
  public var name: String
  /// Life-long net revenue from which it applies.
  public var revenueAtLeast: Money
  public init(name: String, revenueAtLeast: Money) {
    self.name = name
    self.revenueAtLeast = revenueAtLeast
  }
}

/// When alerts are raised and how long they stand. Thresholds of probabilities belong to the model.
public struct AlertPolicy: Sendable, Equatable {
  public var enabled = true
  /// At most one alert is raised per customer in this span, and `respond_by` lies this far after the crossing.
  public var window = TimeSpan.hours(48)
  /// Silence after which an unarmed customer gets the `silent` alert.
  public var silentAfter = TimeSpan.days(30)
  /// An alert without an answer ends as `expired` this long after its crossing.
  public var expireAfter = TimeSpan.days(90)
  /// In falling order of revenue; the first that applies is written into the alert.
  public var treatments: [Treatment] = []
  /// Share of customers, in percent, whose alerts are marked `holdout` (by a hash of the id): not to be acted on.
  public var holdoutPercent = 0
  /// Alerts a second raised for customers who crossed while the task was catching up for the first time.
  public var backfillPerSecond = 100
  public init() {}
}

/// Everything a task shares read-only.
public struct EngineSettings: Sendable {
  /// Raise it whenever the same input would give other output.
  public static let engineVersion = 6

  public var rules: RuleSet
  /// Without one there are no `churn` and `lost` alerts; every customer is unarmed and gets `silent`.
  public var churn: ChurnModel?
  public var calendar: ZonedCalendar
  public var clockMode = ClockMode.wall
  public var alerts = AlertPolicy()
  public var records = RecordLimits()
  /// A customer silent for this long is evicted. At least `records.orderRetention`.
  public var retention = TimeSpan.days(1095)
  /// Reporting currency, for outputs: ISO 4217 code and its number of decimal places (0...4).
  public var currencyCode = "CNY"
  public var currencyExponent = 2
  /// Also write a customer's profile when it has changed, once an epoch.
  public var profiles = false
  /// Names for `Origin.topic`.
  public var topicNames: [String] = []
  /// Records re-evaluated per call of `advance` after the rules changed.
  public var sweepBatch = 2_000

  public init(rules: RuleSet, churn: ChurnModel?, calendar: ZonedCalendar) {
    self.rules = rules
    self.churn = churn
    self.calendar = calendar
  }

  /// A hash of what instants are reckoned with, beside the rules: model, alert policy, time zone. Never 0. Customers who were
  /// last looked at under another basis are due at instants that mean nothing any more.
  var basis: UInt64 {
    var numbers = churn.map { $0.numbers.map(\.bitPattern) } ?? []
    if alerts.enabled {
      numbers += [alerts.window, alerts.silentAfter, alerts.expireAfter].map { UInt64(bitPattern: $0.microseconds) }
    }
    let bytes = numbers.flatMap { number in (0..<8).map { UInt8(truncatingIfNeeded: number >> UInt64(8 * $0)) } }
    let all = bytes + Array(calendar.version.utf8)
    return max(1, all.withUnsafeBytes { tw_xxh3_64($0.baseAddress, $0.count, 0) })
  }
}

/// The settings in the form in which the hot path reads them: one reference, nothing to retain.
final class EngineContext {
  let settings: EngineSettings
  let records: RecordContext
  let clockMode: ClockMode
  let lateness: TimeSpan
  let retention: TimeSpan
  /// Rules that silence can flip.
  let timedSelection: RuleSelection
  let texts: RuleTexts
  /// For `Origin.topic`, as JSON strings; the last stands for any other.
  private let topicNames: UnsafeBufferPointer<UnsafeBufferPointer<UInt8>>

  init(_ settings: EngineSettings) {
    self.settings = settings
    clockMode = settings.clockMode
    lateness = settings.records.lateness
    retention = settings.retention
    records = RecordContext(calendar: settings.calendar, limits: settings.records)
    var timed = RuleSelection()
    for (index, rule) in settings.rules.rules.enumerated() where rule.isTimed { timed.insert(index) }
    timedSelection = timed
    texts = RuleTexts(settings.rules.rules, profile: ProfileFeatures.all)
    topicNames = UnsafeBufferPointer(
      copying: (settings.topicNames + [""]).map { name in
        var json = JSONWriter()
        json.string(name)
        return UnsafeBufferPointer(copying: json.bytes)
      })
  }

  deinit {
    for name in topicNames { name.deallocate() }
    topicNames.deallocate()
  }

  /// The topic's name as a JSON string.
  @inline(__always)
  func topicName(_ origin: Origin) -> UnsafeBufferPointer<UInt8> {
    topicNames[min(Int(origin.topic), topicNames.count - 1)]
  }
}
