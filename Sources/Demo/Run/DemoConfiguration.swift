// The configuration of the demo, in the words an operator would use, and the directory it stands in.

import Configuration
import Events
import Foundation

/// A temporary directory with the demo's configuration, rules and state; gone with `remove`.
struct DemoDirectory {
  let path: String

  init() throws {
    let url = FileManager.default.temporaryDirectory.appendingPathComponent(
      "tidewatch-demo-\(ProcessInfo.processInfo.processIdentifier)-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
    path = url.path
  }

  func remove() { try? FileManager.default.removeItem(atPath: path) }

  /// Writes the rules and the configuration, and reads them back as `tidewatch run` would.
  func makeConfiguration(bootstrap: String, shop: ShopSettings) throws -> Configuration {
    try Data(DemoRun.defaultTags).write(to: URL(fileURLWithPath: path + "/tags.yaml"))
    let text = Self.text(bootstrap: bootstrap, state: path + "/state", shop: shop)
    try Data(text.utf8).write(to: URL(fileURLWithPath: path + "/tidewatch.yaml"))
    return try Configuration.load(file: path + "/tidewatch.yaml", environment: [:])
  }

  static func text(bootstrap: String, state: String, shop: ShopSettings) -> String {
    """
    kafka: { bootstrap: "\(bootstrap)", group: tidewatch-demo, partitions: \(DemoOptions.partitions) }
    inputs:
      - { topic: \(DemoOptions.topic), format: native, partitioner: murmur2 }
    # The embedded broker has no transactions; the shop's days pass faster than ours.
    delivery: at_least_once
    clock: event
    epoch: { interval: 250ms }
    currency: { reporting: CNY, exponent: 2, default: CNY, rates: { USD: 7.10, EUR: 7.80 } }
    state: { dir: "\(state)" }
    rules: tags.yaml
    # The parameters by which the shop's customers truly buy and leave: the demo shows what a fitted model does.
    churn:
      r: \(shop.r)
      alpha: \(shop.alphaDays)
      a: \(shop.a)
      b: \(shop.b)
      unit: days
      horizon: \(DemoOptions.horizon.wholeDays)d
    admin: { listen: off }
    log: { level: warning }

    """
  }
}
