// The wall clock of a child process, as if somebody set the machine's.

import Foundation

/// A file that a library preloaded into the process reads at every look at the clock.
struct SettableClock: Sendable {
  private let file: URL
  let environment: [String: String]

  init(_ name: String, in scratch: ScratchDirectory) throws {
    file = scratch.url.appendingPathComponent(name)
    let library = try Binary.path.get().deletingLastPathComponent().appendingPathComponent("libClockShim.so")
    guard FileManager.default.fileExists(atPath: library.path) else {
      throw BinaryError(description: "no \(library.path): run `swift build` in the same configuration first")
    }
    environment = ["LD_PRELOAD": library.path, "CLOCK_SHIM": file.path]
    try Data(count: 8).write(to: file)
  }

  /// Takes effect at once. The clock goes on from there.
  func set(secondsBack seconds: Int) throws {
    let handle = try FileHandle(forWritingTo: file)
    defer { try? handle.close() }
    // One write of eight aligned bytes: nobody sees half of it.
    try handle.write(contentsOf: withUnsafeBytes(of: Int64(seconds) * -1_000_000) { Data($0) })
  }
}
