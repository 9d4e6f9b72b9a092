// The replay's output files, one a topic, written under a temporary name until they are whole.

import Engine
import Glibc

/// An output file that could not be written.
public struct OutputError: Error, CustomStringConvertible {
  public let description: String
  /// It could not be begun; else writing to it failed.
  public let isCreation: Bool
}

/// Appends records to `DIR/<topic>.ndjson`.
package final class OutputFiles {
  private let directory: String
  private var descriptors: [Int32] = []
  private var isFinished = false
  private var buffers: [[UInt8]]
  private var behind: [WriteBehind]
  private static let flushBytes = 1 << 20

  package init(directory: String) throws(OutputError) {
    self.directory = directory
    buffers = OutputTopic.allCases.map { _ in [] }
    behind = OutputTopic.allCases.map { _ in WriteBehind() }
    if mkdir(directory, 0o755) != 0, errno != EEXIST {
      throw Self.failed("make the directory", directory, isCreation: true)
    }
    for topic in OutputTopic.allCases {
      let path = Self.path(directory, topic) + ".partial"
      let descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
      if descriptor < 0 { throw Self.failed("create", path, isCreation: true) }
      descriptors.append(descriptor)
    }
  }

  /// Removes what was not finished.
  deinit {
    for (topic, descriptor) in zip(OutputTopic.allCases, descriptors) {
      close(descriptor)
      if !isFinished { unlink(Self.path(directory, topic) + ".partial") }
    }
  }

  private static func path(_ directory: String, _ topic: OutputTopic) -> String {
    let name = topic == .profiles ? "profiles" : topic.name
    return "\(directory)/\(name).ndjson"
  }

  private static func failed(_ action: String, _ path: String, isCreation: Bool = false) -> OutputError {
    OutputError(
      description:
        "cannot \(action) \(path): \(String(cString: strerror(errno))); choose another --output or make room",
      isCreation: isCreation)
  }

  /// Writes out and forgets what `outputs` holds.
  package func take(_ outputs: inout OutputBuffer) throws(OutputError) {
    try append(outputs, 0..<outputs.entries.count)
    outputs.removeAll()
  }

  /// Writes out some of what `outputs` holds.
  func append(_ outputs: OutputBuffer, _ entries: Range<Int>) throws(OutputError) {
    for entry in outputs.entries[entries] {
      let topic = Int(entry.topic.rawValue)
      buffers[topic].append(contentsOf: outputs.bytes[entry.value])
      buffers[topic].append(10)
      if buffers[topic].count >= Self.flushBytes { try flush(topic) }
    }
  }

  private func flush(_ topic: Int) throws(OutputError) {
    var written = 0
    while written < buffers[topic].count {
      let count = buffers[topic].withUnsafeBytes { bytes in
        write(descriptors[topic], bytes.baseAddress.unsafelyUnwrapped + written, bytes.count - written)
      }
      if count < 0, errno == EINTR { continue }
      if count < 0 { throw Self.failed("write", Self.path(directory, OutputTopic.allCases[topic])) }
      written += count
    }
    behind[topic].wrote(written, to: descriptors[topic])
    buffers[topic].removeAll(keepingCapacity: true)
  }

  /// Gives the files their final names.
  package func finish() throws(OutputError) {
    for topic in OutputTopic.allCases {
      try flush(Int(topic.rawValue))
      let path = Self.path(directory, topic)
      if rename(path + ".partial", path) != 0 { throw Self.failed("rename", path + ".partial") }
    }
    isFinished = true
  }
}
