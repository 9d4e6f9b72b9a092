// Any outbox: what is accepted is whole records that can be sent, and written again it is the same to the byte. It comes
// out of a checkpoint as it went in.

import Checkpoint
import CheckpointTesting
import Daemon
import Engine
import Events

enum OutboxCheck {
  private static let directory = "/d"
  /// Topic, time and three lengths.
  private static let headBytes = 21

  static func run(_ bytes: [UInt8]) throws(FuzzFinding) {
    let read = try throughCheckpoint(bytes)
    try require(read == bytes, "an outbox of \(bytes.count) bytes comes back with \(read.count), or changed")
    try require(Outbox.unpack(Outbox.pack(bytes)) == bytes, "packed and unpacked, it is other bytes")
    try checkRecords(bytes)
    if let unpacked = Outbox.unpack(bytes) { try checkRecords(unpacked) }
    if let buffer = Outbox.decode(bytes) {
      let isBoth = Outbox.unpack(bytes) != nil
      try require(isBoth || Outbox.read(bytes)?.bytes == buffer.bytes, "not packed, it is read as something else")
      try require(Outbox.read(Outbox.pack(bytes))?.bytes == buffer.bytes, "packed, it is read as something else")
    }
  }

  /// - Parameter bytes: not packed.
  private static func checkRecords(_ bytes: [UInt8]) throws(FuzzFinding) {
    guard let buffer = Outbox.decode(bytes) else { return }
    try require(Outbox.encode(buffer) == bytes, "written again, it is another outbox")
    try require(buffer.isEmpty == bytes.isEmpty, "bytes without a record")

    // One after the other, nothing between: each byte belongs to one field of one record.
    var end = 0
    var ends: Set<Int> = [0]
    for (number, entry) in buffer.entries.enumerated() {
      for range in [entry.key, entry.id, entry.value] {
        try require(range.lowerBound == end, "record \(number) begins at \(range.lowerBound) and not at \(end)")
        end = range.upperBound
      }
      ends.insert(end + (number + 1) * headBytes)
      try checkTime(entry.emittedAt)
    }
    try require(end == buffer.bytes.count, "\(buffer.bytes.count - end) bytes too many")

    // Cut off, it is refused, unless whole records are left.
    for cut in [bytes.count - 1, bytes.count / 2, headBytes, 1] where cut > 0 && cut < bytes.count {
      let rest = Outbox.decode(Array(bytes.prefix(cut)))
      try require((rest != nil) == ends.contains(cut), "cut off at \(cut), it is \(rest == nil ? "refused" : "taken")")
    }
    let twice = Outbox.decode(bytes + bytes)
    try require(twice?.entries.count == 2 * buffer.entries.count, "twice the records, read as something else")
  }

  /// What the header `ce_time` says, of any instant: `2026-03-01T12:34:56.123Z`.
  private static func checkTime(_ instant: Instant) throws(FuzzFinding) {
    let text = OutputWriter.timestamp(instant)
    let shape = text.map { UInt8(ascii: "0")...UInt8(ascii: "9") ~= $0 ? UInt8(ascii: "0") : $0 }
    try require(shape == Array("0000-00-00T00:00:00.000Z".utf8), "ce_time is \(String(decoding: text, as: UTF8.self))")
  }

  private static func throughCheckpoint(_ bytes: [UInt8]) throws(FuzzFinding) -> [UInt8] {
    let disk = ModelDisk(seed: 1)
    do {
      var store = try PartitionStore(opening: directory, on: disk)
      try store.truncate(after: nil)
      let header = EpochHeader(
        lineage: Lineage(high: 1, low: 2), epoch: 0, clock: 0, partition: 0, partitionCount: 1,
        offsets: [TopicOffset(topic: "fuzz", next: 1)])
      _ = try store.append(header, outbox: bytes) { $0.put(key: [1], value: [2]) }
      try store.sync()
      store = try PartitionStore(opening: directory, on: disk.copy(seed: 2))
      guard let outbox = try store.outbox(of: 0) else { throw FuzzFinding("the outbox is gone") }
      return outbox
    } catch let finding as FuzzFinding { throw finding } catch { throw FuzzFinding("\(error)") }
  }
}
