// One member of the group: a process that lives, dies and is started again.

import Checkpoint
import CheckpointTesting
import Configuration
import Daemon
import Events
import Handoff
import Kafka

/// One life of a member.
final class Life {
  let number: Int
  let process: SimulatedProcess
  let client: ModelClient
  let mount: ModelDiskMount
  let stop = StopRequest()
  let published = Shared(DaemonSnapshot())
  var thread: (any RunningThread)?
  var end: DataPlaneEnd?
  var isAskedToStop = false
  /// Its disk was made to fail during this life: it may halt.
  var hadDiskFault = false

  init(number: Int, process: SimulatedProcess, client: ModelClient, mount: ModelDiskMount) {
    self.number = number
    self.process = process
    self.client = client
    self.mount = mount
  }
}

/// Starts, kills and stops the lives of one member; what `systemd` and an operator would do.
final class Member {
  let name: String
  let configuration: Configuration
  let disk: ModelDisk
  /// Owns this member.
  private unowned let world: World
  private var lives = 0
  private(set) var life: Life?
  /// When to start it again; nil while it runs or is to stay down.
  var startAt: Int64?
  var wallOffset: Int64

  init(_ world: World, name: String, configuration: Configuration, disk: ModelDisk, wallOffset: Int64) {
    self.world = world
    self.name = name
    self.configuration = configuration
    self.disk = disk
    self.wallOffset = wallOffset
  }

  var isUp: Bool { life != nil }

  func start() {
    startAt = nil
    lives += 1
    world.journal.note("process: started")
    world.journal.say("\(name).\(lives): starts")
    let process = SimulatedProcess(world.scheduler, wallOffset: wallOffset, wallRate: world.wallRate)
    let client = ModelClient(name: "\(name).\(lives)", process: process)
    let syncs = world.scenario.syncMicroseconds
    let guardedWorld = TokenGuarded(world)
    let mount = ModelDiskMount(disk) { call in
      switch call.operation {
      case .sync: process.scheduler.sleep(microseconds: guardedWorld.value.draw(syncs))
      case .write, .rename, .remove, .truncate: process.scheduler.yield()
      default: break
      }
    }
    let life = Life(number: lives, process: process, client: client, mount: mount)
    self.life = life

    let journal = TokenGuarded(world.journal)
    let who = client.name
    var settings = DataPlaneSettings(
      configuration: configuration,
      factory: RecordingFactory(inner: world.factory, history: TokenGuarded(world.history), journal: journal),
      log: Log(level: .debug) { level, text in journal.value.hear(text, from: who) })
    settings.disk = mount
    settings.threads = process
    // The same on every machine.
    settings.restoreThreads = 2
    // The simulated epochs are small.
    settings.copying = CopyingAhead(leaving: 2, atOnce: 2)
    settings.makeLineage = { guardedWorld.value.makeLineage() }
    let consumer = ModelConsumer(world.kafka, client)
    client.consumer = consumer
    let isTransactional = configuration.delivery == .exactlyOnce
    let producer = ModelProducer(world.kafka, client, transactionalID: isTransactional ? "g-\(name)" : nil)
    client.producer = producer
    let partitions = world.scenario.partitions
    do {
      life.thread = try world.scheduler.start(client.name, of: process) {
        let dataPlane = DataPlane(
          settings, consumer: consumer, producer: producer, wall: process, stop: life.stop, looks: Mailbox(),
          published: life.published, notifier: nil)
        life.end = dataPlane.run(partitionCount: partitions)
      }
    } catch { world.journal.violate("threads", "\(error)") }
  }

  /// SIGKILL.
  func kill() {
    guard let life else { return }
    world.journal.say("\(life.client.name): killed")
    life.client.isDead = true
    life.mount.kill()
    world.kafka.group.fellSilent(life.client)
    world.scheduler.kill(life.process)
    life.thread?.join()
    self.life = nil
  }

  /// SIGTERM.
  func terminate() {
    guard let life, !life.isAskedToStop else { return }
    world.journal.say("\(life.client.name): asked to stop")
    life.isAskedToStop = true
    life.stop.stop()
  }

  /// SIGSTOP for a while.
  func pause(microseconds: Int64) {
    guard let life else { return }
    world.journal.say("\(life.client.name): stopped for \(microseconds / 1_000) ms")
    life.process.pausedUntil = max(life.process.pausedUntil, world.scheduler.now + microseconds)
    beSilent(life)
  }

  /// Cut off from the brokers for a while.
  func cutOff(microseconds: Int64) {
    guard let life else { return }
    world.journal.say("\(life.client.name): cut off for \(microseconds / 1_000) ms")
    life.client.cutOffUntil = max(life.client.cutOffUntil, world.scheduler.now + microseconds)
    beSilent(life)
  }

  private func beSilent(_ life: Life) {
    let kafka = world.kafka
    kafka.group.fellSilent(life.client)
    func resume() {
      guard !life.client.isDead else { return }
      if let until = life.client.silentUntil(kafka.now) { return kafka.at(until) { resume() } }
      kafka.group.isHeard(life.client)
      life.client.consumer?.listen()
    }
    kafka.at(max(life.process.pausedUntil, life.client.cutOffUntil)) { resume() }
  }

  /// Ends the pause and the isolation.
  func heal() {
    guard let life else { return }
    life.process.pausedUntil = .min
    life.client.cutOffUntil = .min
    world.kafka.group.isHeard(life.client)
    life.client.consumer?.listen()
  }

  func jumpWall(_ microseconds: Int64) {
    wallOffset += microseconds
    life?.process.wallOffset += microseconds
  }

  /// Takes the end of a process that ended by itself.
  func reap() -> (life: Life, end: DataPlaneEnd)? {
    guard let life, let end = life.end else { return nil }
    life.thread?.join()
    // Gone with the process: whatever it still held.
    life.client.isDead = true
    life.mount.kill()
    world.kafka.group.fellSilent(life.client)
    self.life = nil
    world.journal.note("process: ended \(end.status)")
    world.journal.say("\(life.client.name): ended \(end.status) \(end.reason)")
    return (life, end)
  }

  /// Why partitions of this process stand still.
  var haltedPartitions: [(partition: Int32, reason: String)] {
    guard let life else { return [] }
    return life.published.read().partitions.filter { $0.phase == .halted }.map { ($0.partition, $0.detail) }
  }
}
