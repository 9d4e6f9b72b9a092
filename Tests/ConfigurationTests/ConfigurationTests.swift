// The configuration file: defaults, ranges, and messages that say where, what and what instead.

import Configuration
import Events
import Foundation
import Testing

private let minimal = """
  kafka:
    bootstrap: localhost:9092
  inputs:
    - topic: orders

  """

private func load(_ text: String, _ environment: [String: String] = [:]) throws -> Configuration {
  try Configuration.load(text: text, file: "dir/t.yaml", environment: environment)
}

/// All messages of a text that must be refused.
private func issues(_ text: String, _ environment: [String: String] = [:]) -> [String] {
  do {
    _ = try load(text, environment)
    return []
  } catch let error as ConfigurationError {
    return error.issues.map(\.description)
  } catch {
    return ["\(error)"]
  }
}

private struct Refusal: Sendable, CustomTestStringConvertible {
  var text: String
  /// Each must be part of one message.
  var expected: [String]
  var testDescription: String { expected.first ?? "" }
}

private let refusals: [Refusal] = [
  Refusal(
    text: minimal + "delivry: exactly_once\n", expected: ["t.yaml:5:1: unknown key 'delivry'; did you mean 'delivery'?"]
  ),
  Refusal(
    text: minimal + "delivery: exactly-once\n",
    expected: ["t.yaml:5:11: 'delivery' is 'exactly-once'; it must be one of exactly_once, at_least_once; did you mean"]
  ),
  Refusal(
    text: "kafka:\n  bootstrp: a:1\ninputs:\n  - topic: o\n",
    expected: [
      "t.yaml:2:3: 'kafka.bootstrap' is missing",
      "t.yaml:2:3: unknown key 'bootstrp' in 'kafka'; did you mean 'bootstrap'?",
    ]),
  Refusal(
    text: minimal + "epoch: { interval: 1x }\n",
    expected: ["t.yaml:5:20: 'epoch.interval' is '1x'; it must be a time like"]),
  Refusal(text: minimal + "epoch: { interval: 1h }\n", expected: ["between 10ms and 1m"]),
  Refusal(
    text: minimal + "epoch: { finish_within: 5m }\n",
    expected: [
      "t.yaml:5:25: 'epoch.finish_within' is 5m; it must be less than max.poll.interval.ms, which is 300000 ms"
    ]),
  Refusal(
    text: minimal + "epoch: { max_bytes: 1GB5 }\n", expected: ["'epoch.max_bytes' is '1GB5'; it must be a size like"]),
  Refusal(
    text: minimal + "state: { retention: 90d }\n",
    expected: ["t.yaml:5:21: 'state.retention' is '90d'; it must be a time like"]),
  Refusal(
    text: minimal + "state: { retention: 400d }\nlateness: 60d\n",
    expected: ["t.yaml:5:21: 'state.retention' is 400d; with 'lateness' 60d it must be at least 432d"]),
  Refusal(
    text: minimal + "state: { memory_limit: 4GB5 }\n",
    expected: ["'state.memory_limit' is '4GB5'; it must be a size like"]),
  Refusal(
    text: minimal + "state: { memory_limit: 4 }\n", expected: ["between 64KiB and 1048576GiB, or 0 for no limit"]),
  Refusal(
    text: minimal + "limits: { oldest: 1990-02-30, quantity: 0 }\n",
    expected: [
      "t.yaml:5:19: 'limits.oldest' is '1990-02-30'; it must be a date like 1990-01-01, of a year between 1970 and 2100",
      "'limits.quantity' is '0'; it must be a whole number between 1 and 1000000000",
    ]),
  Refusal(text: minimal + "epoch: [1]\n", expected: ["t.yaml:5:8: 'epoch' must be a mapping"]),
  Refusal(text: minimal + "time_zone: ../etc/passwd\n", expected: ["'time_zone' is '../etc/passwd'"]),
  Refusal(text: minimal + "admin: { listen: 0.0.0.0:9464 }\n", expected: ["it must be on loopback"]),
  Refusal(
    text: minimal + "currency: { rates: { USD: -1 } }\n", expected: ["t.yaml:5:27: 'currency.rates.USD' is '-1'"]),
  Refusal(text: minimal + "currency: { rates: { dollars: 1 } }\n", expected: ["'dollars' is not a currency"]),
  Refusal(
    text: minimal + "currency: { reporting: GBP, default: EUR }\n",
    expected: ["t.yaml:5:38: 'currency.default' is EUR, but 'currency.rates' does not say"]),
  Refusal(text: minimal + "churn: { preset: cdnow }\n", expected: ["'churn.horizon' is missing"]),
  Refusal(text: minimal + "churn: { preset: cdnov, horizon: 60d }\n", expected: ["did you mean 'cdnow'?"]),
  Refusal(
    text: minimal + "churn: { preset: cdnow, r: 1, horizon: 60d }\n", expected: ["both a preset and its own 'r'"]),
  Refusal(
    text: minimal + "churn: { r: 0.5, alpha: 6, a: 0.9, horizon: 60d }\n",
    expected: ["'churn.b' is missing", "'churn.unit' is missing"]),
  Refusal(
    text: minimal + "churn: { preset: cdnow, horizon: 60d, raise: 0.5, clear: 0.6 }\n", expected: ["clear threshold"]),
  Refusal(
    text: minimal + "alerts: { window: 48h, expire_after: 1d }\n",
    expected: ["'alerts.expire_after' is 1d, shorter than 'alerts.window' (2d)"]),
  Refusal(text: "kafka: { bootstrap: 'a:1' }\ninputs: []\n", expected: ["'inputs' is empty"]),
  Refusal(text: "kafka: { bootstrap: 'a:1' }\n", expected: ["'inputs' is missing"]),
  Refusal(
    text: "kafka: { bootstrap: 'a:1' }\ninputs: [{topic: a}, {topic: a}]\n",
    expected: ["'inputs[1].topic' is 'a', which 'inputs[0].topic' already uses"]),
  Refusal(
    text: "kafka: { bootstrap: 'a:1' }\ninputs: [{topic: tag-changes}]\n",
    expected: ["'outputs.tag_changes.topic' is 'tag-changes', which 'inputs[0].topic' already uses"]),
  Refusal(
    text: "kafka: { bootstrap: 'a:1' }\ninputs: [{topic: a}, {topic: b, partitioner: fnv1a}]\n",
    expected: ["t.yaml:2:46: the inputs differ in their partitioner (a: murmur2, b: fnv1a)"]),
  Refusal(
    text: "kafka: { bootstrap: 'a:1', properties: { isolation.level: read_uncommitted } }\ninputs: [{topic: a}]\n",
    expected: ["t.yaml:1:42: 'isolation.level' cannot be set: inputs are read committed"]),
  Refusal(text: "kafka: { bootstrap: 'nohost' }\ninputs: [{topic: a}]\n", expected: ["it must be host:port"]),
  Refusal(text: "kafka: [\n", expected: ["not YAML"]),
  Refusal(
    text: minimal + "delivery: at_least_once\ndelivery: exactly_once\n", expected: ["key given twice: 'delivery'"]),
  Refusal(
    text: minimal + "alerts: { treatments: { 5: 100, \"5\": 200 } }\n",
    expected: ["t.yaml:5:33: 'alerts.treatments.5' is given twice"]),
  Refusal(text: "", expected: ["t.yaml:1:1: 'kafka.bootstrap' is missing", "'inputs' is missing"]),
]

@Suite struct ConfigurationTests {
  @Test func defaults() throws {
    let c = try load(minimal)
    #expect(c.delivery == .exactlyOnce && c.clock == .wall)
    #expect(c.epoch.interval == .seconds(1) && c.sourceStall == .minutes(15) && c.lateness == .days(7))
    #expect(c.inputs.map(\.topic) == ["orders"] && c.inputs[0].required && c.inputs[0].partitioner == .murmur2)
    #expect(c.outputs.enabled.map(\.topic) == ["tag-changes", "churn-alerts", "dead-letters"])
    #expect(c.alerts.window == .hours(48) && c.alerts.silentAfter == .days(30))
    #expect(c.rulesPath == "dir/tags.yaml")
    #expect(c.churn == nil && c.warnings.contains { $0.contains("no 'churn' section") })
    #expect(c.admin.listen?.host == "127.0.0.1" && c.admin.listen?.port == 9464)
  }

  @Test(arguments: refusals) fileprivate func refuses(_ refusal: Refusal) {
    let messages = issues(refusal.text)
    for part in refusal.expected {
      #expect(messages.contains { $0.contains(part) }, "none of \(messages) contains '\(part)'")
    }
    #expect(messages.count >= refusal.expected.count)
  }

  @Test func allMistakesAtOnceInTheOrderOfTheFile() {
    let messages = issues(minimal + "clock: sun\nepoch:\n  interval: 0s\n  maxevents: 3\nlateness: soon\n")
    #expect(messages.count == 4)
    #expect(messages.map { $0.split(separator: ":")[1] } == ["5", "7", "8", "9"])
  }

  @Test func presetWarnsThatItIsAnotherShops() throws {
    let c = try load(minimal + "churn: { preset: cdnow, horizon: 60d }\n")
    #expect(c.warnings.contains { $0.contains("not yours") })
    #expect(c.churn?.model.horizon == .days(60))
    #expect(c.churn?.model.raiseThreshold == 0.60 && c.churn?.model.clearThreshold == 0.55)
  }

  @Test func ownParametersNameTheModel() throws {
    let text = "churn: { r: 0.5, alpha: 6, a: 0.9, b: 1.6, unit: weeks, horizon: 90d, version: shop-7 }\n"
    let c = try load(minimal + text)
    #expect(c.churn?.model.version == "shop-7-h90d" && c.churn?.preset == nil)
    #expect(
      c.churn?.model.parameters
        == (try load(minimal + text.replacing("weeks", with: "days").replacing("alpha: 6", with: "alpha: 42"))).churn?
        .model.parameters)
  }

  @Test func environmentInterpolation() throws {
    let text = """
      kafka:
        bootstrap: ${BROKER:-localhost:1}
        properties:
          sasl.password: "x${SECRET}y$${Z}$"
      inputs: [{topic: a}]
      """
    let c = try load(text, ["SECRET": "${BROKER}"])
    #expect(c.kafka.bootstrap == "localhost:1")
    #expect(c.kafka.properties.map(\.value) == ["x${BROKER}y${Z}$"])
    #expect(
      issues(text)[0].contains("t.yaml:4:20: 'kafka.properties.sasl.password' needs the environment variable SECRET"))
  }

  @Test func secretsStayOutOfMessages() {
    let text = minimal.replacing("localhost:9092", with: "${SECRET}")
    let messages = issues(text, ["SECRET": "hunter2"])
    #expect(messages.count == 1 && !messages[0].contains("hunter2") && messages[0].contains("${SECRET}"))
  }

  @Test func unitsRoundTrip() {
    for text in ["1s", "500ms", "15m", "2d", "7us", "36h"] { #expect(TimeSpan(parsing: text)?.text == text) }
    #expect(TimeSpan(parsing: "2w") == .days(14))
    for text in ["", "s", "1", "-1s", "1.5h", "99999999999999d", "1 s"] { #expect(TimeSpan(parsing: text) == nil) }
    #expect(ExactDecimal(parsing: "7.10") == ExactDecimal(digits: 710, scale: 2))
    #expect(ExactDecimal(parsing: "0.05")?.description == "0.05")
    for text in ["", ".5", "5.", "1e3", "-1", "1234567890123"] { #expect(ExactDecimal(parsing: text) == nil) }
  }

  @Test func theShippedFileIsRightAndShowsTheDefaults() throws {
    let file = #filePath.replacing("Tests/ConfigurationTests/ConfigurationTests.swift", with: "config/tidewatch.yaml")
    let c = try Configuration.load(file: file, environment: [:])
    let d = try load(minimal)
    #expect(c.epoch.interval == d.epoch.interval && c.epoch.maxEvents == d.epoch.maxEvents)
    #expect(c.epoch.maxChanges == d.epoch.maxChanges)
    #expect(c.epoch.maxBytes == d.epoch.maxBytes && c.sourceStall == d.sourceStall && c.lateness == d.lateness)
    #expect("\(c.limits)" == "\(d.limits)" && "\(c.state)" == "\(d.state)" && "\(c.outputs)" == "\(d.outputs)")
    #expect(
      c.delivery == d.delivery && c.clock == d.clock && c.timeZone == d.timeZone && c.admin.listen == d.admin.listen)
    #expect(c.kafka.partitions == d.kafka.partitions && c.kafka.replication == d.kafka.replication)
    #expect(c.kafka.instance == d.kafka.instance && c.kafka.group == d.kafka.group)
  }

  /// `tidewatch@PORT.service` is the service itself, but for the port of its admin endpoint, which the shipped file asks for.
  @Test func eachMemberOfAMachineHasItsPortAndInstance() throws {
    func file(_ name: String) -> String {
      #filePath.replacing("Tests/ConfigurationTests/ConfigurationTests.swift", with: name)
    }
    func settings(_ name: String) throws -> Set<Substring> {
      let text = try String(contentsOfFile: file("deploy/systemd/\(name)"), encoding: .utf8)
      return Set(text.split(separator: "\n").filter { !$0.hasPrefix("#") && !$0.hasPrefix("Description=") })
    }
    let (one, each) = (try settings("tidewatch.service"), try settings("tidewatch@.service"))
    let start = "/usr/bin/tidewatch run --config /etc/tidewatch/tidewatch.yaml"
    #expect(one.subtracting(each) == ["ExecStart=\(start)"])
    #expect(
      each.subtracting(one) == [
        "ExecStart=/usr/bin/env TIDEWATCH_INSTANCE=%H-%i TIDEWATCH_ADMIN_PORT=%i \(start)"
      ])
    let environment = ["TIDEWATCH_INSTANCE": "shop-9501", "TIDEWATCH_ADMIN_PORT": "9501"]
    let c = try Configuration.load(file: file("config/tidewatch.yaml"), environment: environment)
    #expect(c.admin.listen?.port == 9501 && c.kafka.instance == "shop-9501")
  }

  @Test func nearestKey() {
    #expect(nearest(to: "bootstrp", among: ["bootstrap", "group"]) == "bootstrap")
    #expect(nearest(to: "zzz", among: ["bootstrap", "group"]) == nil)
    #expect(nearest(to: "Gruop", among: ["bootstrap", "group"]) == "group")
  }
}
