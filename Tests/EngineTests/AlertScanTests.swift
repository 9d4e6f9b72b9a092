// The engine's alerts against the hour-by-hour scan: on random purchases with corrections, and on CDNOW.

import CZlib
import Customers
import Engine
import Events
import Foundation
import Models
import ReferenceTesting
import Rules
import Testing

struct AlertScanTests {
  private func history(_ customer: ReferenceCustomer) -> PurchaseHistory? {
    let snapshot = customer.snapshot(at: customer.events.map(\.time).max() ?? .distantPast)
    let bought = snapshot.orders.purchases.compactMap(\.paidAt)
    guard let first = bought.first, let last = bought.last else { return nil }
    return PurchaseHistory(first: first, last: last, repeats: Int(snapshot.number(.repeatDays)))
  }

  /// Orders of one customer in order of arrival; some cancelled, refunded or late.
  private func orders(_ random: inout Seeded) -> [SampleEvent] {
    var events: [SampleEvent] = []
    var time = Instant(seconds: random.int(1_500_000_000...1_600_000_000))
    let pace = random.logUniform(0.5, 60) * 86_400
    for number in 0..<(1 + random.index(14)) {
      time = time + .seconds(Int64(random.logUniform(pace / 50, pace * 8)))
      var event = SampleEvent(.orderPaid, at: time, id: "p\(number)")
      event.order = "o\(number)"
      event.amount = 100
      // Dated a few days back: an order behind the last one.
      if random.chance(0.12) { event.time = time - .hours(random.int(1...160)) }
      events.append(event)
      guard random.chance(0.15) else { continue }
      time = time + .hours(random.int(0...900))
      var end = SampleEvent(random.chance(0.5) ? .orderCancelled : .orderRefunded, at: time, id: "e\(number)")
      // Of any order that is still kept one by one.
      let known = events.filter { $0.type == .orderPaid && $0.time > time - .days(390) }
      guard let order = known.isEmpty ? nil : random.pick(known).order else { continue }
      end.order = order
      events.append(end)
    }
    return events
  }

  @Test func sameAlertsAsAnHourlyScan() throws {
    var raised = 0
    var corrected = 0
    for seed in testSeeds(250) {
      var random = Seeded(seed ^ 0xa1e7)
      let model =
        random.chance(0.9) ? try ChurnModelPreset.cdnow.model(horizon: .days(random.int(20...365))) : nil
      var settings = try TestSettings.make(churn: model)
      settings.alerts.silentAfter = .days(random.int(5...60))
      settings.alerts.expireAfter = .days(random.pick([1, 10, 90]))
      let events = orders(&random)
      var task = EngineTask(settings: settings, seed: seed)
      var said = Said()
      var scan = AlertScan(model: model, policy: settings.alerts)
      var customer = ReferenceCustomer(calendar: settings.calendar)
      task.replay(events.enumerated().map { ($0, $1) }, into: &said)
      var asOf = Instant.distantPast
      for event in events {
        asOf = max(asOf, event.time)
        scan.walk(to: asOf)
        customer.apply(event)
        scan.purchasesChanged(to: history(customer), at: asOf)
      }
      let end = asOf + .days(500)
      task.advance(to: end, into: &said)
      scan.walk(to: end)
      let told = try said.records(.churnAlerts).compactMap(AlertLine.init)
      try #require(told == scan.lines, "seed \(seed): \(told) instead of \(scan.lines)")
      raised += told.filter { $0.what == "raised" }.count
      corrected += told.filter { $0.what == "corrected" }.count
      let times = told.filter { $0.what == "raised" }.map(\.time)
      for (a, b) in zip(times, times.dropFirst()) {
        try #require(b - a >= settings.alerts.window, "seed \(seed): two alerts within the window")
      }
    }
    #expect(raised > 300 && corrected > 3, "the streams say too little: \(raised) raised, \(corrected) corrected")
  }

  /// Customer id and day of each purchase, in order of time.
  private static func cdnow() throws -> [(customer: String, day: LocalDay)]? {
    let package = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .deletingLastPathComponent()
    let folder =
      ProcessInfo.processInfo.environment["TIDEWATCH_TEST_DATA"].map { URL(fileURLWithPath: $0) }
      ?? package.deletingLastPathComponent().appendingPathComponent("shared/data")
    let path = folder.appendingPathComponent("CDNOW_master.txt.gz").path
    guard FileManager.default.fileExists(atPath: path), let file = gzopen(path, "rb") else { return nil }
    defer { gzclose(file) }
    var purchases: [(customer: String, day: LocalDay)] = []
    var line = [CChar](repeating: 0, count: 256)
    while gzgets(file, &line, Int32(line.count)) != nil {
      let text = String(decoding: line.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
      let fields = text.split(whereSeparator: \.isWhitespace)
      guard fields.count >= 4, let date = Int(fields[1]) else { continue }
      let day = CivilDate(year: date / 10_000, month: date / 100 % 100, day: date % 100).localDay
      purchases.append((String(fields[0]), day))
    }
    return purchases.enumerated().sorted { ($0.element.day, $0.offset) < ($1.element.day, $1.offset) }.map(\.element)
  }

  /// Every customer every hour is a long walk: one in twenty by default, all with `TIDEWATCH_TEST_SEEDS=20`.
  @Test(arguments: [60, 365]) func sameAlertsAsAnHourlyScanOfCDNOW(horizon: Int) throws {
    guard let all = try Self.cdnow() else {
      print("CDNOW is not there: set TIDEWATCH_TEST_DATA to the folder that holds CDNOW_master.txt.gz")
      return
    }
    let stride = max(1, 20 / testSeeds(1).count)
    let purchases = all.filter { (Int($0.customer) ?? 0) % stride == 0 }
    let model = try ChurnModelPreset.cdnow.model(horizon: .days(Int64(horizon)))
    let settings = try TestSettings.make(churn: model)
    var task = EngineTask(settings: settings, seed: 1)
    var said = Said()
    let end = CivilDate(year: 1999, month: 6, day: 30).localDay
    var scans: [String: (scan: AlertScan, first: Instant, days: Set<LocalDay>)] = [:]
    for (number, purchase) in purchases.enumerated() {
      var event = SampleEvent(
        .orderPaid, at: settings.calendar.start(of: purchase.day), customer: purchase.customer, id: "\(number)")
      event.order = "\(number)"
      event.amount = 1000
      _ = task.apply(event, offset: Int64(number))
      _ = task.advance(to: event.time + .seconds(-10))
      said.take(&task.outputs)

      var state =
        scans[purchase.customer] ?? (AlertScan(model: model, policy: settings.alerts), event.time, [])
      state.scan.walk(to: event.time)
      state.days.insert(purchase.day)
      state.scan.purchasesChanged(
        to: PurchaseHistory(first: state.first, last: event.time, repeats: state.days.count - 1), at: event.time)
      scans[purchase.customer] = state
    }
    task.advance(to: settings.calendar.start(of: end), into: &said)
    let told = Dictionary(grouping: try said.records(.churnAlerts)) { $0.customer }
    var counts: [String: Int] = [:]
    for (customer, state) in scans {
      var scan = state.scan
      scan.walk(to: settings.calendar.start(of: end))
      let lines = (told[customer] ?? []).compactMap(AlertLine.init)
      try #require(lines == scan.lines, "customer \(customer): \(lines) instead of \(scan.lines)")
      for line in lines where line.what == "raised" { counts[line.kind.name, default: 0] += 1 }
      if scan.wasArmed { counts["armed", default: 0] += 1 }
    }
    #expect(task.sums().everArmed == counts["armed", default: 0])
    let share = Double(counts["armed", default: 0]) / Double(max(1, scans.count)) * 100
    print(
      "CDNOW, H = \(horizon) d: \(scans.count) customers, ever armed \(share.rounded()) %, raised "
        + "\(counts["churn", default: 0]) churn, \(counts["lost", default: 0]) lost, \(counts["silent", default: 0]) silent"
    )
    #expect(counts["silent", default: 0] > 0 && counts["lost", default: 0] > 0)
  }
}
