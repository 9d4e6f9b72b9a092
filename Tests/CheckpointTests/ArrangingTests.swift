// Entries stored by field: they come back as they were, whatever the values, and bytes that are wrong inside are damage.
import Checkpoint
import CheckpointTesting
import Testing

private let parts: [ValueShape.Part] = [
  .fixed(bytes: 9), .elements(countAt: 0, stride: 2), .optional(flagsAt: 8, mask: 1, bytes: 12),
  .optional(flagsAt: 8, mask: 6, bytes: 3), .elements(countAt: 2, stride: 4), .fixed(bytes: 1),
  .elements(countAt: 4, stride: 32), .elements(countAt: 6, stride: 1),
]
private let shape = ValueShape(keyPrefix: 99, parts: parts)

/// A value of the shape, with at most so many elements in each part.
private func shaped(most: Int, like other: Bool, using random: inout SeededGenerator) -> Bytes {
  var counts = [3, 0, 1, 2].map { other ? Int.random(in: 0...most, using: &random) : $0 }
  if !other { counts[1] = Int.random(in: 0...most, using: &random) }
  let flags = UInt8.random(in: 0..<8, using: &random)
  let head = counts.flatMap { [UInt8(truncatingIfNeeded: $0), UInt8(truncatingIfNeeded: $0 >> 8)] } + [flags]
  let rest =
    2 * counts[0] + (flags & 1 != 0 ? 12 : 0) + (flags & 6 != 0 ? 3 : 0) + 4 * counts[1] + 1 + 32 * counts[2]
    + counts[3]
  return head + (0..<rest).map { _ in UInt8.random(in: 0...(Bool.random(using: &random) ? 1 : 255), using: &random) }
}

@Suite struct ArrangingTests {
  @Test func transposingIsDoneByteForByte() {
    for rows in Array(1...34) + [63, 64, 65, 71, 72, 130, 200] {
      for columns in Array(1...34) + [63, 64, 65, 71, 72, 130, 200] {
        let source = noise(rows * columns, seed: UInt64(rows * 1_000 + columns))
        var target = Bytes(repeating: 0, count: source.count + 1)
        var back = target
        target[source.count] = 77
        back[source.count] = 78
        source.withUnsafeBytes { source in
          target.withUnsafeMutableBytes { target in
            guard let from = source.baseAddress, let to = target.baseAddress else { return }
            transpose(from, rows: rows, columns: columns, to: to)
            back.withUnsafeMutableBytes { back in
              guard let home = back.baseAddress else { return }
              transpose(to, rows: columns, columns: rows, to: home)
            }
          }
        }
        let isRight = (0..<rows).allSatisfy { row in
          (0..<columns).allSatisfy { target[$0 * rows + row] == source[row * columns + $0] }
        }
        #expect(isRight, "\(rows) rows, \(columns) columns")
        #expect(back == source + [78] && target[source.count] == 77, "\(rows) rows, \(columns) columns")
      }
    }
  }

  @Test func whatNoValueCanBeIsNoShape() {
    let head = ValueShape.Part.fixed(bytes: 4)
    let impossible: [[ValueShape.Part]] = [
      [], [.elements(countAt: 0, stride: 1)], [.fixed(bytes: 0)], [.fixed(bytes: 4097)],
      [head, .elements(countAt: 3, stride: 1)], [head, .elements(countAt: -1, stride: 1)],
      [head, .elements(countAt: 0, stride: 0)], [head, .optional(flagsAt: 4, mask: 1, bytes: 1)],
      [head, .optional(flagsAt: 0, mask: 0, bytes: 1)], Array(repeating: head, count: 33),
    ]
    for parts in impossible { #expect(ValueShape(keyPrefix: 0, parts: parts) == nil, "\(parts)") }
    #expect(ValueShape(keyPrefix: 0, parts: Array(repeating: head, count: 32)) != nil)
  }

  /// Values of the shape, some of another length, of other keys, empty ones and removals, in any mixture; through log and
  /// base, read by a program that knows the shape and by one that does not.
  @Test(arguments: 0..<30 as Range<UInt64>) func everyRunComesBack(seed: UInt64) throws {
    var random = SeededGenerator(seed: seed)
    let disk = ModelDisk(seed: seed)
    let store = try openNewest(disk, shape: shape)
    var state: State = [:]
    var written: [(key: Bytes, value: Bytes?)] = []
    for epoch in 0..<6 as Range<UInt64> {
      var changes = Epoch()
      let isUniform = Bool.random(using: &random)
      let most = [0, 2, 40, 400].randomElement(using: &random)!
      for _ in 0..<[0, 1, 15, 16, 17, 200, 700].randomElement(using: &random)! {
        let key = [99] + noise(Int.random(in: 0...12, using: &random), seed: random.next() % 400)
        var value: Bytes? = shaped(most: most, like: !isUniform, using: &random)
        switch Int.random(in: 0..<20, using: &random) {
        case 0: value = nil
        case 1: value?.append(1)
        case 2: value?.removeLast()
        case 3: value = noise(Int.random(in: 0...9, using: &random))
        case 4: changes.changes.append(([98] + key, value))
        default: break
        }
        changes.changes.append((key, value))
      }
      if epoch == 3 { changes.changes.append(([], Bytes(repeating: 5, count: 70_000))) }
      try store.commit(changes, header(epoch))
      changes.apply(to: &state)
      written += changes.changes
      for reader in [store, try PartitionStore(opening: directory, on: disk.copy(seed: seed))] {
        var read: [(key: Bytes, value: Bytes?)] = []
        try reader.restore { read.append((Bytes($0), $1.map { Bytes($0) })) }
        #expect(read.elementsEqual(written) { $0.key == $1.key && $0.value == $1.value }, "epoch \(epoch)")
      }
    }
    #expect(try PartitionReport.verify(directory, on: disk).isSound)
    #expect(try store.rewriteNow())
    #expect(try store.state() == state)
    #expect(try PartitionReport.verify(directory, on: disk).liveKeyCount == UInt64(state.count))
  }

  /// As often in all values: written as one part of fixed length, as long as that may be.
  @Test(arguments: [0, 1, 127, 128, 129, 2_000]) func partsThatAllHaveAsOftenComeBack(elements: Int) throws {
    let disk = ModelDisk(seed: 1)
    let store = try openNewest(disk, shape: shape)
    var changes = Epoch()
    for number in 0..<40 as Range<UInt8> {
      let head: Bytes = [0, 0, 0, 0, UInt8(elements & 255), UInt8(elements >> 8), 0, 0, 0]
      changes.changes.append(([99, number], head + [number] + Bytes(repeating: number, count: 32 * elements)))
    }
    try store.commit(changes, header(0))
    var state: State = [:]
    changes.apply(to: &state)
    #expect(try store.state() == state)
    #expect(try store.rewriteNow())
    #expect(try store.state() == state)
  }

  /// Stores on several threads have one memory between them: whoever finds it taken makes do without.
  @Test func storesMayShareTheMemoryInWhichTheyArrange() async throws {
    let memory = ArrangingMemory()
    try await withThrowingTaskGroup(of: Void.self) { group in
      for seed in 0..<4 as Range<UInt64> {
        group.addTask {
          var random = SeededGenerator(seed: seed)
          let store = try PartitionStore(opening: directory, on: ModelDisk(seed: seed), shape: shape, memory: memory)
          try store.truncate(after: nil)
          var state: State = [:]
          for epoch in 0..<12 as Range<UInt64> {
            var changes = Epoch()
            for _ in 0..<Int.random(in: 100...400, using: &random) {
              let key = [99] + noise(6, seed: random.next() % 1_000)
              changes.changes.append((key, shaped(most: 20, like: true, using: &random)))
            }
            try store.commit(changes, header(epoch))
            changes.apply(to: &state)
            if epoch == 6 { store.releaseMemory() }
          }
          #expect(try store.state() == state, "store \(seed)")
        }
      }
      try await group.waitForAll()
    }
  }

  @Test func valuesOfAShapeTakeLessRoom() throws {
    func bytes(_ shape: ValueShape?) throws -> (log: UInt64, base: UInt64) {
      var random = SeededGenerator(seed: 5)
      let store = try openNewest(ModelDisk(seed: 1), shape: shape)
      let changes = (0..<2_000).map { number in
        // Amounts, of which two bytes are used.
        var value = shaped(most: 0, like: true, using: &random)
        let amounts = UInt8.random(in: 0...20, using: &random)
        value[2] = amounts
        value.removeLast()
        for _ in 0..<amounts {
          value += [.random(in: 0...255, using: &random), .random(in: 0...99, using: &random), 0, 0]
        }
        return (key: [99] + Bytes("\(number)".utf8), value: (value + [0]) as Bytes?)
      }
      try store.commit(Epoch(changes: changes), header(0))
      let log = store.logBytes
      #expect(try store.rewriteNow())
      return (log, store.baseBytes)
    }
    let (byField, byEntry) = (try bytes(shape), try bytes(nil))
    #expect(byField.log < byEntry.log * 9 / 10 && byField.base < byEntry.base * 9 / 10, "\(byField) \(byEntry)")
  }

  /// Some 20 values, by field.
  private func sample() throws -> (disk: ModelDisk, state: State) {
    var random = SeededGenerator(seed: 9)
    var changes = Epoch()
    for number in 0..<20 as Range<UInt8> {
      changes.changes.append(([99, number], shaped(most: 2, like: true, using: &random)))
    }
    changes.changes += [([1], [2, 3]), ([99, 200], [1])]
    return try forgeable(changes, shape: shape)
  }

  @Test(arguments: [log, base]) func everyChangedByteIsDamageOrOtherEntries(path: String) throws {
    let (disk, state) = try sample()
    let forgery = try Forgery(disk, path)
    let content = try decompressed(forgery.content)
    let rows = state.reduce(0) { $0 + 6 + $1.key.count + $1.value.count }
    #expect(content.count < rows, "by field, or nothing is tested here")
    #expect(try forgery.outcome(disk, forgery.bytes(compressed(content))) == state)
    var refused = 0
    for at in content.indices {
      for mask in [0x01, 0x80, 0xFF] as [UInt8] {
        var other = content
        other[at] ^= mask
        guard let found = try forgery.outcome(disk, forgery.bytes(compressed(other))) else {
          refused += 1
          continue
        }
        #expect(found.count <= state.count, "byte \(at)")
      }
    }
    // Of the parts, flags and lengths nearly all; of keys and values some.
    #expect(refused > 150)
  }

  @Test(arguments: [log, base]) func aRunThatIsCutIsDamage(path: String) throws {
    let (disk, _) = try sample()
    let forgery = try Forgery(disk, path)
    let content = try decompressed(forgery.content)
    for count in 0..<content.count {
      #expect(
        try forgery.outcome(disk, forgery.bytes(compressed(Array(content.prefix(count))))) == nil, "cut to \(count)")
    }
    #expect(try forgery.outcome(disk, forgery.bytes(compressed(content + [0]))) == nil)
  }

  /// An older program never wrote one.
  @Test func aFileOfAnOlderFormatHasNoRunByField() throws {
    let (disk, _) = try sample()
    let forgery = try Forgery(disk, log)
    var bytes = forgery.bytes(forgery.content)
    for place in [16, 64 + 12] { bytes[place] = 3 }
    setChecksum(&bytes, from: 0, to: 64)
    setChecksum(&bytes, from: 64, to: bytes.count)
    #expect(try forgery.outcome(disk, bytes) == nil)
  }
}
