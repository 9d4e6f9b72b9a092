// `check`: the files that are shipped are right, and every mistake is told with its place.

import Foundation
import Testing

@Suite struct CheckCommandTests {
  let scratch: ScratchDirectory

  init() throws { scratch = try ScratchDirectory() }

  private func check(_ configuration: String) async throws -> Outcome {
    try await Binary.run(["check", "--config", configuration])
  }

  @Test func shippedConfigurationIsRight() async throws {
    let outcome = try await check("config/tidewatch.yaml")
    #expect(outcome.status == 0, "\(outcome.errorText)")
    // It starts from another shop's parameters, and says so.
    #expect((outcome.text + outcome.errorText).contains("CDNOW"))
  }

  /// The blocks of YAML in the README are what they are said to be.
  @Test func readmeIsRight() async throws {
    let readme = try String(contentsOf: Binary.package.appendingPathComponent("README.md"), encoding: .utf8)
    let blocks = readme.components(separatedBy: "```yaml\n").dropFirst().compactMap {
      $0.components(separatedBy: "```").first
    }
    try #require(blocks.count == 2)
    // The first is indented, being part of a list.
    let configuration = blocks[0].split(separator: "\n").map { $0.hasPrefix("   ") ? $0.dropFirst(3) : $0 }
      .joined(separator: "\n")
    try scratch.write("tidewatch.yaml", configuration)
    try scratch.write("tags.yaml", "version: 1\n" + blocks[1])
    let outcome = try await Binary.run(
      ["check", "--config", scratch.path("tidewatch.yaml")], environment: ["KAFKA_PASSWORD": "secret"])
    #expect(outcome.status == 0, "\(outcome.errorText)")
    #expect(!(outcome.text + outcome.errorText).contains("secret"))
  }

  @Test func mistakesAreToldWithTheirPlace() async throws {
    let right = """
      kafka: { bootstrap: "localhost:9092" }
      inputs: [{ topic: orders, required: true }]
      rules: tags.yaml
      """
    let rules = """
      version: 1
      tags:
        - name: buyer
          layer: value
          when: orders.count >= 1
      """
    try scratch.write("tags.yaml", rules)
    try scratch.write("right.yaml", right)
    #expect(try await check(scratch.path("right.yaml")).status == 0)

    try scratch.write("wrong.yaml", right + "\nlatenes: 7d\nsource_stall: soon\n")
    let wrong = try await check(scratch.path("wrong.yaml"))
    #expect(wrong.status == 78)
    #expect(wrong.errorText.contains("wrong.yaml:4:1"))
    #expect(wrong.errorText.contains("lateness"))
    #expect(wrong.errorText.contains("wrong.yaml:5:"))

    try scratch.write("tags.yaml", rules.replacingOccurrences(of: "orders.count", with: "orders.cuont"))
    let wrongRule = try await check(scratch.path("right.yaml"))
    #expect(wrongRule.status == 78)
    #expect(wrongRule.errorText.contains("tags.yaml:5:11"))
    #expect(wrongRule.errorText.contains("did you mean `orders.count`?"))

    let missing = try await check(scratch.path("none.yaml"))
    #expect(missing.status == 78 || missing.status == 66)
    #expect(missing.errorText.contains("none.yaml"))
  }

  /// Said, and no mistake: the daemon may run as another user.
  @Test func whereStateCannotBeWrittenIsSaid() async throws {
    let text =
      "kafka: { bootstrap: 'localhost:9092' }\ninputs: [{ topic: x }]\n"
      + "rules: '\(Binary.package.path)/config/tags.yaml'\n"
    try scratch.write("nowhere.yaml", text + "state: { dir: /proc/tidewatch/state }\n")
    let nowhere = try await check(scratch.path("nowhere.yaml"))
    #expect(nowhere.status == 0)
    // Who may write everywhere is told when it is tried.
    if getuid() != 0 { #expect(nowhere.text.contains("warning: state.dir /proc/tidewatch/state: "), "\(nowhere.text)") }
    try scratch.write("file", "")
    try scratch.write("file.yaml", text + "state: { dir: '\(scratch.path("file"))/state' }\n")
    let file = try await check(scratch.path("file.yaml"))
    #expect(file.status == 0 && file.text.contains("(Not a directory)"), "\(file.text)")
    try scratch.write("here.yaml", text + "state: { dir: '\(scratch.path("new/state"))' }\n")
    #expect(try await !check(scratch.path("here.yaml")).text.contains("state.dir"))
  }

  /// librdkafka looks at its properties together only when a client is made.
  @Test func whatNoClientTakesIsFoundBeforeARun() async throws {
    let kafka = "kafka: { bootstrap: '127.0.0.1:1', properties: { security.protocol: ssl, ssl.ca.location: /nowhere } }"
    try scratch.write(
      "wrong.yaml", kafka + "\ninputs: [{ topic: x }]\nrules: '\(Binary.package.path)/config/tags.yaml'\n")
    let outcome = try await check(scratch.path("wrong.yaml"))
    #expect(outcome.status == 78)
    #expect(outcome.errorText.contains("ssl.ca.location"), "\(outcome.errorText)")
  }

  @Test func whyNoBrokerIsReachedIsSaid() async throws {
    let text = "inputs: [{ topic: x }]\nrules: '\(Binary.package.path)/config/tags.yaml'\n"
    try scratch.write("closed.yaml", "kafka: { bootstrap: '127.0.0.1:1' }\n" + text)
    let closed = try await Binary.run(["check", "--kafka", "--config", scratch.path("closed.yaml")])
    #expect(closed.status == 69)
    #expect(closed.errorText.contains("Connection refused"), "\(closed.errorText)")
  }

  @Test func aResultThatCannotBeWrittenIsAFailure() async throws {
    let binary = try Binary.path.get().path
    let full = try await Binary.run(
      ["-c", "'\(binary)' check --config config/tidewatch.yaml > /dev/full"],
      of: .success(URL(fileURLWithPath: "/bin/sh")))
    #expect(full.status == 74)
    #expect(full.errorText.contains("cannot write the result"))
  }
}
