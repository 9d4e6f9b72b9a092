// Files of many megabytes, written while the page cache is told to let go of them: nothing of them is lost.

import Engine
import Events
import Foundation
import Replay
import Testing

@Suite struct OutputFilesTests {
  @Test func largeFilesAreWhole() throws {
    let directory = FileManager.default.temporaryDirectory.appendingPathComponent("outputs-\(UUID().uuidString)").path
    defer { try? FileManager.default.removeItem(atPath: directory) }
    let files = try OutputFiles(directory: directory)
    // Past two of the steps in which it is done, and not at the end of a page.
    let lines = 120_000
    func line(_ number: Int) -> [UInt8] {
      Array("{\"line\":\(number),\"text\":\"\(String(repeating: "x", count: 180))\"}".utf8)
    }
    var outputs = OutputBuffer()
    for number in 0..<lines {
      let bytes = line(number)
      let start = outputs.bytes.count
      outputs.bytes += bytes
      outputs.entries.append(
        OutputBuffer.Entry(
          topic: .tagChanges, key: start..<start, id: start..<start, value: start..<start + bytes.count,
          emittedAt: Instant(seconds: 0)))
      if number % 1_000 == 999 { try files.take(&outputs) }
    }
    try files.finish()
    let written = try Data(contentsOf: URL(fileURLWithPath: "\(directory)/tag-changes.ndjson"))
    #expect(written.count > 20 << 20)
    var place = 0
    for number in 0..<lines {
      let expected = line(number) + [10]
      try #require(written[place..<place + expected.count].elementsEqual(expected), "line \(number)")
      place += expected.count
    }
    #expect(place == written.count)
  }
}
