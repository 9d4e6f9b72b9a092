// What the data plane shows of itself: published as a whole, read by the admin server and systemd's status.

import Events

/// One partition as others may see it.
public struct PartitionSnapshot: Sendable, Hashable {
  public enum Phase: String, Sendable { case restoring, running, halted }
  public var partition: Int32
  public var phase: Phase
  /// Why it is halted, or what holds its clock.
  public var detail = ""
  public var clock: Instant?
  public var isFollowingWall = false
  public var isStalled = false
  public var epoch: UInt64?
  /// By input topic; nil where the end is not known yet.
  public var lag: [Int64?] = []
  public var logBytes: UInt64 = 0
  public var baseBytes: UInt64 = 0
  public init(partition: Int32, phase: Phase) {
    self.partition = partition
    self.phase = phase
  }
}

/// The whole daemon at one moment.
public struct DaemonSnapshot: Sendable {
  public enum Phase: String, Sendable {
    /// Waiting for the broker and the topics.
    case starting
    /// In no assignment yet.
    case joining
    case restoring
    case running
    case stopping
    case stopped
  }
  public var phase = Phase.starting
  /// What the start or a step waits for, in a sentence.
  public var waiting = ""
  /// When the data plane last went round, monotonic microseconds.
  public var beat: Int64 = 0
  public var wall = Instant(seconds: 0)
  public var topics: [String] = []
  public var partitions: [PartitionSnapshot] = []
  public var counters = TaskCounters(topics: 0)
  public var epochs = 0
  public var abortedEpochs = 0
  /// How often nothing was applied because one epoch was uncommitted and the next one full.
  public var heldEpochs = 0
  public var epochMicroseconds: Int64 = 0
  /// How long processing stood still each time that an epoch was sealed or confirmed.
  public var pauses = PauseHistogram()
  /// The longest time that timers of all partitions took between two polls.
  public var maxTickMicroseconds: Int64 = 0
  /// How long it stood still because commits did not keep up, in all.
  public var heldMicroseconds: Int64 = 0
  public var checkpointBytes: UInt64 = 0
  public var checkpointBlocks = 0
  public var rewrites = 0
  /// Bytes of the bases that rewrites made.
  public var rewrittenBytes: UInt64 = 0
  public var failedRewrites = 0
  public var outputs = 0
  public var retries = 0
  public var rebalances = 0
  public var brokerErrors = 0
  public var droppedRecords = 0
  public var isKafkaReachable = true
  /// What the state and the outputs of the open epoch need, in bytes.
  public var memoryUsed = 0
  /// `state.memory_limit` in bytes; 0 = none.
  public var memoryLimit = 0
  /// The limit is reached: nothing is read.
  public var isMemoryExhausted = false
  /// How far the system's clock is behind what it has shown before; zero with `clock: event`.
  public var clockBehind = TimeSpan.seconds(0)

  public init() {}

  /// Why the daemon is not ready; empty when it is.
  public var reasons: [Reason] {
    var reasons: [Reason] = []
    if phase != .running {
      reasons.append(
        Reason(code: phase.rawValue, detail: waiting.isEmpty ? "the daemon is \(phase.rawValue)" : waiting))
    } else if !waiting.isEmpty {
      reasons.append(Reason(code: "waiting", detail: waiting))
    }
    if !isKafkaReachable { reasons.append(Reason(code: "kafka_unreachable", detail: "no broker can be reached")) }
    if isMemoryExhausted { reasons.append(Reason(code: "memory_limit", detail: memoryText)) }
    for partition in partitions {
      switch partition.phase {
      case .halted:
        reasons.append(
          Reason(code: "partition_halted", detail: "partition \(partition.partition): \(partition.detail)"))
      case .restoring:
        reasons.append(Reason(code: "restoring", detail: "partition \(partition.partition) is being restored"))
      case .running:
        if partition.isStalled {
          reasons.append(
            Reason(code: "source_stalled", detail: "partition \(partition.partition): \(partition.detail)"))
        }
      }
    }
    return reasons
  }

  /// What is said when the limit is reached.
  var memoryText: String {
    "memory limit reached: \(memoryUsed) of \(memoryLimit) bytes; raise state.memory_limit or add a member"
  }

  public struct Reason: Sendable, Hashable {
    public var code: String
    public var detail: String
  }
}
