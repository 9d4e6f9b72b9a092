// What the demo has seen come out of Tidewatch: counts, the latest few, and how right the alerts were. Pure.

import Engine
import Events

/// Everything read from the output topics. Fed record by record, as the topics' readers would see them.
public struct DemoBoard: Sendable {
  public static let recentCount = 8

  public private(set) var tagChanges = 0
  /// Changes by tag, most frequent first when shown.
  public private(set) var byTag: [(name: String, count: Int)] = []
  public private(set) var raisedChurn = 0
  public private(set) var raisedLost = 0
  public private(set) var raisedSilent = 0
  /// The customer came back.
  public private(set) var resolved = 0
  public private(set) var expired = 0
  public private(set) var deadLetters = 0
  public private(set) var byReason: [(name: String, count: Int)] = []
  /// Records that could not be understood; 0 unless something is wrong with this program.
  public private(set) var unreadable = 0
  public var judge: AlertJudge
  /// The latest, as raw records, oldest first.
  private var recentChanges = Ring(DemoBoard.recentCount)
  private var recentAlertRecords = Ring(DemoBoard.recentCount)

  public init(_ settings: ShopSettings, horizon: TimeSpan) {
    judge = AlertJudge(settings, horizon: horizon)
  }

  public var raised: Int { raisedChurn + raisedLost + raisedSilent }

  /// One record of an output topic.
  public mutating func take(_ topic: OutputTopic, _ value: UnsafeRawBufferPointer) {
    let fields = JSONFields(value)
    switch topic {
    case .tagChanges:
      guard let tag = fields.string("tag") else { return countUnreadable() }
      tagChanges += 1
      Self.count(tag, in: &byTag)
      recentChanges.append(value)
    case .churnAlerts: takeAlert(fields, value)
    case .deadLetters:
      guard let reason = fields.string("reason") else { return countUnreadable() }
      deadLetters += 1
      Self.count(reason, in: &byReason)
    case .profiles: break
    }
  }

  private mutating func takeAlert(_ fields: JSONFields, _ value: UnsafeRawBufferPointer) {
    let kind: AlertJudge.Kind
    switch fields.text("kind") {
    case "churn": kind = .churn
    case "lost": kind = .lost
    case "silent": kind = .silent
    default: return countUnreadable()
    }
    guard let id = fields.string("customer"), let customer = ShopCustomerID.number(in: id),
      let status = fields.text("status"), let emitted = fields.text("emitted_at").flatMap(Self.instant)
    else { return countUnreadable() }
    // Those that only ran out would crowd out the news.
    if status != "expired" { recentAlertRecords.append(value) }
    switch status {
    case "raised":
      switch kind {
      case .churn: raisedChurn += 1
      case .lost: raisedLost += 1
      case .silent: raisedSilent += 1
      }
      judge.raised(kind, customer: customer, at: emitted)
    case "resolved":
      resolved += 1
      judge.resolved(kind, customer: customer)
    case "expired": expired += 1
    default: break
    }
  }

  private mutating func countUnreadable() { unreadable += 1 }

  private static func count(_ name: UnsafeRawBufferPointer, in counts: inout [(name: String, count: Int)]) {
    if let index = counts.firstIndex(where: { $0.name.utf8.elementsEqual(name) }) {
      counts[index].count += 1
    } else {
      counts.append((String(decoding: name, as: UTF8.self), 1))
    }
  }

  /// `2026-03-01T12:34:56Z`, with or without a fraction; nil for anything else.
  static func instant(_ text: String) -> Instant? {
    let bytes = Array(text.utf8)
    guard bytes.count >= 20, bytes.last == UInt8(ascii: "Z") else { return nil }
    func number(_ range: Range<Int>) -> Int? { Int(String(decoding: bytes[range], as: UTF8.self)) }
    guard let year = number(0..<4), let month = number(5..<7), let day = number(8..<10), let hour = number(11..<13),
      let minute = number(14..<16), let second = number(17..<19)
    else { return nil }
    let days = Int64(CivilDate(year: year, month: month, day: day).daysSinceEpoch)
    var microseconds: Int64 = 0
    if bytes[19] == UInt8(ascii: ".") {
      let digits = (String(decoding: bytes[20..<bytes.count - 1], as: UTF8.self) + "000000").prefix(6)
      microseconds = Int64(digits) ?? 0
    }
    let seconds = days * 86_400 + Int64(hour * 3_600 + minute * 60 + second)
    return Instant(seconds: seconds) + TimeSpan(microseconds: microseconds)
  }

  // MARK: For people

  /// `05-03 08:14  c-000123  rfm.segment: loyal -> at_risk  (silence)`, newest first.
  public var recentTagChanges: [String] {
    recentChanges.newestFirst { record in
      let fields = JSONFields(record)
      let change: String
      switch (fields.shown("old"), fields.shown("new")) {
      case (nil, "true"?): change = "set"
      case ("true"?, nil): change = "unset"
      case (let old, let new): change = "\(old ?? "(none)") -> \(new ?? "(none)")"
      }
      return "\(Self.moment(fields.text("effective_at")))  \(fields.shown("customer") ?? "?")  "
        + "\(fields.shown("tag") ?? "?"): \(change)  (\(Self.cause(fields.object("cause"))))"
    }
  }

  /// Newest first.
  public var recentAlerts: [String] {
    recentAlertRecords.newestFirst { record in
      let fields = JSONFields(record)
      var text =
        "\(Self.moment(fields.text("emitted_at")))  \(fields.shown("customer") ?? "?")  "
        + "\(fields.shown("kind") ?? "?") \(fields.shown("status") ?? "?")"
      if fields.text("status") == "raised" {
        if let probability = fields.number("probability") { text += "  p = \(Self.hundredths(probability))" }
        if let days = fields.number("silent_days") { text += "  silent for \(Int(days)) days" }
        text += "  answer by \(Self.moment(fields.text("respond_by")))"
        // A late correction: with the order taken back, the customer had been silent for long.
        if fields.isTrue("overdue") { text += " (overdue)" }
      }
      return text
    }
  }

  private static func moment(_ text: String?) -> String {
    guard let text, text.utf8.count >= 16 else { return "?" }
    let bytes = Array(text.utf8)
    return String(decoding: bytes[5..<10], as: UTF8.self) + " " + String(decoding: bytes[11..<16], as: UTF8.self)
  }

  private static func cause(_ cause: JSONFields?) -> String {
    guard let cause, let kind = cause.text("kind") else { return "?" }
    let event = cause.text("event_id").map { " \($0)" } ?? ""
    switch kind {
    case "event": return "event\(event)"
    case "time": return "silence"
    case "refund": return "refund\(event)"
    case "late": return "late event\(event)"
    default: return kind
    }
  }

  private static func hundredths(_ value: Double) -> String {
    let hundredths = Int((value * 100).rounded())
    return "\(hundredths / 100).\(hundredths / 10 % 10)\(hundredths % 10)"
  }
}

/// The last few records.
private struct Ring: Sendable {
  private var records: [[UInt8]] = []
  private var next = 0
  private let capacity: Int

  init(_ capacity: Int) { self.capacity = capacity }

  mutating func append(_ record: UnsafeRawBufferPointer) {
    if records.count < capacity {
      records.append(Array(record))
    } else {
      records[next].removeAll(keepingCapacity: true)
      records[next].append(contentsOf: record)
    }
    next = (next + 1) % capacity
  }

  func newestFirst(_ describe: (UnsafeRawBufferPointer) -> String) -> [String] {
    (0..<records.count).map { age in records[(next - 1 - age + capacity) % capacity].withUnsafeBytes(describe) }
  }
}
