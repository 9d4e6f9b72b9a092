// The pipelined commit as a whole: how much is taken while Kafka does not answer, what a revoke waits for, and which state is
// still there when a partition comes back.

import Checkpoint
import CheckpointTesting
import Configuration
import Daemon
import Engine
import Events
import Kafka
import Simulation
import Synchronization
import Testing

@Suite struct PipelineTests {
  @Test("Kafka does not commit: one epoch is uncommitted, one is full, and nothing more is taken")
  func backPressure() throws {
    let bench = try PipelineBench(records: 1_000)
    bench.producer.isBlocked = true
    try bench.run { bench in
      bench.scheduler.sleep(microseconds: 60_000_000)
      // Epochs of 10: the uncommitted and the open one, and what the batch in hand still held.
      #expect(bench.consumer.applied.count == 20)
      let polls = bench.consumer.polls
      bench.scheduler.sleep(microseconds: 60_000_000)
      #expect(bench.consumer.applied.count == 20 && bench.consumer.polls == polls)
      #expect(bench.producer.committed.isEmpty)
      bench.producer.isBlocked = false
      bench.waitUntil { bench.producer.committed.count == 1_000 }
      bench.stop.stop()
    }
    #expect(bench.end == DataPlaneEnd(.ok))
    #expect(bench.producer.committed == (0..<1_000).map { "0-0-\($0)" }, "each once, in order")
  }

  @Test("an epoch ends when it has changed as many customers as one may, whatever the number of records")
  func boundOnChanges() throws {
    let bench = try PipelineBench(records: 1_000, bounds: "max_changes: 64")
    bench.consumer.customers = 256
    bench.producer.isBlocked = true
    try bench.run { bench in
      bench.scheduler.sleep(microseconds: 60_000_000)
      #expect(bench.consumer.applied.count == 128)
      bench.producer.isBlocked = false
      bench.waitUntil { bench.producer.committed.count == 1_000 }
      bench.stop.stop()
    }
    #expect(bench.end == DataPlaneEnd(.ok))
  }

  @Test("the next epoch is filled while one is being committed") func overlap() throws {
    let bench = try PipelineBench(records: 15)
    bench.producer.isBlocked = true
    try bench.run { bench in
      bench.waitUntil { bench.consumer.applied.count == 15 }
      #expect(bench.producer.committed.isEmpty)
      bench.producer.isBlocked = false
      bench.waitUntil { bench.producer.committed.count == 15 }
      bench.stop.stop()
    }
    #expect(bench.end == DataPlaneEnd(.ok))
  }

  @Test("revoked: both epochs are committed before the partition is given back") func revoke() throws {
    let bench = try PipelineBench(records: 15)
    bench.producer.isBlocked = true
    try bench.run { bench in
      bench.waitUntil { bench.consumer.applied.count == 15 }
      bench.consumer.next = [.revoked(bench.consumer.all)]
      bench.scheduler.sleep(microseconds: 3_000_000)
      #expect(bench.consumer.isAssigned, "given back before it was committed")
      bench.producer.isBlocked = false
      bench.waitUntil { !bench.consumer.isAssigned }
      #expect(bench.producer.committed.count == 15)
      bench.stop.stop()
    }
    #expect(bench.end == DataPlaneEnd(.ok))
  }

  @Test("revoked while Kafka does not answer: given back, uncommitted, when the bound is over") func bound() throws {
    let bench = try PipelineBench(records: 15)
    bench.producer.isBlockedAtOffsets = true
    try bench.run { bench in
      bench.waitUntil { bench.consumer.applied.count == 15 }
      let asked = bench.scheduler.now
      bench.consumer.next = [.revoked(bench.consumer.all)]
      bench.waitUntil { !bench.consumer.isAssigned }
      let took = TimeSpan(microseconds: bench.scheduler.now - asked)
      #expect(took > bench.finishBound && took < .seconds(30))
      #expect(bench.producer.committed.isEmpty && bench.producer.aborts == 1)
      bench.stop.stop()
    }
    #expect(bench.end == DataPlaneEnd(.ok))
  }

  @Test("lost: what is not yet sent to be committed is aborted, at once") func lost() throws {
    let bench = try PipelineBench(records: 15)
    bench.producer.isBlockedAtOffsets = true
    try bench.run { bench in
      bench.waitUntil { bench.consumer.applied.count == 15 }
      let asked = bench.scheduler.now
      bench.consumer.next = [.lost(bench.consumer.all)]
      bench.waitUntil { !bench.consumer.isAssigned }
      #expect(bench.scheduler.now - asked < 5_000_000)
      #expect(bench.producer.committed.isEmpty && bench.producer.aborts == 1)
      bench.stop.stop()
    }
    #expect(bench.end == DataPlaneEnd(.ok))
  }

  @Test(
    "at_least_once, lost or out of time: what was not acknowledged will not be sent any more", arguments: [true, false])
  func discarded(isLost: Bool) throws {
    let bench = try PipelineBench(records: 15, delivery: .atLeastOnce)
    bench.producer.isBlockedAtFlush = true
    try bench.run { bench in
      bench.waitUntil { bench.consumer.applied.count == 15 }
      bench.consumer.next = [isLost ? .lost(bench.consumer.all) : .revoked(bench.consumer.all)]
      bench.waitUntil { !bench.consumer.isAssigned }
      #expect(bench.producer.discarded == (0..<10).map { "0-0-\($0)" })
      bench.producer.isBlockedAtFlush = false
      bench.consumer.next = [.assigned(bench.consumer.all)]
      // Its block is on disk, and with it what is to be said.
      bench.waitUntil { bench.producer.delivered.count == 15 }
      bench.stop.stop()
    }
    #expect(bench.end == DataPlaneEnd(.ok))
    #expect(bench.producer.delivered == (0..<15).map { "0-0-\($0)" })
  }

  @Test("at_least_once: a producer that cannot be replaced ends the process, to be started again")
  func notDiscarded() throws {
    let bench = try PipelineBench(records: 15, delivery: .atLeastOnce)
    bench.producer.isBlockedAtFlush = true
    bench.producer.discardFailure = KafkaError(.invalidArgument, during: "create producer")
    try bench.run { bench in
      bench.waitUntil { bench.consumer.applied.count == 15 }
      bench.consumer.next = [.lost(bench.consumer.all)]
      bench.waitUntil { bench.end != nil }
    }
    #expect(bench.end?.status == .restart)
    #expect(bench.end?.reason.contains("the producer could not be replaced") == true)
  }

  @Test("exactly_once: outputs that later ones have passed over are not committed, but made again")
  func unconfirmedInTransaction() throws {
    let bench = try PipelineBench(records: 40)
    bench.producer.unconfirmed = 3
    try bench.run { bench in
      bench.waitUntil { bench.producer.committed.count == 40 }
      bench.stop.stop()
    }
    #expect(bench.end == DataPlaneEnd(.ok))
    #expect(bench.producer.aborts == 1)
    #expect(bench.producer.committed == (0..<40).map { "0-0-\($0)" }, "each once, in order")
  }

  @Test("at_least_once: outputs that later ones have passed over are sent again")
  func unconfirmedWithoutTransaction() throws {
    let bench = try PipelineBench(records: 15, delivery: .atLeastOnce)
    bench.producer.unconfirmed = 3
    try bench.run { bench in
      bench.waitUntil { bench.producer.delivered.count == 25 }
      bench.stop.stop()
    }
    #expect(bench.end == DataPlaneEnd(.ok))
    #expect(bench.producer.delivered == (0..<10).map { "0-0-\($0)" } + (0..<15).map { "0-0-\($0)" })
  }

  @Test(
    "a record that its topic never takes halts with the topic named, instead of aborting for ever",
    arguments: [false, true])
  func refusedRecord(othersArePurged: Bool) throws {
    let bench = try PipelineBench(records: 15)
    if othersArePurged {
      bench.producer.purged = DeliveryFailure(
        partition: TopicPartition("churn-alerts", 0), error: KafkaError(.purgedInFlight, during: "deliver"))
    }
    bench.producer.failure = DeliveryFailure(
      partition: TopicPartition("tag-changes", 0), error: KafkaError(.messageTooLarge, during: "deliver"))
    try bench.run { bench in bench.waitUntil { false } }
    #expect(bench.end?.status == .halted)
    #expect(bench.end?.reason.contains("raise max.message.bytes of tag-changes") == true)
    #expect(bench.producer.aborts == 1 && bench.producer.committed.isEmpty)
  }

  @Test("a partition that comes back goes on with its state in memory; after a loss it is restored from disk")
  func warm() throws {
    let bench = try PipelineBench(records: 40)
    try bench.run { bench in
      bench.waitUntil { bench.producer.committed.count == 40 }
      #expect(bench.factory.made == 1)
      bench.consumer.next = [.revoked(bench.consumer.all), .assigned(bench.consumer.all)]
      bench.waitUntil { bench.consumer.next.isEmpty && bench.consumer.isAssigned }
      #expect(bench.factory.made == 1, "restored although it was all there")
      bench.consumer.append(20)
      bench.waitUntil { bench.producer.committed.count == 60 }

      bench.consumer.next = [.lost(bench.consumer.all), .assigned(bench.consumer.all)]
      bench.waitUntil { bench.consumer.next.isEmpty && bench.consumer.isAssigned }
      #expect(bench.factory.made == 2, "what was lost is somebody else's, until the committed tag says otherwise")
      bench.consumer.append(20)
      bench.waitUntil { bench.producer.committed.count == 80 }
      bench.stop.stop()
    }
    #expect(bench.end == DataPlaneEnd(.ok))
    #expect(bench.producer.committed == (0..<80).map { "0-0-\($0)" })
    #expect(bench.producer.lastValue == "80 \((0..<80).reduce(0, +))")
  }

  @Test("another member had the partition meanwhile: the state in memory is not used") func stale() throws {
    let bench = try PipelineBench(records: 40)
    try bench.run { bench in
      bench.waitUntil { bench.producer.committed.count == 40 }
      bench.consumer.next = [.revoked(bench.consumer.all)]
      bench.waitUntil { !bench.consumer.isAssigned }
      try bench.processElsewhere(20)
      bench.consumer.next = [.assigned(bench.consumer.all)]
      bench.waitUntil { bench.consumer.isAssigned }
      #expect(bench.factory.made == 3, "one for each owner, one for the return")
      bench.consumer.append(20)
      bench.waitUntil { bench.producer.committed.count == 80 }
      bench.stop.stop()
    }
    #expect(bench.end == DataPlaneEnd(.ok))
    #expect(bench.producer.lastValue == "80 \((0..<80).reduce(0, +))")
  }
}
