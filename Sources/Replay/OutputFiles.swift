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
  /// One a topic. In raw memory, so that no reference is counted for every line.
  private let buffers: UnsafeMutableBufferPointer<WriteBuffer>
  private var behind: [WriteBehind]

  package init(directory: String) throws(OutputError) {
    self.directory = directory
    buffers = .allocate(capacity: OutputTopic.allCases.count)
    for place in buffers.indices { buffers.initializeElement(at: place, to: WriteBuffer()) }
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
    buffers.deinitialize()
    buffers.deallocate()
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
    // Of all of them at once: a list asks for each element whether it is its own.
    var next = entries.lowerBound
    while next < entries.upperBound {
      let full = outputs.bytes.withUnsafeBytes { bytes in
        outputs.entries.withUnsafeBufferPointer { list in
          while next < entries.upperBound {
            let topic = Int(list[next].topic.rawValue)
            buffers[topic].append(line: UnsafeRawBufferPointer(rebasing: bytes[list[next].value]))
            next += 1
            if buffers[topic].isFull { return topic }
          }
          return -1
        }
      }
      if full >= 0 { try flush(full) }
    }
  }

  private func flush(_ topic: Int) throws(OutputError) {
    let bytes = buffers[topic].bytes
    var written = 0
    while written < bytes.count {
      let count = write(
        descriptors[topic], bytes.baseAddress.unsafelyUnwrapped + written, bytes.count - written)
      if count < 0, errno == EINTR { continue }
      if count < 0 { throw Self.failed("write", Self.path(directory, OutputTopic.allCases[topic])) }
      written += count
    }
    behind[topic].wrote(written, to: descriptors[topic])
    buffers[topic].removeAll()
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

/// Lines on their way to a file. Its memory stays, and grows for a line that is longer than all of it.
private struct WriteBuffer: ~Copyable {
  private static let flushBytes = 1 << 20

  private var memory = UnsafeMutableRawBufferPointer.allocate(byteCount: flushBytes + (64 << 10), alignment: 64)
  private var count = 0

  deinit { memory.deallocate() }

  var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(rebasing: memory[..<count]) }
  /// It is time to write it.
  var isFull: Bool { count >= Self.flushBytes }

  mutating func append(line: UnsafeRawBufferPointer) {
    let end = count + line.count + 1
    if end > memory.count {
      let larger = UnsafeMutableRawBufferPointer.allocate(byteCount: end, alignment: 64)
      larger.copyMemory(from: bytes)
      memory.deallocate()
      memory = larger
    }
    let place = memory.baseAddress.unsafelyUnwrapped + count
    if let source = line.baseAddress { place.copyMemory(from: source, byteCount: line.count) }
    place.storeBytes(of: 10, toByteOffset: line.count, as: UInt8.self)
    count = end
  }

  mutating func removeAll() { count = 0 }
}
