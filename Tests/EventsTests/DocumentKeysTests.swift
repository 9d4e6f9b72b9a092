// Keys of a document: which are the format's fields, and which are there twice.

import Events
import Testing

@Suite struct DocumentKeysTests {
  static let head = #"{"type":"login","customer":"c","ts":1772368496123"#
  static let wanted = [
    "id", "type", "customer", "ts", "order", "amount", "currency", "quantity", "category", "product", "channel",
    "coupon",
    "discount", "birth_date", "gender", "region", "occupation", "other", "alert_id",
  ]

  private func decoder(_ format: WireFormat = .native, fields: Int = 1024) throws -> EventDecoder {
    var limits = DecodeLimits()
    limits.maxFields = fields
    limits.maxRecordBytes = 8 << 20
    return EventDecoder(format: format, limits: limits, currencies: try testCurrencies())
  }

  /// Beginning alike, ending alike, both, and one within the other.
  private static func keys(_ kind: Int) -> [String] {
    (0...40).map { length in
      let same = String(repeating: "k", count: length)
      switch kind {
      case 0: return same
      case 1: return String(same.dropLast()) + (length > 0 ? "z" : "")
      case 2: return (length > 0 ? "a" : "") + same.dropFirst()
      default: return String("customer_customer_customer_customer_customer".prefix(length))
      }
    }
  }

  @Test(arguments: 0...3) func keysOfAllLengths(kind: Int) throws {
    var decoder = try decoder()
    // `customer` is there already.
    let keys = Self.keys(kind).filter { $0 != "customer" }
    let members = keys.map { #""\#($0)":1"# }
    #expect(decoder.decode(Self.head + "," + members.joined(separator: ",") + "}").reason == nil)
    for member in members {
      let twice = [Self.head] + members.shuffled() + [member + "}"]
      #expect(decoder.decode(twice.joined(separator: ",")).reason == .duplicateField, "\(member)")
    }
  }

  /// One byte more, less or other, also one that short keys are filled up with.
  @Test func aKeyThatIsNearlyAFieldIsNone() throws {
    var decoder = try decoder()
    let event = decoder.decode(Self.head + "}")
    #expect(event.reason == nil)
    for name in Self.wanted {
      for other in [
        name + "\\u0000", name + "_", "_" + name, String(name.dropLast()), String(name.dropFirst()), name.uppercased(),
      ] {
        #expect(decoder.decode(Self.head + #","\#(other)":{"x":[]}}"#) == event, "\(other)")
      }
    }
  }

  @Test func everyFieldIsThereOnce() throws {
    var decoder = try decoder()
    for name in Self.wanted {
      let reason = decoder.decode(Self.head + #","\#(name)":null,"x":[{"\#(name)":1}],"\#(name)":null}"#).reason
      #expect(reason == .duplicateField, "\(name)")
    }
  }

  @Test func escapesMakeNoOtherKey() throws {
    var decoder = try decoder()
    #expect(decoder.decode(Self.head + #","cust\u006fmer":"d"}"#).reason == .duplicateField)
    #expect(decoder.decode(Self.head + #","x":1,"\u0078":2}"#).reason == .duplicateField)
    #expect(decoder.decode(#"{"t\u0079pe":"login","\u0063ustomer":"c","ts":1772368496123,"y":"\n"}"#).customer == "c")
    #expect(decoder.decode(Self.head + #","x\u0000":1,"x":2,"x\u0000\u0000":3}"#).reason == nil)
  }

  @Test func objectsHaveKeysOfTheirOwn() throws {
    var decoder = try decoder(.segment)
    let head = #"{"type":"track","event":"Order Completed","userId":"u","timestamp":1772368496123"#
    let properties = #""order_id":"o","total":5,"currency":"CNY""#
    #expect(decoder.decode(head + #","properties":{\#(properties)}}"#).amount == 500)
    #expect(decoder.decode(head + #","total":7,"properties":{\#(properties),"x":{"total":6}}}"#).amount == 500)
    #expect(decoder.decode(head + #","properties":{\#(properties),"total":5}}"#).reason == .duplicateField)
    #expect(decoder.decode(head + #","properties":{\#(properties)},"properties":{}}"#).reason == .duplicateField)
    #expect(
      decoder.decode(head + #","properties":{\#(properties)},"context":{"traits":{"region":"r"},"traits":1}}"#).reason
        == .duplicateField)
    #expect(
      decoder.decode(head + #","properties":{\#(properties)},"x":{"y":{"z":1},"y":2}}"#).reason == .duplicateField)
    // Not an object: no fields in it.
    #expect(decoder.decode(head + #","properties":[{\#(properties)}]}"#).reason == .missingOrder)
    #expect(
      decoder.decode(head + #","originalTimestamp":"2026-01-01T00:00:00Z","originalTimestomp":"x"}"#).reason
        == .missingOrder)
  }

  /// However many there are: each costs the same, or this takes hours.
  @Test func manyKeys() throws {
    let count = 300_000
    var decoder = try decoder(fields: count + 10)
    let members = (0..<count).map { #""key\#($0)":\#($0)"# }.joined(separator: ",")
    #expect(decoder.decode(Self.head + "," + members + "}").reason == nil)
    #expect(decoder.decode(Self.head + "," + members + #","key0":0}"#).reason == .duplicateField)
    #expect(decoder.decode(Self.head + "," + members + #","ts":0}"#).reason == .duplicateField)
  }
}

/// A record that is not copied is the same event, stays as it is, and what follows it is not looked at.
@Suite struct DecodingInPlaceTests {
  @Test(arguments: 1...4 as ClosedRange<UInt64>, [WireFormat.native, .segment])
  func equalsDecodingACopy(seed: UInt64, format: WireFormat) throws {
    var random = SplitMix64(seed: seed)
    var generator = NativeEventGenerator(seed: seed)
    var copying = EventDecoder(format: format, currencies: try testCurrencies())
    var inPlace = EventDecoder(format: format, currencies: try testCurrencies())
    let pieces: [UInt8] = Array("\"\\{}[],:09 \n".utf8) + [0x80, 0xff]
    for round in 0..<600 {
      var record = Array(generator.next().utf8)
      if round % 4 == 0 { record.removeLast(Int.random(in: 0..<record.count, using: &random)) }
      if round % 5 == 0 {
        record[Int.random(in: 0..<record.count, using: &random)] = UInt8.random(in: 0...255, using: &random)
      }
      let padding: [UInt8] = (0..<EventDecoder.padding).map { _ in pieces.randomElement(using: &random) ?? 0 }
      let whole = record + padding
      let expected = copying.decode(record)
      var event = Event()
      whole.withUnsafeBytes { bytes in
        let reason = inPlace.decodeInPlace(
          UnsafeRawBufferPointer(rebasing: bytes[..<record.count]), origin: Origin(topic: 0, partition: 0, offset: 1),
          ceiling: testCeiling, into: &event)
        #expect(
          (reason.map { Decoded(reason: $0) } ?? Decoded(event)) == expected,
          "\(String(decoding: record, as: UTF8.self))")
      }
      #expect(whole == record + padding)
      if round % 50 == 0 {
        copying.reset()
        inPlace.reset()
      }
    }
  }
}
