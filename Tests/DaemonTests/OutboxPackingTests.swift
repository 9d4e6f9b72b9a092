// The outbox as a block holds it: what goes in comes out, and what is not whole is refused.

import Daemon
import Engine
import Events
import ReferenceTesting
import Testing

@Suite struct OutboxPackingTests {
  /// Texts that are much alike, as outputs are, with some noise between.
  private func sample(_ random: inout Seeded, lines: Int) -> [UInt8] {
    var bytes: [UInt8] = []
    for line in 0..<lines {
      bytes += Array(
        #"{"customer":"c-\#(random.index(1_000_000))","tag":"value.high","old":null,"sequence":\#(line)}"#.utf8)
      if random.chance(0.2) { bytes += (0..<random.index(50)).map { _ in UInt8(random.index(256)) } }
    }
    return bytes
  }

  @Test(arguments: testSeeds(50)) func comesBackWhole(seed: UInt64) {
    var random = Seeded(seed)
    let bytes = sample(&random, lines: 1 + random.index(300))
    #expect(Outbox.unpack(Outbox.pack(bytes)) == bytes)
  }

  @Test func nothingComesBackAsNothing() { #expect(Outbox.unpack(Outbox.pack([])) == []) }

  /// The state of a release before the packing may wait for its outbox to be sent again.
  @Test func whatWasNotPackedIsStillRead() {
    var buffer = OutputBuffer()
    for number in 0..<20 {
      let start = buffer.bytes.count
      buffer.bytes += Array("c-\(number)1-\(number){}".utf8)
      let end = buffer.bytes.count
      buffer.entries.append(
        OutputBuffer.Entry(
          topic: .churnAlerts, key: start..<start + 3, id: start + 3..<end - 2, value: end - 2..<end,
          emittedAt: Instant(microseconds: Int64(number))))
    }
    let bytes = Outbox.encode(buffer)
    for outbox in [bytes, Outbox.pack(bytes)] {
      #expect(Outbox.read(outbox).map { Outbox.encode($0) } == bytes)
      #expect(Outbox.read(Array(outbox.dropLast())) == nil)
    }
    #expect(Outbox.read([])?.isEmpty == true)
    #expect(Outbox.read(Outbox.pack([]))?.isEmpty == true)
  }

  @Test func outputsTakeAFractionOfTheirBytes() {
    var random = Seeded(1)
    let bytes = sample(&random, lines: 2_000)
    #expect(Outbox.pack(bytes).count < bytes.count / 2)
  }

  @Test(arguments: testSeeds(200)) func damageIsRefusedOrHarmless(seed: UInt64) {
    var random = Seeded(seed)
    let bytes = sample(&random, lines: 1 + random.index(20))
    var packed = Outbox.pack(bytes)
    if random.chance(0.5) {
      packed.removeLast(1 + random.index(packed.count))
      #expect(Outbox.unpack(packed) == nil)
    } else {
      // The block's checksum finds this first; here it must only not be read beyond its end.
      packed[random.index(packed.count)] ^= 1 << UInt8(random.index(8))
      _ = Outbox.unpack(packed)
    }
  }
}
