// The broker of a test: a real one when TIDEWATCH_TEST_BOOTSTRAP names it, else the embedded one.

import Glibc

/// A broker for tests of this package.
///
/// With TIDEWATCH_TEST_BOOTSTRAP set (`host:port`) every test runs against that cluster; topics and groups must then have
/// names of their own, see `uniqueName`. What only a real broker does (transactions) is tested only there.
package final class TestBroker {
  package let bootstrapServers: String
  /// nil when the broker is a real one.
  package let embedded: EmbeddedBroker?

  /// The real broker's address, if there is one.
  package static var realBootstrap: String? {
    guard let value = getenv("TIDEWATCH_TEST_BOOTSTRAP") else { return nil }
    let text = String(cString: value)
    return text.isEmpty ? nil : text
  }

  /// Whether the tests that need transactions can run.
  package static var isReal: Bool { realBootstrap != nil }

  package init() throws(KafkaError) {
    if let real = Self.realBootstrap {
      bootstrapServers = real
      embedded = nil
    } else {
      let broker = try EmbeddedBroker()
      bootstrapServers = broker.bootstrapServers
      embedded = broker
    }
  }

  /// A configuration that reaches the broker.
  package func configuration(properties: [String: String] = [:]) throws(KafkaError) -> KafkaConfiguration {
    try KafkaConfiguration(
      bootstrapServers: bootstrapServers, clientID: "tidewatch-test", properties: properties)
  }

  /// Creates a topic, and returns when all of it can be seen.
  package func createTopic(_ name: String, partitionCount: Int32) throws(KafkaError) {
    if let embedded { return try embedded.createTopic(name, partitionCount: partitionCount) }
    let admin = try Admin(configuration())
    let results = try admin.createTopics(
      [TopicSpecification(name: name, partitionCount: partitionCount, replicationFactor: 1)],
      timeoutMilliseconds: 30_000)
    for result in results { if let error = result.error { throw error } }
    try admin.waitForTopics([name], partitionCount: partitionCount, timeoutMilliseconds: 30_000)
  }

  /// A name that no other test, and no other run against the same cluster, has.
  package static func uniqueName(_ prefix: String) -> String {
    var generator = SystemRandomNumberGenerator()
    return "\(prefix)-\(String(UInt64.random(in: 0 ... .max, using: &generator), radix: 36))"
  }
}
