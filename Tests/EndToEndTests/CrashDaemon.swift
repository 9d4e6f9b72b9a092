// `tidewatch run` as a child process that can be killed, and work that blocks on a thread of its own.

import Foundation

/// Runs what blocks off the cooperative pool. Clients that are confined to one thread are made inside.
func onThread<Value: Sendable>(_ body: @escaping @Sendable () throws -> Value) async throws -> Value {
  try await withCheckedThrowingContinuation { continuation in
    Thread.detachNewThread { continuation.resume(with: Result { try body() }) }
  }
}

/// One run of the daemon. Not left behind: a process that still runs is killed with its owner.
final class DaemonProcess {
  private let process = Process()
  private let ended = DispatchSemaphore(value: 0)
  private let scratch: ScratchDirectory
  private let stderrName: String

  init(_ arguments: [String], logs scratch: ScratchDirectory, environment: [String: String] = [:]) throws {
    self.scratch = scratch
    stderrName = "stderr-\(UUID().uuidString)"
    try scratch.write(stderrName, "")
    let errors = try FileHandle(forWritingTo: scratch.url.appendingPathComponent(stderrName))
    process.executableURL = try Binary.path.get()
    process.arguments = arguments
    process.currentDirectoryURL = Binary.package
    // A process that crashes is to be gone at once.
    process.environment = ProcessInfo.processInfo.environment
      .merging(["SWIFT_BACKTRACE": "enable=no"]) { $1 }
      .merging(environment) { $1 }
    process.standardInput = FileHandle.nullDevice
    process.standardOutput = FileHandle.nullDevice
    process.standardError = errors
    let ended = ended
    process.terminationHandler = { _ in ended.signal() }
    try process.run()
  }

  deinit { if process.isRunning { kill(process.processIdentifier, SIGKILL) } }

  /// The most memory it has held so far, in KiB; nil where the system does not say.
  var peakKiB: Int? {
    guard let text = try? String(contentsOfFile: "/proc/\(process.processIdentifier)/status", encoding: .utf8),
      let line = text.split(separator: "\n").first(where: { $0.hasPrefix("VmHWM:") })
    else { return nil }
    return Int(line.filter(\.isNumber))
  }

  var isRunning: Bool { process.isRunning }
  var log: String { String(decoding: (try? scratch.read(stderrName)) ?? Data(), as: UTF8.self) }

  func send(_ signal: Int32) { kill(process.processIdentifier, signal) }

  /// The exit status, or the negated signal.
  func wait(limitSeconds: Int) throws -> Int32 {
    guard ended.wait(timeout: .now() + .seconds(limitSeconds)) == .success else {
      send(SIGKILL)
      throw BinaryError(description: "tidewatch run did not end within \(limitSeconds) s; it said: \(log.suffix(3000))")
    }
    ended.signal()
    return process.terminationReason == .exit ? process.terminationStatus : -process.terminationStatus
  }

  /// Waits until `isTrue`; throws when the process ends first or it takes too long.
  func wait(until what: String, limitSeconds: Int = 120, _ isTrue: () throws -> Bool) throws {
    let deadline = Date() + Double(limitSeconds)
    while try !isTrue() {
      guard isRunning else { throw BinaryError(description: "ended before \(what): \(log.suffix(3000))") }
      guard Date() < deadline else {
        throw BinaryError(description: "no \(what) within \(limitSeconds) s: \(log.suffix(3000))")
      }
      usleep(10_000)
    }
  }
}
