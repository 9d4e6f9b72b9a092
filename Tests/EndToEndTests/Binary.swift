// Runs the built `tidewatch` as a user would, with a bound on its time.

import Foundation
import Testing

/// How a run of the binary ended.
struct Outcome: Sendable {
  var status: Int32
  var output: Data
  var errors: Data
  var text: String { String(decoding: output, as: UTF8.self) }
  var errorText: String { String(decoding: errors, as: UTF8.self) }
}

struct BinaryError: Error, CustomStringConvertible {
  var description: String
}

enum Binary {
  /// `tidewatch` in the directory of the test bundle, where `swift build --build-tests` and `swift test` put it.
  static let path: Result<URL, BinaryError> = {
    let bundle = URL(fileURLWithPath: CommandLine.arguments[0]).resolvingSymlinksInPath()
    var directory = bundle.deletingLastPathComponent()
    // On Linux the bundle is a file beside the binary; look a little upward for other layouts.
    for _ in 0..<4 {
      let candidate = directory.appendingPathComponent("tidewatch")
      var isDirectory: ObjCBool = false
      if FileManager.default.fileExists(atPath: candidate.path, isDirectory: &isDirectory), !isDirectory.boolValue {
        return .success(candidate)
      }
      directory.deleteLastPathComponent()
    }
    return .failure(
      BinaryError(description: "no tidewatch beside \(bundle.path): run `swift build` in the same configuration first"))
  }()

  /// The package's root directory.
  static let package = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent()

  /// Runs the binary to its end; kills it and throws after `limitSeconds`.
  static func run(
    _ arguments: [String], of binary: Result<URL, BinaryError> = path, environment: [String: String] = [:],
    in directory: URL = package, limitSeconds: Int = 120
  ) async throws -> Outcome {
    let binary = try binary.get()
    // Waiting blocks, so it has a thread of its own.
    return try await withCheckedThrowingContinuation { continuation in
      Thread.detachNewThread {
        continuation.resume(
          with: Result {
            try runBlocking(
              binary, arguments, environment: environment, in: directory, limitSeconds: limitSeconds)
          })
      }
    }
  }

  static func runBlocking(
    _ binary: URL, _ arguments: [String], environment: [String: String], in directory: URL, limitSeconds: Int
  ) throws -> Outcome {
    // Output goes through files: a pipe nobody reads would stop the process.
    let scratch = try ScratchDirectory()
    let output = try scratch.handle("stdout")
    let errors = try scratch.handle("stderr")
    let process = Process()
    process.executableURL = binary
    process.arguments = arguments
    process.currentDirectoryURL = directory
    process.environment = ProcessInfo.processInfo.environment.merging(environment) { _, new in new }
    process.standardInput = FileHandle.nullDevice
    process.standardOutput = output
    process.standardError = errors
    let ended = DispatchSemaphore(value: 0)
    process.terminationHandler = { _ in ended.signal() }
    try process.run()
    if ended.wait(timeout: .now() + .seconds(limitSeconds)) == .timedOut {
      kill(process.processIdentifier, SIGKILL)
      ended.wait()
      throw BinaryError(
        description:
          "tidewatch \(arguments.joined(separator: " ")) was still running after \(limitSeconds) s; it said: "
          + String(decoding: try scratch.read("stderr").suffix(2000), as: UTF8.self))
    }
    return Outcome(
      status: process.terminationReason == .exit ? process.terminationStatus : -process.terminationStatus,
      output: try scratch.read("stdout"), errors: try scratch.read("stderr"))
  }
}

/// A directory that goes away with its owner.
final class ScratchDirectory: Sendable {
  let url: URL

  init() throws {
    url = FileManager.default.temporaryDirectory.appendingPathComponent("tidewatch-test-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
  }

  deinit { try? FileManager.default.removeItem(at: url) }

  func path(_ name: String) -> String { url.appendingPathComponent(name).path }

  @discardableResult
  func write(_ name: String, _ text: String) throws -> String {
    try Data(text.utf8).write(to: url.appendingPathComponent(name))
    return path(name)
  }

  func read(_ name: String) throws -> Data { try Data(contentsOf: url.appendingPathComponent(name)) }

  fileprivate func handle(_ name: String) throws -> FileHandle {
    try write(name, "")
    return try FileHandle(forWritingTo: url.appendingPathComponent(name))
  }
}
