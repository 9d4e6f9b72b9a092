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
  /// One a topic. In raw memory, so that no reference is counted for every line.
  private let files: UnsafeMutableBufferPointer<TopicFile>
  /// How many of them there are.
  private var opened = 0
  private var isFinished = false

  package init(directory: String) throws(OutputError) {
    self.directory = directory
    files = .allocate(capacity: OutputTopic.allCases.count)
    if mkdir(directory, 0o755) != 0, errno != EEXIST {
      throw Self.failed("make the directory", directory, Errno(), isCreation: true)
    }
    for topic in OutputTopic.allCases {
      let path = Self.path(directory, topic) + ".partial"
      do { files.initializeElement(at: opened, to: try TopicFile(path: path)) } catch {
        throw Self.failed("create", path, error, isCreation: true)
      }
      opened += 1
    }
  }

  /// Removes what was not finished.
  deinit {
    for topic in OutputTopic.allCases.prefix(opened) where !isFinished {
      unlink(Self.path(directory, topic) + ".partial")
    }
    for place in 0..<opened { files.deinitializeElement(at: place) }
    files.deallocate()
  }

  private static func path(_ directory: String, _ topic: OutputTopic) -> String {
    let name = topic == .profiles ? "profiles" : topic.name
    return "\(directory)/\(name).ndjson"
  }

  private static func failed(_ action: String, _ path: String, _ error: Errno, isCreation: Bool = false) -> OutputError
  {
    OutputError(
      description: "cannot \(action) \(path): \(error.text); choose another --output or make room",
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
        outputs.entries.withUnsafeBufferPointer { list -> OutputTopic? in
          while next < entries.upperBound {
            let topic = list[next].topic
            files[Int(topic.rawValue)].append(line: UnsafeRawBufferPointer(rebasing: bytes[list[next].value]))
            next += 1
            if files[Int(topic.rawValue)].isFull { return topic }
          }
          return nil
        }
      }
      guard let full else { return }
      do { try files[Int(full.rawValue)].flush() } catch {
        throw Self.failed("write", Self.path(directory, full), error)
      }
    }
  }

  /// Gives the files their final names.
  package func finish() throws(OutputError) {
    for topic in OutputTopic.allCases {
      let path = Self.path(directory, topic)
      do { try files[Int(topic.rawValue)].finish() } catch { throw Self.failed("write", path, error) }
      if rename(path + ".partial", path) != 0 { throw Self.failed("rename", path + ".partial", Errno()) }
    }
    isFinished = true
  }
}
