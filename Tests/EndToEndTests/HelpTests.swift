// Every command explains itself, and wrong arguments end with one status.

import Foundation
import Testing

@Suite struct HelpTests {
  /// The commands that a help text lists.
  private func subcommands(_ help: String) -> [String] {
    guard let start = help.range(of: "SUBCOMMANDS:\n") else { return [] }
    return help[start.upperBound...].split(separator: "\n")
      .filter { $0.hasPrefix("  ") && !$0.hasPrefix("   ") && !$0.hasPrefix("  See ") }
      .compactMap { $0.split(separator: " ").first.map(String.init) }
      .filter { $0 != "help" }
  }

  /// From the root down, whatever commands there are.
  @Test func everyCommandExplainsItself() async throws {
    var waiting: [[String]] = [[]]
    var leaves: Set<String> = []
    while let words = waiting.popLast() {
      let outcome = try await Binary.run(words + ["--help"])
      let name = words.joined(separator: " ")
      #expect(outcome.status == 0, "\(name)")
      #expect(outcome.errorText.isEmpty, "\(name)")
      #expect(outcome.text.contains("OVERVIEW: "), "\(name)")
      #expect(outcome.text.contains("USAGE: tidewatch"), "\(name)")
      let inner = subcommands(outcome.text)
      waiting += inner.map { words + [$0] }
      if inner.isEmpty {
        leaves.insert(name)
        // More than a list of options: what it does, in sentences.
        let overview = outcome.text.components(separatedBy: "USAGE: ").first ?? ""
        #expect(overview.split(separator: "\n").count >= 3, "\(name)")
      }
      if words.isEmpty { #expect(outcome.text.contains("EXIT STATUS:\n  0 ")) }
    }
    #expect(leaves.isSuperset(of: ["import", "replay", "checkpoint inspect", "checkpoint verify"]))
  }

  @Test(arguments: [
    ["frobnicate"], ["--frobnicate"], ["import"], ["import", "--map", "m.yaml"], ["replay"], ["checkpoint", "inspect"],
    ["checkpoint", "verify", "a", "b"], ["checkpoint", "inspect", "/tmp", "--epochs", "-1"],
    ["replay", "--config", "c", "--output", "o", "--journal", "j", "--threads", "2"],
    ["replay", "--config", "c", "--output", "o", "--input", "i", "--threads", "0"],
    ["loadgen"], ["loadgen", "--output", "-", "--rate", "5"], ["loadgen", "--output", "-", "--customers", "0"],
  ]) func wrongArgumentsEndWith64(words: [String]) async throws {
    let outcome = try await Binary.run(words)
    #expect(outcome.status == 64)
    #expect(outcome.errorText.contains("Usage: ") || outcome.errorText.contains("USAGE: "))
    #expect(outcome.text.isEmpty)
  }
}
