// Runs of entries by field instead of by entry: bytes that mean the same in all values lie together, which takes zstd a
// quarter fewer bytes and half the time.
//
//     4  entries: n                                    flags            n bytes, see `EntryFlag`
//     2  parts of values that have the shape           lengths of keys  n times 2 bytes
//     6  for each part: see `PackedPart`               other lengths    4 bytes for each other value
//                                                      keys
//                                                      for each part: its elements in all values that have the shape
//                                                      other values
//
// Lengths and parts are transposed: all first bytes of the elements, all second ones, and so on.

import Synchronization

/// How an entry is arranged.
private enum EntryFlag {
  /// Its value lies in the parts.
  static let shaped: UInt8 = 0
  /// Its value lies whole behind the parts.
  static let other: UInt8 = 1
  /// It has no value.
  static let tombstone: UInt8 = 2
}

private let fixedHeadBytes = 6

/// What a rough copy may read and write beyond the end.
let roughness = 16

/// Copies at least `count` bytes and less than `roughness` more, which must be there in both places.
@inline(__always)
private func copyRoughly(_ count: Int, from source: UnsafeRawPointer, to target: UnsafeMutableRawPointer) {
  var done = 0
  while done < count {
    let bytes = source.loadUnaligned(fromByteOffset: done, as: SIMD16<UInt8>.self)
    target.storeBytes(of: bytes, toByteOffset: done, as: SIMD16<UInt8>.self)
    done &+= roughness
  }
}

/// Memory in which runs are arranged: some megabytes each time, too much for every partition to keep and more than an allocator
/// keeps for long. Several writers may have it; one that finds it taken makes do with memory of its own.
public final class ArrangingMemory: Sendable {
  struct Buffers: ~Copyable, Sendable {
    /// The columns before they are transposed, behind the flags.
    var columns = RawBuffer(capacity: 0)
    var arranged = RawBuffer(capacity: 0)
  }

  private let kept = Mutex<Buffers?>(nil)
  /// A larger run's memory is not kept.
  static let keptBytes = 16 << 20

  public init() {}

  func take() -> Buffers {
    if let buffers = kept.withLock({ $0.take() }) { return buffers }
    return Buffers()
  }

  func giveBack(_ buffers: consuming Buffers, atMost limit: Int = keptBytes) {
    buffers.columns.shrink(toAtMost: limit)
    buffers.arranged.shrink(toAtMost: limit)
    var returned: Buffers? = consume buffers
    kept.withLock { $0 = returned.take() }
  }
}

/// Arranges the runs of one writer.
struct RunArranger {
  private let shape: ValueShape?
  private let memory: ArrangingMemory

  /// A run with fewer values of the shape is left as it is.
  private static let shapedMin = 16

  init(_ shape: ValueShape?, _ memory: ArrangingMemory) {
    self.shape = shape
    self.memory = memory
  }

  /// Frees the memory of an unusually large run.
  func shrink(toAtMost limit: Int) { memory.giveBack(memory.take(), atMost: limit) }

  /// Calls back with the arranged form of `rows`, entries one behind the other as a writer makes them; with nil if that is not
  /// shorter.
  /// - Parameter rows: behind them is memory for 16 bytes more.
  func withArranged<T>(_ rows: UnsafeRawBufferPointer, _ body: (UnsafeRawBufferPointer?) -> T) -> T {
    guard let shape else { return body(nil) }
    var buffers = memory.take()
    buffers.columns.clear()
    buffers.columns.reserve(rows.count + rows.count / 6 + (shape.parts.count + 4) * roughness)
    let survey = survey(rows, shape, flags: &buffers.columns)
    let isArranged = survey.shapedCount >= Self.shapedMin && arrange(rows, survey, shape.parts, &buffers)
    let result = body(isArranged ? buffers.arranged.bytes : nil)
    memory.giveBack(buffers)
    return result
  }

  /// What a run has, so that there is a place for all of it.
  private struct Survey {
    var entryCount = 0
    var shapedCount = 0
    var otherCount = 0
    var keyBytes = 0
    var otherBytes = 0
    var parts: [PartTally] = []
  }

  /// How many elements of a part there are.
  private struct PartTally {
    let part: PackedPart
    /// In the value at hand, in the first one, and in all.
    var count = 0
    var first = 0
    var total = 0
    /// Each value has as many.
    var isSame = true

    @inline(__always)
    mutating func add(isFirst: Bool) {
      total += count
      if isFirst { first = count } else if first != count { isSame = false }
    }
  }

  private func survey(_ rows: UnsafeRawBufferPointer, _ shape: ValueShape, flags: inout RawBuffer) -> Survey {
    var survey = Survey()
    var tallies = shape.parts.map { PartTally(part: $0) }
    let headBytes = Int(shape.parts[0].stride)
    var cursor = EntryCursor(rows)
    tallies.withUnsafeMutableBufferPointer { tallies in
      while let entry = cursor.next() {
        survey.entryCount += 1
        survey.keyBytes += entry.key.count
        guard let value = entry.value else {
          flags.append(EntryFlag.tombstone)
          continue
        }
        var bytes = -1
        if entry.key.first == shape.keyPrefix, value.count >= headBytes, let head = value.baseAddress {
          bytes = 0
          for part in tallies.indices {
            tallies[part].count = tallies[part].part.count(in: head)
            bytes += tallies[part].count &* Int(tallies[part].part.stride)
          }
        }
        guard bytes == value.count else {
          flags.append(EntryFlag.other)
          survey.otherCount += 1
          survey.otherBytes += value.count
          continue
        }
        flags.append(EntryFlag.shaped)
        for part in tallies.indices { tallies[part].add(isFirst: survey.shapedCount == 0) }
        survey.shapedCount += 1
      }
    }
    assert(cursor.isAtEnd)
    survey.parts = tallies
    return survey
  }

  private func arrange(
    _ rows: UnsafeRawBufferPointer, _ survey: Survey, _ parts: [PackedPart], _ buffers: inout ArrangingMemory.Buffers
  ) -> Bool {
    // A part that is nowhere is left out, and one that all values have as often is of fixed length.
    var kept: [(part: PackedPart, number: Int, rows: Int)] = []
    for (number, tally) in survey.parts.enumerated() where tally.total > 0 {
      let stride = tally.first * Int(tally.part.stride)
      if tally.isSame, stride <= PackedPart.strideMax, let bytes = UInt16(exactly: stride) {
        kept.append((PackedPart(fixed: bytes), number, survey.shapedCount))
      } else {
        kept.append((tally.part, number, tally.total))
      }
    }

    let bytes =
      fixedHeadBytes + PackedPart.bytes * kept.count + 3 * survey.entryCount + 4 * survey.otherCount + survey.keyBytes
      + kept.reduce(0) { $0 + $1.rows * Int($1.part.stride) } + survey.otherBytes
    guard bytes < rows.count else { return false }

    // Where each column begins, behind the flags, with room for what a rough copy writes beyond its end.
    var end = survey.entryCount
    func place(_ bytes: Int) -> Int {
      defer { end += bytes + roughness }
      return end
    }
    var keyLength = place(2 * survey.entryCount)
    var otherLength = place(4 * survey.otherCount)
    var key = place(survey.keyBytes)
    let starts = parts.indices.map { place(survey.parts[$0].total * Int(parts[$0].stride)) }
    let other = place(survey.otherBytes)
    let (keyLengths, otherLengths, keys) = (keyLength, otherLength, key)
    buffers.columns.reserve(end)
    guard let memory = buffers.columns.writable.baseAddress else { return false }

    var otherEnd = other
    var cursor = EntryCursor(rows)
    var number = 0
    var ends = starts
    ends.withUnsafeMutableBufferPointer { ends in
      while let entry = cursor.next() {
        memory.storeBytes(of: UInt16(entry.key.count).littleEndian, toByteOffset: keyLength, as: UInt16.self)
        keyLength += 2
        if let from = entry.key.baseAddress { copyRoughly(entry.key.count, from: from, to: memory + key) }
        key += entry.key.count
        let flag = memory.load(fromByteOffset: number, as: UInt8.self)
        number += 1
        guard flag != EntryFlag.tombstone, let value = entry.value, let head = value.baseAddress else { continue }
        if flag == EntryFlag.shaped {
          var at = head
          for part in parts.indices {
            let bytes = parts[part].bytes(in: head)
            copyRoughly(bytes, from: at, to: memory + ends[part])
            at += bytes
            ends[part] &+= bytes
          }
        } else {
          memory.storeBytes(of: UInt32(value.count).littleEndian, toByteOffset: otherLength, as: UInt32.self)
          otherLength += 4
          (memory + otherEnd).copyMemory(from: head, byteCount: value.count)
          otherEnd += value.count
        }
      }
    }

    buffers.arranged.clear()
    buffers.arranged.reserve(bytes)
    buffers.arranged.append(UInt32(survey.entryCount))
    buffers.arranged.append(UInt16(kept.count))
    for column in kept { column.part.append(to: &buffers.arranged) }
    buffers.arranged.append(UnsafeRawBufferPointer(start: memory, count: survey.entryCount))
    buffers.arranged.append(transposed: memory + keyLengths, rows: survey.entryCount, columns: 2)
    buffers.arranged.append(transposed: memory + otherLengths, rows: survey.otherCount, columns: 4)
    buffers.arranged.append(UnsafeRawBufferPointer(start: memory + keys, count: survey.keyBytes))
    for column in kept {
      buffers.arranged.append(
        transposed: memory + starts[column.number], rows: column.rows, columns: Int(column.part.stride))
    }
    buffers.arranged.append(UnsafeRawBufferPointer(start: memory + other, count: survey.otherBytes))
    assert(buffers.arranged.count == bytes)
    return true
  }
}

/// Makes rows of arranged runs again; what it needs for that is kept from run to run.
struct RunRestorer: ~Copyable {
  /// The columns, transposed back.
  private var columns = RawBuffer(capacity: 0)

  /// Why a run is not one.
  struct Malformed: Error {
    var reason: String
  }

  /// Puts the entries of `arranged`, `rowBytes` in all, into `rows`.
  /// - Parameter arranged: behind it is memory for 16 bytes more.
  mutating func restore(
    _ arranged: UnsafeRawBufferPointer, rowBytes: Int, into rows: inout RawBuffer
  ) throws(Malformed) {
    var source = RunSource(arranged)
    let head = try source.take(fixedHeadBytes)
    let entryCount = Int(head.load(UInt32.self, at: 0))
    let partCount = Int(head.load(UInt16.self, at: 4))
    guard partCount <= PackedPart.countMax else { throw Malformed(reason: "\(partCount) parts") }
    var unchecked: [PackedPart] = []
    for _ in 0..<partCount {
      guard let part = PackedPart(try source.take(PackedPart.bytes)) else { throw Malformed(reason: "an unknown part") }
      unchecked.append(part)
    }
    guard let parts = PackedPart.checked(unchecked) else { throw Malformed(reason: "parts that do not fit") }

    let flags = try source.take(entryCount)
    var shapedCount = 0
    var otherCount = 0
    for flag in flags {
      switch flag {
      case EntryFlag.shaped: shapedCount += 1
      case EntryFlag.other: otherCount += 1
      case EntryFlag.tombstone: break
      default: throw Malformed(reason: "an entry of an unknown kind")
      }
    }

    // All columns together are no longer than what was arranged.
    columns.clear()
    columns.reserve(arranged.count + (partCount + 4) * roughness)
    guard let memory = columns.writable.baseAddress else { return }
    var end = 0
    func untranspose(_ bytes: UnsafeRawBufferPointer, rows: Int, columns: Int) -> UnsafeMutableRawPointer {
      let start = memory + end
      if let from = bytes.baseAddress, rows > 0 { transpose(from, rows: columns, columns: rows, to: start) }
      end += bytes.count + roughness
      return start
    }
    let keyLengths = untranspose(try source.take(2 * entryCount), rows: entryCount, columns: 2)
    let otherLengths = untranspose(try source.take(4 * otherCount), rows: otherCount, columns: 4)
    var keyBytes = 0
    for entry in 0..<entryCount {
      keyBytes += Int(UInt16(littleEndian: keyLengths.loadUnaligned(fromByteOffset: 2 * entry, as: UInt16.self)))
    }
    let keys = try source.take(keyBytes)
    let headStride = Int(parts[0].stride)
    let heads = untranspose(try source.take(shapedCount * headStride), rows: shapedCount, columns: headStride)
    var partBytes = shapedCount * headStride
    var places = [UnsafeMutableRawPointer](repeating: heads, count: partCount)
    for (number, part) in parts.enumerated().dropFirst() {
      var elements = 0
      for value in 0..<shapedCount { elements += part.count(in: heads + value * headStride) }
      let bytes = try source.take(elements * Int(part.stride))
      places[number] = untranspose(bytes, rows: elements, columns: Int(part.stride))
      partBytes += bytes.count
    }
    let others = source.rest
    var otherBytes = 0
    for value in 0..<otherCount {
      otherBytes += Int(UInt32(littleEndian: otherLengths.loadUnaligned(fromByteOffset: 4 * value, as: UInt32.self)))
    }
    guard otherBytes == others.count,
      Format.Entry.prefixBytes * entryCount + keyBytes + partBytes + otherBytes == rowBytes
    else { throw Malformed(reason: "lengths that contradict each other") }

    rows.clear()
    rows.reserve(rowBytes + roughness)
    var key = keys.baseAddress
    var keyLength = UnsafeRawPointer(keyLengths)
    var other = others.baseAddress
    var otherLength = UnsafeRawPointer(otherLengths)
    var headOfValue = UnsafeRawPointer(heads)
    guard var row = rows.writable.baseAddress else { return }
    parts.withUnsafeBufferPointer { parts in
      places.withUnsafeMutableBufferPointer { places in
        for flag in flags {
          let start = row
          let keyCount = UInt16(littleEndian: keyLength.loadUnaligned(as: UInt16.self))
          keyLength += 2
          row += Format.Entry.prefixBytes
          if let from = key {
            copyRoughly(Int(keyCount), from: from, to: row)
            key = from + Int(keyCount)
            row += Int(keyCount)
          }
          var valueLength = Format.Entry.tombstone
          if flag == EntryFlag.shaped {
            let value = row
            for part in parts.indices {
              let bytes = parts[part].bytes(in: headOfValue)
              copyRoughly(bytes, from: places[part], to: row)
              places[part] += bytes
              row += bytes
            }
            headOfValue += headStride
            valueLength = UInt32(truncatingIfNeeded: row - value)
          } else if flag == EntryFlag.other {
            valueLength = UInt32(littleEndian: otherLength.loadUnaligned(as: UInt32.self))
            otherLength += 4
            if let from = other, valueLength > 0 {
              row.copyMemory(from: from, byteCount: Int(valueLength))
              other = from + Int(valueLength)
              row += Int(valueLength)
            }
          }
          start.storeBytes(of: valueLength.littleEndian, as: UInt32.self)
          start.storeBytes(of: keyCount.littleEndian, toByteOffset: 4, as: UInt16.self)
        }
      }
    }
    rows.setCount(rowBytes)
  }

  /// Frees the memory of an unusually large run.
  mutating func shrink(toAtMost limit: Int) { columns.shrink(toAtMost: limit) }
}

/// What is left of an arranged run.
private struct RunSource {
  private(set) var rest: UnsafeRawBufferPointer

  init(_ bytes: UnsafeRawBufferPointer) { rest = bytes }

  mutating func take(_ count: Int) throws(RunRestorer.Malformed) -> UnsafeRawBufferPointer {
    guard count <= rest.count else { throw RunRestorer.Malformed(reason: "a run that is cut") }
    defer { rest = rest.slice(count, rest.count) }
    return rest.slice(0, count)
  }
}

extension RawBuffer {
  /// Adds `rows` times `columns` bytes by column.
  fileprivate mutating func append(transposed source: UnsafeRawPointer, rows: Int, columns: Int) {
    if rows == 0 { return }
    reserve(count + rows * columns)
    if let target = writable.baseAddress { transpose(source, rows: rows, columns: columns, to: target + count) }
    setCount(count + rows * columns)
  }
}
