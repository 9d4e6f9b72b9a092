// `tidewatch checkpoint export`: the profiles of all customers out of state on disk.

import ArgumentParser
import Checkpoint
import CommandSupport
import Configuration
import Customers
import Daemon
import Engine
import Events

extension CheckpointCommand {
  struct Export: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Write every customer's profile as NDJSON, out of the state on disk.",
      discussion: """
        One profile a line, as config/schemas/customer-profile.json says, in order of customer id: two exports can be \
        compared line by line. Restores the state in memory through the engine, from a directory in use, a stopped daemon's \
        or a backup, and changes nothing in it. Profiles are as of their partition's clock at the epoch that standard error \
        names; in a directory in use the newest epoch may not be committed yet.

        The configuration must be the one the state was made with: its rules give the tags their names.

        EXIT STATUS: 0 written; 65 the state is damaged or was made with other rules; 66 it is missing; 73 the output cannot \
        be created; 78 the configuration is wrong.
        """)
    @Argument(help: "State directory, one group's in it, or one partition's. Default: the one of the configuration.")
    var directory: String?

    @Option(name: .shortAndLong, help: "The configuration file.")
    var config: String

    @Option(help: ArgumentHelp("Only this partition; may be given several times.", valueName: "number"))
    var partition: [Int32] = []

    @Option(help: ArgumentHelp("This epoch, in place of the newest; needs one partition.", valueName: "number"))
    var epoch: UInt64?

    @Option(name: .shortAndLong, help: "The file to write; default: standard output.")
    var output: String?

    func validate() throws {
      if epoch != nil, partition.count != 1 { throw ValidationError("--epoch needs --partition, once.") }
      if let bad = partition.first(where: { $0 < 0 }) { throw ValidationError("There is no partition \(bad).") }
    }

    func run() throws {
      let configuration = try ConfigurationLoading.load(config)
      let versions = try ConfigurationLoading.factory(configuration).versions
      let settings = try configuration.engineSettings()
      let place =
        directory
        ?? CheckpointLayout.parent(
          of: CheckpointLayout.directory(
            state: configuration.state.directory, name: configuration.kafka.group, partition: 0))
      var tasks: [ExportedTask] = []
      for found in try checkpointPartitions(under: place) {
        guard let task = try ExportedTask(found, settings: settings, versions: versions, only: partition, epoch: epoch)
        else { continue }
        Terminal.writeError("\(found): \(task.origin)\n")
        tasks.append(task)
      }
      let order = PartitionOrder(tasks.map(\.place), under: place)
      try order.refuseMisplaced()
      if partition.isEmpty { order.warnOfMissing() }
      let missing = Set(partition).subtracting(tasks.map(\.partition)).sorted()
      if !missing.isEmpty {
        let names = missing.map(String.init).joined(separator: ", ")
        throw CommandFailure(.noInput, "\(place) holds no state of partition \(names)")
      }
      var file = try OutputFile(output)
      // Each list is in order; the least head of all comes next.
      while true {
        var least: ExportedTask?
        for task in tasks where !task.isAtEnd {
          if let other = least, !task.precedes(other) { continue }
          least = task
        }
        guard let least else { break }
        try least.writeNext(to: &file)
      }
      try file.finish()
    }
  }
}

/// One partition's engine as it was at an epoch, and how far its customers have been written.
private final class ExportedTask {
  let place: PartitionPlace
  var partition: Int32 { place.partition }
  /// Which state this is.
  let origin: String
  private let engine: RestoredEngine
  private let order: [CustomerIndex]
  private var position = 0

  /// Nil for a partition that is not wanted, or has no epoch.
  init?(
    _ directory: String, settings: EngineSettings, versions: TaskVersions, only: [Int32], epoch: UInt64?
  ) throws {
    let restored: (block: EpochBlock, engine: RestoredEngine)?
    do throws(CheckpointError) {
      restored = try PartitionSnapshot.read(directory) {
        snapshot throws(CheckpointError) -> (block: EpochBlock, engine: RestoredEngine)? in
        guard let wanted = epoch ?? snapshot.epochs?.upperBound else { return nil }
        let block = try snapshot.block(of: wanted)
        if !only.isEmpty, !only.contains(block.header.partition) { return nil }
        let engine = RestoredEngine(settings)
        try snapshot.restore(upTo: wanted) { key, value throws(CheckpointError) in engine.restore(key, value) }
        return (block, engine)
      }
    } catch { throw CommandFailure(error) }
    guard let (block, engine) = restored else { return nil }
    if block.header.rulesFingerprint != versions.rulesFingerprint {
      throw CommandFailure(
        .data,
        "\(directory): the state was made with other rules (revision \(block.header.rulesRevision), fingerprint "
          + "\(block.header.rulesFingerprint)) than those of the configuration (revision \(versions.rulesRevision), "
          + "fingerprint \(versions.rulesFingerprint)). Give the configuration and the rule file it was made with")
    }
    do throws(StateError) { try engine.finish() } catch {
      throw CommandFailure(.data, "\(directory), epoch \(block.tag.epoch): \(error)")
    }
    place = PartitionPlace(directory, block.header)
    self.engine = engine
    order = engine.task.customersByID()
    origin =
      "epoch \(block.tag.epoch), clock \(instantText(block.header.clock)), \(grouped(UInt64(order.count))) customers"
  }

  var isAtEnd: Bool { position == order.count }

  /// Neither is at its end.
  func precedes(_ other: ExportedTask) -> Bool {
    engine.task.id(of: order[position]).precedes(other.engine.task.id(of: other.order[other.position]))
  }

  func writeNext(to file: inout OutputFile) throws {
    engine.task.prefetchAhead(of: position, in: order)
    engine.task.emitProfile(of: order[position])
    position += 1
    for entry in engine.task.outputs.entries where entry.topic == .profiles {
      try file.write(engine.task.outputs.bytes[entry.value])
      try file.write(CollectionOfOne(UInt8(ascii: "\n")))
    }
    engine.task.outputs.removeAll()
  }
}

private final class RestoredEngine {
  var task: EngineTask
  private var failure: StateError?

  init(_ settings: EngineSettings) { task = EngineTask(settings: settings, seed: 0) }

  /// The first failure is thrown by `finish`.
  func restore(_ key: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer?) {
    if failure != nil { return }
    do throws(StateError) { try task.restore(key: key, value: value) } catch { failure = error }
  }

  func finish() throws(StateError) {
    if let failure { throw failure }
    try task.finishRestore()
  }
}
