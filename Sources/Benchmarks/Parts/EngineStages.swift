// The library calls of the hot path, stage by stage, in this process: the only file here that knows the engine's interface.

import Configuration
import Customers
import Engine
import Events
import LoadGenerator
import Rules

/// Up to which stage an event goes.
public enum EngineStage: String, CaseIterable, Sendable {
  /// JSON to a clean event.
  case parse
  /// And the customer's record, without any rule.
  case state
  /// And the five reference tags, with their outputs.
  case fiveTags = "five-tags"
  /// And all default rules, model and alerts instead, with their outputs.
  case rules
}

/// Lines that lie in memory one after the other, without line ends.
public struct LineBatch: ~Copyable {
  public private(set) var count = 0
  private let capacity: Int
  private let bytes: UnsafeMutablePointer<UInt8>
  private let ends: UnsafeMutablePointer<Int>

  public init(capacity: Int) {
    self.capacity = capacity
    bytes = .allocate(capacity: capacity * LoadGenerator.maxLineBytes)
    ends = .allocate(capacity: capacity)
  }

  deinit {
    bytes.deallocate()
    ends.deallocate()
  }

  /// Takes the next lines of a workload in place of those it holds, as many as there is room for.
  public mutating func fill(from generator: inout LoadGenerator) {
    count = 0
    var end = 0
    while count < capacity, !generator.isAtEnd {
      end += generator.next(into: bytes + end).length
      ends[count] = end
      count += 1
    }
  }

  @inline(__always) subscript(index: Int) -> UnsafeRawBufferPointer {
    let start = index == 0 ? 0 : ends[index - 1]
    return UnsafeRawBufferPointer(start: bytes + start, count: ends[index] - start)
  }
}

/// One task with its decoder and clock, fed with lines as `replay` does.
public struct EngineStages: ~Copyable {
  public let stage: EngineStage
  private var decoder: EventDecoder
  private var task: EngineTask
  private var clock: TaskClock
  private var event = Event()
  private let ceiling = Instant(seconds: 4_102_444_800)
  public private(set) var events = 0
  public private(set) var outputBytes = 0

  /// - Parameter config: the repository's `config` directory.
  /// - Throws: what loading the rules throws.
  public init(_ stage: EngineStage, config: String) throws {
    self.stage = stage
    let churn = stage == .rules ? "churn: { preset: cdnow, horizon: 180d }" : "alerts: { enabled: false }"
    let text = """
      kafka: { bootstrap: 'localhost:9092' }
      inputs: [{ topic: replay, required: true }]
      clock: event
      rules: \(stage == .rules ? "tags.yaml" : "w1-tags.yaml")
      \(churn)
      """
    let configuration = try Configuration.load(text: text, file: "\(config)/benchmark.yaml")
    var settings = try configuration.engineSettings()
    if stage == .state {
      // A rule file has at least one rule; this one rests on what no event of the workload touches.
      let none = "version: 1\ntags: [{ name: none, layer: value, when: profile.region = 'nowhere' }]\n"
      settings.rules = try RuleSet(text: none, file: "none.yaml", exponent: 2)
    }
    settings.topicNames = ["replay"]
    settings.profiles = false
    decoder = EventDecoder(
      format: .native, limits: configuration.decodeLimits, currencies: try configuration.currencyTable())
    task = EngineTask(settings: settings, seed: 0)
    clock = TaskClock(mode: .event, required: [false], sourceStall: .minutes(15))
  }

  public var customers: Int { task.customerCount }
  public var bytesInUse: Int { task.bytesInUse }
  public func bytesByField() -> TableBytes { task.bytesByField() }

  /// Runs all lines of a batch through the stages, and throws the outputs away.
  /// - Returns: how many were refused.
  public mutating func run(_ batch: borrowing LineBatch) -> Int {
    var refused = 0
    for index in 0..<batch.count where !apply(batch[index]) { refused += 1 }
    forgetOutputs()
    return refused
  }

  /// One line that the caller has made.
  /// - Returns: whether it was taken.
  public mutating func run(line: UnsafeRawBufferPointer) -> Bool {
    defer { if events % 1_024 == 0 { forgetOutputs() } }
    return apply(line)
  }

  /// Lets so many new customers buy at one instant.
  /// - Returns: how many orders were refused.
  public mutating func run(orders: Int, at instant: Instant) -> Int {
    var refused = 0
    for number in 0..<orders {
      Bench.withOrder(number, at: instant) { bytes, _ in if !apply(bytes) { refused += 1 } }
      if number % 1_024 == 1_023 { forgetOutputs() }
    }
    forgetOutputs()
    return refused
  }

  /// One line through all stages.
  @inline(__always) private mutating func apply(_ line: UnsafeRawBufferPointer) -> Bool {
    let origin = Origin(topic: 0, partition: 0, offset: Int64(events))
    events += 1
    guard decoder.decode(line, key: nil, origin: origin, ceiling: ceiling, into: &event) == nil else { return false }
    guard stage != .parse else { return true }
    let isApplied = task.apply(event) != .tooLate
    clock.observe(topic: 0, eventTime: event.time)
    task.advance(to: clock.update(wall: .distantPast))
    return isApplied
  }

  private mutating func forgetOutputs() {
    decoder.reset()
    outputBytes += task.outputs.bytes.count
    task.outputs.removeAll()
  }

  /// Moves the clock alone, firing at most so many timers.
  /// - Returns: whether more are due.
  public mutating func advance(to instant: Instant, maxTimers: Int) -> Bool {
    defer { forgetOutputs() }
    return task.advance(to: instant, maxTimers: maxTimers)
  }

  public var timersFired: Int { task.counters.timersFired }
}
