import Events
import Foundation
import Testing

@Suite struct ZonedCalendarTests {
  static let zones = [
    "UTC", "Asia/Shanghai", "Europe/London", "America/New_York", "Australia/Lord_Howe", "America/Sao_Paulo",
    "Asia/Kolkata", "Asia/Kathmandu", "Europe/Dublin", "Africa/Casablanca", "Pacific/Apia", "America/St_Johns",
    "Asia/Gaza", "Pacific/Chatham", "Antarctica/Troll", "Asia/Tehran", "America/Nuuk",
  ]
  static let secondsIn2037: Int64 = 2_114_380_800

  @Test(arguments: zones)
  func offsetsEqualFoundation(identifier: String) throws {
    let calendar = try ZonedCalendar(identifier: identifier)
    let zone = try #require(TimeZone(identifier: identifier))
    var random = SplitMix64(seed: 11)
    // From 1970: before that Foundation's tables (ICU) and tzdata's "backward" data disagree for some zones.
    for _ in 0..<20_000 {
      let seconds = Int64.random(in: 0...Self.secondsIn2037, using: &random)
      let expected = zone.secondsFromGMT(for: Date(timeIntervalSince1970: Double(seconds)))
      let civil = calendar.civil(of: Instant(seconds: seconds))
      guard civil.offsetSeconds == expected else {
        Issue.record("\(identifier) at \(seconds): offset \(civil.offsetSeconds), Foundation says \(expected)")
        return
      }
      let local = seconds + Int64(expected)
      #expect(
        Int64(calendar.day(of: Instant(seconds: seconds)).number) == local / 86_400 - (local % 86_400 < 0 ? 1 : 0))
    }
  }

  @Test(arguments: zones)
  func bothSidesOfEachChangeEqualFoundation(identifier: String) throws {
    let calendar = try ZonedCalendar(identifier: identifier)
    let zone = try #require(TimeZone(identifier: identifier))
    var date = Date(timeIntervalSince1970: 0)
    while let next = zone.nextDaylightSavingTimeTransition(after: date), next.timeIntervalSince1970 < 2.1e9 {
      let seconds = Int64(next.timeIntervalSince1970)
      for probe in [seconds - 1, seconds] {
        let expected = zone.secondsFromGMT(for: Date(timeIntervalSince1970: Double(probe)))
        #expect(calendar.civil(of: Instant(seconds: probe)).offsetSeconds == expected, "\(identifier) at \(probe)")
      }
      date = next
    }
  }

  /// `date` of coreutils uses the C library's reader of the same files: an oracle before 1970 and far past the table.
  @Test(arguments: zones)
  func localTimesEqualTheDateCommand(identifier: String) throws {
    let tool = "/usr/bin/date"
    guard FileManager.default.isExecutableFile(atPath: tool) else { return }
    let calendar = try ZonedCalendar(identifier: identifier)
    var random = SplitMix64(seed: 5)
    let probes = (0..<400).map { _ in Int64.random(in: -3_000_000_000...30_000_000_000, using: &random) }
    let process = Process()
    process.executableURL = URL(fileURLWithPath: tool)
    process.arguments = ["-f", "-", "+%Y %m %d %H %M %S"]
    process.environment = ["TZ": identifier, "LC_ALL": "C"]
    let input = Pipe()
    let output = Pipe()
    process.standardInput = input
    process.standardOutput = output
    try process.run()
    input.fileHandleForWriting.write(Data(probes.map { "@\($0)\n" }.joined().utf8))
    try input.fileHandleForWriting.close()
    let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
    process.waitUntilExit()
    let lines = text.split(separator: "\n")
    try #require(lines.count == probes.count)
    for (probe, line) in zip(probes, lines) {
      let c = calendar.civil(of: Instant(seconds: probe))
      let fields = line.split(separator: " ").compactMap { Int($0) }
      #expect([c.year, c.month, c.day, c.hour, c.minute, c.second] == fields, "\(identifier) at \(probe)")
    }
  }

  @Test(arguments: zones)
  func aDayBeginsAtTheFirstInstantThatShowsIt(identifier: String) throws {
    let calendar = try ZonedCalendar(identifier: identifier)
    var random = SplitMix64(seed: 23)
    for _ in 0..<300 {
      let day = LocalDay(number: Int32.random(in: -25_000...330_000, using: &random))
      let start = calendar.start(of: day)
      #expect(calendar.day(of: start) >= day)
      // No earlier instant of the 60 hours before shows the day (probed every seven minutes).
      var probe = start - .seconds(1)
      while probe > start - .hours(60) {
        guard calendar.day(of: probe) < day else {
          Issue.record("\(identifier): day \(day.number) is shown at \(probe), before its start \(start)")
          break
        }
        probe = probe - .minutes(7)
      }
    }
  }

  @Test func midnightGapsAndSkippedDays() throws {
    let saoPaulo = try ZonedCalendar(identifier: "America/Sao_Paulo")
    // On 2018-11-04 clocks went from 00:00 to 01:00: the day began at 01:00 (UTC-2), 03:00 UTC.
    let gap = CivilDate(year: 2018, month: 11, day: 4).localDay
    #expect(saoPaulo.start(of: gap) == Instant(seconds: 1_541_300_400))
    #expect(saoPaulo.civil(of: saoPaulo.start(of: gap)).hour == 1)
    // On 2018-02-18 at 00:00 they went back to 23:00 of the 17th.
    let back = CivilDate(year: 2018, month: 2, day: 18).localDay
    #expect(saoPaulo.start(of: back) == Instant(seconds: 1_518_922_800))
    let apia = try ZonedCalendar(identifier: "Pacific/Apia")
    let skipped = CivilDate(year: 2011, month: 12, day: 30).localDay
    #expect(apia.start(of: skipped) == apia.start(of: skipped + 1))
    #expect(apia.day(of: apia.start(of: skipped)) == skipped + 1)
  }

  @Test func localTimesToInstants() throws {
    let london = try ZonedCalendar(identifier: "Europe/London")
    let day = { (y: Int, m: Int, d: Int) in CivilDate(year: y, month: m, day: d).localDay }
    #expect(london.instant(of: day(2011, 7, 1), secondOfDay: 3600) == Instant(seconds: 1_309_478_400))
    // 01:30 on the last Sunday of March does not exist: 02:30 BST, 01:30 UTC.
    #expect(london.instant(of: day(2011, 3, 27), secondOfDay: 5400) == Instant(seconds: 1_301_189_400))
    // 01:30 on the last Sunday of October comes twice: the first is BST, 00:30 UTC.
    #expect(london.instant(of: day(2011, 10, 30), secondOfDay: 5400) == Instant(seconds: 1_319_934_600))
  }

  @Test func extremesDoNotTrap() throws {
    for identifier in ["UTC", "America/New_York", "Asia/Shanghai"] {
      let calendar = try ZonedCalendar(identifier: identifier)
      for instant in [Instant.distantPast, .distantFuture, Instant(microseconds: -1), Instant(microseconds: 0)] {
        let day = calendar.day(of: instant)
        #expect(calendar.start(of: day) <= instant)
        _ = calendar.civil(of: instant)
      }
      #expect(calendar.start(of: LocalDay(number: .max)) == .distantFuture)
      #expect(calendar.start(of: LocalDay(number: .min)) == .distantPast)
    }
  }

  @Test func versionFollowsTheZoneNotItsName() throws {
    let prc = try ZonedCalendar(identifier: "PRC")
    let shanghai = try ZonedCalendar(identifier: "Asia/Shanghai")
    let london = try ZonedCalendar(identifier: "Europe/London")
    #expect(prc.version == shanghai.version)
    #expect(london.version != shanghai.version)
    #expect(shanghai.version.count == 19)
  }

  @Test(arguments: ["", "/etc/passwd", "../../../etc/passwd", "Asia/Shangha", "Asia", "a\u{0}b", "tzdata.zi", "Ásia"])
  func refusesWhatIsNotAZone(identifier: String) {
    #expect(throws: CalendarError.self) { try ZonedCalendar(identifier: identifier) }
  }

  @Test func damagedFilesAreRefusedNotTrusted() throws {
    let whole = [UInt8](try Data(contentsOf: URL(fileURLWithPath: "/usr/share/zoneinfo/Europe/London")))
    for count in stride(from: 0, to: whole.count, by: 7) {
      #expect(throws: CalendarError.self) {
        try ZonedCalendar(identifier: "x", tzif: Array(whole[..<count]), path: "x")
      }
    }
    var random = SplitMix64(seed: 3)
    for _ in 0..<3000 {
      var bytes = whole
      for _ in 0..<Int.random(in: 1...4, using: &random) {
        let at = Int.random(in: 0..<bytes.count, using: &random)
        bytes[at] = UInt8.random(in: 0...255, using: &random)
      }
      // Either refused, or a calendar that answers.
      guard let calendar = try? ZonedCalendar(identifier: "x", tzif: bytes, path: "x") else { continue }
      _ = calendar.civil(of: Instant(seconds: 1_300_000_000))
      _ = calendar.start(of: LocalDay(number: 20_000))
    }
  }
}
