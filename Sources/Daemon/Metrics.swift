// Prometheus text from a snapshot. Names are stable: they are a contract with dashboards and alerts.

import Events

enum Metrics {
  static func text(_ s: DaemonSnapshot, nowMonotonic: Int64) -> String {
    var out = Page()
    out.family("tidewatch_ready", "gauge", "1 when /readyz is 200.") { $0([:], s.reasons.isEmpty ? 1 : 0) }
    out.family("tidewatch_events_total", "counter", "Input records by topic and what became of them.") { add in
      for (topic, results) in s.counters.events.enumerated() where topic < s.topics.count {
        for result in TaskCounters.Result.allCases {
          add(["topic": s.topics[topic], "result": result.name], Double(results[result.rawValue]))
        }
      }
    }
    out.family("tidewatch_dead_letters_total", "counter", "Rejected records by reason code.") { add in
      for (reason, count) in s.counters.deadLetters.sorted(by: { $0.key < $1.key }) {
        add(["reason": reason], Double(count))
      }
    }
    out.family("tidewatch_alerts_total", "counter", "Churn alert records by kind and status.") { add in
      for (key, count) in s.counters.alerts.sorted(by: { $0.key < $1.key }) {
        let parts = key.split(separator: " ", maxSplits: 1).map(String.init)
        add(["kind": parts[0], "status": parts.count > 1 ? parts[1] : ""], Double(count))
      }
    }
    out.family(
      "tidewatch_record_overflows_total", "counter",
      "What customers' records had no room for (limits.*), and refunds whose order never came."
    ) { add in
      for (what, count) in s.counters.overflows.named { add(["what": what], Double(count)) }
    }
    out.family(
      "tidewatch_names_left_out_total", "counter",
      "Categories, channels, regions and occupations read as (other): their partition has limits.names of them."
    ) { $0([:], Double(s.counters.leftOutNames)) }
    out.family("tidewatch_customers", "gauge", "Customers in the state of this process.") {
      $0([:], Double(s.counters.customers))
    }
    out.family(
      "tidewatch_memory_used_bytes", "gauge", "What the state and the outputs of the open epoch need."
    ) { $0([:], Double(s.memoryUsed)) }
    out.family("tidewatch_memory_limit_bytes", "gauge", "At this, reading stops (state.memory_limit); 0: no limit.") {
      $0([:], Double(s.memoryLimit))
    }
    out.family("tidewatch_lag_records", "gauge", "Records not yet read, by topic and partition.") { add in
      for partition in s.partitions {
        for (topic, lag) in partition.lag.enumerated() {
          if let lag { add(["topic": s.topics[topic], "partition": String(partition.partition)], Double(lag)) }
        }
      }
    }
    out.family("tidewatch_clock_seconds", "gauge", "The clock of each task, seconds since 1970.") { add in
      for partition in s.partitions {
        guard let clock = partition.clock, clock > .distantPast else { continue }
        add(["partition": String(partition.partition)], Double(clock.microseconds) / 1e6)
      }
    }
    out.family(
      "tidewatch_system_clock_behind_seconds", "gauge",
      "How far the system's clock is behind what it has shown before; above 0 nothing falls due."
    ) { $0([:], Double(s.clockBehind.microseconds) / 1e6) }
    out.family("tidewatch_clock_stalled", "gauge", "1 when a required topic does not grow and the clock stands still.")
    { add in
      for partition in s.partitions { add(["partition": String(partition.partition)], partition.isStalled ? 1 : 0) }
    }
    out.family("tidewatch_partition_halted", "gauge", "1 when a partition needs an operator.") { add in
      for partition in s.partitions {
        add(["partition": String(partition.partition)], partition.phase == .halted ? 1 : 0)
      }
    }
    out.family("tidewatch_checkpoint_log_bytes", "gauge", "Bytes of the checkpoint log behind the base.") { add in
      for partition in s.partitions { add(["partition": String(partition.partition)], Double(partition.logBytes)) }
    }
    out.family("tidewatch_checkpoint_base_bytes", "gauge", "Bytes of the checkpoint base.") { add in
      for partition in s.partitions { add(["partition": String(partition.partition)], Double(partition.baseBytes)) }
    }
    let counters: [(String, String, Double)] = [
      ("tidewatch_tag_changes_total", "Tag changes emitted.", Double(s.counters.tagChanges)),
      (
        "tidewatch_tag_changes_shadow_total", "Changes of shadow rules, counted only.",
        Double(s.counters.shadowTagChanges)
      ),
      ("tidewatch_alerts_overdue_total", "Alerts emitted after their respond_by.", Double(s.counters.overdueAlerts)),
      (
        "tidewatch_customers_evicted_total", "Customers evicted after state.retention without an event.",
        Double(s.counters.evictions)
      ),
      ("tidewatch_timers_total", "Customer timers fired.", Double(s.counters.timers)),
      ("tidewatch_epochs_total", "Epochs committed.", Double(s.epochs)),
      (
        "tidewatch_epochs_held_total", "Times that nothing was applied because commits did not keep up.",
        Double(s.heldEpochs)
      ),
      ("tidewatch_epochs_aborted_total", "Epochs aborted and read again.", Double(s.abortedEpochs)),
      ("tidewatch_checkpoint_blocks_total", "Blocks appended to checkpoints.", Double(s.checkpointBlocks)),
      ("tidewatch_checkpoint_bytes_total", "Bytes appended to checkpoints.", Double(s.checkpointBytes)),
      ("tidewatch_checkpoint_rewrites_total", "Bases rewritten.", Double(s.rewrites)),
      ("tidewatch_checkpoint_rewritten_bytes_total", "Bytes of rewritten bases.", Double(s.rewrittenBytes)),
      ("tidewatch_checkpoint_rewrite_failures_total", "Base rewrites that failed.", Double(s.failedRewrites)),
      ("tidewatch_outputs_total", "Records handed to the producer.", Double(s.outputs)),
      ("tidewatch_retries_total", "Kafka calls repeated.", Double(s.retries)),
      ("tidewatch_rebalances_total", "Rebalances answered.", Double(s.rebalances)),
      ("tidewatch_kafka_errors_total", "Errors reported by Kafka clients.", Double(s.brokerErrors)),
      ("tidewatch_records_repeated_total", "Records below the expected offset, dropped.", Double(s.droppedRecords)),
    ]
    out.pauses(s.pauses)
    out.family("tidewatch_tick_max_seconds", "gauge", "The longest time that timers took between two polls.") {
      $0([:], Double(s.maxTickMicroseconds) / 1e6)
    }
    out.family("tidewatch_epochs_held_seconds_total", "counter", "Time in which nothing was applied for slow commits.")
    {
      $0([:], Double(s.heldMicroseconds) / 1e6)
    }
    for (name, help, value) in counters { out.family(name, "counter", help) { $0([:], value) } }
    out.family("tidewatch_epoch_duration_seconds", "gauge", "How long closing the last epoch took.") {
      $0([:], Double(s.epochMicroseconds) / 1e6)
    }
    out.family("tidewatch_data_plane_silence_seconds", "gauge", "Since the data plane last went round.") {
      $0([:], Double(max(0, nowMonotonic - s.beat)) / 1e6)
    }
    out.family("tidewatch_kafka_reachable", "gauge", "0 while no broker can be reached.") {
      $0([:], s.isKafkaReachable ? 1 : 0)
    }
    return out.text
  }

  private struct Page {
    var text = ""

    mutating func family(
      _ name: String, _ type: String, _ help: String, _ fill: ((KeyValuePairs<String, String>, Double) -> Void) -> Void
    ) {
      text += "# HELP \(name) \(help)\n# TYPE \(name) \(type)\n"
      var lines = ""
      fill { labels, value in
        let list = labels.map { "\($0.key)=\"\(Self.escape($0.value))\"" }.joined(separator: ",")
        let number = value == value.rounded() && abs(value) < 1e15 ? String(Int64(value)) : String(value)
        lines += list.isEmpty ? "\(name) \(number)\n" : "\(name){\(list)} \(number)\n"
      }
      text += lines
    }

    /// A histogram in Prometheus' form, and the longest beside it.
    mutating func pauses(_ pauses: PauseHistogram) {
      let name = "tidewatch_checkpoint_pause_seconds"
      text += "# HELP \(name) How long processing stood still when an epoch was sealed or confirmed.\n"
      text += "# TYPE \(name) histogram\n"
      var sum = 0
      for (bound, count) in zip(PauseHistogram.boundsMicroseconds, pauses.counts) {
        sum += count
        text += "\(name)_bucket{le=\"\(Double(bound) / 1e6)\"} \(sum)\n"
      }
      text += "\(name)_bucket{le=\"+Inf\"} \(pauses.count)\n"
      text += "\(name)_sum \(Double(pauses.sumMicroseconds) / 1e6)\n\(name)_count \(pauses.count)\n"
      family("tidewatch_checkpoint_pause_max_seconds", "gauge", "The longest of these pauses.") {
        $0([:], Double(pauses.maxMicroseconds) / 1e6)
      }
    }

    private static func escape(_ value: String) -> String {
      value.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"").replacing("\n", with: "\\n")
    }
  }
}
