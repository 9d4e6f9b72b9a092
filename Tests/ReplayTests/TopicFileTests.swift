// The bytes of an output file, whichever way they went to the disk.

import Foundation
import Glibc
import ReferenceTesting
import Replay
import Testing

@Suite struct TopicFileTests {
  /// Lines of any length, empty ones and one beyond the buffer among them, flushed at any time: the file has them all in
  /// their order. In memory (`/dev/shm`) older kernels do not write directly.
  /// The odd ones find their disk too slow and go on through the page cache.
  @Test(arguments: [NSTemporaryDirectory(), "/dev/shm"], 0..<4) func holdsEveryLine(directory: String, seed: Int) throws
  {
    let path = "\(directory)/tidewatch-topic-\(getpid())-\(seed)"
    defer { unlink(path) }
    var random = Seeded(UInt64(seed))
    var file = try TopicFile(
      path: path, leastBytesPerSecond: seed % 2 == 1 ? .infinity : 0, judgedAfter: seed << 20)
    var expected: [UInt8] = []
    for number in 0..<400 {
      let length = number == 200 ? 9 << 20 : Int.random(in: 0..<(number % 3 == 0 ? 60_000 : 700), using: &random)
      let line = [UInt8](repeating: UInt8(97 + number % 26), count: length)
      line.withUnsafeBytes { file.append(line: $0) }
      expected += line + [10]
      if file.isFull || Int.random(in: 0..<50, using: &random) == 0 { try file.flush() }
    }
    try file.finish()
    #expect(try Data(contentsOf: URL(fileURLWithPath: path)) == Data(expected))
  }

  @Test func saysWhyItCannotBeMade() {
    #expect {
      _ = try TopicFile(path: "/nonexistent/tags")
    } throws: { "\($0)".contains("\(ENOENT)") }
  }
}
