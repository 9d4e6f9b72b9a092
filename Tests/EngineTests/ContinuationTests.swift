// A task that was written down and read back goes on as if nothing had happened; batches, hash seeds and the order of
// entries leave no trace.

import Customers
import Engine
import Events
import Models
import ReferenceTesting
import Rules
import Testing

struct ContinuationTests {
  /// Streams of several customers, merged in order of arrival.
  private func shop(seed: UInt64, customers: Int, visits: Int, isShuffled: Bool = true) -> [SampleEvent] {
    var all: [(Instant, Int, SampleEvent)] = []
    for number in 0..<customers {
      var options = StreamOptions()
      options.visits = visits
      options.isShuffled = isShuffled
      options.customer = "c\(number)"
      var asOf = Instant.distantPast
      let arrivals = EventStream(seed: seed &* 100 &+ UInt64(number), options: options).arrivals
      // Side by side rather than one after another.
      let shift = Instant(seconds: 1_600_000_000) - (arrivals.first?.time ?? .distantPast)
      for event in arrivals {
        var moved = event
        moved.time = event.time + shift
        moved.id = event.id.map { "\(number)-\($0)" }
        moved.order = event.order.map { "\(number)-\($0)" }
        asOf = max(asOf, moved.time)
        all.append((asOf, all.count, moved))
      }
    }
    return all.sorted { ($0.0, $0.1) < ($1.0, $1.1) }.map(\.2)
  }

  private func settings(_ random: inout Seeded) throws -> EngineSettings {
    var settings = try TestSettings.make(
      rules: TestSettings.manyRules(), churn: ChurnModelPreset.cdnow.model(horizon: .days(60)),
      zone: random.pick(["UTC", "Europe/London"]))
    settings.records.preferenceSlots = 3  // let the sketches overflow
    return settings
  }

  @Test(arguments: [(1, 1), (4, 2), (5, 3)] as [(UInt8, Int)])
  func aRecordOfAnOlderLayoutIsRefusedByName(kind: UInt8, layout: Int) throws {
    var random = Seeded(1)
    var task = EngineTask(settings: try settings(&random), seed: 1)
    let key = [kind] + Array("customer".utf8)
    #expect {
      try key.withUnsafeBytes { try task.restore(key: $0, value: $0) }
    } throws: {
      "\($0)".contains("in record layout \(layout); this version reads \(CustomerHeader.layoutVersion)")
    }
  }

  /// The task's own entry is mostly read before the first record.
  @Test(
    arguments: [(3, "older Tidewatch, in record layout 3"), (5, "newer Tidewatch, in record layout 5")]
      as [(UInt8, String)])
  func aTaskOfAnotherLayoutIsRefusedByName(layout: UInt8, expected: String) throws {
    var random = Seeded(1)
    let settings = try settings(&random)
    var task = EngineTask(settings: settings, seed: 1)
    var said = Said()
    task.replay(shop(seed: 1, customers: 1, visits: 2).enumerated().map { ($0, $1) }[...], into: &said)
    var entries: [[UInt8]: [UInt8]] = [:]
    task.save(into: &entries)
    let key = [2] + Array("task".utf8)
    var metadata = try #require(entries[key])
    #expect(Array(metadata[..<4]) == [UInt8(CustomerHeader.layoutVersion), 0, 0, 0])
    metadata[0] = layout
    var other = EngineTask(settings: settings, seed: 1)
    #expect {
      try other.restoreAll([(key, metadata)])
    } throws: {
      "\($0)".contains(expected)
    }
  }

  @Test func restoredStateContinuesByteForByte() throws {
    for seed in testSeeds(25) {
      var random = Seeded(seed)
      let settings = try settings(&random)
      let events = Array(shop(seed: seed, customers: 4, visits: 12).enumerated().map { ($0, $1) })
      let cut = 1 + random.index(events.count - 1)
      var straight = EngineTask(settings: settings, seed: 5)
      var before = Said()
      var expected = Said()
      straight.replay(events[..<cut], into: &before)

      var halves = EngineTask(settings: settings, seed: 5)
      var entries: [[UInt8]: [UInt8]] = [:]
      // Written in several blocks: the latest entry of a key counts.
      let earlier = random.index(cut + 1)
      var first = Said()
      halves.replay(events[..<earlier], into: &first)
      halves.save(into: &entries)
      halves.replay(events[earlier..<cut], into: &first)
      halves.save(into: &entries)
      try #require(first == before, "seed \(seed): a checkpoint changes what is said")
      #expect(halves.save(into: &entries) == 0, "seed \(seed): nothing changed, something was written")

      var restored = EngineTask(settings: settings, seed: 77)
      try restored.restoreAll(entries.map { ($0.key, $0.value) }.shuffled(using: &random))
      try #require(restored.digest() == straight.digest(), "seed \(seed)")
      #expect(restored.clock == straight.clock)
      // A queue that has lived on still holds entries that were overtaken.
      #expect(restored.nextDue >= straight.nextDue)
      #expect(restored.counters == straight.counters && restored.recordCounters == straight.recordCounters)
      #expect(restored.save(into: &entries) == 0, "seed \(seed): a restored state has nothing to write")

      var actual = Said()
      straight.replay(events[cut...], into: &expected)
      restored.replay(events[cut...], into: &actual)
      let end = straight.clock + .days(500)
      straight.advance(to: end, into: &expected)
      restored.advance(to: end, into: &actual)
      for index in straight.customersByID() { straight.emitProfile(of: index) }
      for index in restored.customersByID() { restored.emitProfile(of: index) }
      expected.take(&straight.outputs)
      actual.take(&restored.outputs)
      try #require(actual == expected, "seed \(seed)")
      try #require(restored.digest() == straight.digest(), "seed \(seed)")
    }
  }

  @Test func neitherBatchesNorLayoutReachTheDigest() throws {
    for seed in testSeeds(25) {
      var random = Seeded(seed ^ 0xba7c)
      let settings = try settings(&random)
      // In order of time: otherwise whether an event is late depends on the clock, and so on when it moves.
      let events = shop(seed: seed, customers: 5, visits: 10, isShuffled: false).sorted { $0.time < $1.time }
      let end = (events.last?.time ?? .distantPast) + .days(300)
      func run(seed: UInt64, step: Int, warmUp: [SampleEvent] = []) -> (digest: UInt64, said: [String: [String]]) {
        var task = EngineTask(settings: settings, seed: seed)
        var said = Said()
        task.replay(events.enumerated().map { ($0, $1) }, into: &said, advanceEvery: step)
        task.advance(to: end, into: &said)
        // What each customer was told; between customers the order may differ.
        let byCustomer = Dictionary(grouping: said.lines) { String($0.split(separator: " ")[1]) }
        return (task.digest(), byCustomer)
      }
      let one = run(seed: 1, step: 1)
      for (tableSeed, step) in [(1, 7), (2, 1), (3, 1000)] as [(UInt64, Int)] {
        let other = run(seed: tableSeed, step: step)
        try #require(other.digest == one.digest, "seed \(seed), table seed \(tableSeed), advance every \(step)")
        try #require(other.said == one.said, "seed \(seed), table seed \(tableSeed), advance every \(step)")
      }
    }
  }

  @Test func digestSeesEveryChange() throws {
    var random = Seeded(3)
    let settings = try settings(&random)
    let events = shop(seed: 3, customers: 3, visits: 10)
    var task = EngineTask(settings: settings, seed: 1)
    var said = Said()
    var seen: Set<UInt64> = [task.digest()]
    var applied = 0
    for (position, event) in events.enumerated() {
      let result = task.apply(event, offset: Int64(position))
      said.take(&task.outputs)
      let isNew = seen.insert(task.digest()).inserted
      if result == .duplicate { #expect(!isNew) } else { applied += 1 }
    }
    // Only what leaves no trace but in duplicate detection may go unseen, such as a removal of what is not there.
    #expect(seen.count > applied * 9 / 10)
  }

  @Test func customersInAnotherOrderGiveTheSameDigest() throws {
    var random = Seeded(4)
    let settings = try settings(&random)
    let events = shop(seed: 4, customers: 6, visits: 8)
    let reversed = Dictionary(grouping: events) { $0.customer }.sorted { $0.key > $1.key }.flatMap(\.value)
    func digest(_ events: [SampleEvent]) -> UInt64 {
      var task = EngineTask(settings: settings, seed: 1)
      // Without a clock nothing is too late and no customer's time moves another's.
      for (position, event) in events.enumerated() { _ = task.apply(event, offset: Int64(position)) }
      return task.digest()
    }
    #expect(digest(events) == digest(reversed))
  }
}
