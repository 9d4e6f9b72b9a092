// What can be passed through to librdkafka, what is refused, and what is never printed.

import Kafka
import Testing

extension KafkaTests {
  @Suite struct Configuration {
    @Test(arguments: [
      ("isolation.level", "read_uncommitted"), ("transactional.id", "x"), ("enable.auto.commit", "true"),
      ("enable.auto.offset.store", "true"), ("auto.offset.reset", "earliest"),
      ("partition.assignment.strategy", "cooperative-sticky"), ("partitioner", "random"),
      ("enable.idempotence", "false"), ("acks", "1"), ("max.in.flight", "100"), ("enable.partition.eof", "false"),
      ("bootstrap.servers", "elsewhere:9092"), ("group.id", "x"), ("plugin.library.paths", "/tmp/x.so"),
      ("delivery.report.only.error", "true"), ("allow.auto.create.topics", "true"), ("rebalance_cb", "1"),
      ("queued.max.messages.kbytes", "1024"), ("queued.min.messages", "10"), ("transaction.timeout.ms", "900000"),
    ])
    func refusesReservedProperty(name: String, value: String) {
      let error = #expect(throws: KafkaError.self) {
        try KafkaConfiguration(bootstrapServers: "localhost:9092", properties: [name: value])
      }
      #expect(error?.code == .invalidArgument)
      #expect(error?.reason.contains(name) == true)
    }

    @Test func namesEveryProblemAtOnce() {
      let error = #expect(throws: KafkaError.self) {
        try KafkaConfiguration(
          bootstrapServers: "",
          properties: [
            "isolation.level": "read_committed", "no.such.property": "1", "session.timeout.ms": "-5",
            "sasl.username": "fine",
          ])
      }
      let reason = error?.reason ?? ""
      for part in ["bootstrap servers", "isolation.level", "no.such.property", "session.timeout.ms"] {
        #expect(reason.contains(part), "\(part) is not in: \(reason)")
      }
      #expect(!reason.contains("sasl.username"))
    }

    @Test func passesSecuritySettingsThrough() throws {
      let configuration = try KafkaConfiguration(
        bootstrapServers: "localhost:1",
        properties: [
          "security.protocol": "sasl_ssl", "sasl.mechanism": "SCRAM-SHA-256", "sasl.username": "shop",
          "sasl.password": "hunter2", "queued.max.messages.kbytes": "131072", "fetch.min.bytes": "10",
        ])
      // The client is really made with them: an SSL client looks for its CA file at once.
      let broken = try KafkaConfiguration(
        bootstrapServers: "localhost:1",
        properties: ["security.protocol": "ssl", "ssl.ca.location": "/nonexistent/ca.pem"])
      #expect(throws: KafkaError.self) { try Producer(broken, ProducerOptions(.idempotent)) }
      _ = try Producer(configuration, ProducerOptions(.idempotent))
      _ = try Consumer(configuration, ConsumerOptions(groupID: "g"))
    }

    @Test func hidesSecrets() throws {
      let secrets = [
        "sasl.password": "hunter2", "ssl.key.password": "hunter2", "ssl.keystore.password": "hunter2",
        "sasl.oauthbearer.config": "principal=hunter2",
      ]
      let configuration = try KafkaConfiguration(
        bootstrapServers: "b:1", properties: secrets.merging(["sasl.username": "shop"]) { $1 })
      for text in ["\(configuration)", String(reflecting: configuration)] {
        #expect(!text.contains("hunter2"))
        #expect(text.contains("sasl.password=***"))
        #expect(text.contains("sasl.username=shop"))
      }
    }

    @Test func keepsSecretsOutOfErrors() {
      // Not a valid key, whatever it is; librdkafka's own message quotes invalid values.
      var error = #expect(throws: KafkaError.self) {
        let configuration = try KafkaConfiguration(
          bootstrapServers: "b:1",
          properties: ["security.protocol": "ssl", "ssl.key.pem": "hunter2", "ssl.key.password": "hunter3"])
        _ = try Producer(configuration, ProducerOptions(.idempotent))
      }
      #expect(error.map { "\($0)" }?.contains("hunter") == false)
      // Debian's librdkafka has no OIDC; others take the property.
      do {
        _ = try KafkaConfiguration(
          bootstrapServers: "", properties: ["sasl.oauthbearer.client.secret": "hunter2"])
      } catch let refused { error = refused }
      #expect(error.map { "\($0)" }?.contains("hunter") == false)
    }

    @Test func refusesOptionsThatCannotTravel() throws {
      let configuration = try KafkaConfiguration(bootstrapServers: "b:1")
      #expect(throws: KafkaError.self) { try Consumer(configuration, ConsumerOptions(groupID: "группа")) }
      #expect(throws: KafkaError.self) { try Consumer(configuration, ConsumerOptions(groupID: "")) }
      #expect(throws: KafkaError.self) { try Producer(configuration, ProducerOptions(.transactional(id: ""))) }
      var options = ConsumerOptions(groupID: "g")
      options.queuedMaxKilobytes = 1_000
      #expect(throws: KafkaError.self) { try Consumer(configuration, options) }
    }
  }
}
