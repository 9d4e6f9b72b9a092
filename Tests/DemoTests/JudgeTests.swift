// Verdicts on alerts against a slow look at the truth, and what the board makes of records.

import Demo
import Engine
import Events
import Testing

private func settings(seed: UInt64) -> ShopSettings {
  var settings = ShopSettings()
  settings.seed = seed
  settings.customers = 200
  settings.growth = .days(60)
  return settings
}

private func text(_ instant: Instant) -> String {
  let seconds = instant.microseconds / 1_000_000
  let date = CivilDate(LocalDay(number: Int32(seconds / 86_400)))
  func two(_ number: Int64) -> String { number < 10 ? "0\(number)" : "\(number)" }
  return "\(date.year)-\(two(Int64(date.month)))-\(two(Int64(date.day)))T\(two(seconds / 3_600 % 24)):"
    + "\(two(seconds / 60 % 60)):\(two(seconds % 60))Z"
}

private func take(_ board: inout DemoBoard, _ topic: OutputTopic, _ json: String) {
  var json = json
  json.withUTF8 { board.take(topic, UnsafeRawBufferPointer($0)) }
}

@Suite struct JudgeTests {
  /// A rule that alerts each customer on the twentieth day of silence, judged by the board and by hand.
  @Test(arguments: 1...5 as ClosedRange<UInt64>) func verdictsAreWhatASlowLookSays(seed: UInt64) {
    let settings = settings(seed: seed)
    let end = settings.opening + .days(150)
    var truth = ShopTruth(settings)
    var board = DemoBoard(settings, horizon: .days(30))
    var right = 0
    var all = 0
    var silence = 0.0
    var alerted: [Int: Instant] = [:]
    for customer in 0..<truth.customers(by: end) {
      let purchases = Array(truth.purchases(of: customer, through: end + .days(400)))
      for (index, purchase) in purchases.enumerated() {
        // Alerts leave at whole seconds.
        let alert = (purchase + .days(20)).roundedUpToSecond
        guard alert < end, index + 1 == purchases.count || purchases[index + 1] > alert else { continue }
        var key: [UInt8] = []
        ShopCustomerID.append(customer, to: &key)
        let id = String(decoding: key, as: UTF8.self)
        take(
          &board, .churnAlerts,
          #"{"alert_id":"x","customer":"\#(id)","kind":"churn","status":"raised","emitted_at":"\#(text(alert))"}"#)
        all += 1
        if !purchases.contains(where: { $0 > alert && $0 <= alert + .days(30) }) { right += 1 }
        silence += Double((alert - purchase).microseconds) / 86_400_000_000
        alerted[customer] = alert
      }
    }
    #expect(all > 50)
    #expect(board.raisedChurn == all)
    #expect(board.judge.churn.all == all)
    #expect(board.judge.churn.right == right)
    #expect(abs(board.judge.silenceDays - silence) < 1e-6)
    #expect(board.unreadable == 0)

    var gone = 0
    var found = 0
    for customer in 0..<truth.customers(by: end) {
      guard let left = truth.left(customer, by: end - .days(30)) else { continue }
      gone += 1
      if let alert = alerted[customer], alert > left { found += 1 }
    }
    let tally = board.judge.found(at: end)
    #expect(tally.all == gone && tally.right == found)
    #expect(gone > 0)
  }

  /// Nobody with an open alert, and nobody who never bought, is picked for comparison.
  @Test func thosePickedForComparisonAreNotAlerted() {
    var settings = settings(seed: 3)
    settings.visitorShare = 0
    let now = settings.opening + .days(60)
    var truth = ShopTruth(settings)
    var judge = AlertJudge(settings, horizon: .days(30))
    // All who truly buy nothing more are under an alert of another kind: the rest are right to be left alone.
    var quiet: [Int] = []
    for customer in 0..<truth.customers(by: now) {
      if !truth.buys(customer, after: now, through: now + .days(30)) { quiet.append(customer) }
    }
    for customer in quiet { judge.raised(.silent, customer: customer, at: now) }
    judge.raised(.churn, customer: quiet[0], at: now)
    #expect(judge.base.all == 20)
    #expect(judge.base.right == 0)
    for customer in quiet { judge.resolved(.silent, customer: customer) }
    for _ in 0..<50 { judge.raised(.churn, customer: quiet[0], at: now) }
    #expect(judge.base.right > 100)
  }

  @Test func countsWhatItReads() {
    var board = DemoBoard(settings(seed: 1), horizon: .days(30))
    take(
      &board, .tagChanges,
      #"{"customer":"c-000007","tag":"rfm.segment","layer":"value","op":"change","old":"loyal","new":"at_risk","#
        + #""effective_at":"2026-03-01T08:14:00Z","emitted_at":"2026-03-01T08:14:00Z","cause":{"kind":"time"}}"#)
    take(
      &board, .tagChanges,
      #"{"customer":"c-000008","tag":"sleeping","op":"set","old":null,"new":true,"effective_at":"2026-03-02T08:14:00Z","#
        + #""cause":{"kind":"event","topic":"t","event_id":"e-5"},"values":{"tag":"not me, \"tag\""}}"#)
    take(&board, .tagChanges, #"{"customer":"c-000008","tag":"sleeping","op":"unset","old":true,"new":null}"#)
    take(&board, .deadLetters, #"{"reason":"malformed_json","message":"x"}"#)
    take(&board, .deadLetters, "[]")
    take(
      &board, .churnAlerts,
      #"{"customer":"c-000001","kind":"lost","status":"raised","crossed_at":"2026-02-01T00:00:00Z","#
        + #""emitted_at":"2026-02-01T00:00:01.250Z","respond_by":"2026-02-03T00:00:00Z","probability":0.600012}"#)
    take(
      &board, .churnAlerts,
      #"{"customer":"c-000001","kind":"lost","status":"resolved","emitted_at":"2026-02-05T00:00:00Z"}"#)
    take(
      &board, .churnAlerts,
      #"{"customer":"c-000002","kind":"silent","status":"expired","emitted_at":"2026-02-05T00:00:00Z"}"#)
    #expect(board.expired == 1)
    #expect(board.tagChanges == 3 && board.deadLetters == 1 && board.unreadable == 1)
    #expect(board.byTag.map(\.name) == ["rfm.segment", "sleeping"] && board.byTag.map(\.count) == [1, 2])
    #expect(board.raised == 1 && board.raisedLost == 1 && board.resolved == 1)
    #expect(
      board.recentTagChanges == [
        "?  c-000008  sleeping: unset  (?)", "03-02 08:14  c-000008  sleeping: set  (event e-5)",
        "03-01 08:14  c-000007  rfm.segment: loyal -> at_risk  (silence)",
      ])
    #expect(
      board.recentAlerts == [
        "02-05 00:00  c-000001  lost resolved",
        "02-01 00:00  c-000001  lost raised  p = 0.60  answer by 02-03 00:00",
      ])
  }

  @Test func keepsTheLatestOnly() {
    var board = DemoBoard(settings(seed: 1), horizon: .days(30))
    for number in 1...30 {
      take(&board, .tagChanges, #"{"customer":"c-\#(number)","tag":"new","old":null,"new":true}"#)
    }
    #expect(board.recentTagChanges.count == DemoBoard.recentCount)
    #expect(board.recentTagChanges[0].contains("c-30 ") && board.recentTagChanges[7].contains("c-23 "))
  }

  @Test func screenFitsAndSummaryCanBeRead() {
    var settings = settings(seed: 1)
    settings.visitorShare = 0
    var board = DemoBoard(settings, horizon: .days(30))
    for tag in 0..<40 {
      take(&board, .tagChanges, #"{"customer":"c-1","tag":"tag.number.\#(tag)","old":null,"new":"\#(tag)"}"#)
    }
    take(
      &board, .churnAlerts,
      #"{"customer":"c-000001","kind":"churn","status":"raised","emitted_at":"2026-02-10T00:00:00Z"}"#)
    var status = DemoStatus()
    status.opening = settings.opening
    status.shopTime = settings.opening + .days(70)
    status.readTime = settings.opening + .days(70)
    status.historyEnd = settings.opening + .days(140)
    status.phase = .history
    status.consumed = 1_234_567
    status.customers = 321
    for (width, height) in [(80, 24), (120, 50), (40, 10), (1, 1)] {
      let lines = DemoFrame.screen(status, board, width: width, height: height)
      #expect(lines.count <= height && lines.allSatisfy { $0.count <= width })
    }
    #expect(DemoFrame.screen(status, board, width: 120, height: 50).contains { $0.contains("day 70 of 140") })
    #expect(DemoFrame.line(status, board).contains("1,234,567 events"))
    let summary = DemoFrame.summary(status, board)
    #expect(
      summary[0].hasPrefix(
        "demo: 1234567 events, 40 tag changes, 1 alerts raised (churn 1, lost 0, silent 0), \(board.judge.churn.right) of 1 "
          + "judged churn alerts right"))
    #expect(summary[1].contains("70 days of the shop, 2026-01-01 to 2026-03-12, 321 customers"))
  }
}
