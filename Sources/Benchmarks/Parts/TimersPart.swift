// A wave of timers, all due in one second, and what it does to those who are buying meanwhile.

import CommandSupport
import Events
import Foundation
import LoadGenerator

extension Bench {
  /// Part (i).
  func measureTimers(_ broker: BenchBroker) throws {
    let customers = options.customers
    try measureEngineWave(customers)
    guard broker.embedded == nil else {
      report.warnings.append("timers: the live wave needs a real broker, for the embedded one cannot hold its events")
      return
    }
    try measureLiveWave(broker, customers)
  }

  /// The library alone: how long one call takes that fires as many timers as the daemon lets it.
  private func measureEngineWave(_ customers: Int) throws {
    var stages = try EngineStages(.rules, config: options.config)
    let bought = Instant(seconds: 1_772_323_200)
    _ = stages.run(orders: customers, at: bought)
    let due = Instant(microseconds: bought.microseconds + 30 * 86_400_000_000)
    // Whatever is due before the wave.
    while stages.advance(to: Instant(microseconds: due.microseconds - 2_000_000), maxTimers: 100_000) {}
    let before = stages.timersFired
    var calls: [Double] = []
    let began = threadSeconds()
    while true {
      let from = threadSeconds()
      let more = stages.advance(to: Instant(microseconds: due.microseconds + 2_000_000), maxTimers: 1_000)
      calls.append(threadSeconds() - from)
      if !more { break }
    }
    let seconds = threadSeconds() - began
    let fired = stages.timersFired - before
    add(
      Figure(
        "timers", "library: one call of 1,000, max", "ms", [(calls.max() ?? .nan) * 1e3],
        note: "\(grouped(fired)) timers in one second of the clock, \(calls.count) calls, \(quantity(seconds)) s in all"
      ))
    add(Figure("timers", "library: cost of a timer", "ns/timer", [seconds / Double(max(1, fired)) * 1e9]))
  }

  /// A daemon on the wall's clock. All have bought a little less than 30 days ago, in the same second.
  private func measureLiveWave(_ broker: BenchBroker, _ customers: Int) throws {
    let topic = BenchBroker.uniqueName("bench")
    try broker.createTopics([topic], partitions: options.partitions)
    let lead = 30 + customers / 20_000
    let now = Int64(time(nil))
    let due = now + Int64(lead)
    let bought = Instant(seconds: due - 30 * 86_400)
    let run = try prepareDaemon(
      broker, topic: topic, delivery: "exactly_once", more: "lateness: 40d\nepoch: { interval: 100ms }")
    let text = try String(contentsOfFile: run.configuration, encoding: .utf8)
    try Data(text.replacingOccurrences(of: "clock: event", with: "clock: wall").utf8).write(
      to: URL(fileURLWithPath: run.configuration))
    defer {
      broker.deleteTopics([topic] + run.outputs)
      remove(run.state)
    }
    say("\(grouped(customers)) customers buy in one second; \(lead) s until they have been silent for 30 days")
    var settings = KafkaLoadOptions(bootstrap: broker.bootstrap, topic: topic)
    settings.partitions = options.partitions
    let load = try KafkaLoad(settings)
    for number in 0..<customers {
      try Self.withOrder(number, at: bought) { bytes, key in try load.produce(bytes, key: key) }
      if number % 1_024 == 0 { load.poll() }
    }
    try load.finish()
    let watch = try CommitWatch(broker, group: run.group, topic: topic, partitions: options.partitions)
    let daemon = try start(["run", "--config", run.configuration], "wave")
    try waitUntilCommitted(customers, watch, daemon, "wave")
    let left = due - Int64(time(nil))
    if left < 10 {
      throw BenchmarkError(
        "the daemon has read \(customers) events only \(left) s before the wave; take fewer --customers")
    }
    var quiet = options.load
    quiet.events = 1
    let feed = try ProbedFeed(
      broker, topic: topic, outputs: run.outputs[0], load: quiet, partitions: options.partitions, watch: watch)
    let firedBefore = MetricsPage.fetch(port: run.port)?["tidewatch_timers_total"] ?? 0
    var calm: [Double] = []
    var wave: [Double] = []
    var ended = false
    var probes = Pace(perSecond: 50, now: monotonicSeconds())
    var nextLook = monotonicSeconds() + 1
    var page = MetricsPage(text: "")
    while !ended {
      let instant = monotonicSeconds()
      var wall = timespec()
      clock_gettime(CLOCK_REALTIME, &wall)
      if probes.take(limit: 1, now: instant) > 0 {
        try feed.produceProbe(at: instant, milliseconds: Int64(wall.tv_sec) * 1_000 + Int64(wall.tv_nsec / 1_000_000))
      }
      feed.poll()
      // A probe that was produced before the wave belongs to it all the same, when it comes out in it.
      if Int64(wall.tv_sec) < due { try feed.read(into: &calm, since: 0) } else { try feed.read(into: &wave, since: 0) }
      usleep(300)
      if instant > nextLook {
        nextLook = instant + 1
        let look = MetricsPage.fetch(port: run.port) ?? page
        let grew = look["tidewatch_timers_total"] != page["tidewatch_timers_total"]
        page = look
        // The daemon says nothing of itself while it is in the wave: not to have grown is not to have ended.
        let fired = (look["tidewatch_timers_total"] ?? 0) - firedBefore
        ended = fired >= Double(customers) && !grew && Int64(wall.tv_sec) > due + 3
      }
      if Int64(wall.tv_sec) > due + 900 { throw BenchmarkError("the wave did not end within 15 minutes") }
    }
    try feed.finish()
    let fired = (page["tidewatch_timers_total"] ?? 0) - firedBefore
    let note = "\(grouped(Int(fired))) timers, 50 live orders a second, epochs of 100 ms"
    add(
      Figure(
        "timers", "live: longest round without live events", "ms",
        [(page["tidewatch_tick_max_seconds"] ?? .nan) * 1e3], note: note))
    add(Figure("timers", "live: order to tag, before the wave, max", "ms", [(calm.max() ?? .nan) * 1e3]))
    add(Figure("timers", "live: order to tag, in the wave, max", "ms", [(wave.max() ?? .nan) * 1e3]))
    daemon.send(SIGTERM)
    try daemon.finish()
  }

  /// The bytes of one customer's first order.
  static func withOrder<Result>(
    _ number: Int, at time: Instant, _ body: (UnsafeRawBufferPointer, Range<Int>) throws -> Result
  ) rethrows -> Result {
    let head = #"{"customer":""#
    let key = "w-\(number)"
    let text =
      head + key + #"","id":"wave-\#(number)","type":"order_paid","ts":\#(time.microseconds / 1_000),"#
      + #""order":"wo-\#(number)","amount":\#(100 + number % 900).00,"currency":"CNY","category":"home/kitchen"}"#
    return try Array(text.utf8).withUnsafeBytes { bytes in
      try body(bytes, head.utf8.count..<(head.utf8.count + key.utf8.count))
    }
  }
}
