// The real task: decoders, clock and engine of one partition.

import Configuration
import Customers
import Engine
import Events
import Kafka

final class EngineLogic: TaskLogic {
  private let setup: EngineFactory
  private let partition: Int32
  private let partitionCount: Int32
  /// In raw memory: a property of a class is watched for overlapping accesses, at every one of them.
  private let engineMemory: UnsafeMutablePointer<EngineTask>
  private var engine: EngineTask {
    unsafeAddress { UnsafePointer(engineMemory) }
    unsafeMutableAddress { engineMemory }
  }
  private var taskClock: TaskClock
  private var decoders: [EventDecoder]
  private var event = Event()
  private var decodedSinceReset = 0
  private var moreDue = false
  private var sweeps = 0
  private(set) var isDirty = false
  private var own: TaskCounters
  /// The engine's counters are part of its state; ours begin with this object.
  private var engineBase = EngineCounters()
  private var evictionsBase = 0
  private var overflowsBase = RecordCounters()
  private var leftOutBase = 0

  init(_ setup: EngineFactory, partition: Int32, partitionCount: Int32, seed: UInt64) {
    self.setup = setup
    self.partition = partition
    self.partitionCount = partitionCount
    engineMemory = .allocate(capacity: 1)
    engineMemory.initialize(to: EngineTask(settings: setup.settings, seed: seed))
    taskClock = setup.makeClock(startingAt: .distantPast, reached: [:])
    decoders = setup.makeDecoders()
    own = TaskCounters(topics: decoders.count)
  }

  deinit {
    engineMemory.deinitialize(count: 1)
    engineMemory.deallocate()
  }

  /// While a wave of timers is due, records go on: each waits for so many only, and `tick` does the rest.
  private static let timersBetweenRecords = 64

  func consume(_ record: InputItem, wall: Instant) {
    isDirty = true
    let origin = Origin(topic: UInt16(record.topic), partition: partition, offset: record.offset)
    if let reason = decode(record, origin, wall: wall) {
      reject(record, origin, reason, wall: wall)
      taskClock.recordSeen(topic: record.topic, brokerTimestamp: record.timestamp)
    } else {
      // The decoder has seen to it that the key is the customer's id.
      switch engine.apply(event, hash: record.hash) {
      case .applied: own.events[record.topic][TaskCounters.Result.applied.rawValue] += 1
      case .late: own.events[record.topic][TaskCounters.Result.late.rawValue] += 1
      case .duplicate: own.events[record.topic][TaskCounters.Result.duplicate.rawValue] += 1
      case .tooLate: reject(record, origin, .tooLate, wall: wall)
      }
      taskClock.observe(topic: record.topic, eventTime: event.time, brokerTimestamp: record.timestamp)
    }
    step(wall: wall, maxTimers: Self.timersBetweenRecords)
  }

  private func decode(_ record: InputItem, _ origin: Origin, wall: Instant) -> RejectReason? {
    if record.isSkipped { return .skipped }
    guard let key = record.key, !key.isEmpty else { return .keyMissing }
    if let partitioner = setup.partitioners[record.topic],
      let expected = partitioner.partition(forKey: key, count: partitionCount), expected != partition
    {
      return .wrongPartition
    }
    // Slices live until here: an event is applied before the next one is decoded.
    if decodedSinceReset >= 256 {
      decoders[record.topic].reset()
      decodedSinceReset = 0
    }
    decodedSinceReset += 1
    let payload = record.value ?? UnsafeRawBufferPointer(start: nil, count: 0)
    return decoders[record.topic].decode(
      payload, key: key, origin: origin, ceiling: record.timestamp ?? wall, into: &event)
  }

  private func reject(_ record: InputItem, _ origin: Origin, _ reason: RejectReason, wall: Instant) {
    own.events[record.topic][TaskCounters.Result.rejected.rawValue] += 1
    own.deadLetters[reason.rawValue, default: 0] += 1
    // Before the clock has begun, the record's own time stands in.
    let emittedAt = engine.clock > .distantPast ? engine.clock : record.timestamp ?? wall
    DeadLetter.encode(
      reason: reason, origin: origin, topicName: setup.settings.topicNames[record.topic], key: record.key,
      payload: record.value ?? UnsafeRawBufferPointer(start: nil, count: 0), brokerTimestamp: record.timestamp,
      emittedAt: emittedAt, maxPayloadBytes: setup.maxDeadLetterBytes, into: &engine.outputs)
  }

  private func step(wall: Instant, maxTimers: Int) {
    let clock = taskClock.update(wall: wall)
    // Nothing is due before the first event: the clock has not begun.
    guard clock > .distantPast else { return }
    if engine.isSweeping { sweeps += 1 }
    let fired = engine.counters.timersFired
    moreDue = engine.advance(to: clock, maxTimers: maxTimers)
    // Catching up, the clock jumps to the wall: what fell due in between is still of the past.
    if taskClock.hasCaughtUp, !engine.isLive, !moreDue {
      engine.caughtUp()
      isDirty = true
    }
    if engine.counters.timersFired != fired || !engine.outputs.isEmpty { isDirty = true }
  }

  func reachedEnd(of topic: Int) { taskClock.reachedEnd(of: topic) }
  func topicGrew(_ topic: Int, at wall: Instant) { taskClock.topicGrew(topic, at: wall) }

  func tick(wall: Instant, maxTimers: Int) -> Bool {
    step(wall: wall, maxTimers: maxTimers)
    return moreDue
  }

  func advance(to instant: Instant, maxTimers: Int) -> Bool {
    taskClock.advance(to: instant)
    isDirty = true
    return engine.advance(to: max(instant, engine.clock), maxTimers: maxTimers)
  }

  var clock: Instant { engine.clock }
  var clockStatus: TaskClock.Status { taskClock.status }

  var tickWork: Int? { engine.counters.timersFired + sweeps }

  func endEpoch(_ epoch: UInt64) {
    engine.flushProfiles()
    guard setup.settings.clockMode == .event else { return }
    for (topic, instant) in zip(setup.settings.topicNames, taskClock.reached) { engine.reached[topic] = instant }
  }

  func emitProfiles(from start: Int, limit: Int) -> Int? {
    engine.emitProfiles(in: start..<start + limit)
    isDirty = isDirty || !engine.outputs.isEmpty
    return start + limit < engine.placeCount ? start + limit : nil
  }

  func copyAhead(into list: ChangeList, leaving: Int) { engine.copyAhead(into: list, leaving: leaving) }
  func takeChanges(into list: ChangeList) { engine.takeChanges(into: list) }

  func restore(key: UnsafeRawBufferPointer, value: UnsafeRawBufferPointer?) throws {
    try engine.restore(key: key, value: value)
  }

  func finishRestore(epoch: UInt64, clock: Instant) throws {
    try engine.finishRestore()
    resume(epoch: epoch, clock: clock)
    // A sweep after changed rules is work to be saved like any other.
    isDirty = !engine.outputs.isEmpty
  }

  func resume(epoch: UInt64, clock: Instant) {
    // As new: nothing is known any more of how far the inputs reach, only how far they were read.
    taskClock = setup.makeClock(startingAt: max(engine.clock, clock), reached: engine.reached)
    own = TaskCounters(topics: decoders.count)
    engineBase = engine.counters
    evictionsBase = engine.evictions
    overflowsBase = engine.recordCounters
    leftOutBase = engine.leftOutNames
  }

  var outputs: OutputBuffer { engine.outputs }
  var outputBytes: Int { engine.outputs.bytes.count }
  var changes: Int { engine.changedCustomers }
  var bytesNeeded: Int { engine.bytesNeeded }

  var lookAhead: LookAheadTarget? { LookAheadTarget(engineMemory) }
  func takeOutputs(leaving buffer: OutputBuffer) -> OutputBuffer {
    var taken = buffer
    swap(&taken, &engine.outputs)
    isDirty = false
    return taken
  }

  var counters: TaskCounters {
    var all = own
    let now = engine.counters
    all.tagChanges = now.tagChanges - engineBase.tagChanges
    all.shadowTagChanges = now.shadowChanges - engineBase.shadowChanges
    all.overdueAlerts = now.overdue - engineBase.overdue
    all.timers = now.timersFired - engineBase.timersFired
    all.alerts = [
      "churn raised": now.raisedChurn - engineBase.raisedChurn, "lost raised": now.raisedLost - engineBase.raisedLost,
      "silent raised": now.raisedSilent - engineBase.raisedSilent, "any resolved": now.resolved - engineBase.resolved,
      "any expired": now.expired - engineBase.expired,
    ]
    all.customers = engine.customerCount
    all.evictions = engine.evictions - evictionsBase
    all.overflows = engine.recordCounters.since(overflowsBase)
    all.leftOutNames = engine.leftOutNames - leftOutBase
    return all
  }
}

/// Makes the real tasks of one configuration: what they share is read-only.
public struct EngineFactory: TaskFactory {
  let settings: EngineSettings
  let currencies: CurrencyTable
  let limits: DecodeLimits
  let formats: [WireFormat]
  /// By topic; nil where records are not checked against their partition.
  let partitioners: [Partitioner?]
  let required: [Bool]
  let sourceStall: TimeSpan
  let maxDeadLetterBytes: Int
  public let versions: TaskVersions

  /// Loads rules and time zone.
  /// - Throws: what `Configuration.engineSettings` throws, and `CurrencyError`.
  public init(_ configuration: Configuration) throws {
    settings = try configuration.engineSettings()
    currencies = try configuration.currencyTable()
    limits = configuration.decodeLimits
    formats = configuration.inputs.map { $0.format == .segment ? .segment : .native }
    partitioners = configuration.inputs.map { input in
      switch input.partitioner {
      case .murmur2: .murmur2
      case .consistent: .consistent
      case .fnv1a: .fnv1a
      case .unchecked: nil
      }
    }
    required = configuration.inputs.map(\.required)
    sourceStall = configuration.sourceStall
    maxDeadLetterBytes = configuration.limits.deadLetterBytes
    var versions = TaskVersions()
    versions.rulesRevision = UInt64(settings.rules.revision)
    versions.rulesFingerprint = String(settings.rules.fingerprint, radix: 16)
    versions.model = settings.churn?.version ?? ""
    versions.engine = String(EngineSettings.engineVersion)
    versions.timeZone = "\(settings.calendar.identifier) \(settings.calendar.version)"
    self.versions = versions
  }

  public func makeTask(partition: Int32, partitionCount: Int32, seed: UInt64) throws -> any TaskLogic {
    EngineLogic(self, partition: partition, partitionCount: partitionCount, seed: seed)
  }

  func makeClock(startingAt now: Instant, reached: [String: Instant]) -> TaskClock {
    TaskClock(
      mode: settings.clockMode, required: required, sourceStall: sourceStall, lateness: settings.records.lateness,
      startingAt: now, reached: settings.topicNames.map { reached[$0] })
  }
  func makeDecoders() -> [EventDecoder] {
    formats.map { EventDecoder(format: $0, limits: limits, currencies: currencies) }
  }
}
