// How customers lie in a checkpoint: what the store, which does not know what a record means, has to know of its layout.

import Checkpoint
import Customers
import Engine

extension ValueShape {
  /// Of the records that the engine saves.
  package static let customers = ValueShape(
    keyPrefix: EngineTask.customerKind,
    parts: CustomerRecord.encodedParts.map { part in
      switch part {
      case .header(let bytes): .fixed(bytes: bytes)
      case .elements(let at, let stride): .elements(countAt: at, stride: stride)
      case .block(let at, let bit, let bytes): .optional(flagsAt: at, mask: bit, bytes: bytes)
      }
    })
}
