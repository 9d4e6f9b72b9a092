// From the bytes of a record to a clean Event or the reason why not. What one format means is in its own file.

import CSimdJSON

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
  public let format: WireFormat
  public let limits: DecodeLimits
  private let currencies: CurrencyTable
  private let buffers: DecoderBuffers

  public init(format: WireFormat, limits: DecodeLimits = DecodeLimits(), currencies: CurrencyTable) {
    self.format = format
    self.limits = limits
    self.currencies = currencies
    buffers = DecoderBuffers(format: format, limits: limits)
  }

  /// Starts a new batch: the slices of all events decoded so far become invalid, their memory is used again.
  public mutating func reset() { buffers.arena.pointee.reset() }

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
    do {
      try decodeOrThrow(payload, key: key, ceiling: ceiling, into: &event)
    } catch {
      return error
    }
    event.origin = origin
    return nil
  }

  private func decodeOrThrow(
    _ payload: UnsafeRawBufferPointer, key: UnsafeRawBufferPointer?, ceiling: Instant, into event: inout Event
  ) throws(RejectReason) {
    guard let source = payload.baseAddress, payload.count > 0 else { throw .recordEmpty }
    if payload.count > limits.maxRecordBytes { throw .recordTooLarge }
    let copy = buffers.arena.pointee.take(payload.count)
    copy.update(from: source.assumingMemoryBound(to: UInt8.self), count: payload.count)
    let count = copy.withMemoryRebound(to: CChar.self, capacity: payload.count) {
      tw_json_scan(buffers.parser, $0, payload.count, buffers.nodes)
    }
    if count < 0 { throw RejectReason(scanCode: count) }
    buffers.fields.locate(buffers.nodes, count: Int(count), scopes: buffers.scopes, slots: buffers.slots)

    event = Event()
    let document = ScannedDocument(
      base: copy, nodes: UnsafePointer(buffers.nodes), slots: UnsafePointer(buffers.slots), limits: limits,
      currencies: currencies)
    switch format {
    case .native: try NativeFormat.decode(document, names: buffers.names, into: &event)
    case .segment: try SegmentFormat.decode(document, names: buffers.names, into: &event)
    }
    try finish(&event, key: key, ceiling: ceiling)
  }

  /// What holds in every format.
  private func finish(_ event: inout Event, key: UnsafeRawBufferPointer?, ceiling: Instant) throws(RejectReason) {
    if let key, !event.customer.equals(key) { throw .keyMismatch }
    if event.time > ceiling + limits.maxAhead { throw .timestampInFuture }
    if event.time < limits.oldest { throw .timestampTooOld }
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

/// Memory of one decoder, made once.
private final class DecoderBuffers {
  let parser: OpaquePointer
  let nodes: UnsafeMutablePointer<tw_json_node>
  let scopes: UnsafeMutablePointer<UInt8>
  let slots: UnsafeMutablePointer<Int32>
  let fields: FieldTable
  let names: EventNames
  // In raw memory: a property of a class is watched for overlapping accesses, at every one of them.
  let arena: UnsafeMutablePointer<PaddedArena>

  init(format: WireFormat, limits: DecodeLimits) {
    switch format {
    case .native:
      fields = FieldTable(NativeFormat.fields)
      names = NativeFormat.names
    case .segment:
      fields = FieldTable(SegmentFormat.fields)
      names = SegmentFormat.names
    }
    let maxFields = max(1, limits.maxFields)
    parser = tw_json_parser_new(
      max(0, limits.maxRecordBytes), Int32(clamping: limits.maxDepth), Int32(clamping: maxFields))
    nodes = .allocate(capacity: maxFields)
    scopes = .allocate(capacity: maxFields)
    slots = .allocate(capacity: fields.slotCount)
    arena = .allocate(capacity: 1)
    arena.initialize(to: PaddedArena(longest: max(1, limits.maxRecordBytes)))
  }

  deinit {
    tw_json_parser_free(parser)
    nodes.deallocate()
    scopes.deallocate()
    slots.deallocate()
    arena.pointee.deallocate()
    arena.deinitialize(count: 1)
    arena.deallocate()
  }
}

/// Bytes that live until `reset()`, each run followed by readable padding. Chunks are added, never moved.
private struct PaddedArena {
  private var chunks: [UnsafeMutablePointer<UInt8>] = []
  private var chunk = 0
  private var used = 0
  private let capacity: Int

  init(longest: Int) {
    capacity = max(longest, 1 << 20)
    addChunk()
  }

  /// `count` bytes, at most `longest`. The padding of a run is where the next one goes: its content does not matter.
  mutating func take(_ count: Int) -> UnsafeMutablePointer<UInt8> {
    if used + count > capacity {
      chunk += 1
      used = 0
      if chunk == chunks.count { addChunk() }
    }
    defer { used += count }
    return chunks[chunk] + used
  }

  mutating func reset() {
    chunk = 0
    used = 0
  }

  private mutating func addChunk() {
    let size = capacity + Int(TW_JSON_PADDING)
    let bytes = UnsafeMutablePointer<UInt8>.allocate(capacity: size)
    bytes.initialize(repeating: 0, count: size)
    chunks.append(bytes)
  }

  func deallocate() {
    for bytes in chunks { bytes.deallocate() }
  }
}
