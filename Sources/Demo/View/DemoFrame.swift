// One moment of the demo as text: a screen for terminals, a line for logs, a summary for the end. Pure.

import Events

/// What a view of the demo shows at one moment, but for what stands on the board.
public struct DemoStatus: Sendable {
  public enum Phase: Sendable, Equatable {
    /// Something that takes a while, in words.
    case starting(String)
    /// Loading the shop's history as fast as it is taken.
    case history
    case live
    case ended
  }
  public var phase = Phase.starting("starting")
  /// Since the start, in seconds.
  public var elapsed = 0.0
  public var duration: Double?
  public var opening = Instant(seconds: 0)
  /// How far the shop's records have been sent.
  public var shopTime = Instant(seconds: 0)
  /// How far they have been read: the least of Tidewatch's clocks.
  public var readTime = Instant(seconds: 0)
  /// Where the history ends and the days at `daysPerSecond` begin.
  public var historyEnd = Instant(seconds: 0)
  public var daysPerSecond = 1.0
  public var produced = 0
  /// Read by Tidewatch.
  public var consumed = 0
  public var duplicates = 0
  public var late = 0
  /// Over the last moments.
  public var eventsPerSecond = 0.0
  public var customers = 0
  public var raiseThreshold = 0.6
  /// Something that should be known, for instance that a part halted.
  public var warning = ""
  public init() {}
}

public enum DemoFrame {
  // MARK: The screen

  /// Lines of at most `width` columns and at most `height` of them.
  public static func screen(_ status: DemoStatus, _ board: DemoBoard, width: Int, height: Int) -> [String] {
    var lines: [String] = []
    lines.append("Tidewatch demo: a synthetic shop through an embedded Kafka broker" + clock(status))
    lines.append("")
    lines.append(headline(status))
    lines.append(
      "events  \(grouped(status.consumed)) read of \(grouped(status.produced)) sent  \(grouped(Int(status.eventsPerSecond)))/s"
        + "  \(grouped(status.duplicates)) duplicates  customers \(grouped(status.customers))")
    if !status.warning.isEmpty { lines.append("WARNING  \(status.warning)") }
    lines.append("")
    lines.append("tag changes  \(grouped(board.tagChanges))")
    lines += columns(sorted(board.byTag), width: width, rows: 4)
    lines.append("")
    lines.append("dead letters  \(grouped(board.deadLetters))")
    lines += columns(sorted(board.byReason), width: width, rows: 2)
    lines.append("")
    lines.append(
      "alerts  raised \(grouped(board.raised)) (churn \(grouped(board.raisedChurn)), lost \(grouped(board.raisedLost)), "
        + "silent \(grouped(board.raisedSilent)))  came back \(grouped(board.resolved))")
    lines += verdict(status, board).map { "  " + $0 }
    // What is left goes to the latest, in equal parts.
    let room = max(4, height - lines.count - 5)
    lines.append("")
    lines.append("latest tag changes (shop time)")
    lines += board.recentTagChanges.prefix(max(2, room - room / 2)).map { "  " + $0 }
    lines.append("")
    lines.append("latest alerts")
    lines += board.recentAlerts.prefix(max(2, room / 2)).map { "  " + $0 }
    return lines.prefix(max(1, height)).map { String($0.prefix(max(1, width))) }
  }

  private static func clock(_ status: DemoStatus) -> String {
    let elapsed = "\(Int(status.elapsed)) s"
    guard let duration = status.duration else { return "   \(elapsed), Ctrl-C ends it" }
    return "   \(elapsed) of \(Int(duration)) s"
  }

  /// What goes on, in a sentence.
  static func headline(_ status: DemoStatus) -> String {
    let date = self.date(status.readTime)
    switch status.phase {
    case .starting(let what): return what
    case .history:
      let whole = (status.historyEnd - status.opening).wholeDays
      let done = min(whole, (status.readTime - status.opening).wholeDays)
      return "shop date \(date)  loading the shop's history: day \(done) of \(whole), as fast as it goes"
    case .live: return "shop date \(date)  \(speed(status.daysPerSecond)) of the shop a second"
    case .ended: return "shop date \(date)  finished"
    }
  }

  private static func speed(_ days: Double) -> String {
    days == 1 ? "one day" : days < 1 ? "\(Int((days * 24).rounded())) hours" : "\(fixed(days)) days"
  }

  /// How right the alerts are, in sentences that say what right means.
  static func verdict(_ status: DemoStatus, _ board: DemoBoard) -> [String] {
    let judge = board.judge
    let days = judge.horizon.wholeDays
    guard let share = judge.churn.share else { return ["no churn alert yet"] }
    var lines = [
      "right: \(grouped(judge.churn.right)) of \(grouped(judge.churn.all)) churn alerts (\(percent(share))): "
        + "the customer truly buys nothing in the next \(days) days"
    ]
    if let base = judge.base.share {
      lines.append(
        "at random: \(percent(base)) of customers without an alert, picked at the same moments; "
          + "promised: \(percent(status.raiseThreshold)), the threshold")
    }
    return lines
  }

  // MARK: Lines

  /// One line for a log.
  public static func line(_ status: DemoStatus, _ board: DemoBoard) -> String {
    var text = "demo: \(Int(status.elapsed)) s: "
    if case .starting(let what) = status.phase { return text + what + ", \(grouped(status.produced)) events sent" }
    text += headline(status)
    text +=
      "; \(grouped(status.consumed)) events (\(grouped(Int(status.eventsPerSecond)))/s), \(grouped(status.customers)) "
      + "customers, \(grouped(board.tagChanges)) tag changes, \(grouped(board.raised)) alerts raised"
    if let share = board.judge.churn.share { text += ", \(percent(share)) of churn alerts right" }
    text += ", \(grouped(board.deadLetters)) dead letters"
    if !status.warning.isEmpty { text += "; WARNING \(status.warning)" }
    return text
  }

  /// The last words. The first line is for programs to read: numbers without separators.
  public static func summary(_ status: DemoStatus, _ board: DemoBoard) -> [String] {
    var board = board
    let judge = board.judge
    let days = judge.horizon.wholeDays
    let judged = judge.churn.share.map { " (\(percent($0)))" } ?? ""
    var lines = [
      "demo: \(status.consumed) events, \(board.tagChanges) tag changes, \(board.raised) alerts raised "
        + "(churn \(board.raisedChurn), lost \(board.raisedLost), silent \(board.raisedSilent)), "
        + "\(judge.churn.right) of \(judge.churn.all) judged churn alerts right\(judged), "
        + "\(board.deadLetters) dead letters"
    ]
    let end = status.shopTime
    lines.append(
      "demo: \((end - status.opening).wholeDays) days of the shop, \(date(status.opening)) to \(date(end)), "
        + "\(status.customers) customers, \(status.duplicates) duplicates counted once")
    if let base = judge.base.share {
      lines.append(
        "demo: right means that the customer truly buys nothing in the \(days) days after the alert. The rule promises "
          + "\(percent(status.raiseThreshold)), its threshold; of customers without an alert, picked at random at the "
          + "same moments, \(percent(base)) buy nothing")
    }
    if judge.churn.all > 0 {
      let silence = judge.silenceDays / Double(judge.churn.all)
      lines.append("demo: churn alerts came \(fixed(silence)) days after the last order on average")
    }
    let found = board.judge.found(at: end)
    if let share = found.share {
      lines.append(
        "demo: of \(found.all) customers who had left for good at least \(days) days before the end, \(found.right) "
          + "(\(percent(share))) had been alerted since")
    }
    if let share = judge.lost.share {
      lines.append("demo: \(judge.lost.right) of \(judge.lost.all) lost alerts right (\(percent(share))): truly left")
    }
    if board.byReason.count > 0 {
      let list = sorted(board.byReason).map { "\($0.name) \($0.count)" }.joined(separator: ", ")
      lines.append("demo: dead letters by reason: \(list)")
    }
    if !status.warning.isEmpty { lines.append("demo: WARNING \(status.warning)") }
    return lines
  }

  // MARK: Text

  /// The largest first; equal ones by name.
  static func sorted(_ counts: [(name: String, count: Int)]) -> [(name: String, count: Int)] {
    counts.sorted { $0.count != $1.count ? $0.count > $1.count : $0.name < $1.name }
  }

  /// As many as fit into `rows` rows of columns.
  static func columns(_ counts: [(name: String, count: Int)], width: Int, rows: Int) -> [String] {
    let cell = 30
    let perRow = max(1, (width - 2) / cell)
    var lines: [String] = []
    for row in 0..<rows {
      let cells = counts.dropFirst(row * perRow).prefix(perRow)
      if cells.isEmpty { break }
      var line = "  "
      for (name, count) in cells {
        let number = grouped(count)
        let short = String(name.prefix(cell - number.count - 4))
        line += short + String(repeating: " ", count: cell - short.count - number.count - 2) + number + "  "
      }
      lines.append(line)
    }
    return lines
  }

  static func date(_ instant: Instant) -> String {
    let day = CivilDate(LocalDay(number: Int32(clamping: TimeSpan(microseconds: instant.microseconds).wholeDays)))
    var bytes: [UInt8] = []
    bytes.appendDate(day)
    return String(decoding: bytes, as: UTF8.self)
  }

  /// Whole percent; 100 % only when it is all.
  static func percent(_ share: Double) -> String {
    let whole = share < 1 ? min(99, Int((share * 100).rounded())) : 100
    return "\(whole) %"
  }

  /// One decimal place.
  static func fixed(_ value: Double) -> String {
    let tenths = Int((value * 10).rounded())
    return "\(tenths / 10).\(tenths % 10)"
  }

  /// `1,234,567`
  static func grouped(_ value: Int) -> String {
    let digits = String(value.magnitude)
    var text = value < 0 ? "-" : ""
    for (index, digit) in digits.enumerated() {
      if index > 0, (digits.count - index) % 3 == 0 { text += "," }
      text.append(digit)
    }
    return text
  }
}
