// A scanned document as the formats see it: fields by slot, each read with its check. Every error is a RejectReason.

import CSimdJSON

/// Borrowed for the time of one decode, and only read: it may be the record itself.
struct ScannedDocument {
  let base: UnsafePointer<UInt8>
  let memory: UnsafeMutablePointer<DecoderMemory>
  let currencies: CurrencyTable

  var nodes: UnsafePointer<tw_json_node> { UnsafePointer(memory.pointee.nodes) }
  var limits: DecodeLimits { memory.pointee.limits }

  typealias Node = UnsafePointer<tw_json_node>

  /// The node in a slot; nil when the field is absent or null.
  @inline(__always)
  func node(_ slot: Int) -> Node? {
    let index = Int(memory.pointee.slots[slot])
    // 0 is the top level, no field.
    if index == 0 || isNull(nodes + index) { return nil }
    return nodes + index
  }

  func isKind(_ node: Node, _ kind: some BinaryInteger) -> Bool { Int(node.pointee.kind) == Int(kind) }
  func isNull(_ node: Node) -> Bool { isKind(node, TW_JSON_NULL) }

  func slice(_ node: Node) -> ByteSlice {
    ByteSlice(base: base + Int(node.pointee.at), count: Int(node.pointee.length))
  }

  // MARK: text

  /// The text of a node: a string, or a whole number as it is written. `wrong` when it is another kind.
  func text(
    _ node: Node?, limit: Int, wrong: RejectReason = .badField, tooLong: RejectReason = .fieldTooLong
  ) throws(RejectReason) -> ByteSlice {
    guard let node else { return .empty }
    let text = slice(node)
    if !isKind(node, TW_JSON_STRING) {
      guard isKind(node, TW_JSON_NUMBER), text.buffer.allSatisfy({ $0 >= 48 && $0 <= 57 }) else { throw wrong }
    }
    if text.count > limit { throw tooLong }
    return text
  }

  func text(_ slot: Int) throws(RejectReason) -> ByteSlice { try text(node(slot), limit: limits.maxTextBytes) }

  /// Text in the spelling of `Spelling`, so that spellings fall together.
  func cleaned(_ node: Node?, wrong: RejectReason = .badField) throws(RejectReason) -> ByteSlice {
    let text = try text(node, limit: limits.maxTextBytes, wrong: wrong)
    guard let start = text.base, !text.isEmpty else { return .empty }
    // Mostly it is clean.
    if start[0] > 0x20, start[text.count - 1] > 0x20, Self.isLowerASCII(text) { return text }
    return cleanedCopy(of: text)
  }

  /// Whether no byte is a capital letter or outside ASCII: eight of them at a time. The text is padded, and not empty.
  @inline(__always)
  private static func isLowerASCII(_ text: ByteSlice) -> Bool {
    guard let start = text.base.map({ UnsafeRawPointer($0) }) else { return true }
    let ones: UInt64 = 0x0101_0101_0101_0101
    func marks(_ word: UInt64) -> UInt64 {
      // Adding carries a byte of ASCII into its highest bit from a certain letter on.
      let low = word & (0x7f * ones)
      let fromA = low &+ UInt64(0x80 - UInt8(ascii: "A")) &* ones
      let behindZ = low &+ UInt64(0x80 - UInt8(ascii: "Z") - 1) &* ones
      return word | (fromA & ~behindZ)
    }
    func word(_ place: Int) -> UInt64 { marks(start.loadUnaligned(fromByteOffset: place, as: UInt64.self)) }
    var found: UInt64
    if text.count < 8 {
      // The text comes first in the word, and its padding is shifted out.
      let word = start.loadUnaligned(as: UInt64.self)
      found = marks(word &<< UInt64(64 &- 8 &* text.count))
    } else {
      // The last eight may overlap those before.
      found = word(0) | word(text.count &- 8)
      var place = 8
      while place < text.count &- 8 {
        found |= word(place)
        place &+= 8
      }
    }
    return found & (0x80 * ones) == 0
  }

  private func cleanedCopy(of text: ByteSlice) -> ByteSlice {
    guard let start = text.base else { return .empty }
    let base = memory.pointee.arena.take(text.count)
    base.update(from: start, count: text.count)
    var low = 0
    var high = text.count
    while low < high, base[low] <= 0x20 { low += 1 }
    while low < high, base[high - 1] <= 0x20 { high -= 1 }
    // Without a branch in it, so that 16 bytes are done at once.
    var seen: UInt8 = 0
    for i in low..<high {
      seen |= base[i]
      base[i] |= base[i] &- UInt8(ascii: "A") < 26 ? 0x20 : 0
    }
    if seen >= 0x80 {
      let found = UnsafeMutableBufferPointer(start: base + low, count: high - low)
      if Spelling.mayDiffer(UnsafeBufferPointer(found)) { high = low + Spelling.standardise(found) }
    }
    return low == high ? .empty : ByteSlice(base: UnsafePointer(base + low), count: high - low)
  }

  func cleaned(_ slot: Int) throws(RejectReason) -> ByteSlice { try cleaned(node(slot)) }

  /// The type of an event of this name, which is cleaned; nil when it is not known.
  func type(_ name: ByteSlice) -> EventType? { memory.pointee.names.type(name) }

  /// An id of a customer: not cleaned, for it must equal the record's key.
  func customer(_ node: Node?) throws(RejectReason) -> ByteSlice {
    try text(node, limit: limits.maxCustomerBytes, wrong: .badCustomer, tooLong: .customerTooLong)
  }

  // MARK: time

  /// RFC 3339 text or whole epoch milliseconds.
  func time(_ node: Node) throws(RejectReason) -> Instant {
    let text = slice(node).buffer
    if isKind(node, TW_JSON_STRING) {
      if let instant = Instant(rfc3339: text) { return instant }
    } else if isKind(node, TW_JSON_NUMBER), let instant = Instant(epochMilliseconds: text) {
      return instant
    }
    throw .badTimestamp
  }

  // MARK: money

  /// The currency in a slot, else the configured default.
  func currency(_ slot: Int) throws(RejectReason) -> Currency {
    guard let node = node(slot), node.pointee.length > 0 || !isKind(node, TW_JSON_STRING) else {
      guard let assumed = currencies.assumed else { throw .missingCurrency }
      return assumed
    }
    guard isKind(node, TW_JSON_STRING), let currency = Currency(bytes: slice(node).buffer) else {
      throw .unknownCurrency
    }
    return currency
  }

  /// An amount, `times` a quantity, from a number or a string that holds one.
  func money(_ node: Node, _ currency: Currency, times quantity: Int32 = 1) throws(RejectReason) -> Money {
    guard isKind(node, TW_JSON_NUMBER) || isKind(node, TW_JSON_STRING) else { throw .badAmount }
    return try currencies.convert(slice(node).buffer, currency: currency, times: quantity)
  }

  func discount(_ node: Node?, _ currency: Currency) throws(RejectReason) -> Money {
    guard let node else { return .zero }
    do {
      return try money(node, currency)
    } catch {
      throw error == .unknownCurrency ? error : .badDiscount
    }
  }

  /// A whole number from 0 to `maxQuantity`; 1 when absent.
  func quantity(_ node: Node?) throws(RejectReason) -> Int32 {
    guard let node else { return 1 }
    guard isKind(node, TW_JSON_NUMBER) || isKind(node, TW_JSON_STRING),
      let value = DecimalToken(slice(node).buffer)?.whole(limit: UInt64(limits.maxQuantity))
    else { throw .badQuantity }
    return Int32(value)
  }
}
