// What can be done about a damaged directory: a plan that changes nothing, and carrying it out.

/// How a directory is repaired. Nothing is ever deleted: what is in the way goes into a sub-folder.
public struct PartitionRepair: Sendable {
  public enum Verdict: Hashable, Sendable {
    /// There is nothing to repair; a torn tail is cut by the next start.
    case sound
    /// Something is damaged that is not needed for the newest epoch: an older generation, or a newer base whose state
    /// the older generation leads to as well.
    case lossless
    /// The state goes back to `newest`; `lost` were held before, as far as the files tell.
    case cutBack(lost: ClosedRange<UInt64>)
    /// No epoch can be restored from these files.
    case nothingIntact
    /// Good files of two states, or of two histories of one, lie here: which is the right one only a person can say.
    case mixed([Lineage])
  }

  public var directory: String
  public var verdict: Verdict
  public var damages: [Damage] = []
  /// At the end of the last log; nothing rests on it unless its epoch was committed.
  public var tornTail: TornTail?
  /// The newest epoch after the repair, not counting the one that records it.
  public var newest: EpochBlock?
  /// Names of files to be moved aside.
  public var moved: [String] = []
  /// A log of which a copy goes aside before it is cut at a byte.
  public var cut: (name: String, at: UInt64)?
  /// A base whose log is missing gets an empty one.
  var missingLog: FileHeader?
  /// The offsets of the newest block of which there is a trace; empty if none can be read.
  var lostOffsets: [TopicOffset] = []

  public var isNeeded: Bool {
    switch verdict {
    case .lossless, .cutBack: true
    case .sound, .nothingIntact, .mixed: false
    }
  }

  /// Reads every byte of the directory and changes nothing. The lock is not taken: repairing a directory in use is the
  /// caller's to prevent, with `apply`, which takes it.
  /// - Throws: `.unsupportedFormat`, `.disk`.
  public init(planning directory: String, on disk: any Disk = PosixDisk()) throws(CheckpointError) {
    self.directory = directory
    let survey = try RepairSurvey(directory, on: disk)
    damages = survey.damages
    tornTail = survey.logs.last?.tornTail
    let lineages = survey.lineages
    if lineages.count > 1 || survey.isContradictory {
      verdict = .mixed(lineages.sorted { ($0.high, $0.low) < ($1.high, $1.low) })
      return
    }
    guard let path = survey.best, let newest = path.newest else {
      verdict = survey.logs.isEmpty && survey.damagedBases.isEmpty || survey.isUntouched ? .sound : .nothingIntact
      return
    }
    let generation = Generation(
      directory: directory, base: path.base, segments: path.segments, lineage: lineages.first, tornTail: nil)
    self.newest = try generation.block(of: newest, on: disk)

    // Everything newer than where the path begins must be on it; older files matter only if they are bad.
    let start = path.base?.epoch
    let onPath = Set(path.segments.map(\.firstEpoch))
    for base in survey.bases where start.map({ base.epoch > $0 }) ?? true { moved.append(base.name) }
    for base in survey.damagedBases { moved.append(base.name.text) }
    for log in survey.logs {
      let isOlder = start.map { log.name.epoch <= $0 } ?? false
      // The end of an older log was whole when the base after it was made.
      if isOlder, let torn = log.tornTail {
        damages.append(Damage(path: torn.path, offset: torn.offset, reason: torn.reason))
        tornTail = nil
        moved.append(log.name.text)
      }
      if isOlder ? log.damage != nil : !onPath.contains(log.name.epoch) { moved.append(log.name.text) }
      if !isOlder, onPath.contains(log.name.epoch), let damage = log.damage, let segment = log.segment {
        cut = (log.name.text, segment.validEnd)
        assert(damage.offset >= segment.validEnd)
      }
    }
    if let base = path.base, path.segments.isEmpty {
      missingLog = FileHeader(isBase: false, lineage: base.lineage, epoch: base.epoch + 1, chain: base.chain)
      // One of that name which cannot be used is moved away before.
    }
    moved.sort()

    let traces =
      survey.logs.compactMap(\.newestTrace) + (survey.bases.map(\.epoch) + survey.damagedBases.map(\.name.epoch))
    let seen = traces.max() ?? newest
    if seen > newest || cut != nil {
      // A start would cut it, too, but here it may be all that is left of the lost epochs.
      if let torn = survey.logs.last?.tornTail, let name = survey.logs.last?.name, onPath.contains(name.epoch) {
        cut = (name.text, torn.offset)
      }
      verdict = .cutBack(lost: newest + 1...max(seen, newest + 1))
      lostOffsets = survey.logs.compactMap(\.newestBehind).max { $0.epoch < $1.epoch }?.offsets ?? []
    } else if moved.isEmpty && missingLog == nil {
      verdict = .sound
    } else {
      verdict = .lossless
    }
  }

  // MARK: Carrying out

  /// Does what the plan says, under the directory's lock, and reads the result whole.
  ///
  /// Where the state goes back, one more epoch is appended that changes nothing and records the intervention. Interrupted
  /// at any point, it can be run again and comes to the same state; only the record may be missing then.
  /// - Parameter wallMicroseconds: the time to record, microseconds since 1970 UTC.
  /// - Returns: the plan that was carried out, and the folder; no folder when there was nothing to do.
  /// - Throws: `.locked`; `.disk`; `.damaged` when what is left cannot be read after all.
  public static func apply(
    _ directory: String, on disk: any Disk = PosixDisk(), wallMicroseconds: Int64
  ) throws(CheckpointError) -> (repair: PartitionRepair, folder: String?) {
    let lock: (any DiskLock)?
    do { lock = try disk.lock(CheckpointLayout.join(directory, CheckpointLayout.lockName)) } catch {
      throw .disk(error)
    }
    guard let lock else { throw .locked(directory: directory) }
    let repair = try PartitionRepair(planning: directory, on: disk)
    guard repair.isNeeded else { return (repair, nil) }
    let folder: String
    do { folder = try repair.setAside(on: disk) } catch {
      throw (error as? DiskError).map { .disk($0) } ?? error as? CheckpointError ?? .misuse("\(error)")
    }
    if case .cutBack = repair.verdict { try repair.record(wallMicroseconds, lock: lock, on: disk) }
    let report: PartitionReport
    do { report = try PartitionReport.verify(directory, on: disk) } catch { throw .disk(error) }
    if let error = report.error { throw error }
    return (repair, folder)
  }

  private func setAside(on disk: any Disk) throws -> String {
    let taken = Set(try disk.list(directory))
    var number = 1
    while taken.contains("damaged-\(number)") { number += 1 }
    let folder = CheckpointLayout.join(directory, "damaged-\(number)")
    try disk.createDirectories(folder)
    func place(_ name: String) -> String { CheckpointLayout.join(directory, name) }
    if let cut {
      let original = place(cut.name)
      let size = try disk.open(original, .read).size()
      try copyFile(original, bytes: size, to: CheckpointLayout.join(folder, cut.name), on: disk)
      try disk.syncDirectory(folder)
      // The shorter one takes the name in one step: there is always either.
      try copyFile(original, bytes: cut.at, to: original + ".tmp", on: disk)
      try disk.rename(original + ".tmp", to: original)
      try disk.syncDirectory(directory)
    }
    for name in moved.reversed() {
      try disk.rename(place(name), to: CheckpointLayout.join(folder, name))
      try disk.syncDirectory(folder)
      try disk.syncDirectory(directory)
    }
    if let missingLog {
      var name = FileName(.log, missingLog.epoch)
      let final = place(name.text)
      name.isTemporary = true
      let file = try disk.open(place(name.text), .create)
      try missingLog.encoded().withBytes { bytes throws(DiskError) in try file.write(bytes, at: 0) }
      try file.sync()
      try disk.rename(place(name.text), to: final)
      try disk.syncDirectory(directory)
    }
    return folder
  }

  private func record(_ wall: Int64, lock: any DiskLock, on disk: any Disk) throws(CheckpointError) {
    guard let newest else { return }
    let store = try PartitionStore(locked: directory, lock: lock, on: disk)
    try store.truncate(after: newest.tag.epoch)
    var header = newest.header
    header.epoch += 1
    header.cleanShutdown = false
    header.interventions = header.offsets.map { offset in
      let lost = lostOffsets.first { $0.topic == offset.topic }?.next
      return Intervention(
        kind: .repaired, topic: offset.topic, from: lost ?? -1, to: offset.next, wallMicroseconds: wall)
    }
    if header.offsets.isEmpty { header.interventions = [Intervention(kind: .repaired, wallMicroseconds: wall)] }
    _ = try store.append(header) { _ in }
    try store.sync()
  }
}

extension RepairSurvey {
  /// A first log that never got a whole block, as a crash during the very first epoch leaves it.
  fileprivate var isUntouched: Bool {
    damages.isEmpty && bases.isEmpty && logs.count == 1 && logs[0].isFirst
  }
}
