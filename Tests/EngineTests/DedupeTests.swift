// DESIGN: a customer's last 64 event ids within 24 h; the overflow is counted.

import Customers
import Engine
import Events
import ReferenceTesting
import Testing

struct DedupeTests {
  private static let start = at("2026-01-01T00:00:00Z")

  private func view(_ id: String, _ seconds: Int64, in task: inout EngineTask) -> ApplyResult {
    task.apply(event(.pageView, instantText(Self.start + .seconds(seconds)), "c", id: id), offset: seconds)
  }

  private func task() throws -> EngineTask { EngineTask(settings: try TestSettings.make(), seed: 1) }

  @Test(
    "an id is remembered for 24 hours of the customer's clock, whether others came meanwhile or not",
    arguments: [
      false, true,
    ]) func aDay(isDisturbed: Bool) throws
  {
    let day: Int64 = 86_400
    for (seconds, expected) in [(day - 1, .duplicate), (day, .duplicate), (day + 1, .applied)]
      as [(Int64, ApplyResult)]
    {
      var task = try task()
      #expect(view("e1", 0, in: &task) == .applied)
      if isDisturbed { #expect(view("e2", seconds - 1, in: &task) == .applied) }
      #expect(view("e1", seconds, in: &task) == expected, "after \(seconds) s")
      // Seen again, it counts from then on.
      #expect(
        view("e1", seconds + 10, in: &task) == (seconds + 10 > day && expected == .duplicate ? .applied : .duplicate))
    }
  }

  @Test func theLastSixtyFourAreRemembered() throws {
    for others in [63, 64] {
      var task = try task()
      #expect(view("first", 0, in: &task) == .applied)
      for number in 0..<others { #expect(view("e\(number)", Int64(number + 1), in: &task) == .applied) }
      #expect(view("first", 100, in: &task) == (others == 63 ? .duplicate : .applied))
      // One overflow for the 65th, and one more for the first where it was new again.
      let overflows = task.recordCounters.recentOverflow
      #expect(overflows == (others == 63 ? 0 : 2))
    }
  }
}
