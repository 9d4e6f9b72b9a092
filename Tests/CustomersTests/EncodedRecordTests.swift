// Records as a checkpoint has them: what goes in comes out, and what is not such a record is refused.

import Customers
import Events
import ReferenceTesting
import Testing

@Suite struct EncodedRecordTests {
  private static let customer = "customer-1"

  private func harness(seed: UInt64 = 1) throws -> RecordHarness {
    RecordHarness(calendar: try ZonedCalendar(identifier: "Europe/London"), seed: seed)
  }

  /// A customer with some history.
  private func record(seed: UInt64) throws -> [UInt8] {
    let harness = try harness()
    var options = StreamOptions()
    options.customer = Self.customer
    options.visits = 1 + Int(seed % 20)
    for event in EventStream(seed: seed, options: options).arrivals { harness.apply(event) }
    return try #require(harness.encoded(Self.customer))
  }

  @Test(arguments: testSeeds(40)) func whatWasRestoredIsWrittenAgainByteForByte(seed: UInt64) throws {
    let encoded = try record(seed: seed)
    let other = try harness(seed: 2)
    // Also over another version of the same customer.
    try other.restore(Self.customer, try record(seed: seed + 1))
    try other.restore(Self.customer, encoded)
    #expect(other.encoded(Self.customer) == encoded)
  }

  /// A store that is told the parts keeps records by field: nothing may be left out, nor come twice.
  @Test(arguments: testSeeds(20)) func thePartsAddUp(seed: UInt64) throws {
    let encoded = try record(seed: seed)
    var bytes = 0
    for part in CustomerRecord.encodedParts {
      switch part {
      case .header(let count): bytes += count
      case .elements(let at, let stride): bytes += (Int(encoded[at]) | Int(encoded[at + 1]) << 8) * stride
      case .block(let at, let bit, let count): bytes += encoded[at] & bit != 0 ? count : 0
      }
    }
    #expect(bytes == encoded.count)
  }

  @Test(arguments: testSeeds(6)) func aRecordOfAnotherLengthIsRefused(seed: UInt64) throws {
    let encoded = try record(seed: seed)
    let other = try harness()
    for count in encoded.indices {
      #expect(throws: RecordError.self, "cut to \(count)") {
        try other.restore(Self.customer, Array(encoded[..<count]))
      }
    }
    for more in [1, 8, 4000] {
      #expect(throws: RecordError.self) {
        try other.restore(Self.customer, encoded + [UInt8](repeating: 0, count: more))
      }
    }
    #expect(throws: RecordError.self, "the key is of another length") { try other.restore("customer", encoded) }
    #expect(other.encoded(Self.customer) == nil, "nothing of what was refused is there")
  }

  /// What a record of this stream was before more of it stood as differences.
  private static let before04 = (
    seed: 12 as UInt64,
    hexDigits: """
    00000a00090000000100050004001f00e0d65217080100000000000000000000bd246e27034a05005830cd62db000000b81a7442cdcebf00\
    5d7143a7000000000000000005070000000400000002000000020000000200000003000000238208000000000078e5050000000000ee3e25\
    01084905004863bf35134905009f11968b0400000065f4a0c427490500e91900000e0000000f00000003000000f302ad58f302ad58f302ad\
    58f302ad588e896eddddb7d5e7ee3e2501084905006901000000000300000000000000000030c7b6ce203104084fc027c60d49050081d303\
    0000000b000000000000000000a97b161752f620b04fc027c60d490500000000000000100050100000000001000032fb86d7dd619ea95129\
    aa0e49050070000000000003000000000000000000f5d015690df3c9fd5f478e5a124905001f000000000007000000000000000000cf9810\
    6f3e85ce3b9caeb9a412490500cc6a000000000b00ffffffffffff0100666e93f2b96df34c4863bf3513490500db40040000000b006d2002\
    00000001004bbf980c1b3237fee0cc797d1a49050000000000000006000000000000000000cc39473d48ca59d95232019f1d490500030100\
    0000000f000000000000000000730d0d9cdb7986cea28ebc5802000000a147a34105000000cce83941080000003479d74009000000b0192b\
    410b000000881c3941030000005323124204000000b20f37400a000000e35428420c000000797fa341020841430110414302284143016041\
    43017841430180414301a0414303084243011042430d2842430138424302404243014842430460424305684243027842430180424303a042\
    4301b042430208434301204343015843430360434302684343018843430190434302a04343016844430170444301704a4301704e43
    """
  )

  private static var recordBefore04: [UInt8] { bytes(before04.hexDigits) }

  private static func bytes(_ hexDigits: String) -> [UInt8] {
    let digits = hexDigits.compactMap { $0.hexDigitValue }
    return stride(from: 0, to: digits.count, by: 2).map { UInt8(digits[$0] << 4 | digits[$0 + 1]) }
  }

  @Test func aRecordOfAnOlderReleaseIsRead() throws {
    let restored = try harness(seed: 2)
    try restored.restore(Self.customer, Self.recordBefore04)
    #expect(try restored.encoded(Self.customer) == record(seed: Self.before04.seed))
  }

  /// `eventful()` as 0.4 writes it.
  private static let eventful04 = """
    00000a00040000000100060004001400aa201d541d0a000000000000000000000f45d4668617050002178be90f020000000000000aa61000\
    d90b93ac0000000000000000cf00000000000000000100000000000000000000000000000000000000000000000000000000000000000000\
    00000000000000000000000000000000000000000000000000000000000b0000000a0000000a0000000400000003000000030000004f7205\
    00000000000f460500000000001586afca18ef040079fc80fc3af404000baa59426a000000e8f0ffff0b0000001100000003000000165a4a\
    5399b2315399b23153165a4a5307000000004e72530000000000000000000000000000000007000000644e725300000000c2d59301ee8720\
    6b563f7871973ff003b51205004b06000000000b000000000000000000957c335a51e0c8daa21f3dae4d1305000000000000000b00000000\
    000000020004e19fa3fdc27b88172e13f185140500af09020000000b0000000000000000003b1fa8715ad1488b67e34f3f6a150500770100\
    00000003000000000000000000e8c57c14f0fd473200000000030000002abd61410400000038ba9841050000001f95864107000000d85a00\
    410d000000a5220c410f00000086ef9b410200000097a57f4106000000699cfd41080000001dbc95410e0000000900000001905800019002\
    000178040001780f00017817000190000001101000032800000158000002a800000160010001080100022800000130000002400000016800\
    0001a0000001b000000178050001781500
    """

  /// A customer with refunds, orders that left the list, alerts and several channels.
  private func eventful() throws -> RecordHarness {
    var limits = RecordLimits()
    limits.maxOrders = 4
    let harness = RecordHarness(calendar: try ZonedCalendar(identifier: "Europe/London"), limits: limits)
    var options = StreamOptions()
    options.customer = Self.customer
    options.visits = 40
    for event in EventStream(seed: 5, options: options).arrivals { harness.apply(event) }
    var alerts = AlertState()
    alerts.churn.number = 7
    alerts.churn.crossedAtSeconds = 1_400_000_000
    alerts.lastNumber = 7
    alerts.lastRaisedSeconds = 1_400_000_100
    alerts.judgedAtSeconds = 1_390_000_000
    harness.setAlerts(Self.customer, alerts)
    return harness
  }

  /// What this release writes is read by later ones: whoever changes what a record is a difference to finds it here.
  @Test func theBytesOfARecordStayTheSame() throws {
    let harness = try eventful()
    let encoded = try #require(harness.encoded(Self.customer))
    #expect(encoded == Self.bytes(Self.eventful04))
    let other = try self.harness(seed: 2)
    try other.restore(Self.customer, encoded)
    #expect(other.encoded(Self.customer) == encoded)
  }

  /// Instants that no event has, in the header or in an order, are kept all the same.
  @Test(arguments: [32, 32 + 8, 69 + 72 + 32 + 8] as [Int], [Int64.max, .min, 1 << 52, -(1 << 52), (1 << 52) - 1])
  func instantsBeyondAnyCalendarComeBack(at place: Int, microseconds: Int64) throws {
    var encoded = Self.recordBefore04
    withUnsafeBytes(of: microseconds.littleEndian) { encoded.replaceSubrange(place..<place + 8, with: $0) }
    let one = try harness()
    try one.restore(Self.customer, encoded)
    let other = try harness()
    try other.restore(Self.customer, try #require(one.encoded(Self.customer)))
    #expect(other.logicalBytes(Self.customer) == one.logicalBytes(Self.customer))
    #expect(other.encoded(Self.customer) == one.encoded(Self.customer))
  }

  /// Counts and blocks that do not add up are refused; other values are none of the table's business.
  @Test(arguments: testSeeds(6)) func aChangedByteIsRefusedOrKept(seed: UInt64) throws {
    let encoded = try record(seed: seed)
    var refused = 0
    var spelledAnew = 0
    for at in encoded.indices {
      var changed = encoded
      changed[at] ^= 0x40
      let other = try harness()
      do {
        try other.restore(Self.customer, changed)
        let third = try harness()
        try third.restore(Self.customer, try #require(other.encoded(Self.customer)))
        #expect(third.logicalBytes(Self.customer) == other.logicalBytes(Self.customer), "byte \(at)")
        if other.encoded(Self.customer) != changed { spelledAnew += 1 }
      } catch { refused += 1 }
    }
    // The eight counts, two bytes each. (The bit in the byte of blocks says how instants are written.)
    #expect(refused == 16)
    // Only instants can be written in two ways: three of the header, and one of each order and cart entry.
    let instants = 3 + Int(encoded[4]) + Int(encoded[6])
    #expect(spelledAnew <= 1 + 8 * instants)
  }
}
