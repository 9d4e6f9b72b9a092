// Customers who were busy once: what their records needed then is given to others, and nothing else of them changes.

import Customers
import Events
import ReferenceTesting
import Testing

struct TableTrimTests {
  private static let start = Instant(seconds: 1_772_323_200)

  private func busyDays(_ customer: String, _ random: inout Seeded) -> [SampleEvent] {
    let types: [EventType] = [.pageView, .productView, .search, .favorite, .share, .like, .review, .comment, .login]
    return (0..<12).flatMap { day in
      types.enumerated().map { hour, type in
        var event = SampleEvent(
          type, at: Self.start + .days(Int64(day)) + .hours(Int64(hour)), customer: customer,
          id: "\(customer)-\(day)-\(hour)")
        event.category = "c\(random.index(9))"
        event.channel = "app"
        return event
      }
    }
  }

  @Test func roomIsGivenBackWhenRecordsMove() throws {
    let calendar = try ZonedCalendar(identifier: "UTC")
    // No names of events are kept: what shrinks are the days.
    let crowd = RecordHarness(calendar: calendar)
    var random = Seeded(11)
    var events: [String: [SampleEvent]] = [:]
    let busy = (0..<2_500).map { "busy-\($0)" }
    for customer in busy {
      let days = busyDays(customer, &random)
      for event in days { crowd.apply(event) }
      events[customer] = days
    }
    for customer in busy {
      let event = SampleEvent(.login, at: Self.start + .days(120), customer: customer, id: "\(customer)-late")
      crowd.apply(event)
      events[customer]?.append(event)
    }
    let spare = crowd.roomToGrow
    try #require(spare > 2_500 * 300, "\(spare) bytes: nothing shrank")
    // Others come and grow, until the holes that they leave are cleaned.
    for day in 121..<130 {
      for number in 0..<40_000 {
        crowd.apply(SampleEvent(.login, at: Self.start + .days(Int64(day)), customer: "new-\(number)", id: "n-\(day)"))
      }
    }
    #expect(crowd.roomToGrow < spare / 2 + 40_000 * 32, "\(crowd.roomToGrow) of \(spare) bytes are kept")
    for customer in busy {
      let alone = RecordHarness(calendar: calendar)
      for event in events[customer] ?? [] { alone.apply(event) }
      #expect(crowd.logicalBytes(customer) == alone.logicalBytes(customer), "\(customer)")
    }
  }
}
