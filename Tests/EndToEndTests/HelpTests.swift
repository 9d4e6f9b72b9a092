// Every command explains itself, and wrong arguments end with one status.

import Foundation
import Testing

@Suite struct HelpTests {
  /// All commands by the words that call them; grows with the command line.
  static let commands: [[String]] = [
    [], ["checkpoint"], ["checkpoint", "inspect"], ["checkpoint", "verify"],
  ]

  @Test(arguments: commands) func helpIsUseful(words: [String]) async throws {
    let outcome = try await Binary.run(words + ["--help"])
    #expect(outcome.status == 0)
    #expect(outcome.text.contains("OVERVIEW: "))
    #expect(outcome.text.contains("USAGE: tidewatch"))
    #expect(outcome.errorText.isEmpty)
    let leaf = words != [] && words != ["checkpoint"]
    if leaf || words == [] { #expect(outcome.text.contains("EXIT STATUS")) }
  }

  /// The root's help names every command tested here and no other, so that a new one is not forgotten.
  @Test func commandsAreListed() async throws {
    let help = try await Binary.run(["--help"]).text
    let section = try #require(help.components(separatedBy: "SUBCOMMANDS:\n").last)
    let listed = section.split(separator: "\n").filter { $0.hasPrefix("  ") && !$0.hasPrefix("    ") }
      .compactMap { $0.split(separator: " ").first.map(String.init) }
    let tested = Set(Self.commands.compactMap(\.first))
    #expect(Set(listed).subtracting(["See", "help"]) == tested)
  }

  @Test(arguments: [
    ["frobnicate"], ["--frobnicate"], ["checkpoint", "inspect"], ["checkpoint", "verify", "a", "b"],
    ["checkpoint", "inspect", "/tmp", "--epochs", "-1"],
  ]) func wrongArgumentsEndWith64(words: [String]) async throws {
    let outcome = try await Binary.run(words)
    #expect(outcome.status == 64)
    #expect(outcome.errorText.contains("Usage: ") || outcome.errorText.contains("USAGE: "))
    #expect(outcome.text.isEmpty)
  }
}
