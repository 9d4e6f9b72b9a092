// Packed records: what goes in comes out, and damage is noticed or harmless, never a crash.

import Customers
import ReferenceTesting
import Testing

@Suite struct RecordPackerTests {
  @Test("every run comes back", arguments: testSeeds(200)) func roundTrip(seed: UInt64) throws {
    var random = Seeded(seed)
    var packer = RecordPacker()
    var runs: [[UInt8]] = []
    for _ in 0..<Int.random(in: 0...3, using: &random) {
      let zeros = Int.random(in: 0...100, using: &random)
      let run = (0..<Int.random(in: 0...300, using: &random)).map { _ in
        Int.random(in: 0..<100, using: &random) < zeros ? 0 : UInt8.random(in: 0...255, using: &random)
      }
      run.withUnsafeBytes { packer.append($0) }
      runs.append(run)
    }
    let packed = Array(packer.bytes)
    packer.removeAll()
    var place = 0
    for run in runs { try packed.withUnsafeBytes { try packer.unpack(run.count, from: $0, at: &place) } }
    #expect(Array(packer.bytes) == runs.flatMap(\.self))
    #expect(place == packed.count)
  }

  @Test("zeros cost an eighth") func size() {
    var packer = RecordPacker()
    [UInt8](repeating: 0, count: 800).withUnsafeBytes { packer.append($0) }
    #expect(packer.bytes.count == 100)
  }

  @Test("damage is refused or unpacks to something", arguments: testSeeds(200)) func damage(seed: UInt64) {
    var random = Seeded(seed)
    var packer = RecordPacker()
    let run = (0..<200).map { _ in UInt8.random(in: 0...3, using: &random) }
    run.withUnsafeBytes { packer.append($0) }
    var packed = Array(packer.bytes)
    switch seed % 3 {
    case 0: packed.removeLast(Int.random(in: 1..<packed.count, using: &random))
    case 1: packed[Int.random(in: 0..<packed.count, using: &random)] ^= 1 << UInt8.random(in: 0..<8, using: &random)
    default:
      packed = (0..<Int.random(in: 1...64, using: &random)).map { _ in UInt8.random(in: 0...255, using: &random) }
    }
    let isCut = seed % 3 == 0
    do {
      packer.removeAll()
      var place = 0
      try packed.withUnsafeBytes { try packer.unpack(run.count, from: $0, at: &place) }
      #expect(!isCut, "a cut record was accepted")
    } catch { #expect("\(error)".contains("packed customer record")) }
  }
}
