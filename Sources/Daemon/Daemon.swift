// The daemon as a whole: starts the data plane, the source watch and the admin server, and ends them in order.

import Checkpoint
import Configuration
import Engine
import Events
import Glibc
import Handoff
import Kafka

/// A daemon of one configuration. `run` blocks the calling thread until the data plane has ended.
public struct Daemon: Sendable {
  public var settings: DataPlaneSettings
  private let stop: StopRequest
  private let published = Shared(DaemonSnapshot())

  /// - Parameter stop: ends the run in good order: the open epoch is committed.
  public init(_ settings: DataPlaneSettings, stop: StopRequest = StopRequest()) {
    self.settings = settings
    self.stop = stop
  }

  /// The newest snapshot; for views beside the admin server.
  public var snapshot: DaemonSnapshot { published.read() }

  /// The librdkafka settings of a configuration.
  /// - Throws: `KafkaError` naming each property that is wrong.
  public static func kafkaConfiguration(_ configuration: Configuration) throws(KafkaError) -> KafkaConfiguration {
    let properties = Dictionary(
      configuration.kafka.properties.map { ($0.name, $0.value) }, uniquingKeysWith: { _, last in last })
    return try KafkaConfiguration(
      bootstrapServers: configuration.kafka.bootstrap,
      clientID: "tidewatch-\(configuration.kafka.group)-\(configuration.kafka.instance)", properties: properties)
  }

  /// With `.restart` the data plane may still be at work: end the process.
  public func run() -> DataPlaneEnd {
    let kafka: KafkaConfiguration
    do throws(KafkaError) { kafka = try Self.kafkaConfiguration(settings.configuration) } catch {
      return DataPlaneEnd(.badConfiguration, "\(error)")
    }
    let admin = startAdminServer()
    defer { admin?.cancel() }

    let end = Shared<DataPlaneEnd?>(nil)
    let ended = SystemSignal()
    let isClosed = Shared(false)
    let thread: DedicatedThread
    do throws(ThreadError) {
      thread = try DedicatedThread("tw-data") {
        runDataPlane(kafka) {
          end.write($0)
          ended.notify()
        }
        isClosed.write(true)
        ended.notify()
      }
    } catch { return DataPlaneEnd(.failure, "\(error)") }
    let wall = SystemWall()
    var setBack = SetBack()
    while true {
      if let end = end.read() {
        let deadline = wall.monotonicMicroseconds + Self.closingMicroseconds
        while !isClosed.read(), wall.monotonicMicroseconds < deadline { ended.wait(milliseconds: 100) }
        if isClosed.read() {
          thread.join()
        } else {
          settings.log.warning(
            "the Kafka client did not end in \(Self.closingMicroseconds / 1_000_000) s and is left behind; nothing depends on "
              + "it any more")
        }
        return end
      }
      // The data plane may be in such a wait, so nobody waits for it: whatever was not committed is read again.
      if let span = setBack.see(wall.now, monotonicMicroseconds: wall.monotonicMicroseconds) {
        return DataPlaneEnd(
          .restart,
          "the system's clock was set back by \(span.microseconds / 1_000_000) s, and waits that are under way in the Kafka "
            + "client would last as much longer; start again, nothing is lost")
      }
      ended.wait(milliseconds: 500)
    }
  }

  /// How long Kafka's clients may take to end once everything is done. librdkafka 2.0 waits for ever for the consumer of a
  /// topic that was deleted.
  private static let closingMicroseconds: Int64 = 5_000_000

  private func startAdminServer() -> Task<Void, Never>? {
    guard let address = settings.configuration.admin.listen else { return nil }
    let server = AdminServer(address: address, published: published)
    let log = settings.log
    return Task.detached {
      do { try await server.run() } catch {
        if Task.isCancelled { return }
        log.error(
          "nobody hears /readyz and /metrics: cannot listen on \(address.host):\(address.port): "
            + "\(AdminServer.reason(error)). If another process does, perhaps another tidewatch, stop it or change "
            + "admin.listen, then restart")
      }
    }
  }

  /// Everything that is confined to the data-plane thread is made here, on it, and goes after `report` was told how it ended.
  private func runDataPlane(_ kafka: KafkaConfiguration, report: (DataPlaneEnd) -> Void) {
    let notifier = SystemdNotifier(
      socketPath: getenv("NOTIFY_SOCKET").map { String(cString: $0) },
      watchdogMicroseconds: getenv("WATCHDOG_USEC").map { String(cString: $0) })
    let plan: TopicPlan
    switch waitForTopics(kafka, notifier) {
    case .success(let found): plan = found
    case .failure(let early): return report(early.end)
    }
    let configuration = settings.configuration
    let looks = Mailbox<SourceLook>()
    let watchEnded = StopRequest()
    let interval = min(10_000, max(1_000, Int(configuration.sourceStall.microseconds / 4_000)))
    let watch = SourceWatch(
      kafka: kafka, topics: configuration.inputs.map(\.topic), outputs: configuration.outputs.enabled.map(\.topic),
      partitionCount: plan.partitionCount, intervalMilliseconds: interval, looks: looks, ended: watchEnded)
    do {
      let watchThread = try DedicatedThread("tw-sources") { watch.run() }
      defer {
        watchEnded.stop()
        watchThread.join()
      }
      let consumer = try Consumer(kafka, ConsumerOptions(groupID: configuration.kafka.group))
      let options = Self.producerOptions(configuration)
      let producer = try KafkaProducerPort { () throws(KafkaError) in try Producer(kafka, options) }
      let dataPlane = DataPlane(
        settings, consumer: KafkaConsumerPort(consumer), producer: producer, wall: SystemWall(),
        stop: stop, looks: looks, published: published, notifier: notifier)
      report(dataPlane.run(partitionCount: plan.partitionCount))
    } catch let error as KafkaError {
      report(DataPlaneEnd(.badConfiguration, "\(error)"))
    } catch {
      report(DataPlaneEnd(.failure, "\(error)"))
    }
  }

  static func producerOptions(_ configuration: Configuration) -> ProducerOptions {
    switch configuration.delivery {
    case .exactlyOnce:
      ProducerOptions(.transactional(id: "\(configuration.kafka.group)-\(configuration.kafka.instance)"))
    case .atLeastOnce: ProducerOptions(.idempotent)
    }
  }

  private struct EarlyEnd: Error {
    var end: DataPlaneEnd
  }

  /// Keeps trying while Kafka is away; ends on what an operator must mend.
  private func waitForTopics(_ kafka: KafkaConfiguration, _ notifier: SystemdNotifier?) -> Result<TopicPlan, EarlyEnd> {
    let wall = SystemWall()
    var waiting = ""
    var hasReason = false
    do {
      let admin = try Admin(kafka)
      while !stop.isStopping {
        notifier?.beat(now: wall.monotonicMicroseconds)
        do throws(TopicSetup.Failure) {
          return .success(try TopicSetup.run(admin, settings.configuration, log: settings.log))
        } catch {
          switch error {
          case .problem(let problem): return .failure(EarlyEnd(end: DataPlaneEnd(.badTopics, "\(problem)")))
          case .kafka(let kafkaError):
            guard kafkaError.isRetriable else {
              return .failure(EarlyEnd(end: DataPlaneEnd(.halted, "\(kafkaError)")))
            }
            // What a broker says counts its repetitions: it is no reason to say all of it again.
            let reason = admin.drainEvents().textOfBrokers
            if waiting != "\(kafkaError)" || !hasReason && !reason.isEmpty {
              settings.log.warning("waiting for Kafka: \(kafkaError)\(reason)")
            }
            waiting = "\(kafkaError)"
            hasReason = hasReason || !reason.isEmpty
          }
        }
        let text = waiting
        published.withLock { snapshot in
          snapshot.waiting = text
          snapshot.isKafkaReachable = false
          snapshot.beat = SystemWall().monotonicMicroseconds
        }
        wall.sleep(milliseconds: 500)
      }
      return .failure(EarlyEnd(end: DataPlaneEnd(.ok)))
    } catch { return .failure(EarlyEnd(end: DataPlaneEnd(.badConfiguration, "\(error)"))) }
  }
}
