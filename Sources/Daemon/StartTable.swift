// What to do with a partition that was just assigned: the broker's committed tags against the blocks on disk. Pure.

import Checkpoint
import Configuration

#if PlantedBugs
  import PlantedBugs
#endif

/// What the group has committed for one topic's partition.
public struct CommittedTopic: Hashable, Sendable {
  public var topic: String
  /// nil where nothing was ever committed, or the commit has expired.
  public var offset: Int64?
  /// The commit metadata as it was read; empty where there is none.
  public var metadata: String

  public init(topic: String, offset: Int64?, metadata: String = "") {
    self.topic = topic
    self.offset = offset
    self.metadata = metadata
  }
}

/// What a partition's checkpoint holds, oldest epoch first.
public struct DiskState: Hashable, Sendable {
  public struct Epoch: Hashable, Sendable {
    public var tag: EpochTag
    public var offsets: [TopicOffset]
    public init(tag: EpochTag, offsets: [TopicOffset]) {
      self.tag = tag
      self.offsets = offsets
    }
  }
  public var epochs: [Epoch]
  /// The newest block says that its process ended in good order.
  public var endsCleanly: Bool
  /// There is a base: its epoch was committed once, and cannot be cut.
  public var hasBase: Bool

  public init(epochs: [Epoch] = [], endsCleanly: Bool = false, hasBase: Bool = false) {
    self.epochs = epochs
    self.endsCleanly = endsCleanly
    self.hasBase = hasBase
  }
}

/// Where a task starts.
public enum StartDecision: Hashable, Sendable {
  /// New: resolve the earliest offsets, write and commit epoch 0. Whatever is on disk (at most an epoch 0 that was never
  /// committed, an empty state) is cut.
  case begin
  /// Cut what lies behind `epoch`, fsync, run. Topics in `fromEarliest` are new in the configuration.
  case resume(epoch: UInt64, fromEarliest: [String])
  /// The disk is ahead of the broker, or the broker has forgotten: `epoch` is the truth. Resend its outbox where it may
  /// not have been sent, commit its offsets and tag, run.
  case commitFromDisk(epoch: UInt64, resendOutbox: Bool, fromEarliest: [String])
  case halt(StartRefusal)
}

/// Why a partition is not started, and what an operator can do.
public enum StartRefusal: Hashable, Sendable, CustomStringConvertible {
  /// State on disk, nothing committed, and no clean end: the commits have expired, or the group's name was changed.
  case offsetsMissing(newest: EpochTag)
  /// The committed tag names a state that is not here.
  case stateElsewhere(committed: EpochTag, newestOnDisk: EpochTag?)
  /// Offsets were committed by something that is not Tidewatch, or reset by an operator.
  case untagged(topics: [String])
  /// The committed offsets are not those of the block the tag names.
  case offsetsDiffer(topic: String, committed: Int64, onDisk: Int64?)
  /// The topics of one task carry different tags.
  case tagsDiffer(topics: [String])
  /// The state has read this topic, others are committed, and nothing is committed for this one.
  case topicNotCommitted(topic: String, onDisk: Int64)

  /// What happened; what to do about it is in `message`.
  public var description: String {
    switch self {
    case .offsetsMissing(let newest):
      "there is state on disk (epoch \(newest.epoch)), but the group has committed nothing and the last run did not end "
        + "in good order: the commits have expired or kafka.group was changed"
    case .stateElsewhere(let committed, let disk):
      "the state is elsewhere: the group has committed epoch \(committed.epoch) of lineage \(committed.lineage), and this "
        + "disk has \(disk.map { "epoch \($0.epoch) of lineage \($0.lineage)" } ?? "nothing")"
    case .untagged(let topics):
      "the offsets committed for \(topics.joined(separator: ", ")) carry no tag of this program: an operator has reset the "
        + "group, or another program uses it"
    case .offsetsDiffer(let topic, let committed, let disk):
      "offset \(committed) is committed for \(topic), but the state was saved at "
        + "\(disk.map(String.init) ?? "no offset of it"): an operator has reset the group"
    case .tagsDiffer(let topics):
      "the offsets committed for \(topics.joined(separator: ", ")) belong to different epochs: an operator has reset some "
        + "of them, or a topic was taken out of the configuration for a while"
    case .topicNotCommitted(let topic, let disk):
      "the state has read \(topic) up to offset \(disk), but nothing is committed for it any more: the topic was deleted "
        + "(perhaps there is a new one of its name), or its commits have expired or were removed"
    }
  }
}

/// The start-up table of the design. `committed` has one element for each configured topic.
///
/// - *exactly_once*: the committed tag says which block is the truth.
/// - *at_least_once*: the newest block is, provided that the committed tag is of its history.
public func decideStart(committed: [CommittedTopic], disk: DiskState, delivery: Configuration.Delivery) -> StartDecision
{
  let present = committed.filter { $0.offset != nil }
  let newest = disk.epochs.last
  guard !present.isEmpty else {
    guard let newest else { return .begin }
    // Epoch 0 is written before it is committed and holds no customer: nothing is lost with it. Where it has become a base
    // it was committed and the group has forgotten: it is committed once more.
    if disk.epochs.count == 1, newest.tag.epoch == 0 {
      return disk.hasBase
        ? .commitFromDisk(epoch: 0, resendOutbox: false, fromEarliest: newTopics(committed, in: newest)) : .begin
    }
    #if PlantedBugs
      let endsCleanly = disk.endsCleanly || PlantedBug.isPlanted(.skipCleanShutdown)
    #else
      let endsCleanly = disk.endsCleanly
    #endif
    guard endsCleanly else { return .halt(.offsetsMissing(newest: newest.tag)) }
    // The mark was written before the outputs were sent: an outbox may still be waiting.
    return .commitFromDisk(
      epoch: newest.tag.epoch, resendOutbox: delivery == .atLeastOnce, fromEarliest: newTopics(committed, in: newest))
  }

  var tags: [EpochTag] = []
  var untagged: [String] = []
  for topic in present {
    if let tag = EpochTag(topic.metadata) { tags.append(tag) } else { untagged.append(topic.topic) }
  }
  if !untagged.isEmpty { return .halt(.untagged(topics: untagged)) }
  let tag = tags[0]
  if tags.contains(where: { $0 != tag }) { return .halt(.tagsDiffer(topics: present.map(\.topic))) }

  #if PlantedBugs
    let isSame = { (found: EpochTag) in
      PlantedBug.isPlanted(.matchNumberOnly) ? found.epoch == tag.epoch : found == tag
    }
  #else
    let isSame = { (found: EpochTag) in found == tag }
  #endif
  guard let block = disk.epochs.first(where: { isSame($0.tag) }), let newest else {
    return .halt(.stateElsewhere(committed: tag, newestOnDisk: disk.epochs.last?.tag))
  }
  for topic in committed {
    let onDisk = block.offsets.first { $0.topic == topic.topic }?.next
    // Neither committed nor saved is equal too: the topic is new in the configuration.
    if topic.offset == onDisk { continue }
    if let offset = topic.offset {
      return .halt(.offsetsDiffer(topic: topic.topic, committed: offset, onDisk: onDisk))
    }
    if let onDisk { return .halt(.topicNotCommitted(topic: topic.topic, onDisk: onDisk)) }
  }
  switch delivery {
  case .exactlyOnce:
    return .resume(epoch: tag.epoch, fromEarliest: newTopics(committed, in: block))
  case .atLeastOnce:
    let fresh = newTopics(committed, in: newest)
    if newest.tag == tag { return .resume(epoch: tag.epoch, fromEarliest: fresh) }
    return .commitFromDisk(epoch: newest.tag.epoch, resendOutbox: true, fromEarliest: fresh)
  }
}

private func newTopics(_ committed: [CommittedTopic], in block: DiskState.Epoch) -> [String] {
  committed.map(\.topic).filter { name in !block.offsets.contains { $0.topic == name } }
}
