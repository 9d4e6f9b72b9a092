// Text that is read whole, or why not.

import Foundation
import InputFiles
import Testing

@Suite struct TextFileTests {
  private let path = FileManager.default.temporaryDirectory.appendingPathComponent("text-\(UUID().uuidString)").path

  private func reason() -> String {
    do throws(TextFileError) { return "text: " + (try readTextFile(path)) } catch { return error.description }
  }

  @Test func textIsReadWhole() throws {
    defer { unlink(path) }
    for text in ["", "a", String(repeating: "客户\n", count: 40_000)] {
      try Data(text.utf8).write(to: URL(fileURLWithPath: path))
      #expect(try readTextFile(path) == text)
      try Data([0xef, 0xbb, 0xbf] + text.utf8).write(to: URL(fileURLWithPath: path))
      #expect(try readTextFile(path) == text)
    }
  }

  @Test func whyNotIsSaid() throws {
    #expect(reason() == "cannot be read: No such file or directory")
    try Data([0x61, 0xff]).write(to: URL(fileURLWithPath: path))
    #expect(reason() == "is not UTF-8 text")
    unlink(path)
    mkdir(path, 0o755)
    defer { rmdir(path) }
    #expect(reason() == "is a directory, not a file")
  }
}
