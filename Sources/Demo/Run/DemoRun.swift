// The demo from start to end: an embedded broker, the shop's producer, the daemon, and a reader of what it says.

import Configuration
import Daemon
import Engine
import Events
import Foundation
import Kafka

/// What went wrong with a demo, in a sentence.
public struct DemoFailure: Error, CustomStringConvertible {
  public var description: String
}

/// A demo, run by the thread that calls `run`. Everything in it is the real thing but the broker and the shop.
public struct DemoRun {
  /// Shows a moment; called about ten times a second.
  public typealias Show = (DemoStatus, DemoBoard) -> Void

  /// How long each step of the end may take, in seconds.
  private static let patience = 20.0

  /// The rule file `config/tags.yaml`, built in, so that the demo needs nothing but the program.
  public static var defaultTags: [UInt8] { PackageResources.tags_yaml }

  private let options: DemoOptions

  public init(_ options: DemoOptions) { self.options = options }

  /// Runs until the duration is over or `isStopped` says so, then ends the daemon in good order.
  ///
  /// - Parameters:
  ///   - isStopped: asked some twenty times a second.
  ///   - show: see `Show`; the last call has phase `ended`.
  /// - Returns: the last moment, for the summary.
  /// - Throws: when the broker, the daemon or the shop's producer fails.
  public func run(isStopped: () -> Bool, show: Show) throws -> (DemoStatus, DemoBoard) {
    let broker = try EmbeddedBroker()
    for topic in [DemoOptions.topic] + OutputReader.topics.map(\.name) {
      try broker.createTopic(topic, partitionCount: DemoOptions.partitions)
    }
    let directory = try DemoDirectory()
    defer { directory.remove() }
    let configuration = try directory.makeConfiguration(bootstrap: broker.bootstrapServers, shop: options.shop)
    let kafka = try KafkaConfiguration(bootstrapServers: broker.bootstrapServers, clientID: "tidewatch-demo")
    let warning = LastLine()
    let daemon = DaemonWorker(
      DataPlaneSettings(
        configuration: configuration, factory: try EngineFactory(configuration),
        log: Log(level: .warning) { _, text in warning.write(text) }))
    let feed = DemoFeed(options, kafka: kafka)
    var watch = DemoWatch(
      options, daemon: daemon, feed: feed, reader: try OutputReader(kafka, partitions: DemoOptions.partitions),
      warning: warning)
    Thread.detachNewThread { daemon.run() }
    Thread.detachNewThread { feed.run() }
    defer {
      feed.stop()
      daemon.stop()
    }

    while !isStopped(), watch.status.elapsed < options.duration ?? .infinity {
      try watch.look(show)
      if daemon.end != nil || feed.current.hasEnded { break }
    }
    try finish(&watch, daemon, feed, show)
    withExtendedLifetime(broker) {}
    return (watch.status, watch.board)
  }

  /// Source first, so that everything sent is read, judged and written; each step only so long.
  private func finish(_ watch: inout DemoWatch, _ daemon: DaemonWorker, _ feed: DemoFeed, _ show: Show) throws {
    func wait(_ condition: (DemoWatch) -> Bool) throws {
      let deadline = ContinuousClock.now + .milliseconds(Int(Self.patience * 1_000))
      while !condition(watch), daemon.end == nil, ContinuousClock.now < deadline { try watch.look(show) }
    }
    feed.stop()
    try wait { _ in feed.current.hasEnded }
    try wait { $0.status.consumed >= feed.current.produced }
    daemon.stop()
    try wait { _ in false }
    guard let end = daemon.end else {
      throw DemoFailure(description: "the daemon did not stop within \(Self.patience) s")
    }
    guard end.status == .ok else { throw DemoFailure(description: "the daemon ended: \(end.reason)") }
    if let failure = feed.current.failure { throw DemoFailure(description: failure) }
    try watch.readRest()
    watch.end(show)
  }
}
