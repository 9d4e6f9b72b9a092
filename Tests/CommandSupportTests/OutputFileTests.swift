// Where a result goes that is not simply a new file: links, pipes and devices stay what they are.

import CommandSupport
import Foundation
import Glibc
import Testing

@Suite struct OutputFileTests {
  private let directory = FileManager.default.temporaryDirectory.appendingPathComponent("out-\(UUID().uuidString)")

  init() throws { try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true) }

  private func path(_ name: String) -> String { directory.appendingPathComponent(name).path }

  private func write(_ text: String, to path: String) throws {
    var file = try OutputFile(path)
    try file.write(Array(text.utf8))
    try file.finish()
  }

  private func type(_ path: String) throws -> FileAttributeType? {
    try FileManager.default.attributesOfItem(atPath: path)[.type] as? FileAttributeType
  }

  @Test func aFileIsThereOnceItIsWhole() throws {
    defer { try? FileManager.default.removeItem(at: directory) }
    try write("old", to: path("a"))
    do {
      var file = try OutputFile(path("a"))
      try file.write(Array("new".utf8))
      #expect(try String(contentsOfFile: path("a"), encoding: .utf8) == "old")
    }
    #expect(try FileManager.default.contentsOfDirectory(atPath: directory.path) == ["a"])
    try write("new", to: path("a"))
    #expect(try String(contentsOfFile: path("a"), encoding: .utf8) == "new")
  }

  @Test func aLinkStaysALink() throws {
    defer { try? FileManager.default.removeItem(at: directory) }
    try write("old", to: path("target"))
    try FileManager.default.createSymbolicLink(atPath: path("link"), withDestinationPath: "target")
    try write("new", to: path("link"))
    #expect(try type(path("link")) == .typeSymbolicLink)
    #expect(try String(contentsOfFile: path("target"), encoding: .utf8) == "new")
  }

  @Test func aLinkToNothingIsRefused() throws {
    defer { try? FileManager.default.removeItem(at: directory) }
    try FileManager.default.createSymbolicLink(atPath: path("link"), withDestinationPath: "nowhere")
    let error = #expect(throws: CommandFailure.self) { try write("new", to: path("link")) }
    #expect("\(error.map { "\($0)" } ?? "")".contains("leads nowhere"))
    #expect(try type(path("link")) == .typeSymbolicLink)
  }

  @Test func aPipeIsWrittenTo() throws {
    defer { try? FileManager.default.removeItem(at: directory) }
    #expect(mkfifo(path("pipe"), 0o600) == 0)
    let reader = open(path("pipe"), O_RDONLY | O_NONBLOCK)
    defer { close(reader) }
    try write("through", to: path("pipe"))
    var bytes = [UInt8](repeating: 0, count: 100)
    #expect(read(reader, &bytes, 100) == 7 && bytes.starts(with: Array("through".utf8)))
    #expect(try type(path("pipe")) != .typeRegular)
  }

  /// Also where files are in a folder of /dev.
  @Test func aFileInMemoryIsAFile() throws {
    let path = "/dev/shm/out-\(UUID().uuidString)"
    defer { unlink(path) }
    try write("a long result", to: path)
    try write("short", to: path)
    #expect(try String(contentsOfFile: path, encoding: .utf8) == "short")
  }

  @Test("what is behind a name of an open file goes on there") func anOpenFile() throws {
    defer { try? FileManager.default.removeItem(at: directory) }
    let descriptor = open(path("a"), O_WRONLY | O_CREAT, 0o600)
    for name in ["/dev/fd/\(descriptor)", "/proc/self/fd/\(descriptor)"] { try write("one,", to: name) }
    #expect(Glibc.write(descriptor, "end", 3) == 3)
    close(descriptor)
    #expect(try String(contentsOfFile: path("a"), encoding: .utf8) == "one,one,end")
    #expect(throws: CommandFailure.self) { try write("x", to: "/dev/fd/987") }
  }

  @Test func aDeviceStaysADevice() throws {
    defer { try? FileManager.default.removeItem(at: directory) }
    try write("away", to: "/dev/null")
    #expect(try type("/dev/null") == .typeCharacterSpecial)
    let error = #expect(throws: CommandFailure.self) { try write("away", to: "/dev/full") }
    #expect("\(error.map { "\($0)" } ?? "")".contains("/dev/full"))
    #expect(throws: CommandFailure.self) { try write("new", to: directory.path) }
  }
}
