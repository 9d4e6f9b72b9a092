// `tidewatch checkpoint backup`: a copy of the state while the daemon runs.

import ArgumentParser
import Checkpoint
import CommandSupport
import Foundation

extension CheckpointCommand {
  struct Backup: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Copy state into a new directory, also while the daemon runs.",
      discussion: """
        Takes no lock and does not disturb the daemon. Of each partition it copies the newest epoch that is committed for \
        sure (in a running daemon's directory the newest but one), reads the copy whole, checks every checksum, and only \
        when all are sound gives the copy its name. Partitions are independent of each other: each has its own epoch.

        To move a stopped daemon's state to another machine, copy the directory itself instead: the newest epoch belongs \
        to it. What to do after bringing back a backup stands in README.md.

        EXIT STATUS: 0 copied and verified; 65 the state is damaged (the message says which file, at which byte); 66 DIR is \
        missing or holds no checkpoint; 73 the copy cannot be made, or is there already; 74 reading or writing failed.
        """)
    @Argument(help: "State directory, one group's in it, or one partition's.")
    var directory: String

    @Option(help: ArgumentHelp("The directory to make; its parent must be there.", valueName: "directory"))
    var to: String

    func run() throws {
      let source = plain(directory)
      let target = plain(to)
      let partial = target + ".partial"
      let files = FileManager.default
      if files.fileExists(atPath: target) {
        throw CommandFailure(.cannotCreate, "\(target) is there already. Name a directory that is not")
      }
      let inner = URL(fileURLWithPath: target).standardizedFileURL.path
      if inner.hasPrefix(URL(fileURLWithPath: source).standardizedFileURL.path + "/") {
        throw CommandFailure(
          .cannotCreate, "\(target) lies inside \(source). Name a directory elsewhere, on another disk at best")
      }
      let partitions = try checkpointPartitions(under: source)
      do { try files.createDirectory(atPath: partial, withIntermediateDirectories: false) } catch {
        throw CommandFailure(
          .cannotCreate,
          files.fileExists(atPath: partial)
            ? "\(partial) is there: another backup is being made, or one did not finish. If none is, remove it"
            : "cannot create \(partial): \(error.localizedDescription). Check that its parent exists and may be written to"
        )
      }
      do {
        var copied: [PartitionPlace] = []
        for partition in partitions {
          let relative = String(partition.dropFirst(source.count))
          if let backup = try PartitionBackup.copy(partition, to: partial + relative) {
            copied.append(PartitionPlace(partition, backup.block.header))
            Terminal.write(backup.text(of: partition))
          } else {
            try files.removeItem(atPath: partial + relative)
            Terminal.write("\(partition): no epoch yet, left out\n")
          }
        }
        let order = PartitionOrder(copied, under: source)
        try order.refuseMisplaced()
        order.warnOfMissing()
        if copied.isEmpty { throw CommandFailure(.noInput, "there is no epoch yet in \(source): nothing to copy") }
        let disk = PosixDisk()
        try disk.rename(partial, to: target)
        try disk.syncDirectory(URL(fileURLWithPath: target).deletingLastPathComponent().path)
      } catch {
        // It is ours, and half a copy is of no use.
        try? files.removeItem(atPath: partial)
        if let error = error as? CheckpointError { throw CommandFailure(error) }
        if let error = error as? DiskError { throw CommandFailure(.inputOutput, error.description) }
        throw error
      }
      Terminal.write("backup of \(source) in \(target), verified\n")
    }

    /// Without a slash at its end.
    private func plain(_ path: String) -> String {
      var path = path
      while path.count > 1, path.hasSuffix("/") { path.removeLast() }
      return path
    }
  }
}

extension PartitionBackup {
  fileprivate func text(of partition: String) -> String {
    "\(partition): epoch \(block.tag.epoch), clock \(instantText(block.header.clock)), \(grouped(liveKeyCount)) keys, "
      + "\(sizeText(bytes))\n"
  }
}
