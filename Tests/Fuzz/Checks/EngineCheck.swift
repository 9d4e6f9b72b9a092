// Any sequence of records: the engine takes what the decoder accepts, and a task restored from what it saved is the same.

import Customers
import Engine
import Events
import Rules

enum EngineCheck {
  static let settings: EngineSettings? = {
    let text = """
      version: 1
      revision: 1
      tags:
        - { name: value.high, layer: value, when: orders.average >= 20, until: not (orders.average >= 18) }
        - name: purchase.frequency
          layer: behaviour
          cases: { high: orders.count(365d) >= 3, low: orders.count(365d) = 1 }
        - { name: sleeping, layer: behaviour, when: orders.days_since_last >= 30 }
        - { name: cart.left, layer: behaviour, when: cart.age_hours >= 24 }
        - { name: likes, layer: behaviour, value: preferences.category, when: preferences.category_share >= 30% }
      """
    guard let rules = try? RuleSet(text: text, file: "fuzz", exponent: 2),
      let calendar = try? ZonedCalendar(identifier: "UTC")
    else { return nil }
    var settings = EngineSettings(rules: rules, churn: nil, calendar: calendar)
    settings.clockMode = .event
    settings.topicNames = ["fuzz"]
    settings.records.maxOrders = 6
    settings.records.maxCartItems = 4
    settings.profiles = true
    return settings
  }()

  static func run(_ bytes: [UInt8]) throws(FuzzFinding) {
    guard let settings, let currencies = DecoderCheck.currencies else {
      throw FuzzFinding("the check's rules are wrong")
    }
    var task = EngineTask(settings: settings, seed: 7)
    var clock = TaskClock(mode: .event, required: [false], sourceStall: .minutes(15))
    var decoder = EventDecoder(format: .native, limits: DecoderCheck.limits, currencies: currencies)
    var event = Event()
    var saved: [[UInt8]: [UInt8]] = [:]
    var outputs = 0
    for (number, line) in bytes.split(separator: 0x0a).prefix(64).enumerated() {
      let origin = Origin(topic: 0, partition: 0, offset: Int64(number))
      let reason = line.withUnsafeBytes {
        decoder.decode($0, key: nil, origin: origin, ceiling: DecoderCheck.ceiling, into: &event)
      }
      if reason != nil { continue }
      if task.apply(event) != .tooLate { clock.observe(topic: 0, eventTime: event.time) }
      _ = task.advance(to: clock.update(wall: .distantPast))
      outputs += task.outputs.entries.count
      task.outputs.removeAll()
      if number % 3 == 0 { drain(&task, into: &saved) }
    }
    clock.reachedEnd(of: 0)
    clock.advance(to: DecoderCheck.ceiling + .days(60))
    task.advance(to: clock.update(wall: .distantPast))
    task.flushProfiles()
    outputs += task.outputs.entries.count
    task.outputs.removeAll()
    drain(&task, into: &saved)

    var copy = EngineTask(settings: settings, seed: 8)
    do {
      for (key, value) in saved.sorted(by: { $0.key.lexicographicallyPrecedes($1.key) }) {
        try key.withUnsafeBytes { key in try value.withUnsafeBytes { value in try copy.restore(key: key, value: value) }
        }
      }
      try copy.finishRestore()
    } catch { throw FuzzFinding("what was saved is refused: \(error)") }
    try require(copy.customerCount == task.customerCount, "\(copy.customerCount) customers of \(task.customerCount)")
    try require(copy.digest() == task.digest(), "the restored task is another one")
    try require(copy.clock == task.clock, "the restored clock is another one")
    for index in task.customersByID() { task.emitProfile(of: index) }
    for index in copy.customersByID() { copy.emitProfile(of: index) }
    try require(task.outputs.bytes == copy.outputs.bytes, "the restored task says other profiles")
  }

  private static func drain(_ task: inout EngineTask, into saved: inout [[UInt8]: [UInt8]]) {
    let changes = ChangeList()
    task.takeChanges(into: changes)
    changes.readEntries { key, value in saved[Array(key)] = value.map { Array($0) } }
  }
}
