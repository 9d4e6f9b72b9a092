// From the bytes of a record to a clean Event or the reason why not. What one format means is in its own file.

import CSimdJSON
import Glibc

/// The wire format of an input topic. A further one is a case here and a file like NativeFormat.swift.
public enum WireFormat: String, CaseIterable, Sendable {
  case native
  case segment
}

/// Decodes and cleans events. One per thread: a copy shares its arena and buffers with the original.
///
/// Slices of decoded events point into the decoder's arena and stay valid until `reset()` or the decoder's end.
/// In a steady state nothing is allocated.
public struct EventDecoder {
  private let currencies: CurrencyTable
  private let owner: DecoderMemoryOwner
  private let memory: UnsafeMutablePointer<DecoderMemory>

  public var format: WireFormat { memory.pointee.format }
  public var limits: DecodeLimits { memory.pointee.limits }

  public init(format: WireFormat, limits: DecodeLimits = DecodeLimits(), currencies: CurrencyTable) {
    self.currencies = currencies
    owner = DecoderMemoryOwner(DecoderMemory(format: format, limits: limits))
    memory = owner.memory
  }

  /// Starts a new batch: the slices of all events decoded so far become invalid, their memory is used again.
  public mutating func reset() { memory.pointee.arena.reset() }

  /// Decodes one record.
  /// - Parameters:
  ///   - key: the record's Kafka key, which must equal the customer id; nil for a replayed file, which has none.
  ///   - ceiling: the record's broker timestamp; in a file the time of the run. An event later than this and
  ///     `limits.maxAhead` is refused.
  ///   - event: set whole when nil is returned, undefined otherwise.
  /// - Returns: nil when the record is a clean event.
  public mutating func decode(
    _ payload: UnsafeRawBufferPointer, key: UnsafeRawBufferPointer?, origin: Origin, ceiling: Instant,
    into event: inout Event
  ) -> RejectReason? {
    // Nothing else says that what it owns is still needed.
    defer { withExtendedLifetime(owner) {} }
    do {
      try decodeOrThrow(payload, key: key, isPadded: false, ceiling: ceiling, into: &event)
    } catch {
      return error
    }
    event.origin = origin
    return nil
  }

  /// Bytes that must be readable behind a record that is decoded where it is. Their content does not matter.
  public static var padding: Int { Int(TW_JSON_PADDING) }

  /// The same of a record that is not copied: the event's slices may point into it as well, so it has to stay as it is for as
  /// long as they are looked at. It is not changed.
  /// - Parameter payload: `padding` readable bytes follow it.
  public mutating func decodeInPlace(
    _ payload: UnsafeRawBufferPointer, origin: Origin, ceiling: Instant, into event: inout Event
  ) -> RejectReason? {
    defer { withExtendedLifetime(owner) {} }
    do {
      try decodeOrThrow(payload, key: nil, isPadded: true, ceiling: ceiling, into: &event)
    } catch {
      return error
    }
    event.origin = origin
    return nil
  }

  private func decodeOrThrow(
    _ payload: UnsafeRawBufferPointer, key: UnsafeRawBufferPointer?, isPadded: Bool, ceiling: Instant,
    into event: inout Event
  ) throws(RejectReason) {
    guard let source = payload.baseAddress, payload.count > 0 else { throw .recordEmpty }
    if payload.count > memory.pointee.limits.maxRecordBytes { throw .recordTooLarge }
    // Strings with escapes are unescaped where they are.
    let escapes = memchr(source, Int32(UInt8(ascii: "\\")), payload.count) != nil
    var record = UnsafeMutablePointer(mutating: source.assumingMemoryBound(to: UInt8.self))
    if escapes || !isPadded {
      let copy = memory.pointee.arena.take(payload.count)
      copy.update(from: record, count: payload.count)
      record = copy
    }
    let count = record.withMemoryRebound(to: CChar.self, capacity: payload.count) {
      tw_json_scan(
        memory.pointee.parser, $0, payload.count, escapes, memory.pointee.nodes, memory.pointee.slots)
    }
    if count < 0 { throw RejectReason(scanCode: count) }

    event = Event()
    let document = ScannedDocument(base: UnsafePointer(record), memory: memory, currencies: currencies)
    switch memory.pointee.format {
    case .native: try NativeFormat.decode(document, into: &event)
    case .segment: try SegmentFormat.decode(document, into: &event)
    }
    try finish(&event, key: key, ceiling: ceiling)
  }

  /// What holds in every format.
  private func finish(_ event: inout Event, key: UnsafeRawBufferPointer?, ceiling: Instant) throws(RejectReason) {
    if let key, !event.customer.equals(key) { throw .keyMismatch }
    if event.time > ceiling + memory.pointee.limits.maxAhead { throw .timestampInFuture }
    if event.time < memory.pointee.limits.oldest { throw .timestampTooOld }
    switch event.type {
    case .orderPlaced, .orderCancelled:
      if event.orderHash == 0 { throw .missingOrder }
    case .orderPaid:
      if event.orderHash == 0 { throw .missingOrder }
      if !event.hasAmount { throw .missingAmount }
    case .orderRefunded:
      // A refund without an amount takes back the whole order; without an order it is the customer's.
      if event.orderHash == 0, !event.hasAmount { throw .missingAmount }
    case .identityLink, .alertAck:
      if event.reference.isEmpty { throw .missingReference }
    default: break
    }
    if !event.id.isEmpty { event.idHash = event.id.hash() }
    if !event.product.isEmpty { event.productHash = event.product.hash() }
  }
}

extension RejectReason {
  /// The reason for a negative result of `tw_json_scan`.
  init(scanCode: Int32) {
    switch Int(scanCode) {
    case Int(TW_JSON_NOT_AN_OBJECT): self = .notAnObject
    case Int(TW_JSON_DUPLICATE_KEY): self = .duplicateField
    case Int(TW_JSON_TOO_DEEP): self = .tooDeep
    case Int(TW_JSON_TOO_MANY_NODES): self = .tooManyFields
    case Int(TW_JSON_INVALID_UTF8): self = .invalidUTF8
    case Int(TW_JSON_TOO_LARGE): self = .recordTooLarge
    case Int(TW_JSON_EMPTY): self = .recordEmpty
    default: self = .malformedJSON
    }
  }
}
