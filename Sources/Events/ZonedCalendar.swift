// Local days of one time zone, from the system's TZif tables and without Foundation (whose TimeZone needs ICU data
// that a static build lacks). Lookups are a table access and a comparison: `day(of:)` runs once an event.

import CXXHash

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#elseif canImport(Darwin)
  import Darwin
#endif

/// Why a time zone cannot be used.
public enum CalendarError: Error, Equatable, CustomStringConvertible {
  case invalidIdentifier(String)
  case notFound(identifier: String, path: String)
  case malformed(path: String, what: String)

  public var description: String {
    switch self {
    case .invalidIdentifier(let identifier):
      "time zone \"\(identifier)\" is not a name like Asia/Shanghai; use an IANA name"
    case .notFound(let identifier, let path):
      "time zone \"\(identifier)\" cannot be read from \(path); check the name and that tzdata is installed"
    case .malformed(let path, let what):
      "\(path) is not a usable time zone file: \(what); reinstall tzdata"
    }
  }
}

/// The calendar of one IANA time zone: which local day an instant falls on, and when a local day begins.
///
/// Immutable and safe to share between threads; a reference, so that the hot path copies no names. Offsets follow the file's
/// table, then its POSIX footer, expanded to the year 2500 and repeated from there with the calendar's 400-year period.
/// Leap seconds are not counted, as in POSIX time.
public final class ZonedCalendar: Sendable {
  public let identifier: String
  /// A hash of every offset change of this zone ("tz-" and 16 hex digits). It changes only when the zone's own
  /// history or rule does, not with each tzdata release, and does not depend on the file's encoding.
  public let version: String
  private let table: ZoneTable

  /// Loads `identifier` from `TZDIR` or /usr/share/zoneinfo. "UTC" needs no file.
  public convenience init(identifier: String) throws(CalendarError) {
    let table: ZoneTable
    if identifier == "UTC" || identifier == "Etc/UTC" {
      table = ZoneTable(initialOffset: 0, changes: [])
    } else {
      guard ZonedCalendar.isPlausible(identifier) else { throw .invalidIdentifier(identifier) }
      let directory = getenv("TZDIR").map { String(cString: $0) } ?? "/usr/share/zoneinfo"
      let path = directory + "/" + identifier
      guard let bytes = readSmallFile(path) else { throw .notFound(identifier: identifier, path: path) }
      table = try ZoneTable(tzif: bytes, path: path)
    }
    self.init(identifier: identifier, table: table)
  }

  /// From the bytes of a TZif file (version 2 or later); `path` only serves messages.
  package convenience init(identifier: String, tzif bytes: [UInt8], path: String) throws(CalendarError) {
    self.init(identifier: identifier, table: try ZoneTable(tzif: bytes, path: path))
  }

  private init(identifier: String, table: ZoneTable) {
    self.identifier = identifier
    self.table = table
    let hex = String(table.fingerprint, radix: 16)
    version = "tz-" + String(repeating: "0", count: 16 - hex.count) + hex
  }

  /// The local day of an instant. No allocation. Where clocks are set back across midnight a day can come twice.
  public func day(of instant: Instant) -> LocalDay {
    let seconds = floorDivide(instant.microseconds, 1_000_000)
    return LocalDay(number: Int32(truncatingIfNeeded: floorDivide(seconds + table.offset(at: seconds), 86_400)))
  }

  /// The first instant of a local day: midnight, or where clocks jump over midnight the instant after the jump.
  /// For a day the zone skipped altogether (Samoa's 2011-12-30) it is the first instant of the next day.
  /// Saturates where the instant is out of range.
  public func start(of day: LocalDay) -> Instant {
    Instant(seconds: table.firstSecond(onOrAfterLocal: Int64(day.number) * 86_400))
  }

  /// Local date and time of day of an instant; `offsetSeconds` is east of UTC.
  public func civil(
    of instant: Instant
  ) -> (year: Int, month: Int, day: Int, hour: Int, minute: Int, second: Int, offsetSeconds: Int) {
    let seconds = floorDivide(instant.microseconds, 1_000_000)
    let offset = table.offset(at: seconds)
    let local = seconds + offset
    let dayNumber = floorDivide(local, 86_400)
    let date = CivilDate(LocalDay(number: Int32(truncatingIfNeeded: dayNumber)))
    let rest = Int(local - dayNumber * 86_400)
    return (date.year, date.month, date.day, rest / 3600, rest / 60 % 60, rest % 60, Int(offset))
  }

  /// The instant of a local date and time. A time that occurs twice is the earlier one; a time that clocks jump over is
  /// read with the offset before the jump (02:30 becomes 03:30). `secondOfDay` is 0...86,400.
  public func instant(of day: LocalDay, secondOfDay: Int) -> Instant {
    Instant(seconds: table.second(local: Int64(day.number) * 86_400 + Int64(secondOfDay)))
  }

  private static func isPlausible(_ identifier: String) -> Bool {
    guard !identifier.isEmpty, identifier.utf8.count <= 128, identifier.utf8.first != UInt8(ascii: "/") else {
      return false
    }
    let allowed = identifier.utf8.allSatisfy { c in
      (c | 0x20 >= UInt8(ascii: "a") && c | 0x20 <= UInt8(ascii: "z"))
        || (c >= UInt8(ascii: "0") && c <= UInt8(ascii: "9"))
        || c == UInt8(ascii: "_") || c == UInt8(ascii: "+") || c == UInt8(ascii: "-") || c == UInt8(ascii: "/")
    }
    return allowed
  }
}

/// Offset changes with an index by time. A class so that a calendar copies as one reference; immutable.
private final class ZoneTable: Sendable {
  /// Second from which `offsets[i]` holds; the first is Int64.min, and a last Int64.max ends the list.
  private let times: [Int64]
  private let offsets: [Int32]
  /// For each bucket of 2^22 seconds (48.5 days) from `indexStart` the last change at or before the bucket's start.
  private let index: [UInt16]
  private let repeats: Bool
  let fingerprint: UInt64

  private static let indexStart: Int64 = -4_000_000_000  // 1843
  private static let lastYear = 2500
  /// 400 Gregorian years: a whole number of weeks, so POSIX rules repeat exactly.
  private static let period: Int64 = 146_097 * 86_400
  private static let tableEnd: Int64 =
    Int64(CivilDate(year: lastYear + 1, month: 1, day: 1).daysSinceEpoch) * 86_400 - 7 * 86_400

  /// `changes` in ascending order of time.
  init(initialOffset: Int32, changes: [(seconds: Int64, offset: Int32)], repeats: Bool = false) {
    var times: [Int64] = [.min]
    var offsets = [initialOffset]
    for change in changes where change.offset != offsets[offsets.count - 1] {
      times.append(change.seconds)
      offsets.append(change.offset)
    }
    var fingerprint = UInt64(bitPattern: Int64(initialOffset))
    for i in times.indices {
      let pair = [times[i], Int64(offsets[i])]
      fingerprint = pair.withUnsafeBytes { tw_xxh3_64($0.baseAddress, $0.count, fingerprint) }
    }
    times.append(.max)
    offsets.append(offsets[offsets.count - 1])
    var index: [UInt16] = []
    var at = 0
    var start = ZoneTable.indexStart
    while start < ZoneTable.tableEnd {
      while times[at + 1] <= start { at += 1 }
      index.append(UInt16(at))
      start += 1 << 22
    }
    self.times = times
    self.offsets = offsets
    self.index = index
    self.repeats = repeats
    self.fingerprint = fingerprint
  }

  @inline(__always)
  func offset(at seconds: Int64) -> Int64 { Int64(offsets[position(of: seconds)]) }

  /// Index of the change in force at `seconds`, which past the table is first moved back by whole periods.
  private func position(of seconds: Int64) -> Int {
    let s = seconds < ZoneTable.tableEnd ? seconds : folded(seconds).seconds
    var i = 0
    if s >= ZoneTable.indexStart {
      i = Int(index[Int((s - ZoneTable.indexStart) >> 22)])
    }
    while times[i + 1] <= s { i += 1 }
    return i
  }

  /// `seconds` moved back into the last period of the table; without a rule the last offset holds for ever.
  private func folded(_ seconds: Int64) -> (seconds: Int64, periods: Int64) {
    guard seconds >= ZoneTable.tableEnd else { return (seconds, 0) }
    let periods = (seconds - ZoneTable.tableEnd) / ZoneTable.period + 1
    return (seconds - periods * ZoneTable.period, periods)
  }

  func firstSecond(onOrAfterLocal local: Int64) -> Int64 {
    let (base, periods) = repeats ? folded(local) : (local, 0)
    // No offset reaches 48 hours, so no second before that can already show this local time.
    var i = position(of: base - 172_800)
    while true {
      let candidate = max(times[i], base - Int64(offsets[i]))
      if candidate < times[i + 1] || i + 2 >= times.count { return candidate + periods * ZoneTable.period }
      i += 1
    }
  }

  func second(local: Int64) -> Int64 {
    let (base, periods) = repeats ? folded(local) : (local, 0)
    var i = position(of: base - 172_800)
    while true {
      let candidate = base - Int64(offsets[i])
      // In a gap the next interval begins after the candidate of its own offset: stay with the offset before the gap.
      if candidate < times[i + 1] || i + 2 >= times.count || base - Int64(offsets[i + 1]) < times[i + 1] {
        return candidate + periods * ZoneTable.period
      }
      i += 1
    }
  }
}

extension ZoneTable {
  /// Reads the 64-bit block and the footer of a TZif file.
  convenience init(tzif bytes: [UInt8], path: String) throws(CalendarError) {
    func fail(_ what: String) -> CalendarError { .malformed(path: path, what: what) }
    func integer(_ at: Int, _ width: Int) -> Int64 {
      var value: Int64 = bytes[at] & 0x80 == 0 ? 0 : -1
      for k in 0..<width { value = value << 8 | Int64(bytes[at + k]) }
      return value
    }
    struct Header {
      var utc, standard, leap, time, type, char: Int
      func length(timeWidth: Int) -> Int {
        time * (timeWidth + 1) + type * 6 + char + leap * (timeWidth + 4) + standard + utc
      }
    }
    func header(at: Int) throws(CalendarError) -> Header {
      guard at + 44 <= bytes.count, bytes[at..<at + 4].elementsEqual("TZif".utf8) else {
        throw fail("no TZif header at byte \(at)")
      }
      let counts = (0..<6).map { Int(integer(at + 20 + $0 * 4, 4)) }
      guard counts.allSatisfy({ $0 >= 0 && $0 <= 65_535 }) else { throw fail("its header at byte \(at) is damaged") }
      return Header(
        utc: counts[0], standard: counts[1], leap: counts[2], time: counts[3], type: counts[4], char: counts[5])
    }
    let first = try header(at: 0)
    guard bytes[4] >= UInt8(ascii: "2") else { throw fail("it has version 1, without 64-bit times") }
    let second = 44 + first.length(timeWidth: 4)
    let counts = try header(at: second)
    let data = second + 44
    let footer = data + counts.length(timeWidth: 8)
    guard counts.type > 0, footer < bytes.count else { throw fail("it is cut short") }
    guard counts.leap == 0 else { throw fail("it counts leap seconds (a \"right/\" zone)") }

    let types = data + counts.time * 9
    func offset(type: Int) throws(CalendarError) -> Int32 {
      guard type < counts.type else { throw fail("it names local time type \(type) of \(counts.type)") }
      let value = integer(types + type * 6, 4)
      guard abs(value) < 26 * 3600 else { throw fail("it has an offset of \(value) s") }
      return Int32(value)
    }
    var changes: [(seconds: Int64, offset: Int32)] = []
    for k in 0..<counts.time {
      let seconds = integer(data + k * 8, 8)
      if let last = changes.last, last.seconds >= seconds { throw fail("its times are not ascending") }
      changes.append((seconds, try offset(type: Int(bytes[data + counts.time * 8 + k]))))
    }

    let text = bytes[(footer + 1)...].prefix { $0 != UInt8(ascii: "\n") }
    guard bytes[footer] == UInt8(ascii: "\n"), footer + 1 + text.count < bytes.count else {
      throw fail("it has no footer")
    }
    var initial = try offset(type: 0)
    guard !text.isEmpty else {
      self.init(initialOffset: initial, changes: changes)
      return
    }
    guard let rule = PosixTimeZone(text) else {
      throw fail("its rule \"\(String(decoding: text, as: UTF8.self))\" cannot be read")
    }
    guard abs(rule.standardOffset) < 26 * 3600, abs(rule.daylight?.offset ?? 0) < 26 * 3600 else {
      throw fail("its rule has an offset of more than 26 h")
    }
    if changes.isEmpty, rule.daylight == nil { initial = Int32(rule.standardOffset) }
    let tableEnd = changes.last?.seconds ?? .min
    if rule.daylight != nil {
      let lastYear = tableEnd == .min ? 1900 : CivilDate(LocalDay(number: Int32(clamping: tableEnd / 86_400))).year
      if lastYear <= ZoneTable.lastYear {
        var later: [(seconds: Int64, offset: Int)] = []
        for year in max(lastYear, 1900)...(ZoneTable.lastYear + 1) { later += rule.transitions(year: year) }
        for change in later.sorted(by: { $0.seconds < $1.seconds }) where change.seconds > tableEnd {
          changes.append((change.seconds, Int32(change.offset)))
        }
      }
    }
    guard changes.count < 65_000 else { throw fail("it has \(changes.count) changes") }
    self.init(initialOffset: initial, changes: changes, repeats: rule.daylight != nil)
  }
}

/// The bytes of a file of at most 1 MiB; nil when it cannot be read or is larger.
private func readSmallFile(_ path: String) -> [UInt8]? {
  guard let file = fopen(path, "rb") else { return nil }
  defer { fclose(file) }
  var bytes = [UInt8](repeating: 0, count: 1 << 20)
  let count = fread(&bytes, 1, bytes.count, file)
  guard count > 0, feof(file) != 0 || count < bytes.count else { return nil }
  return Array(bytes[..<count])
}
