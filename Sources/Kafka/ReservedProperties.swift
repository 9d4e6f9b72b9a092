// Which librdkafka properties an operator may not set, and why; and which hold secrets.

/// The properties whose value this program's guarantees depend on.
enum ReservedProperties {
  /// Why a property cannot be passed through; nil when it can.
  static func refusal(of name: String, value: String) -> String? {
    switch name {
    case "isolation.level":
      "records of aborted transactions must stay invisible, so it is always read_committed"
    case "transactional.id", "transaction.timeout.ms":
      "it is made from the group and the instance name"
    case "enable.auto.commit", "auto.commit.enable", "auto.commit.interval.ms", "enable.auto.offset.store",
      "offset.store.method", "offset.store.path", "offset.store.sync.interval.ms":
      "offsets are committed together with the state they belong to, never by themselves"
    case "auto.offset.reset":
      "a lost range of records must halt its partition, so it is always error"
    case "partition.assignment.strategy", "group.protocol", "group.remote.assignor", "group.protocol.type":
      "co-partitioned topics must be assigned together, so the assignor is always range"
    case "partitioner", "partitioner_cb", "sticky.partitioning.linger.ms":
      "the partitioner is set per topic in the daemon's own configuration"
    case "enable.idempotence", "enable.gapless.guarantee", "acks", "request.required.acks",
      "max.in.flight", "max.in.flight.requests.per.connection", "retries", "message.send.max.retries",
      "queuing.strategy", "delivery.report.only.error":
      "outputs must arrive once, in order and acknowledged, so the producer is always idempotent"
    case "enable.partition.eof":
      "the end of a partition is how a restore knows that it is complete"
    case "allow.auto.create.topics":
      "a topic created by a typing error would have the wrong number of partitions"
    case "bootstrap.servers", "metadata.broker.list":
      "set the bootstrap servers instead"
    case "group.id", "group.instance.id", "client.id", "statistics.interval.ms":
      "it has a setting of its own"
    case "plugin.library.paths":
      "it would load foreign code into the daemon"
    case "test.mock.num.brokers", "enabled_events", "log.queue", "opaque", "interceptors", "default_topic_conf",
      "internal.termination.signal":
      "it is internal to the client"
    case "queued.min.messages":
      floor(1_000_000, of: value)
    case "queued.max.messages.kbytes":
      floor(ConsumerOptions.leastQueuedKilobytes, of: value)
    default:
      name.hasSuffix("_cb") ? "it is internal to the client" : nil
    }
  }

  private static func floor(_ least: Int, of value: String) -> String? {
    if let number = Int(value), number >= least { return nil }
    return "below \(least) a full queue makes the consumer sleep for a second"
  }

  /// Whether the value of a property must never be printed.
  static func isSecret(_ name: String) -> Bool {
    if name == "sasl.oauthbearer.config" || name == "sasl.kerberos.kinit.cmd" || name == "ssl.key.pem" { return true }
    return ["password", "secret", "token", "jaas", "credential"].contains { name.contains($0) }
  }
}
