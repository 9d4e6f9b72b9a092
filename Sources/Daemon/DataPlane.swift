// The one data-plane thread: polls, applies, ticks and seals epochs for all owned partitions.
//
// It is the shell around pure parts: `Ownership` (rebalances), `decideStart` (the start-up table) and `EpochPipeline` (one
// epoch uncommitted, one open). Each returns what to do; the code here does it. Commits are done by a second thread, the
// `Committer`. Several such pairs could share a process one day: everything they own hangs on one `DataPlane`.

import Checkpoint
import Configuration
import Engine
import Events
import Glibc
import Handoff
import Kafka

#if PlantedBugs
  import PlantedBugs
#endif

/// What the data plane is given; all of it may cross threads.
public struct DataPlaneSettings: Sendable {
  public var configuration: Configuration
  public var factory: any TaskFactory
  public var disk: any Disk = PosixDisk()
  public var threads: any Threads = SystemThreads()
  /// Partitions that are opened and restored at once, 1 or more; each takes a core.
  public var restoreThreads = max(1, min(8, sysconf(Int32(_SC_NPROCESSORS_ONLN))))
  public var copying = CopyingAhead()
  /// Of all partitions: one at a time writes its epoch.
  let arranging = ArrangingMemory()
  /// Where the identities of new states come from.
  public var makeLineage: @Sendable () -> Lineage = { .random() }
  public var log: Log
  /// Stop when everything assigned has been read.
  public var stopAtEnd = false
  /// With `stopAtEnd` and the event clock: where every clock ends.
  public var until: Instant?

  public init(configuration: Configuration, factory: any TaskFactory, log: Log) {
    self.configuration = configuration
    self.factory = factory
    self.log = log
  }
}

/// How an epoch's changes are copied before it is sealed, between records.
public struct CopyingAhead: Sendable {
  /// Customers who changed last, of all partitions together, wait until the epoch is sealed: some are about to change again.
  public var leaving: Int
  /// Of a partition, at least: fewer would be fetched from memory one by one.
  public var atOnce: Int

  public init(leaving: Int = 2_048, atOnce: Int = 64) {
    self.leaving = leaving
    self.atOnce = atOnce
  }
}

/// How a data plane ended.
public struct DataPlaneEnd: Sendable, Hashable {
  public enum Status: Sendable, Hashable {
    /// Stopped in good order, or everything was read.
    case ok
    case failure
    /// A property or topic name that Kafka does not take.
    case badConfiguration
    /// A topic is missing, or the inputs do not fit together.
    case badTopics
    /// An operator is needed; a restart alone changes nothing.
    case halted
    /// The state on disk and the committed offsets disagree: the start-up table refuses.
    case stateRefused
    /// Fenced, or a commit of unknown outcome: start again, the committed tag will tell.
    case restart
  }
  public var status: Status
  /// Why, unless it is `ok`.
  public var reason: String
  public init(_ status: Status, _ reason: String = "") {
    self.status = status
    self.reason = reason
  }
}

package final class DataPlane {
  let settings: DataPlaneSettings
  let consumer: any ConsumerPort
  let wall: any Wall
  let stop: StopRequest
  let looks: Mailbox<SourceLook>
  let published: Shared<DaemonSnapshot>
  let notifier: SystemdNotifier?
  let topics: [String]
  let line: CommitLine

  var ownership = Ownership()
  var pipeline = EpochPipeline()
  /// Used by the committer only, once it runs.
  private let committer: Committer
  /// The tasks of the epoch whose outcome is being dealt with.
  var answered: [SealedTask] = []
  /// Until when what is being settled may take, monotonic microseconds.
  var settleDeadline: Int64?
  /// By partition; at most a few thousand.
  var tasks: [Int32: TaskRuntime] = [:]
  /// The same by number, for the path of each record.
  var tasksByPartition: [TaskRuntime?] = [] {
    didSet { forgetTargets() }
  }
  /// Likewise, for records that are some way ahead: without references, so that none is counted three times a record. Empty
  /// but within a poll, and from the moment on at which a task or its logic is replaced.
  var targets: [LookAheadTarget?] = []
  var halted: [Int32: String] = [:]
  /// Those of the halted that the start-up table refused.
  var refused: Set<Int32> = []
  /// Partitions of ours whose directory another process still holds, and until when that is waited for (monotonic
  /// microseconds).
  var locked: [Int32: Int64] = [:]
  var nextLockTry: Int64 = 0
  var membership: (any GroupMembership)?
  var partitionCount: Int32 = 0
  let rewrites: RewriteWorker
  var lastRewritten: Int32 = -1
  /// Tasks that were given back, in case their partitions come again with the next assignment.
  var warm: [Int32: WarmTask] = [:]
  /// Rebalances that came while something else was waited for.
  var pendingRebalances: [RebalanceEvent] = []

  var epoch = OpenEpoch(openedAt: 0)
  var moreDue = false
  var rejections = RejectionWatch()
  /// The tasks were taken back in the middle of a batch: the rest of it is ahead of them and will be fetched again.
  var isBatchStale = false
  var memory: MemoryGate
  /// Since the last epoch was sealed.
  var hasReleasedMemory = false
  var wallWatch = WallWatch()
  var ends: [[Int64]]?
  var lastLook: SourceLook?
  var missingTopics = MissingTopics()
  /// Monotonic microseconds; nil while partitions are there.
  private var joiningSince: Int64?
  var end: DataPlaneEnd?
  var snapshot = DaemonSnapshot()
  var lastPublished: Int64 = .min
  /// Counters of tasks that were given back or reloaded, so that totals only rise.
  var pastCounters: TaskCounters
  var isReady = false

  package init(
    _ settings: DataPlaneSettings, consumer: any ConsumerPort, producer: any ProducerPort, wall: any Wall,
    stop: StopRequest, looks: Mailbox<SourceLook>, published: Shared<DaemonSnapshot>, notifier: SystemdNotifier?
  ) {
    self.settings = settings
    self.consumer = consumer
    self.wall = wall
    self.stop = stop
    self.looks = looks
    self.published = published
    self.notifier = notifier
    topics = settings.configuration.inputs.map(\.topic)
    line = CommitLine(settings.threads)
    rewrites = RewriteWorker(settings.threads)
    committer = Committer(
      settings.configuration, producer: producer, offsets: consumer, wall: wall, line: line, log: settings.log)
    pastCounters = TaskCounters(topics: topics.count)
    memory = MemoryGate(limit: settings.configuration.state.memoryLimit)
    snapshot.memoryLimit = memory.limit
    snapshot.topics = topics
    snapshot.counters = pastCounters
  }

  /// Runs to the end; returns why it ended.
  package func run(partitionCount: Int32) -> DataPlaneEnd {
    self.partitionCount = partitionCount
    tasksByPartition = [TaskRuntime?](repeating: nil, count: Int(partitionCount))
    let thread: any RunningThread
    do {
      let committer = Transferred(committer)
      thread = try settings.threads.start("tw-commit") { committer.value.run() }
    } catch { return DataPlaneEnd(.failure, "\(error)") }
    waitForCommitter()
    if end == nil { subscribe() }
    snapshot.phase = .joining
    snapshot.waiting = ""
    while end == nil {
      goRound()
    }
    let result = end ?? DataPlaneEnd(.failure, "the data plane ended without a reason")
    // Whatever is under way is given up, but for a commit that was sent: its outcome is worth a wait.
    line.bound(at: wall.monotonicMicroseconds + settings.configuration.epoch.finishWithin.microseconds, abandon: true)
    line.end()
    thread.join()
    leave()
    snapshot.phase = .stopped
    publish(force: true)
    return result
  }

  /// One turn of the loop.
  func goRound() {
    beat()
    if stop.isStopping { return shutDown() }
    takeLooks()
    takeOutcome()
    guard end == nil else { return }
    poll(timeoutMilliseconds: pollTimeout)
    answerRebalances()
    startUnlocked()
    guard end == nil else { return }
    saySlowJoin()
    watchMemory()
    guard end == nil else { return }
    tick()
    sealIfDue()
    guard end == nil else { return }
    #if PlantedBugs
      if PlantedBug.isPlanted(.baseFromUncommitted) { takeRewrites() }
    #endif
    if !pipeline.hasUncommitted { takeRewrites() }
    releaseMemoryWhenIdle()
    if settings.stopAtEnd, isEverythingRead { finishBounded() }
    publish(force: false)
  }

  /// A group waits for members that died without leaving: whoever starts the daemon should know what for.
  private func saySlowJoin() {
    let now = wall.monotonicMicroseconds
    guard snapshot.phase == .joining else {
      joiningSince = nil
      return
    }
    let since = joiningSince ?? now
    joiningSince = since
    guard snapshot.waiting.isEmpty, now - since > 5_000_000 else { return }
    snapshot.waiting =
      "waiting for group \(settings.configuration.kafka.group) to give out its partitions; a member that died without "
      + "leaving is waited for until its session.timeout.ms is over (45 s, unless kafka.properties says otherwise)"
    settings.log.info(snapshot.waiting)
  }

  // MARK: Start and end

  /// The committer registers the transactional id first: that fences whoever had it before.
  private func waitForCommitter() {
    while end == nil {
      beat()
      let (isReady, failure) = line.start
      if let failure { end = failure }
      if isReady || end != nil { return }
      takeOutcome()
      publish(force: true)
      if stop.isStopping { end = DataPlaneEnd(.ok) }
      line.waitForOutcome(milliseconds: 200)
    }
  }

  private func subscribe() {
    while end == nil {
      beat()
      do {
        _ = try consumer.subscribe(to: topics, timeoutMilliseconds: 2_000)
        return
      } catch {
        guard error.isRetriable else {
          end = DataPlaneEnd(.halted, "\(error)")
          return
        }
        wait(for: "\(error)")
      }
    }
  }

  /// Says why we wait, looks after the clients, and sleeps a moment.
  func wait(for reason: String) {
    if snapshot.waiting != reason { settings.log.warning(reason) }
    snapshot.waiting = reason
    snapshot.retries += 1
    drainClientEvents()
    publish(force: true)
    if stop.isStopping, ownership.partitions.isEmpty { end = DataPlaneEnd(.ok) }
    wall.sleep(milliseconds: 200)
  }

  /// SIGTERM: finish, commit, mark the end as clean.
  private func shutDown() {
    settings.log.info("stopping: finishing the open epoch")
    snapshot.phase = .stopping
    notifier?.send("STOPPING=1\nSTATUS=finishing the open epoch")
    finish()
  }

  /// Everything is read: bring each clock to its end, fire what is due, commit.
  private func finishBounded() {
    for task in orderedTasks where task.halted == nil {
      if let until = settings.until, settings.configuration.clock == .event {
        while task.logic.advance(to: until, maxTimers: 10_000) {
          guard keepEpochBounded() else { return }
        }
      }
      guard settings.configuration.outputs.customerProfiles.enabled else { continue }
      var place: Int? = 0
      while let start = place {
        place = task.logic.emitProfiles(from: start, limit: 10_000)
        guard keepEpochBounded() else { return }
      }
    }
    settings.log.info("everything is read: finishing")
    // Aborted: what it held is read again, and then everything once more.
    settle(.running)
    guard end == nil, isEverythingRead else { return }
    settle(.finalOfProcess)
    guard end != nil || isEverythingRead else { return }
    conclude()
  }

  private var isEverythingRead: Bool {
    guard case .running = ownership.state, !tasks.isEmpty, locked.isEmpty, !moreDue else { return false }
    return orderedTasks.allSatisfy { $0.halted != nil || $0.atEnd.allSatisfy { $0 } }
  }

  /// Keeps an epoch within bounds; false when the end has to be begun again, or never.
  private func keepEpochBounded() -> Bool {
    beat()
    lookAtTasks()
    if epoch.isFull(settings.configuration.epoch) { advance(.full) }
    return end == nil && isEverythingRead
  }

  private func finish() {
    if !orderedTasks.isEmpty { settle(.finalOfProcess) }
    conclude()
  }

  private func conclude() {
    if end == nil { end = DataPlaneEnd(.ok) }
    // A halted partition is an operator's, however the others ended.
    if end?.status == .ok, let halt = endOfHalted { end = halt }
  }

  /// How the process ends because of its halted partitions; nil when there are none.
  var endOfHalted: DataPlaneEnd? {
    guard let (partition, reason) = halted.min(by: { $0.key < $1.key }) else { return nil }
    return DataPlaneEnd(refused.contains(partition) ? .stateRefused : .halted, "partition \(partition): \(reason)")
  }

  private func leave() {
    dropTasks()
    do { try consumer.close() } catch { settings.log.warning("\(error)") }
  }
}
