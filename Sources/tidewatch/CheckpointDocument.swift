// A checkpoint report as `--json` prints it: stable names for other programs.

import Checkpoint

struct CheckpointDocument: Encodable {
  struct Partition: Encodable {
    var directory: String
    var sound: Bool
    var error: String?
    var firstEpoch: UInt64?
    var lastEpoch: UInt64?
    var liveKeys: UInt64?
    var liveBytes: UInt64?
    var bytes: UInt64
    var unfinishedBytes: UInt64?
    var epochs: [Epoch]
    var interventions: [Intervention]
    var files: [File]
  }
  struct Epoch: Encodable {
    var epoch: UInt64
    var tag: String
    var lineage: String
    var partition: Int32
    var partitionCount: Int32
    var clock: String
    var clockMicroseconds: Int64
    var offsets: [String: Int64]
    var rulesRevision: UInt64
    var rulesFingerprint: String
    var modelVersion: String
    var engineVersion: String
    var timeZoneVersion: String
    var formatVersion: UInt32
    var cleanShutdown: Bool
    var skips: [Skip]
    var file: String
    var offset: UInt64
    var entries: UInt64
    var removals: UInt64
    var outboxBytes: Int?
  }
  struct Skip: Encodable {
    var topic: String
    var offset: Int64
  }
  /// Offsets are absent where there was or is none.
  struct Intervention: Encodable {
    var epoch: UInt64
    var kind: String
    var topic: String?
    var fromOffset: Int64?
    var toOffset: Int64?
    var at: String
    var atMicroseconds: Int64
  }
  struct File: Encodable {
    var name: String
    var kind: String
    var formatVersion: UInt32?
    var bytes: UInt64
    var firstEpoch: UInt64?
    var lastEpoch: UInt64?
    var entries: UInt64
    var current: Bool
    var damage: String?
    var damageOffset: UInt64?
  }

  var sound: Bool
  var partitions: [Partition]

  init(_ reports: [PartitionReport]) {
    sound = reports.allSatisfy(\.isSound)
    partitions = reports.map { report in
      Partition(
        directory: report.directory, sound: report.isSound, error: report.error?.description,
        firstEpoch: report.epochs?.lowerBound, lastEpoch: report.epochs?.upperBound, liveKeys: report.liveKeyCount,
        liveBytes: report.liveBytes, bytes: report.bytes, unfinishedBytes: report.tornTail?.bytes,
        epochs: report.blocks.map { Epoch($0) }, interventions: report.interventions.map { Intervention($0) },
        files: report.files.map { File($0) })
    }
  }
}

extension CheckpointDocument.Epoch {
  init(_ block: EpochBlock) {
    let header = block.header
    self.init(
      epoch: header.epoch, tag: "\(block.tag)", lineage: "\(header.lineage)", partition: header.partition,
      partitionCount: header.partitionCount, clock: instantText(header.clock), clockMicroseconds: header.clock,
      offsets: Dictionary(header.offsets.map { ($0.topic, $0.next) }) { first, _ in first },
      rulesRevision: header.rulesRevision, rulesFingerprint: header.rulesFingerprint,
      modelVersion: header.modelVersion, engineVersion: header.engineVersion, timeZoneVersion: header.timeZoneVersion,
      formatVersion: block.formatVersion, cleanShutdown: header.cleanShutdown,
      skips: header.skips.map { .init(topic: $0.topic, offset: $0.offset) }, file: block.file, offset: block.offset,
      entries: block.entryCount,
      removals: block.tombstoneCount, outboxBytes: block.hasOutbox ? block.outboxBytes : nil)
  }
}

extension CheckpointDocument.Intervention {
  init(_ recorded: PartitionReport.RecordedIntervention) {
    let each = recorded.intervention
    self.init(
      epoch: recorded.epoch, kind: each.kind.name, topic: each.topic.isEmpty ? nil : each.topic,
      fromOffset: each.from < 0 ? nil : each.from, toOffset: each.to < 0 ? nil : each.to,
      at: instantText(each.wallMicroseconds), atMicroseconds: each.wallMicroseconds)
  }
}

extension CheckpointDocument.File {
  init(_ file: PartitionReport.File) {
    self.init(
      name: file.name, kind: file.kind.rawValue, formatVersion: file.formatVersion, bytes: file.bytes,
      firstEpoch: file.epochs?.lowerBound,
      lastEpoch: file.epochs?.upperBound, entries: file.entryCount, current: file.isCurrent,
      damage: file.damage?.reason, damageOffset: file.damage?.offset)
  }
}
