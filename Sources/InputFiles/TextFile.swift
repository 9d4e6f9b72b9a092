// A small file that is read whole: a configuration, rules, a map.

import Glibc

/// Why a file's text could not be had, as what follows its name: `cannot be read: Permission denied`.
public struct TextFileError: Error, CustomStringConvertible {
  public let description: String
}

/// The text of the file at `path`.
/// - Throws: when it cannot be opened or read, is a directory, or is not UTF-8.
public func readTextFile(_ path: String) throws(TextFileError) -> String {
  func unreadable() -> TextFileError {
    TextFileError(description: "cannot be read: \(String(cString: strerror(errno)))")
  }
  let descriptor = open(path, O_RDONLY | O_CLOEXEC)
  if descriptor < 0 { throw unreadable() }
  defer { close(descriptor) }
  var status = stat()
  if fstat(descriptor, &status) != 0 { throw unreadable() }
  if status.st_mode & S_IFMT == S_IFDIR { throw TextFileError(description: "is a directory, not a file") }
  var bytes: [UInt8] = []
  var buffer = [UInt8](repeating: 0, count: 64 << 10)
  while true {
    let count = read(descriptor, &buffer, buffer.count)
    if count < 0, errno == EINTR { continue }
    if count < 0 { throw unreadable() }
    if count == 0 { break }
    bytes += buffer[..<count]
  }
  // A byte-order mark is some editors', and no part of the text.
  if bytes.starts(with: [0xef, 0xbb, 0xbf]) { bytes.removeFirst(3) }
  guard let text = String(validating: bytes, as: UTF8.self) else {
    throw TextFileError(description: "is not UTF-8 text")
  }
  return text
}
