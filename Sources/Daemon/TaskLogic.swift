// What the shell needs of one partition's engine: it never looks inside.

import Checkpoint
import Customers
import Engine
import Events

/// One partition's decoders, clock and engine. Confined to one thread; pure but for what it is given.
public protocol TaskLogic: AnyObject {
  /// Decodes, checks and applies one record, moves the clock and fires what is due. Bad input becomes a dead letter, and so
  /// does a record that `isSkipped`, whatever it holds.
  func consume(_ record: InputItem, wall: Instant)
  /// Everything `topic` holds was read.
  func reachedEnd(of topic: Int)
  /// The end offsets of `topic`, over all partitions, were seen to have grown.
  func topicGrew(_ topic: Int, at wall: Instant)
  /// Moves the clock as far as the inputs allow and fires at most `maxTimers`; true when more are due.
  func tick(wall: Instant, maxTimers: Int) -> Bool
  /// Moves the clock to `instant` (the end of a bounded run); true when more are due.
  func advance(to instant: Instant, maxTimers: Int) -> Bool

  /// A count that rises whenever `tick` did more than move the clock: fired timers, went on with a sweep. nil: not known.
  var tickWork: Int? { get }

  var clock: Instant { get }
  var clockStatus: TaskClock.Status { get }
  /// Something besides offsets is to be saved: changed state or outputs.
  var isDirty: Bool { get }

  /// The open epoch is about to be sealed under this number: say what is said once an epoch (coalesced profiles).
  /// `takeChanges` and `takeOutputs` follow at once.
  /// - Throws: `.disk` when a journal could not be written: the epoch must not be saved then.
  func endEpoch(_ epoch: UInt64) throws(CheckpointError)
  /// Says the profiles of at most `limit` customers as of the clock, from place `start` on; returns where to go on, or nil
  /// when all have been said.
  func emitProfiles(from start: Int, limit: Int) -> Int?
  /// Adds to `list` those of the changed customers that changed longest ago, all but `leaving` of them, so that `takeChanges`
  /// has less to add to it. Whoever changes again is added again; the last of a key wins.
  func copyAhead(into list: ChangeList, leaving: Int)
  /// Adds what changed since the last call to `list`, as quickly as it can: the next record waits.
  func takeChanges(into list: ChangeList)
  /// One stored entry, in any order; the last of a key wins.
  func restore(key: UnsafeRawBufferPointer, value: UnsafeRawBufferPointer?) throws
  /// `clock` is the clock of the restored epoch.
  func finishRestore(epoch: UInt64, clock: Instant) throws
  /// The partition was given back and has come again, with this state still in memory: nothing is known of how far the
  /// inputs have been read.
  func resume(epoch: UInt64, clock: Instant)

  var outputs: OutputBuffer { get }
  /// Of `outputs`; asked for often.
  var outputBytes: Int { get }
  /// How many customers have changed that neither `takeChanges` nor `copyAhead` has taken, about; asked for often.
  var changes: Int { get }
  /// Bytes of memory that the state needs, without `outputs`; asked for often.
  var bytesNeeded: Int { get }
  /// Where to ask for the memory that records to come will need, as long as this logic lives; nil where it would be of no use.
  var lookAhead: LookAheadTarget? { get }
  /// Takes the outputs of the epoch being sealed; the next ones go into `buffer`, which is empty.
  func takeOutputs(leaving buffer: OutputBuffer) -> OutputBuffer
  /// Since this logic was made, restored or resumed.
  var counters: TaskCounters { get }
}

extension TaskLogic {
  public var tickWork: Int? { nil }
  public var outputBytes: Int { outputs.bytes.count }
  public var lookAhead: LookAheadTarget? { nil }
}

/// What one task has counted, for the metrics.
public struct TaskCounters: Sendable, Hashable {
  public enum Result: Int, Sendable, CaseIterable {
    case applied, late, duplicate, rejected
    public var name: String { ["applied", "late", "duplicate", "rejected"][rawValue] }
  }
  /// Per topic, by `Result.rawValue`.
  public var events: [[Int]]
  /// By reason code.
  public var deadLetters: [String: Int] = [:]
  public var tagChanges = 0
  /// Changes of rules that only count (`shadow: true`).
  public var shadowTagChanges = 0
  /// Alerts emitted after their `respond_by`: broken promises.
  public var overdueAlerts = 0
  public var timers = 0
  /// By kind and status, such as `churn raised`.
  public var alerts: [String: Int] = [:]
  public var customers = 0
  /// Customers evicted after long silence.
  public var evictions = 0
  /// What customers' records had no room for.
  public var overflows = RecordCounters()
  /// How often a name was read as `(other)`: the partition has `limits.names` already.
  public var leftOutNames = 0

  public init(topics: Int) {
    events = [[Int]](repeating: [Int](repeating: 0, count: Result.allCases.count), count: topics)
  }

  public mutating func add(_ other: TaskCounters) {
    for (topic, results) in other.events.enumerated() where topic < events.count {
      for (index, value) in results.enumerated() { events[topic][index] += value }
    }
    deadLetters.merge(other.deadLetters, uniquingKeysWith: +)
    tagChanges += other.tagChanges
    shadowTagChanges += other.shadowTagChanges
    overdueAlerts += other.overdueAlerts
    timers += other.timers
    alerts.merge(other.alerts, uniquingKeysWith: +)
    customers += other.customers
    evictions += other.evictions
    overflows.add(other.overflows)
    leftOutNames += other.leftOutNames
  }
}

/// Makes the logic of a task. Called again whenever a task is reloaded.
public protocol TaskFactory: Sendable {
  /// - Parameter seed: kept with the state by its lineage; decides nothing but the layout of tables.
  func makeTask(partition: Int32, partitionCount: Int32, seed: UInt64) throws -> any TaskLogic
  /// Goes into each block's header.
  var versions: TaskVersions { get }
}

/// What made a state: compared when it is read again.
public struct TaskVersions: Sendable, Hashable {
  public var rulesRevision: UInt64 = 0
  public var rulesFingerprint = ""
  public var model = ""
  public var engine = ""
  public var timeZone = ""
  public init() {}
}
