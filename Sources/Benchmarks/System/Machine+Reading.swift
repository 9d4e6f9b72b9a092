// What this machine is, read from /proc.

import Foundation
import Kafka

extension Machine {
  public static func current() -> Machine {
    func field(_ path: String, _ name: String) -> String? {
      contents(path)?.split(separator: "\n").first { $0.hasPrefix(name) }?.split(separator: ":").last
        .map { $0.trimmingCharacters(in: .whitespaces) }
    }
    let kilobytes = field("/proc/meminfo", "MemTotal")?.split(separator: " ").first.flatMap { Int($0) } ?? 0
    return Machine(
      cpu: field("/proc/cpuinfo", "model name") ?? "unknown", cores: sysconf(Int32(_SC_NPROCESSORS_ONLN)),
      memoryBytes: kilobytes * 1_024,
      kernel: contents("/proc/sys/kernel/osrelease")?.trimmingCharacters(in: .whitespacesAndNewlines) ?? "unknown",
      loadAtStart: contents("/proc/loadavg")?.split(separator: " ").first.flatMap { Double($0) } ?? .nan)
  }
}

extension Versions {
  /// - Parameter package: the sources' directory, for the commit.
  public static func current(package: String) -> Versions {
    let dirty = output(["git", "-C", package, "status", "--porcelain", "--untracked-files=no"]).isEmpty ? "" : "+"
    let swift = output(["swift", "--version"]).split(separator: "\n").first { $0.contains("Swift version") } ?? ""
    return Versions(
      commit: output(["git", "-C", package, "rev-parse", "--short=10", "HEAD"]) + dirty,
      swift: swift.split(separator: "(").first.map { $0.trimmingCharacters(in: .whitespaces) } ?? "Swift",
      librdkafka: librdkafkaVersion, simdjson: output(["pkg-config", "--modversion", "simdjson"]))
  }

  private static func output(_ words: [String]) -> String {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments = words
    let pipe = Pipe()
    process.standardOutput = pipe
    process.standardError = FileHandle.nullDevice
    guard (try? process.run()) != nil else { return "unknown" }
    let data = pipe.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    return String(decoding: data, as: UTF8.self).trimmingCharacters(in: .whitespacesAndNewlines)
  }
}

/// A small file of /proc, whose size is not known before it is read.
func contents(_ path: String) -> String? {
  guard let file = fopen(path, "r") else { return nil }
  defer { fclose(file) }
  var bytes: [UInt8] = []
  var buffer = [UInt8](repeating: 0, count: 16 << 10)
  while true {
    let count = fread(&buffer, 1, buffer.count, file)
    if count == 0 { break }
    bytes += buffer[..<count]
  }
  return String(decoding: bytes, as: UTF8.self)
}
