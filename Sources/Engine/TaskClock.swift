// The clock of one task: when may "now" move, and how far. Pure: the wall is an argument. Used live and by the replay.

import Events

/// The one clock of a task, from what its inputs show. It never goes back.
///
/// - *Catching up*: the least, over the topics that lag, of their greatest event time less `settle`.
/// - *Caught up* (at the end of every topic, or the newest record of a topic within `freshness` of the wall): the wall,
///   but only while every required topic is alive. The first time, a fresh record of an event beyond `lateness` shows that
///   history is being loaded, and not that it has been read: under the wall's time the rest of it would be too late.
/// - *Stalled* (a required topic did not grow for `sourceStall`): it stands still (a new task: where the topic was last
///   alive), and when the topic grows again it catches up first, so that an outage never looks like customers leaving.
/// - In `ClockMode.event` it never follows the wall: once no topic lags, it is the greatest event time less `settle`.
public struct TaskClock: Sendable {
  /// Event time is trusted to this distance behind the newest event: arrival is not quite in order.
  public static let settle = TimeSpan.seconds(10)
  /// A record whose broker timestamp is this near to the wall has caught up.
  public static let freshness = TimeSpan.seconds(5)
  /// A record more than this ahead of its broker timestamp (or of a file's ceiling) is a dead letter.
  public static let futureTolerance = TimeSpan.minutes(5)

  /// Why the clock is where it is.
  public enum Status: Hashable, Sendable {
    /// Held back by these topics.
    case catchingUp(topics: [Int])
    case followingWall
    /// These required topics do not grow.
    case stalled(topics: [Int])
    /// `ClockMode.event`, at the end of every topic.
    case eventTime
  }

  private struct Topic: Sendable {
    var required: Bool
    var greatestEvent: Instant?
    var newestBrokerTimestamp: Instant?
    var atEnd = false
    /// When its end offsets, over all partitions, were last seen to have grown.
    var lastGrowth: Instant?
    var stalled = false
  }

  public let mode: ClockMode
  public let sourceStall: TimeSpan
  public let lateness: TimeSpan
  /// Where the clock stands. `.distantPast` before the first event of a new task.
  public private(set) var now: Instant
  public var status: Status {
    switch condition {
    case .catchingUp: .catchingUp(topics: indices(of: holding))
    case .followingWall: .followingWall
    case .stalled: .stalled(topics: indices(of: holding))
    case .eventTime: .eventTime
    }
  }
  /// True from the first moment at which no topic lagged; never false again.
  public private(set) var hasCaughtUp = false
  private var topics: [Topic]
  private var condition = Condition.catchingUp
  /// Bit i: topic i lags (or is stalled). Built for every event, so a word and no array.
  private var holding: UInt64

  private enum Condition: Sendable { case catchingUp, followingWall, stalled, eventTime }

  /// - Parameters:
  ///   - required: for each input topic (at most 64), whether it must be alive for the clock to follow the wall.
  ///   - lateness: events older than this are not applied once the clock follows the wall.
  ///   - now: the clock of the restored state.
  ///   - reached: of the restored state, what `reached` was; empty or one for each topic.
  public init(
    mode: ClockMode, required: [Bool], sourceStall: TimeSpan, lateness: TimeSpan = .days(7),
    startingAt now: Instant = .distantPast, reached: [Instant?] = []
  ) {
    self.mode = mode
    self.sourceStall = sourceStall
    self.lateness = lateness
    self.now = now
    topics = required.map { Topic(required: $0) }
    for (index, instant) in reached.enumerated() where index < topics.count { topics[index].greatestEvent = instant }
    holding = required.isEmpty ? 0 : .max >> UInt64(64 - min(64, required.count))
  }

  /// The greatest event time of each topic; nil where no event has come.
  public var reached: [Instant?] { topics.map(\.greatestEvent) }

  /// Whether a record is too far in the future to be believed.
  public static func isTooFarAhead(_ eventTime: Instant, of ceiling: Instant, tolerance: TimeSpan = futureTolerance)
    -> Bool
  {
    eventTime > ceiling + tolerance
  }

  /// An event of `topic` was read. Events that will be rejected must not be shown. `brokerTimestamp` is nil in a file.
  public mutating func observe(topic: Int, eventTime: Instant, brokerTimestamp: Instant? = nil) {
    topics[topic].greatestEvent = max(topics[topic].greatestEvent ?? .distantPast, eventTime)
    see(topic, brokerTimestamp, isPresent: brokerTimestamp.map { eventTime >= $0 - lateness } ?? false)
  }

  /// A record of `topic` was read that carries no usable event time (a dead letter): once caught up, it still shows how far
  /// we are.
  public mutating func recordSeen(topic: Int, brokerTimestamp: Instant?) {
    see(topic, brokerTimestamp, isPresent: false)
  }

  /// - Parameter isPresent: it tells of the present, not of history.
  private mutating func see(_ topic: Int, _ brokerTimestamp: Instant?, isPresent: Bool) {
    topics[topic].atEnd = false
    guard let brokerTimestamp else { return }
    if hasCaughtUp || isPresent { topics[topic].newestBrokerTimestamp = brokerTimestamp }
    // A record that fresh is growth that need not wait for the next look at the end offsets.
    topics[topic].lastGrowth = max(topics[topic].lastGrowth ?? .distantPast, brokerTimestamp)
  }

  /// Everything `topic` held has been read.
  public mutating func reachedEnd(of topic: Int) { topics[topic].atEnd = true }

  /// The end offsets of `topic`, over all its partitions, were seen to have grown.
  public mutating func topicGrew(_ topic: Int, at wall: Instant) {
    topics[topic].lastGrowth = max(topics[topic].lastGrowth ?? .distantPast, wall)
  }

  /// Moves the clock as far as what was observed allows, and returns it. Cheap: called after every event.
  /// `wall` bounds the clock in `ClockMode.wall` and is not looked at in `ClockMode.event`.
  @discardableResult
  public mutating func update(wall: Instant) -> Instant {
    mode == .event ? updateByEvents() : updateByWall(wall)
    return now
  }

  /// Moves the clock to `instant` if that is forward: the end of a bounded run (`--until`).
  public mutating func advance(to instant: Instant) { now = max(now, instant) }

  private mutating func updateByEvents() {
    var lagging: Instant? = nil
    var unknown = false
    var greatest: Instant? = nil
    var anyLagging = false
    holding = 0
    for (index, topic) in topics.enumerated() {
      if let event = topic.greatestEvent { greatest = max(greatest ?? .distantPast, event) }
      guard !topic.atEnd else { continue }
      anyLagging = true
      holding |= 1 << UInt64(index)
      if let event = topic.greatestEvent { lagging = min(lagging ?? .distantFuture, event) } else { unknown = true }
    }
    if anyLagging {
      condition = .catchingUp
    } else {
      condition = .eventTime
      hasCaughtUp = true
    }
    guard !unknown, let event = anyLagging ? lagging : greatest else { return }
    now = max(now, event - Self.settle)
  }

  private mutating func updateByWall(_ wall: Instant) {
    markStalls(wall)
    var lagging: Instant = .distantFuture
    var anyLagging = false
    // What a stalled topic vouches for: nothing after it was last seen alive.
    var bound = wall
    var anyStalled = false
    var laggingSet: UInt64 = 0
    var stalledSet: UInt64 = 0
    for (index, topic) in topics.enumerated() {
      if topic.stalled {
        anyStalled = true
        stalledSet |= 1 << UInt64(index)
        bound = min(bound, topic.lastGrowth ?? .distantPast)
      } else if !isCaughtUp(topic, wall) {
        anyLagging = true
        laggingSet |= 1 << UInt64(index)
        lagging = min(lagging, topic.greatestEvent.map { $0 - Self.settle } ?? .distantPast)
      }
    }
    now = max(now, min(anyLagging ? lagging : wall, bound))
    holding = anyStalled ? stalledSet : laggingSet
    if anyStalled {
      condition = .stalled
    } else if anyLagging {
      condition = .catchingUp
    } else {
      hasCaughtUp = true
      condition = .followingWall
    }
  }

  private func isCaughtUp(_ topic: Topic, _ wall: Instant) -> Bool {
    if topic.atEnd { return true }
    guard let newest = topic.newestBrokerTimestamp else { return false }
    return newest >= wall - Self.freshness && newest <= wall + Self.freshness
  }

  /// A required topic is looked at only when it is caught up: while it lags, (b) is in charge and it is plainly alive.
  private mutating func markStalls(_ wall: Instant) {
    for index in topics.indices where topics[index].required {
      // A timestamp from the future proves life now, not then.
      if let growth = topics[index].lastGrowth, growth > wall { topics[index].lastGrowth = wall }
      let grewLately = topics[index].lastGrowth.map { $0 >= wall - sourceStall } ?? false
      if grewLately {
        topics[index].stalled = false
      } else if !topics[index].stalled, isCaughtUp(topics[index], wall) {
        topics[index].stalled = true
        // What ends the stall is news, and its end must be seen anew.
        topics[index].atEnd = false
      }
    }
  }

  private func indices(of set: UInt64) -> [Int] { topics.indices.filter { set >> UInt64($0) & 1 == 1 } }
}
