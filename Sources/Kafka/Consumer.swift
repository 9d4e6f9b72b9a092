// One member of a consumer group, polled by one thread.

import CRdKafka

/// What the group wants of this member. The caller of `poll` answers each, in order.
public enum RebalanceEvent: Sendable, Hashable {
  /// All partitions of the new generation; answer with `assign`. Capture `groupMetadata()` now.
  case assigned([TopicPartition])
  /// The group takes these back and waits: finish and commit what belongs to them, then answer with `unassign`.
  case revoked([TopicPartition])
  /// They are somebody else's already: drop what belongs to them, then answer with `unassign`.
  case lost([TopicPartition])
}

/// One member of a consumer group.
///
/// Confined to one thread: created, polled and closed by the same one, which must be a thread of its own, for its calls
/// block. It is a class, and not Sendable, so that the compiler keeps it there; records may leave in a `MessageBatch`.
///
/// A rebalance is an event in the result of `poll`, never a call back: until the caller has answered with `assign` or
/// `unassign`, the group waits (up to `max.poll.interval.ms`), and polling goes on to return what was fetched before.
///
/// There is no pause and no seek: the batch functions of librdkafka before 2.1 lose offsets around them. To go elsewhere,
/// `assign` again with explicit offsets. After that the caller must drop records below the offset it expects; a gap above
/// it is legal (transaction markers, compaction).
public final class Consumer {
  private let handle: ClientHandle
  private var topicHandles: [OpaquePointer] = []
  /// The topics subscribed to; `BatchItem.topicIndex` is an index in here.
  public private(set) var topics: [String] = []
  private var isClosed = false

  /// Creates the client. Does not wait for the cluster.
  ///
  /// - Throws: an error with code `invalidArgument` when the options or their combination are not valid.
  public init(_ configuration: KafkaConfiguration, _ options: ConsumerOptions) throws(KafkaError) {
    handle = try ClientHandle(.consumer, try options.makeNative(configuration))
    try handle.openConsumerQueue()
  }

  /// Leaves the group if `close` has not; a batch may keep the client itself alive for longer.
  deinit {
    if !isClosed { _ = handle.leaveGroup(timeoutMilliseconds: 5_000) }
  }

  /// Joins the group with these topics, after making sure that each exists: on a missing one, the batch functions of
  /// some librdkafka versions (2.1) crash.
  ///
  /// - Returns: the topics with their partition counts.
  /// - Throws: an error that names all topics that are missing or not readable, with code `unknownTopicOrPartition` when
  ///   one is missing; or that the cluster has not answered in time.
  @discardableResult
  public func subscribe(to topics: [String], timeoutMilliseconds: Int32 = 10_000) throws(KafkaError)
    -> [TopicMetadata]
  {
    guard !topics.isEmpty else { throw .invalidConfiguration(["no topic to subscribe to"]) }
    let found = try handle.topicMetadata(topics, timeoutMilliseconds: timeoutMilliseconds)
    let refused = found.filter { !$0.exists }
    if let first = refused.first(where: \.isMissing) ?? refused.first {
      let list = refused.map { "\($0.name) (\($0.error?.reason ?? "no partitions"))" }.joined(separator: ", ")
      throw KafkaError(
        first.error?.code ?? .unknownTopicOrPartition, during: "subscribe", reason: "cannot read \(list)")
    }

    var handles: [OpaquePointer] = []
    for topic in topics { handles.append(try handle.openTopic(topic)) }
    topicHandles = handles
    self.topics = topics
    let list = PartitionList(capacity: topics.count)
    for topic in topics { list.addTopic(topic) }
    let code = list.with { rd_kafka_subscribe(handle.raw, $0) }
    if code != RD_KAFKA_RESP_ERR_NO_ERROR { throw KafkaError(code, during: "subscribe") }
    return found
  }

  /// Releases the batch, then waits for items and rebalances and takes what there is, without waiting for the batch to fill.
  ///
  /// Items in the batch were fetched under the assignment that was in force before the events returned with it.
  /// Polling also collects what `drainEvents` returns, and tells the group that this member is alive.
  ///
  /// - Parameter timeoutMilliseconds: how long to wait for a first item, 0 or more.
  /// - Returns: the rebalances to answer, in order; almost always none.
  public func poll(into batch: inout MessageBatch, timeoutMilliseconds: Int32) throws(KafkaError) -> [RebalanceEvent] {
    batch.release()
    try batch.fill(from: handle, topics: topicHandles, timeoutMilliseconds: max(0, timeoutMilliseconds))
    if handle.context.rebalances.isEmpty { return [] }
    defer { handle.context.rebalances = [] }
    return handle.context.rebalances
  }

  /// Starts reading the partitions at explicit offsets, in place of whatever was assigned before.
  ///
  /// - Throws: an error with code `invalidArgument` on a negative offset: "the committed one" and "the end" are decisions
  ///   that the caller must take.
  public func assign(_ offsets: [PartitionOffset]) throws(KafkaError) {
    if let bad = offsets.first(where: { $0.offset < 0 }) {
      throw KafkaError(.invalidArgument, during: "assign", reason: "\(bad.partition) has no explicit offset")
    }
    // Offsets only: metadata is for commits.
    let list = PartitionList(offsets.map { PartitionOffset($0.partition, offset: $0.offset) })
    let code = list.with { rd_kafka_assign(handle.raw, $0) }
    if code != RD_KAFKA_RESP_ERR_NO_ERROR { throw KafkaError(code, during: "assign") }
  }

  /// Stops reading all partitions, and tells the group that they are given back: the answer to a revoke. It is none to an
  /// assignment, which librdkafka goes on waiting for, deaf to the group: whoever takes nothing of it assigns an empty list.
  public func unassign() throws(KafkaError) {
    let code = rd_kafka_assign(handle.raw, nil)
    if code != RD_KAFKA_RESP_ERR_NO_ERROR { throw KafkaError(code, during: "unassign") }
  }

  /// Leaves the group and stops reading, without another rebalance event: commit first. Closing again does nothing.
  ///
  /// - Throws: `timedOut` when the brokers could not be told in time (librdkafka itself would wait for the session time-out
  ///   when a commit is pending). The consumer is of no use then either, and its threads and memory stay until the process
  ///   ends.
  public func close(timeoutMilliseconds: Int32 = 10_000) throws(KafkaError) {
    guard !isClosed else { return }
    isClosed = true
    if let error = handle.leaveGroup(timeoutMilliseconds: timeoutMilliseconds) { throw error }
  }

  /// Whether the present assignment is somebody else's already (the session has expired, the generation is gone).
  public var isAssignmentLost: Bool { rd_kafka_assignment_lost(handle.raw) != 0 }

  /// This member's id in the group; nil until it has joined.
  public var memberID: String? {
    takeString(rd_kafka_memberid(handle.raw), of: handle.raw).flatMap { $0.isEmpty ? nil : $0 }
  }

  /// `EAGER` once the group has been joined with the range assignor, `NONE` before.
  public var rebalanceProtocol: String {
    rd_kafka_rebalance_protocol(handle.raw).map { String(cString: $0) } ?? "NONE"
  }

  /// Which member of which generation this is now. Capture it when an assignment is accepted; see `GroupMetadata`.
  public func groupMetadata() throws(KafkaError) -> GroupMetadata { try GroupMetadata(of: handle.raw) }

  /// Log lines, statistics and errors collected by polling since the last call.
  public func drainEvents() -> DrainedEvents { handle.context.drain() }

  /// The error after which this consumer is unusable (a fenced group instance id, for example); nil as long as it is fine.
  public var fatalError: KafkaError? { handle.fatalError }

  /// For the other files of this class.
  var client: ClientHandle { handle }
}
