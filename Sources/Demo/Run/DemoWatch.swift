// Looks at the running parts again and again: what came out, how far the source is, what the daemon says of itself.

import Daemon
import Engine
import Events
import Kafka

/// The eye of the demo; confined to the thread that runs it.
struct DemoWatch {
  private(set) var status = DemoStatus()
  private(set) var board: DemoBoard
  private let daemon: DaemonWorker
  private let feed: DemoFeed
  private let reader: OutputReader
  private let warning: LastLine
  private let start = ContinuousClock.now
  private var nextShow: ContinuousClock.Instant
  /// What had been read at some moments of the last two seconds.
  private var marks: [(at: Double, consumed: Int)] = []
  private let options: DemoOptions

  init(_ options: DemoOptions, daemon: DaemonWorker, feed: DemoFeed, reader: OutputReader, warning: LastLine) {
    self.options = options
    self.daemon = daemon
    self.feed = feed
    self.reader = reader
    self.warning = warning
    nextShow = start
    board = DemoBoard(options.shop, horizon: DemoOptions.horizon)
    status.duration = options.duration
    status.opening = options.shop.opening
    status.shopTime = options.shop.opening
    status.readTime = options.shop.opening
    status.historyEnd = options.shop.opening + .days(options.historyDays)
    status.daysPerSecond = options.daysPerSecond
  }

  /// Takes what has come out, waiting a little if there is nothing, and shows it about ten times a second.
  mutating func look(_ show: DemoRun.Show) throws(KafkaError) {
    try takeOutputs(timeoutMilliseconds: 30)
    refresh()
    let now = ContinuousClock.now
    guard now >= nextShow else { return }
    nextShow = now + .milliseconds(100)
    show(status, board)
  }

  /// What is still in the topics when nobody writes any more.
  mutating func readRest() throws(KafkaError) {
    let deadline = ContinuousClock.now + .seconds(5)
    repeat { try takeOutputs(timeoutMilliseconds: 100) } while !reader.hasReadAll && ContinuousClock.now < deadline
    refresh()
  }

  mutating func end(_ show: DemoRun.Show) {
    status.phase = .ended
    show(status, board)
    reader.close()
  }

  private mutating func takeOutputs(timeoutMilliseconds: Int32) throws(KafkaError) {
    try reader.poll(timeoutMilliseconds: timeoutMilliseconds) { topic, value in board.take(topic, value) }
  }

  private mutating func refresh() {
    status.elapsed = Double((ContinuousClock.now - start) / .milliseconds(1)) / 1_000
    let source = feed.current
    status.produced = source.produced
    status.shopTime = source.shopTime

    let snapshot = daemon.snapshot
    let counters = snapshot.counters
    func count(_ result: TaskCounters.Result) -> Int { counters.events.reduce(0) { $0 + $1[result.rawValue] } }
    status.consumed = TaskCounters.Result.allCases.reduce(0) { $0 + count($1) }
    status.duplicates = count(.duplicate)
    status.late = count(.late)
    // A stopped daemon has given its customers back.
    status.customers = max(status.customers, counters.customers)
    // Partitions without a record have no clock.
    if let clock = snapshot.partitions.compactMap(\.clock).filter({ $0 > .distantPast }).min() {
      status.readTime = max(status.readTime, clock)
    }
    feed.noteRead(status.consumed)

    marks.append((status.elapsed, status.consumed))
    while let first = marks.first, first.at < status.elapsed - 2 { marks.removeFirst() }
    if let first = marks.first, status.elapsed - first.at > 0.5 {
      status.eventsPerSecond = Double(status.consumed - first.consumed) / (status.elapsed - first.at)
    }
    // The source runs ahead: the history is over when it has been read (but for a day in which a partition may sleep).
    let isLive = status.phase == .live || source.isLive && status.readTime >= status.historyEnd - .days(1)
    status.phase = phase(snapshot.phase, isLive: isLive)
    status.warning = warning.current
    if reader.missed > 0 { status.warning = "the view missed \(reader.missed) output records: too slow for the broker" }
  }

  private func phase(_ phase: DaemonSnapshot.Phase, isLive: Bool) -> DemoStatus.Phase {
    switch phase {
    case .starting: .starting("starting the daemon")
    case .joining: .starting("joining the consumer group: 3 to 5 s with the embedded broker")
    case .restoring: .starting("opening the state of each partition")
    case .running: isLive ? .live : .history
    case .stopping, .stopped: .ended
    }
  }
}
