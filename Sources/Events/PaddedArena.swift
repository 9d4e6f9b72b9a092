// Memory of the texts that one decoder changes or copies.

import CSimdJSON

/// Bytes that live until `reset()`, each run followed by readable padding. Chunks are added, never moved.
struct PaddedArena {
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
