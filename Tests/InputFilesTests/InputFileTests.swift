// Files in every shape they come in: whole they are read to the last byte, and none that is damaged just ends.

import CZlib
import Foundation
import InputFiles
import Testing

@Suite struct InputFileTests {
  /// A gzip member, as zlib's own writer makes it.
  private func member(_ bytes: [UInt8], level: Int = 6) throws -> [UInt8] {
    let path = FileManager.default.temporaryDirectory.appendingPathComponent("member-\(UUID().uuidString)").path
    defer { unlink(path) }
    let file = try #require(gzopen(path, "wb\(level)"))
    bytes.withUnsafeBytes { _ = gzwrite(file, $0.baseAddress, UInt32($0.count)) }
    #expect(gzclose(file) == Z_OK)
    return Array(try #require(FileManager.default.contents(atPath: path)))
  }

  /// Everything in a file of these bytes, read in pieces of `atOnce` bytes.
  private func read(_ bytes: [UInt8], atOnce: Int = 1 << 16) throws -> [UInt8] {
    let path = FileManager.default.temporaryDirectory.appendingPathComponent("input-\(UUID().uuidString)").path
    defer { unlink(path) }
    try Data(bytes).write(to: URL(fileURLWithPath: path))
    return try read(path: path, atOnce: atOnce, position: bytes.count)
  }

  private func read(path: String, atOnce: Int, position: Int) throws -> [UInt8] {
    var file = try InputFile(path: path)
    var all: [UInt8] = []
    var piece = [UInt8](repeating: 0, count: atOnce)
    while true {
      let count = try piece.withUnsafeMutableBytes { buffer in try file.read(into: buffer) }
      if count == 0 { break }
      all += piece[..<count]
    }
    #expect(file.position == position)
    return all
  }

  private func message(_ bytes: [UInt8]) -> String {
    do {
      _ = try read(bytes)
      return "no error"
    } catch { return "\(error)" }
  }

  @Test("any number of members, of any size, in pieces of any size", arguments: 0..<60 as Range<UInt64>)
  func members(seed: UInt64) throws {
    var random = Seeded(state: seed)
    var (content, file): ([UInt8], [UInt8]) = ([], [])
    for _ in 0...Int(random.next() % 4) {
      let isLarge = random.next() % 4 == 0
      let part = (0..<Int(random.next() % (isLarge ? 3_000_000 : 300))).map { _ in UInt8(random.next() % 7) }
      content += part
      file += try member(part, level: Int(random.next() % 10))
    }
    let zeros = [UInt8](repeating: 0, count: Int(random.next() % 3) * 700)
    let atOnce = [1, 7, 4_096, 1 << 20][Int(random.next() % 4)]
    let plain = try read(content, atOnce: max(atOnce, content.count / 10_000))
    #expect(plain == content)
    let unpacked = try read(file + zeros, atOnce: max(atOnce, content.count / 10_000))
    #expect(unpacked == content)
  }

  @Test("cut anywhere, a gzip file is not whole") func cut() throws {
    let first = try member(Array("one line\n".utf8))
    let second = try member((0..<5_000).map { UInt8(truncatingIfNeeded: $0 &* 31 % 251) })
    let whole = first + second
    for length in 3..<whole.count where length != first.count && length < 200 || length % 97 == 0 {
      #expect(message(Array(whole[..<length])).contains("is the file whole?"), "\(length) bytes")
    }
    #expect(message(Array(whole[..<first.count])) == "no error")
  }

  @Test("what follows a member is a member, or zeros") func afterMembers() throws {
    let one = try member(Array("one line\n".utf8))
    #expect(message(one + Array("rubbish".utf8)).contains("something else"))
    #expect(message(one + [0, 0, 0, 1]).contains("something else"))
    #expect(message(one + [0x1f]).contains("something else"))
    var other = one
    other[1] = 0x8a
    #expect(message(one + other).contains("something else"))
    other = one
    other[2] = 9
    #expect(message(one + other).contains("is the file whole?"))
    var wrongSum = one
    wrongSum[wrongSum.count - 6] ^= 1
    #expect(message(wrongSum).contains("is the file whole?"))
  }

  @Test func plainFiles() throws {
    #expect(try read([]) == [])
    #expect(try read([0x1f]) == [0x1f])
    #expect(try read(Array("BZh1 is a name".utf8)) == Array("BZh1 is a name".utf8))
    #expect(try read(member([0xef, 0xbb, 0xbf] + Array("a".utf8))) == Array("a".utf8))
    #expect(try read([0xef, 0xbb, 0xbf] + Array("a".utf8)) == Array("a".utf8))
    #expect(try read([0xef, 0xbb]) == [0xef, 0xbb])
    let missing = #expect(throws: InputFileError.self) { try read(path: "/nowhere/at/all", atOnce: 10, position: 0) }
    #expect(missing?.description.contains("cannot open /nowhere/at/all") == true)
    let directory = #expect(throws: InputFileError.self) { try read(path: "/tmp", atOnce: 10, position: 0) }
    #expect(directory?.description.contains("/tmp") == true)
  }

  @Test(arguments: [
    ([0x28, 0xb5, 0x2f, 0xfd, 1], "zstd -d"), ([0xfd, 0x37, 0x7a, 0x58, 0x5a, 0], "xz -d"),
    (Array("BZh91AY&SY".utf8), "bzip2"), ([0x1f, 0x9d, 0x90], "uncompress"), ([0xff, 0xfe, 0, 0], "UTF-32"),
    ([0x50, 0x4b, 3, 4], "unzip"), ([0xff, 0xfe, 0x7b, 0], "iconv"),
    ([0xfe, 0xff, 0, 0x7b], "iconv"),
  ])
  func otherKindsAreNamed(bytes: [UInt8], advice: String) throws {
    #expect(message(bytes).contains(advice))
    #expect(message(try member(bytes)).contains(advice))
  }

  @Test("a file named .gz is gzip or damaged", arguments: [[], [0x1f], Array("plain".utf8)] as [[UInt8]])
  func namedGzip(bytes: [UInt8]) throws {
    let path = FileManager.default.temporaryDirectory.appendingPathComponent("input-\(UUID().uuidString).gz").path
    defer { unlink(path) }
    try Data(bytes).write(to: URL(fileURLWithPath: path))
    let error = #expect(throws: InputFileError.self) { try read(path: path, atOnce: 10, position: 0) }
    #expect(error?.description.contains("is no gzip file") == true)
  }

  @Test("a file that is cut while it is read is not whole", arguments: [true, false]) func shrinks(isGzip: Bool) throws
  {
    let path = FileManager.default.temporaryDirectory.appendingPathComponent("input-\(UUID().uuidString)").path
    defer { unlink(path) }
    var random = Seeded(state: 1)
    let content = (0..<5_000_000).map { _ in UInt8(truncatingIfNeeded: random.next()) }
    try Data(isGzip ? member(content) : content).write(to: URL(fileURLWithPath: path))
    var file = try InputFile(path: path)
    var piece = [UInt8](repeating: 0, count: 100)
    #expect(try piece.withUnsafeMutableBytes { buffer in try file.read(into: buffer) } > 0)
    #expect(truncate(path, 1_500_000) == 0)
    var failure = ""
    do {
      while try piece.withUnsafeMutableBytes({ buffer in try file.read(into: buffer) }) > 0 {}
    } catch { failure = "\(error)" }
    #expect(failure.contains("is the file whole?"))
  }

  @Test func aPipe() throws {
    let path = FileManager.default.temporaryDirectory.appendingPathComponent("pipe-\(UUID().uuidString)").path
    #expect(mkfifo(path, 0o600) == 0)
    defer { unlink(path) }
    let bytes = try member(Array("through a pipe\n".utf8))
    let writer = open(path, O_RDWR)
    #expect(bytes.withUnsafeBytes { write(writer, $0.baseAddress, $0.count) } == bytes.count)
    var file = try InputFile(path: path)
    close(writer)
    var all: [UInt8] = []
    var piece = [UInt8](repeating: 0, count: 100)
    while true {
      let count = try piece.withUnsafeMutableBytes { buffer in try file.read(into: buffer) }
      if count == 0 { break }
      all += piece[..<count]
    }
    #expect(all.elementsEqual("through a pipe\n".utf8))
    #expect(file.fileBytes == 0)
  }
}

/// SplitMix64.
private struct Seeded {
  var state: UInt64
  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ z >> 30) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ z >> 27) &* 0x94D0_49BB_1331_11EB
    return z ^ z >> 31
  }
}
