// What the director does to the members, their disks and the cluster.

import Checkpoint
import CheckpointTesting
import Events
import Glibc
import Kafka

extension World {
  func breakSomething() {
    guard let member = members.randomElement(using: &random) else { return }
    if scenario.special == .powerLoss, percent(40) { return losePowerInWrite(member.disk) }
    if scenario.special == .silentJoiners, percent(40) { return silenceJoiner() }
    if scenario.delivery == .atLeastOnce, percent(10) {
      journal.note("fault: leaders of outputs away")
      kafka.outputsAwayUntil = kafka.now + draw(100_000...25_000_000)
      return
    }
    switch Int.random(in: 0..<22, using: &random) {
    case 0..<3:
      guard member.isUp else { return }
      journal.note("fault: kill -9")
      member.kill()
      member.startAt = scheduler.now + draw(100_000...8_000_000)
    case 3:
      journal.note("fault: power loss")
      crash(member.disk)
    case 4..<6:
      journal.note("fault: SIGTERM")
      member.terminate()
    case 6..<8:
      journal.note("fault: SIGSTOP")
      member.pause(microseconds: percent(60) ? draw(10_500_000...25_000_000) : draw(1_000...9_000_000))
    case 8..<10:
      journal.note("fault: cut off")
      member.cutOff(microseconds: percent(50) ? draw(10_500_000...25_000_000) : draw(1_000...9_000_000))
    case 10:
      journal.note("fault: brokers away")
      kafka.isAway = true
      kafka.at(kafka.now + draw(100_000...15_000_000)) { self.kafka.isAway = false }
    case 11..<13:
      journal.note("fault: coordinator moves")
      kafka.coordinatorAwayUntil = kafka.now + draw(100_000...8_000_000)
    case 13: failDisk(member, "fault: write error") { $0.nextWrite = EIO }
    case 14: failDisk(member, "fault: sync error") { $0.nextSync = EIO }
    case 15: failDisk(member, "fault: directory sync error") { $0.nextDirectorySync = EIO }
    case 16:
      let room = member.disk.totalBytes + Int(draw(0...3_000))
      failDisk(member, "fault: disk full") { $0.capacity = room }
    case 17:
      journal.note("fault: wall jumps")
      member.jumpWall(percent(50) ? draw(-7_200_000_000 ... -1_000) : draw(1_000...7_200_000_000))
    case 21:
      if !member.isUp { return }
      journal.note("fault: another process with the same name")
      // An operator starts a second one by mistake: the first is fenced.
      kafka.send(
        "init transactions", from: ModelClient(name: "double", process: SimulatedProcess(scheduler)), to: .coordinator,
        serve: { self.kafka.transaction(of: "g-\(member.name)").initialize() }, answered: { _ in })
    case 19 where scenario.special == .bitFlips: flipBit(member)
    case 18..<20 where scenario.special == .ownDisks: bringForeignState(member)
    case 20 where scenario.special == .retention: expire()
    case 18...20 where scenario.special == .expired: forgetOffsets()
    default: expireSafely()
    }
  }

  /// Torn are only writes of several sectors, between write and sync: waits for a block that is one.
  private func losePowerInWrite(_ disk: ModelDisk) {
    // The group may be waiting for the sessions of those who died in the last one.
    let deadline = scheduler.now + 12_000_000
    func bytes() -> Int { disk.unsyncedBytes { $0.contains("/log-") } }
    while bytes() < 1_500, scheduler.now < deadline, !journal.hasFailed {
      sleep(5_000)
      supervise()
    }
    guard bytes() >= 1_500 else { return }
    journal.note("fault: power loss between write and sync")
    crash(disk)
  }

  /// Waits for a member that has joined again and not heard yet what it gets, and cuts it off until it was put out and the
  /// others have gone on.
  private func silenceJoiner() {
    let deadline = scheduler.now + 5_000_000
    while scheduler.now < deadline, !journal.hasFailed {
      let waiting = members.filter { $0.life.map { kafka.group.isWaiting($0.client) } ?? false }
      if let member = waiting.randomElement(using: &random) {
        journal.note("fault: cut off between assignments")
        return member.cutOff(microseconds: draw(11_000_000...25_000_000))
      }
      sleep(5_000)
      supervise()
    }
  }

  private func failDisk(_ member: Member, _ name: String, _ change: (inout ModelDisk.Faults) -> Void) {
    journal.note(name)
    journal.say(name)
    member.disk.setFaults(change)
    for other in members where other.disk === member.disk { other.life?.hadDiskFault = true }
  }

  private func crash(_ disk: ModelDisk) {
    let affected = members.filter { $0.disk === disk }
    for member in affected { member.kill() }
    disk.crash()
    let longest: Int64 = scenario.special == .powerLoss ? 2_000_000 : 10_000_000
    for member in affected { member.startAt = scheduler.now + draw(1_000_000...longest) }
  }

  private func flipBit(_ member: Member) {
    guard undamaged == nil else { return }
    for other in members where other.disk === member.disk {
      other.kill()
      other.startAt = scheduler.now + draw(1_000_000...5_000_000)
    }
    let paths = member.disk.paths.filter { !(member.disk.contents(of: $0) ?? []).isEmpty }
    guard let path = paths.randomElement(using: &random), let bytes = member.disk.contents(of: path) else { return }
    journal.note("fault: bit flipped")
    journal.say("a bit of \(path) is flipped")
    undamaged = member.disk.afterCrash(losingEverything: true, seed: 1)
    damaged = (0..<scenario.partitions).first { path.hasPrefix(Checks.directory($0) + "/") }
    member.disk.flipBit(Int.random(in: 0..<bytes.count * 8, using: &random), of: path)
  }

  /// By mistake an operator puts a checkpoint of another life of this group in place: as far along, and another history.
  private func bringForeignState(_ member: Member) {
    guard undamaged == nil, let partition = (0..<scenario.partitions).randomElement(using: &random) else { return }
    let committed = kafka.topics.compactMap { kafka.committed[TopicPartition($0, partition)] }
    guard committed.count == kafka.topics.count, let tag = EpochTag(committed[0].metadata), tag.epoch < 500 else {
      return
    }
    journal.note("fault: checkpoint of another state")
    journal.say("\(member.name) is given another state of partition \(partition)")
    member.kill()
    member.startAt = scheduler.now + draw(1_000_000...5_000_000)
    undamaged = member.disk.afterCrash(losingEverything: true, seed: 1)
    damaged = partition
    let directory = Checks.directory(partition)
    for path in member.disk.paths where path.hasPrefix(directory + "/") { member.disk.setContents(nil, of: path) }
    do {
      let store = try PartitionStore(opening: directory, on: member.disk)
      try store.truncate(after: nil)
      let lineage = makeLineage()
      let clock = try undamaged.map {
        try PartitionStore(opening: directory, on: $0.copy(seed: 1)).block(of: tag.epoch).header.clock
      }
      for epoch in 0...tag.epoch {
        let header = EpochHeader(
          lineage: lineage, epoch: epoch, clock: clock ?? 0, partition: partition, partitionCount: scenario.partitions,
          offsets: committed.map { TopicOffset(topic: $0.partition.topic, next: $0.offset) })
        _ = try store.append(header) { _ in }
        try store.sync()
      }
    } catch { journal.say("it has no state of it: \(error)") }
  }

  /// Below what is committed nobody needs anything.
  private func expireSafely() {
    guard let partition = kafka.all.randomElement(using: &random), let offset = kafka.committed[partition]?.offset
    else { return }
    kafka.expire(partition, below: offset)
  }

  private func expire() {
    guard let partition = kafka.all.randomElement(using: &random), let end = kafka.logs[partition]?.end else { return }
    if kafka.committed[partition] == nil {
      journal.note("retention: before the group's first commit")
      beginnings[partition] = end
    }
    kafka.expire(partition, below: end)
  }

  /// Everybody is down for so long that the group's offsets expire.
  private func forgetOffsets() {
    guard !hasExpired else { return }
    hasExpired = true
    journal.note("fault: offsets expired")
    let isClean = percent(50)
    if isClean {
      for member in members {
        member.startAt = nil
        member.terminate()
      }
      let deadline = scheduler.now + 60_000_000
      while members.contains(where: \.isUp), scheduler.now < deadline {
        sleep(200_000)
        for member in members {
          if let (life, end) = member.reap() { judge(member, life, end) }
          member.startAt = nil
        }
      }
    }
    for member in members {
      member.kill()
      member.startAt = scheduler.now + draw(15_000_000...20_000_000)
    }
    // What was open has timed out by then.
    sleep(14_000_000)
    forgotten = kafka.committed
    kafka.committed = [:]
    journal.say("the group has forgotten its offsets")
  }
}
