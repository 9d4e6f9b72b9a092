// From YAML text to a checked `Configuration`: one function a section, all mistakes collected.

import Events
import Foundation
import InputFiles
import Models
import Yams

extension Configuration {
  /// Reads and checks a file. `environment` answers `${VAR}`.
  /// - Throws: `ConfigurationError` with every mistake.
  public static func load(
    file: String, environment: [String: String] = ProcessInfo.processInfo.environment
  ) throws(ConfigurationError) -> Configuration {
    let text: String
    do throws(TextFileError) { text = try readTextFile(file) } catch {
      throw ConfigurationError([ConfigurationIssue(file: file, position: nil, message: "\(error); check --config")])
    }
    return try load(text: text, file: file, environment: environment)
  }

  /// The same from text in memory; `file` names it in messages and is what relative paths start from.
  public static func load(
    text: String, file: String, environment: [String: String] = [:]
  ) throws(ConfigurationError) -> Configuration {
    let findings = Findings(file: file, environment: environment)
    var root: Node?
    do {
      root = try Yams.compose(yaml: text)
    } catch {
      throw ConfigurationError([yamlIssue(error, file: file)])
    }
    let configuration = read(Section(root, path: "", findings: findings), findings)
    guard findings.issues.isEmpty else { throw ConfigurationError(findings.issues) }
    return configuration
  }

  private static func yamlIssue(_ error: any Error, file: String) -> ConfigurationIssue {
    switch error as? YamlError {
    case .scanner(_, let problem, let mark, _), .parser(_, let problem, let mark, _),
      .composer(_, let problem, let mark, _):
      let position = ConfigurationPosition(line: mark.line, column: mark.column)
      return ConfigurationIssue(file: file, position: position, message: "not YAML: \(problem)")
    case .duplicatedKeysInMapping(let duplicates, let context):
      let position = ConfigurationPosition(line: context.mark.line, column: context.mark.column)
      let keys = duplicates.map { "'\($0)'" }.joined(separator: ", ")
      return ConfigurationIssue(file: file, position: position, message: "key given twice: \(keys)")
    default:
      return ConfigurationIssue(file: file, position: nil, message: "not YAML: \(error)")
    }
  }

  private static func read(_ root: Section, _ findings: Findings) -> Configuration {
    var c = Configuration()
    c.file = findings.file
    c.kafka = readKafka(root.section("kafka"), findings)
    c.inputs = readInputs(root, findings)
    c.outputs = readOutputs(root.section("outputs"))
    c.delivery = root.choice("delivery", c.delivery)
    c.clock = root.choice("clock", c.clock)
    c.epoch = readEpoch(root.section("epoch"))
    c.sourceStall = root.span("source_stall", c.sourceStall, in: .seconds(1) ... .days(30))
    c.lateness = root.span("lateness", c.lateness, in: .seconds(0) ... .days(90))
    c.timeZone = root.string("time_zone", c.timeZone, expected: "an IANA zone such as Asia/Shanghai or UTC") { name in
      !name.isEmpty && !name.hasPrefix("/") && !name.contains("..")
        && name.utf8.allSatisfy { $0.isZoneCharacter }
    }
    c.currency = readCurrency(root.section("currency"), findings)
    c.limits = readLimits(root.section("limits"))
    c.state = readState(root.section("state"))
    c.rulesPath = resolve(root.string("rules", c.rulesPath, expected: "the path of the rule file"), from: findings.file)
    if root.has("churn") { c.churn = readChurn(root.section("churn"), findings, &c.warnings) }
    _ = root.value("churn")
    c.alerts = readAlerts(root.section("alerts"), findings)
    c.admin = readAdmin(root.section("admin"), findings)
    c.logLevel = root.section("log").finishing { $0.choice("level", c.logLevel) }
    root.finish()
    c.positions = findings.positions
    checkTopics(c, findings)
    if c.state.retention < c.orderRetention {
      findings.add(
        "'state.retention' is \(c.state.retention.text); with 'lateness' \(c.lateness.text) it must be at least "
          + "\(c.orderRetention.text), so that no window still looks at what is evicted",
        at: findings.positions["state.retention"] ?? findings.positions["lateness"])
    }
    checkFinishWithin(c, findings)
    if c.churn == nil {
      c.warnings.append("no 'churn' section: churn and lost alerts are off; silent alerts are still raised")
    }
    if c.delivery == .atLeastOnce {
      c.warnings.append("delivery is at_least_once: after a crash, outputs may repeat (with the same ce_id)")
    }
    return c
  }

  /// Giving partitions back takes so long at most, and nothing is polled meanwhile.
  private static func checkFinishWithin(_ c: Configuration, _ findings: Findings) {
    let name = "max.poll.interval.ms"
    let milliseconds = c.kafka.properties.last { $0.name == name }.flatMap { Int64($0.value) } ?? 300_000
    guard c.epoch.finishWithin.microseconds >= milliseconds * 1_000 else { return }
    findings.add(
      "'epoch.finish_within' is \(c.epoch.finishWithin.text); it must be less than \(name), which is \(milliseconds) ms: "
        + "the group would take the partitions away while their epoch is being finished",
      at: findings.positions["epoch.finish_within"] ?? findings.positions["kafka.properties.\(name)"])
  }

  private static func resolve(_ path: String, from file: String) -> String {
    guard !path.hasPrefix("/"), let slash = file.lastIndex(of: "/") else { return path }
    return file[...slash] + path
  }

  private static func readKafka(_ s: Section, _ findings: Findings) -> KafkaSection {
    var k = KafkaSection()
    if !s.has("bootstrap") { s.missing("bootstrap", "the brokers, for example localhost:9092") }
    k.bootstrap = s.string("bootstrap", "", expected: "host:port, or several with commas") { text in
      !text.isEmpty && text.split(separator: ",", omittingEmptySubsequences: false).allSatisfy { isHostPort($0) }
    }
    let expected = "1 to 200 letters, digits, '.', '_' or '-'"
    k.group = s.string("group", k.group, expected: expected, isKafkaName)
    k.instance = s.string("instance", k.instance, expected: expected, isKafkaName)
    k.createTopics = s.bool("create_topics", k.createTopics)
    k.partitions = s.integer("partitions", k.partitions, in: 1...10_000)
    k.replication = s.integer("replication", k.replication, in: -1...100)
    for entry in s.section("properties").freeEntries() {
      let path = "kafka.properties.\(entry.key)"
      if let reason = ownedProperties[entry.key] {
        findings.add("'\(entry.key)' cannot be set: \(reason)", at: entry.keyNode)
      } else if let value = findings.text(entry.value, path) {
        k.properties.append(KafkaSection.Property(name: entry.key, value: value))
      }
    }
    s.finish()
    return k
  }

  /// Properties on which correctness rests, and whose choice it is.
  public static let ownedProperties: [String: String] = [
    "bootstrap.servers": "use kafka.bootstrap",
    "metadata.broker.list": "use kafka.bootstrap",
    "group.id": "use kafka.group",
    "group.instance.id": "members are dynamic; kafka.instance names this process",
    "transactional.id": "it is kafka.group and kafka.instance",
    "isolation.level": "inputs are read committed",
    "enable.auto.commit": "offsets are committed with each epoch",
    "enable.auto.offset.store": "offsets are committed with each epoch",
    "auto.offset.reset": "a lost range must halt, never be skipped",
    "partitioner": "outputs use murmur2_random",
    "partition.assignment.strategy": "co-partitioned inputs need range",
    "enable.partition.eof": "a restore ends on the end of a partition",
    "enable.idempotence": "it is on",
  ]

  private static func readInputs(_ root: Section, _ findings: Findings) -> [Input] {
    guard let node = root.value("inputs") else {
      root.missing("inputs", "a list of topics to read, each `- topic: NAME`")
      return []
    }
    guard case .sequence(let sequence) = node else {
      findings.add("'inputs' must be a list: `- topic: NAME`", at: node)
      return []
    }
    var inputs: [Input] = []
    for (index, item) in sequence.enumerated() {
      let s = Section(item, path: "inputs[\(index)]", findings: findings)
      if !s.has("topic") { s.missing("topic", "the name of the topic") }
      var input = Input(topic: s.string("topic", "", expected: topicExpected, isKafkaName))
      input.format = s.choice("format", input.format)
      input.required = s.bool("required", input.topic == "orders")
      input.partitioner = s.choice("partitioner", input.partitioner)
      s.finish()
      inputs.append(input)
    }
    if inputs.isEmpty { findings.add("'inputs' is empty: name at least one topic", at: node) }
    if inputs.count > 64 { findings.add("'inputs' has \(inputs.count) topics; at most 64", at: node) }
    return inputs
  }

  private static func readOutputs(_ s: Section) -> Outputs {
    var o = Outputs()
    func output(_ key: String, _ value: inout Outputs.Output, switchable: Bool = true) {
      let sub = s.section(key)
      value.topic = sub.string("topic", value.topic, expected: topicExpected, isKafkaName)
      if switchable { value.enabled = sub.bool("enabled", value.enabled) }
      sub.finish()
    }
    output("tag_changes", &o.tagChanges)
    output("churn_alerts", &o.churnAlerts)
    output("customer_profiles", &o.customerProfiles)
    output("dead_letters", &o.deadLetters, switchable: false)  // bad input is never lost
    s.finish()
    return o
  }

  private static func readEpoch(_ s: Section) -> Epoch {
    var e = Epoch()
    e.interval = s.span("interval", e.interval, in: TimeSpan(microseconds: 10_000) ... .seconds(60))
    e.maxEvents = s.integer("max_events", e.maxEvents, in: 1...10_000_000)
    e.maxChanges = s.integer("max_changes", e.maxChanges, in: 1...10_000_000)
    e.maxBytes = s.bytes("max_bytes", e.maxBytes, in: 64 << 10...1 << 30)
    e.finishWithin = s.span("finish_within", e.finishWithin, in: .seconds(1) ... .minutes(10))
    e.stallAfter = s.span("stall_after", e.stallAfter, in: .seconds(5) ... .minutes(60))
    s.finish()
    return e
  }

  private static func readCurrency(_ s: Section, _ findings: Findings) -> Currency {
    var c = Currency()
    let expected = "an ISO 4217 code such as CNY, USD or EUR"
    func isCode(_ text: String) -> Bool { text.utf8.count == 3 && text.utf8.allSatisfy { (65...90).contains($0) } }
    c.reporting = s.string("reporting", c.reporting, expected: expected, isCode)
    c.fallback = s.string("default", c.reporting, expected: expected, isCode)
    c.exponent = s.integer("exponent", defaultExponent(c.reporting), in: 0...4)
    for entry in s.section("rates").freeEntries() {
      guard isCode(entry.key) else {
        findings.add("'\(entry.key)' is not a currency; it must be \(expected)", at: entry.keyNode)
        continue
      }
      guard let text = findings.text(entry.value, "currency.rates.\(entry.key)") else { continue }
      guard let rate = ExactDecimal(parsing: text), rate.digits > 0 else {
        findings.add(
          "'currency.rates.\(entry.key)' is '\(entry.value.scalar?.string ?? "")'; it must be a positive decimal of at most "
            + "12 digits: how many \(c.reporting) one \(entry.key) is worth", at: entry.value)
        continue
      }
      if entry.key == c.reporting, rate != ExactDecimal(digits: 1, scale: 0) {
        findings.add(
          "the rate of the reporting currency \(entry.key) is 1 by definition; leave it out", at: entry.keyNode)
        continue
      }
      c.rates.append(Currency.Rate(code: entry.key, rate: rate))
    }
    if c.fallback != c.reporting, !c.rates.contains(where: { $0.code == c.fallback }) {
      findings.add(
        "'currency.default' is \(c.fallback), but 'currency.rates' does not say what one is worth in \(c.reporting)",
        at: findings.positions["currency.default"])
    }
    s.finish()
    return c
  }

  /// Minor-unit digits where they are not 2.
  private static func defaultExponent(_ code: String) -> Int {
    if ["JPY", "KRW", "VND", "CLP", "ISK", "XAF", "XOF", "XPF", "PYG", "UGX"].contains(code) { return 0 }
    return ["BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"].contains(code) ? 3 : 2
  }

  private static func readLimits(_ s: Section) -> Limits {
    var l = Limits()
    l.recordBytes = s.bytes("record_bytes", l.recordBytes, in: 256...16 << 20)
    l.customerIDBytes = s.bytes("customer_id_bytes", l.customerIDBytes, in: 8...255)
    l.textBytes = s.bytes("text_bytes", l.textBytes, in: 16...4_096)
    l.depth = s.integer("depth", l.depth, in: 2...64)
    l.fields = s.integer("fields", l.fields, in: 16...10_000)
    l.deadLetterBytes = s.bytes("dead_letter_bytes", l.deadLetterBytes, in: 256...512 << 10)
    l.future = s.span("future", l.future, in: .seconds(0) ... .days(1))
    l.oldest = s.date("oldest", l.oldest, years: 1970...2100)
    l.quantity = s.integer("quantity", l.quantity, in: 1...1_000_000_000)
    l.ordersPerCustomer = s.integer("orders_per_customer", l.ordersPerCustomer, in: 16...65_535)
    l.cartItems = s.integer("cart_items", l.cartItems, in: 1...1_000)
    l.categorySlots = s.integer("category_slots", l.categorySlots, in: 4...64)
    l.names = s.integer("names", l.names, in: 256...65_536)
    l.categoryHalfLife = s.span("category_half_life", l.categoryHalfLife, in: .hours(1) ... .days(3650))
    s.finish()
    return l
  }

  private static func readState(_ s: Section) -> State {
    var state = State()
    state.directory = s.string("dir", state.directory, expected: "a directory")
    state.rewriteMinimumBytes = s.bytes("rewrite_min", state.rewriteMinimumBytes, in: 64 << 10...1 << 40)
    state.rewriteRatio = s.number("rewrite_ratio", state.rewriteRatio, in: 1.5...100)
    state.retention = s.span("retention", state.retention, in: .days(400) ... .days(36_500))
    // A number whose unit was forgotten would stop the daemon at once.
    state.memoryLimit = s.bytes("memory_limit", state.memoryLimit, in: 64 << 10...1 << 50, zero: "no limit")
    state.lockWait = s.span("lock_wait", state.lockWait, in: .seconds(0) ... .days(1))
    s.finish()
    return state
  }

  private static func readChurn(_ s: Section, _ findings: Findings, _ warnings: inout [String]) -> Churn? {
    let parameterKeys = ["r", "alpha", "a", "b"]
    let range = 1e-9...1e9
    let horizon = s.span("horizon", .days(60), in: .hours(1) ... .days(3650))
    let raise = s.number("raise", 0.60, in: 0.001...0.999)
    let clear = s.number("clear", 0.55, in: 0.001...0.999)
    let lost = s.number("lost", 0.60, in: 0.001...0.999)
    let unit = s.choice("unit", TimeUnit.days)
    let numbers = parameterKeys.map { s.number($0, 1, in: range) }
    let hasPreset = s.has("preset")
    let preset = hasPreset ? s.choice("preset", ChurnModelPreset.cdnow) : nil
    _ = s.value("preset")
    let version = s.optionalString("version")
    defer { s.finish() }
    if !s.has("horizon") {
      s.missing("horizon", "how far ahead churn looks, chosen from your data (30d, 60d, 90d or 180d)")
      return nil
    }
    let given = parameterKeys.filter(s.has)
    if let preset {
      if let extra = given.first {
        findings.add(
          "'churn' has both a preset and its own '\(extra)': keep one of them", at: findings.positions["churn.\(extra)"]
        )
        return nil
      }
      warnings.append(preset.warning)
    } else {
      for key in parameterKeys where !given.contains(key) {
        s.missing(key, "give r, alpha, a, b with a unit, or `preset: cdnow` to begin with")
      }
      if !s.has("unit") { s.missing("unit", "the unit alpha was estimated in: days or weeks") }
      guard given.count == parameterKeys.count, s.has("unit") else { return nil }
    }
    do throws(ModelParameterError) {
      let parameters =
        if let preset { preset.parameters } else {
          try MBGNBD(r: numbers[0], alpha: numbers[1], a: numbers[2], b: numbers[3], unit: unit)
        }
      let base = version ?? preset?.version ?? "mbgnbd-config-1"
      let model = try ChurnModel(
        parameters: parameters, horizon: horizon, version: "\(base)-h\(horizon.wholeDays)d", raise: raise, clear: clear,
        lost: lost)
      return Churn(model: model, preset: preset)
    } catch {
      let key = error.parameter.split(separator: " ").first.map(String.init) ?? ""
      findings.add("\(error)", at: findings.positions["churn.\(key)"] ?? findings.positions["churn"])
      return nil
    }
  }

  private static func readAlerts(_ s: Section, _ findings: Findings) -> Alerts {
    var a = Alerts()
    a.enabled = s.bool("enabled", a.enabled)
    a.window = s.span("window", a.window, in: .hours(1) ... .days(30))
    a.silentAfter = s.span("silent_after", a.silentAfter, in: .days(1) ... .days(3650))
    a.expireAfter = s.span("expire_after", a.expireAfter, in: .days(1) ... .days(3650))
    a.holdoutPercent = s.integer("holdout_percent", a.holdoutPercent, in: 0...50)
    a.backfillPerSecond = s.integer("backfill_per_second", a.backfillPerSecond, in: 1...100_000)
    a.treatments = []
    let treatments = s.section("treatments").freeEntries()
    for (name, _, node) in treatments {
      let revenue = findings.text(node, "alerts.treatments.\(name)").flatMap { Int64($0) }
      if let revenue, (0...1_000_000_000_000).contains(revenue), (1...64).contains(name.utf8.count) {
        a.treatments.append(Alerts.Treatment(name: name, revenueAtLeast: revenue))
      } else {
        findings.add(
          "'alerts.treatments.\(name)' must be the life-long net revenue, in whole units of the reporting currency, from "
            + "which it applies, and its name 1 to 64 bytes", at: node)
      }
    }
    a.treatments.sort { $0.revenueAtLeast > $1.revenueAtLeast }
    if a.expireAfter < a.window {
      findings.add(
        "'alerts.expire_after' is \(a.expireAfter.text), shorter than 'alerts.window' (\(a.window.text))",
        at: findings.positions["alerts.expire_after"] ?? findings.positions["alerts.window"])
    }
    s.finish()
    return a
  }

  private static func readAdmin(_ s: Section, _ findings: Findings) -> Admin {
    var admin = Admin()
    defer { s.finish() }
    guard s.has("listen") else {
      _ = s.value("listen")
      return admin
    }
    let text = s.string("listen", "127.0.0.1:9464", expected: "ADDRESS:PORT on loopback, or off") {
      $0 == "off" || isHostPort(Substring($0))
    }
    guard text != "off", let colon = text.lastIndex(of: ":"), let port = UInt16(text[text.index(after: colon)...])
    else {
      admin.listen = nil
      return admin
    }
    let host = String(text[..<colon])
    // No access control yet: the numbers of a shop are not for its whole network.
    if !["127.0.0.1", "localhost", "[::1]"].contains(host) {
      findings.add(
        "'admin.listen' is '\(text)'; without access control it must be on loopback: 127.0.0.1, localhost or [::1]",
        at: findings.positions["admin.listen"])
    }
    admin.listen = Admin.Address(host: host, port: port)
    return admin
  }

  private static func checkTopics(_ c: Configuration, _ findings: Findings) {
    var seen: [String: String] = [:]
    let inputs = c.inputs.enumerated().map { ("inputs[\($0.offset)].topic", $0.element.topic) }
    let outputs = [
      ("outputs.tag_changes.topic", c.outputs.tagChanges.topic),
      ("outputs.churn_alerts.topic", c.outputs.churnAlerts.topic),
      ("outputs.customer_profiles.topic", c.outputs.customerProfiles.topic),
      ("outputs.dead_letters.topic", c.outputs.deadLetters.topic),
    ]
    for (path, topic) in inputs + outputs where !topic.isEmpty {
      if let other = seen[topic] {
        findings.add("'\(path)' is '\(topic)', which '\(other)' already uses", at: findings.positions[path])
      }
      seen[topic] = path
    }
    let partitioners = Set(c.inputs.map(\.partitioner))
    if partitioners.count > 1 {
      let list = c.inputs.map { "\($0.topic): \($0.partitioner.rawValue)" }.joined(separator: ", ")
      let last = findings.positions["inputs[\(c.inputs.count - 1)].partitioner"] ?? findings.positions["inputs"]
      findings.add(
        "the inputs differ in their partitioner (\(list)): a customer's records would be on different partitions",
        at: last)
    }
  }
}

private let topicExpected = "a topic name: 1 to 249 letters, digits, '.', '_' or '-'"

private func isKafkaName(_ text: String) -> Bool {
  (1...249).contains(text.utf8.count) && text != "." && text != ".."
    && text.utf8.allSatisfy { $0.isNameCharacter }
}

private func isHostPort(_ text: Substring) -> Bool {
  guard let colon = text.lastIndex(of: ":"), colon != text.startIndex,
    let port = UInt16(text[text.index(after: colon)...])
  else { return false }
  return port > 0 && !text.contains(" ") && !text.contains(",")
}

extension UInt8 {
  fileprivate var isNameCharacter: Bool {
    switch self {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
      UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "-"):
      true
    default: false
    }
  }
  fileprivate var isZoneCharacter: Bool { isNameCharacter || self == UInt8(ascii: "/") || self == UInt8(ascii: "+") }
}

extension Section {
  /// Reads with `body`, then reports unknown keys.
  func finishing<Value>(_ body: (Section) -> Value) -> Value {
    let value = body(self)
    finish()
    return value
  }
}
