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

  /// Counts and blocks that do not add up are refused; other values are none of the table's business.
  @Test(arguments: testSeeds(6)) func aChangedByteIsRefusedOrKept(seed: UInt64) throws {
    let encoded = try record(seed: seed)
    var refused = 0
    for at in encoded.indices {
      var changed = encoded
      changed[at] ^= 0x40
      let other = try harness()
      do {
        try other.restore(Self.customer, changed)
        #expect(other.encoded(Self.customer) == changed, "byte \(at)")
      } catch { refused += 1 }
    }
    // The eight counts, two bytes each, and the byte of blocks.
    #expect(refused == 17)
  }
}
