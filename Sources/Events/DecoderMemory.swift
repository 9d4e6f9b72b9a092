// All that one decoder has, made once.

import CSimdJSON

/// In raw memory, where each part is read when it is needed, and no references are counted: in the decoder itself, all of it would
/// be copied for every event.
struct DecoderMemory {
  let format: WireFormat
  let limits: DecodeLimits
  let names: EventNames
  let parser: OpaquePointer
  let nodes: UnsafeMutablePointer<tw_json_node>
  let slots: UnsafeMutablePointer<UInt32>
  var arena: PaddedArena

  init(format: WireFormat, limits: DecodeLimits) {
    self.format = format
    self.limits = limits
    let fields: FieldTable
    switch format {
    case .native:
      fields = FieldTable(NativeFormat.fields)
      names = NativeFormat.names
    case .segment:
      fields = FieldTable(SegmentFormat.fields)
      names = SegmentFormat.names
    }
    let maxFields = max(1, limits.maxFields)
    parser = fields.makeParser(maxBytes: max(0, limits.maxRecordBytes), maxDepth: limits.maxDepth, maxFields: maxFields)
    nodes = .allocate(capacity: maxFields)
    slots = .allocate(capacity: fields.slotCount)
    arena = PaddedArena(longest: max(1, limits.maxRecordBytes))
  }

  fileprivate func deallocate() {
    tw_json_parser_free(parser)
    nodes.deallocate()
    slots.deallocate()
    names.deallocate()
    arena.deallocate()
  }
}

/// Frees it behind the last copy of its decoder.
final class DecoderMemoryOwner {
  let memory: UnsafeMutablePointer<DecoderMemory>

  init(_ content: DecoderMemory) {
    memory = .allocate(capacity: 1)
    memory.initialize(to: content)
  }

  deinit {
    memory.pointee.deallocate()
    memory.deinitialize(count: 1)
    memory.deallocate()
  }
}
