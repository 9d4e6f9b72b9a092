// Copying a partition's state while its owner goes on: one generation, up to an epoch that is committed for sure.

/// What was copied.
public struct PartitionBackup: Sendable {
  /// The newest epoch of the copy.
  public var block: EpochBlock
  public var bytes: UInt64
  public var liveKeyCount: UInt64
  public var liveBytes: UInt64

  /// Copies the newest generation of `source` into the directory `target`, and reads the copy whole.
  ///
  /// The copy ends with `PartitionSnapshot.settledEpoch`. It takes no lock: whatever was there at first and is gone
  /// later (an aborted epoch, files that two rewrites have left behind) makes it begin again. `target` is made; files of
  /// an earlier attempt in it are replaced. The caller gives the directory its name when it is done: until then, and
  /// after an error, it is not to be trusted.
  /// - Returns: nil if `source` holds no epoch.
  /// - Throws: `.damaged` of the source, with nothing to be done about it here, or of the copy; `.disk`.
  public static func copy(
    _ source: String, to target: String, on disk: any Disk = PosixDisk()
  ) throws(CheckpointError) -> PartitionBackup? {
    do { try disk.createDirectories(target) } catch { throw .disk(error) }
    return try PartitionSnapshot.read(source, on: disk) { snapshot throws(CheckpointError) in
      try attempt(snapshot, target, disk)
    }
  }

  private static func attempt(
    _ snapshot: PartitionSnapshot, _ target: String, _ disk: any Disk
  ) throws(CheckpointError) -> PartitionBackup? {
    guard let epoch = try snapshot.settledEpoch() else { return nil }
    do {
      for name in try disk.list(target) where FileName(name) != nil {
        try disk.remove(CheckpointLayout.join(target, name))
      }
    } catch { throw .disk(error) }
    let plan = snapshot.generation.plan(upTo: epoch)
    var parts = plan.segments.map { (name: $0.name, bytes: $0.validEnd) }
    // A base is followed by a log, be it empty.
    if let next = snapshot.generation.segments.first, parts.isEmpty {
      parts.append((next.name, UInt64(Format.File.bytes)))
    }
    if let base = plan.base { parts.append((base.name, base.fileBytes)) }
    for part in parts {
      try copyFile(
        CheckpointLayout.join(snapshot.directory, part.name), bytes: part.bytes,
        to: CheckpointLayout.join(target, part.name), on: disk)
    }
    do { try disk.syncDirectory(target) } catch { throw .disk(error) }
    return try check(target, is: snapshot.tag(of: epoch), on: disk)
  }

  private static func check(
    _ target: String, is tag: EpochTag?, on disk: any Disk
  ) throws(CheckpointError) -> PartitionBackup {
    let report: PartitionReport
    do { report = try PartitionReport.verify(target, on: disk, blockLimit: 1) } catch { throw .disk(error) }
    if let error = report.error { throw error }
    if let damage = report.firstDamage { throw .damaged(damage) }
    guard let block = report.blocks.last, block.tag == tag, let count = report.liveKeyCount,
      let bytes = report.liveBytes
    else {
      throw .damaged(
        Damage(path: target, offset: 0, reason: "the copy does not end with the epoch that was to be copied"))
    }
    return PartitionBackup(block: block, bytes: report.bytes, liveKeyCount: count, liveBytes: bytes)
  }
}

/// Copies the first `bytes` bytes of a file into a new one, durably but for its name.
func copyFile(_ from: String, bytes: UInt64, to: String, on disk: any Disk) throws(CheckpointError) {
  try FileReader.withFile(from, on: disk, limit: bytes) { reader throws(CheckpointError) in
    guard reader.size == bytes else {
      throw reader.damage(at: reader.size, "the file ends here, \(bytes - reader.size) bytes too early")
    }
    let file: any DiskFile
    do throws(DiskError) { file = try disk.open(to, .create) } catch { throw .disk(error) }
    var at: UInt64 = 0
    while at < bytes {
      let count = Int(min(bytes - at, UInt64(CheckpointLimits.readWindowBytes)))
      guard let part = try reader.bytes(at: at, count: count) else {
        throw reader.damage(at: at, "the file became shorter while it was copied")
      }
      do throws(DiskError) { try file.write(part, at: at) } catch { throw .disk(error) }
      at += UInt64(count)
    }
    do throws(DiskError) { try file.sync() } catch { throw .disk(error) }
  }
}
