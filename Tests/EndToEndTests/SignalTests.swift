// Signals as tools send them.

import Foundation
import Testing

@Suite struct SignalTests {
  private func run(_ script: String) async throws -> Outcome {
    let directory = FileManager.default.temporaryDirectory.appendingPathComponent("signals-\(UUID())")
    try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: directory) }
    let configuration = """
      kafka: { bootstrap: "127.0.0.1:9" }
      inputs: [{ topic: orders }]
      rules: \(Binary.package.path)/config/tags.yaml
      state: { dir: \(directory.path)/state }
      admin: { listen: off }
      """
    try Data(configuration.utf8).write(to: directory.appendingPathComponent("t.yaml"))
    return try await Binary.run(
      ["-c", script, "sh", try Binary.path.get().path, "run", "--config", directory.path + "/t.yaml"],
      of: .success(URL(fileURLWithPath: "/bin/sh")))
  }

  @Test("timeout sends its signal to the process and to the group: that is one request") func sentTwiceAtOnce()
    async throws
  {
    let outcome = try await run(#"exec timeout --preserve-status -s TERM 3 "$@""#)
    #expect(outcome.status == 0, "\(outcome.errorText)")
    #expect(outcome.errorText.contains("stopping in good order"))
    #expect(!outcome.errorText.contains("second signal: ending at once"))
  }
}
