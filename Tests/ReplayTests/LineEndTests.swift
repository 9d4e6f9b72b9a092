// Where lines begin and end, however they lie in what is read at a time.

import Engine
import Events
import Foundation
import InputFiles
import Models
import ReferenceTesting
import Replay
import Rules
import Testing

struct LineEndTests {
  private func options(_ inputs: [String], _ output: String) throws -> ReplayOptions {
    let cny = try #require(Currency("CNY"))
    var options = ReplayOptions(
      inputs: inputs, output: output, currencies: try CurrencyTable(reporting: cny, assumed: cny),
      ceiling: Instant(seconds: 4_000_000_000))
    options.maxDeadLetterBytes = 1 << 20
    return options
  }

  /// Mostly no events: their dead letters say what was taken for a line.
  private func line(_ random: inout Seeded) -> String {
    switch random.index(8) {
    case 0: return ""
    case 1:
      return #"{"type":"login","customer":"c\#(random.index(9))","ts":"2026-01-01T00:00:0\#(random.index(10)).000Z"}"#
    case 2: return "\r" + String(repeating: "y", count: 1 + random.index(300))
    default:
      // Around what is read at a time, and around its doubles.
      let near = random.pick([0, 64, 128, 256, 512, 1024, 4096, 16_384]) + random.index(5) - 2
      return "x" + String(repeating: random.pick(["x", "\r", "{"]), count: max(0, near)) + "x"
    }
  }

  @Test(arguments: testSeeds(12)) func areFoundWhereverTheyLie(seed: UInt64) throws {
    var random = Seeded(seed)
    let scratch = try Scratch()
    var lines: [String] = []
    var inputs: [String] = []
    for number in 0..<3 {
      var bytes: [UInt8] = []
      let own = (0..<40 + random.index(200)).map { _ in line(&random) }
      for (place, line) in own.enumerated() {
        bytes += Array(line.utf8)
        if random.chance(0.3) { bytes.append(13) }
        // The last line of a file may have no end.
        if place < own.count - 1 || random.chance(0.5) { bytes.append(10) }
      }
      lines += own
      let path = scratch.path("\(number).ndjson")
      try Data(bytes).write(to: URL(fileURLWithPath: path))
      inputs.append(path)
    }
    let settings = try defaultSettings()
    let wanted = PlainReplay(lines, try options(inputs, ""), settings)
    for batchLines in [1, 2, 5, 64, 1024] {
      var options = try options(inputs, scratch.path("out\(batchLines)"))
      options.batchLines = batchLines
      options.threads = 2
      var summary = try Replay.run(options, settings: settings)
      summary.elapsedSeconds = 0
      #expect(summary == wanted.summary)
      let isSame =
        try scratch.bytes("out\(batchLines)/dead-letters.ndjson") == wanted.files[.deadLetters, default: []]
      #expect(isSame, "batches of \(batchLines)")
    }
  }

  @Test func aLineHasALimit() throws {
    let scratch = try Scratch()
    let longest = 64 << 20
    let short = #"{"type":"login","customer":"c","ts":"2026-01-01T00:00:00Z"}"# + "\n"
    for (count, isRead) in [(longest - 1, true), (longest, false), (longest + 5, false)] {
      let path = scratch.path("\(count).ndjson")
      var bytes = Data(short.utf8)
      bytes.append(Data(repeating: 0x20, count: count))
      bytes.append(Data(("\n" + short).utf8))
      try bytes.write(to: URL(fileURLWithPath: path))
      let options = try options([path], scratch.path("out\(count)"))
      if isRead {
        let summary = try Replay.run(options, settings: defaultSettings())
        #expect(summary.read == 3)
        #expect(summary.rejectedBy == [.recordTooLarge: 1])
      } else {
        let error = #expect(throws: InputFileError.self) { try Replay.run(options, settings: defaultSettings()) }
        #expect(error?.description.contains("more than 64 MiB") == true)
      }
      try FileManager.default.removeItem(atPath: path)
    }
  }
}
