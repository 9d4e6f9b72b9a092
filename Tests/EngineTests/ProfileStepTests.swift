// When a profile is written: once an epoch for each customer who changed, whatever it was that changed.

import Customers
import Engine
import Events
import ReferenceTesting
import Testing

struct ProfileStepTests {
  /// Key, id and value of the profiles that an epoch ends with.
  private func epoch(_ task: inout EngineTask) -> [(key: String, id: String, value: String)] {
    task.flushProfiles()
    defer { task.outputs.removeAll() }
    let bytes = task.outputs.bytes
    return task.outputs.entries.filter { $0.topic == .profiles }.map { entry in
      func text(_ range: Range<Int>) -> String { String(decoding: bytes[range], as: UTF8.self) }
      return (text(entry.key), text(entry.id), text(entry.value))
    }
  }

  private func task(_ change: (inout EngineSettings) -> Void = { _ in }) throws -> EngineTask {
    var settings = try TestSettings.make(
      rules: "version: 1\ntags:\n  - { name: buyer, layer: value, when: orders.count >= 1 }\n")
    settings.profiles = true
    change(&settings)
    return EngineTask(settings: settings, seed: 1)
  }

  @Test func whatChangesNoTagIsWrittenToo() throws {
    var task = try task()
    _ = task.apply(event(.pageView, "2026-01-01T00:00:00Z", "a"), offset: 1)
    #expect(epoch(&task).map(\.key) == ["a"], "without any tag")
    _ = task.apply(order(.orderPaid, "o", "2026-01-02T00:00:00Z", "b", amount: 1_000), offset: 2)
    _ = task.apply(event(.pageView, "2026-01-02T00:00:00Z", "a"), offset: 3)
    _ = task.apply(event(.pageView, "2026-01-02T00:00:01Z", "a"), offset: 4)
    #expect(epoch(&task).map(\.key) == ["a", "b"], "once each, by id")
    _ = task.apply(order(.orderRefunded, "o", "2026-01-03T00:00:00Z", "b", amount: 400), offset: 5)
    let refunded = epoch(&task)
    #expect(refunded.map(\.key) == ["b"])
    #expect(refunded.first?.value.contains("\"orders.revenue\":6") == true)
    #expect(epoch(&task).isEmpty, "nobody changed")
  }

  @Test func anAlertWritesOne() throws {
    var task = try task { $0.alerts.silentAfter = .days(30) }
    _ = task.apply(order(.orderPaid, "o", "2026-01-01T00:00:00Z", "a", amount: 1_000), offset: 1)
    _ = epoch(&task)
    while task.advance(to: at("2026-02-01T00:00:00Z")) {}
    let profiles = epoch(&task)
    #expect(profiles.map(\.key) == ["a"])
    #expect(profiles.first?.value.contains("\"kind\":\"silent\"") == true)
  }

  @Test("a late event gives another profile of the same instant another id, the same profile the same")
  func
    idsTellContentsApart() throws
  {
    func run(late: Bool) throws -> [String] {
      var task = try task()
      _ = task.apply(order(.orderPaid, "o", "2026-01-03T00:00:00Z", "a", amount: 1_000), offset: 1)
      var ids = epoch(&task).map(\.id)
      if late { _ = task.apply(order(.orderPaid, "o2", "2026-01-02T00:00:00Z", "a", amount: 100), offset: 2) }
      ids += epoch(&task).map(\.id)
      return ids
    }
    let ids = try run(late: true)
    #expect(ids.count == 2 && Set(ids).count == 2, "\(ids)")
    #expect(try run(late: true) == ids)
    #expect(try run(late: false) == [ids[0]])
  }
}
