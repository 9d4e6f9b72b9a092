// A partition's directory out of one string of bytes, so that a fuzzer can make directories.

import CXXHash
import CheckpointTesting

/// One byte of flags; then up to five files, each: kind (bit 0: base), epoch, length in two bytes, bytes.
///
/// A fuzzer cannot guess checksums. With flag 1 they are made right before the files are read; with flag 2 each block
/// also continues the one before it, and each file those before it; with flag 4 a file's name has the epoch that its
/// header says.
package struct DirectoryInput {
  static let mendsChecksums: UInt8 = 1
  static let mendsChains: UInt8 = 2
  static let namesByHeader: UInt8 = 4
  private static let filesMax = 5

  package struct File {
    package var isBase: Bool
    package var epoch: UInt64
    package var bytes: [UInt8]
    package init(isBase: Bool, epoch: UInt64, bytes: [UInt8]) {
      self.isBase = isBase
      self.epoch = epoch
      self.bytes = bytes
    }
  }

  package var files: [File] = []

  package init(_ input: [UInt8]) {
    guard let flags = input.first else { return }
    var rest = input.dropFirst()
    var chains: [UInt64: UInt64] = [:]
    while rest.count >= 4, files.count < Self.filesMax {
      let head = Array(rest.prefix(4))
      rest = rest.dropFirst(4)
      let bytes = Array(rest.prefix(Int(head[2]) | Int(head[3]) << 8))
      rest = rest.dropFirst(bytes.count)
      var file = File(isBase: head[0] & 1 != 0, epoch: UInt64(head[1]), bytes: bytes)
      if flags & Self.mendsChecksums != 0 { file.mend(&chains, linked: flags & Self.mendsChains != 0) }
      if flags & Self.namesByHeader != 0, bytes.count >= 48 { file.epoch = file.bytes.number(at: 40, bytes: 8) }
      files.append(file)
    }
  }

  /// The bytes that `init` makes this directory of, with the flags given.
  package static func encode(_ files: [File], flags: UInt8) -> [UInt8] {
    var bytes = [flags]
    for file in files {
      bytes += [file.isBase ? 1 : 0, UInt8(truncatingIfNeeded: file.epoch)]
      bytes += [UInt8(truncatingIfNeeded: file.bytes.count), UInt8(truncatingIfNeeded: file.bytes.count >> 8)]
      bytes += file.bytes
    }
    return bytes
  }

  func disk(_ directory: String) -> ModelDisk? {
    let disk = ModelDisk(seed: 1)
    guard (try? disk.createDirectories(directory)) != nil else { return nil }
    for file in files {
      let digits = String(file.epoch)
      let zeros = String(repeating: "0", count: max(0, 12 - digits.count))
      disk.setContents(file.bytes, of: "\(directory)/\(file.isBase ? "base" : "log")-\(zeros)\(digits).tw")
    }
    return disk
  }
}

extension DirectoryInput.File {
  /// `chains`: of the epochs seen so far.
  fileprivate mutating func mend(_ chains: inout [UInt64: UInt64], linked: Bool) {
    guard bytes.count >= 64 else { return }
    let epoch = bytes.number(at: 40, bytes: 8)
    if linked, let known = chains[isBase ? epoch : epoch &- 1] {
      bytes.store(known, at: 48)
      if isBase, bytes.count >= 96 { bytes.store(known, at: 64 + 24) }
    }
    bytes.store(bytes.checksum(8, 64), at: 0)
    var chain = bytes.number(at: 48, bytes: 8)
    var chunks: UInt64 = 0
    var at = 64
    while bytes.count - at >= 32 {
      let length = Int(bytes.number(at: at + 16, bytes: 4))
      guard length >= 40, length <= bytes.count - at else { return }
      switch bytes[at + 8..<at + 12] {
      case ArraySlice("TWEB".utf8):
        if linked { bytes.store(chain, at: at + 32) }
        chain = bytes.checksum(at + 32, at + length)
        bytes.store(chain, at: at + 24)
        if length >= 64 { chains[bytes.number(at: at + 56, bytes: 8)] = chain }
      case ArraySlice("TWBE".utf8) where length >= 88: bytes.store(chunks, at: at + 80)
      default: break
      }
      bytes.store(bytes.checksum(at + 8, at + length), at: at)
      if bytes[at + 8..<at + 12] == ArraySlice("TWBC".utf8) {
        chunks = bytes[at..<at + 8].withUnsafeBytes { tw_xxh3_64($0.baseAddress, $0.count, chunks) }
      }
      at += length
    }
  }
}

extension [UInt8] {
  fileprivate func number(at offset: Int, bytes count: Int) -> UInt64 {
    self[offset..<offset + count].reversed().reduce(0) { $0 << 8 | UInt64($1) }
  }

  fileprivate mutating func store(_ value: UInt64, at offset: Int) {
    for index in 0..<8 { self[offset + index] = UInt8(truncatingIfNeeded: value >> UInt64(8 * index)) }
  }

  fileprivate func checksum(_ start: Int, _ end: Int) -> UInt64 {
    self[start..<end].withUnsafeBytes { tw_xxh3_64($0.baseAddress, $0.count, 0) }
  }
}
