// Memory for the variable part of customer records: size classes with free lists, carved from large chunks.

/// Hands out raw blocks in multiples of `granule`. One owner thread; frees everything when it goes.
struct TailArena: ~Copyable {
  /// Bytes: also the alignment of every block.
  static let granule = 16
  static let pageBytes = 4096
  private static let chunkBytes = 1 << 20
  /// Larger blocks come straight from the system allocator.
  static let largestPooled = pageBytes

  private var chunks: [UnsafeMutableRawPointer] = []
  private var chunkUsed = TailArena.chunkBytes
  /// Head of the free list of each size class; the first word of a free block points to the next.
  private var free: [UnsafeMutableRawPointer?]
  private(set) var bytesInUse = 0
  private(set) var bytesReserved = 0

  init() { free = Array(repeating: nil, count: TailArena.largestPooled / TailArena.granule + 1) }

  deinit { for chunk in chunks { chunk.deallocate() } }

  /// At the arena's end: gives back what does not lie in its chunks.
  static func release(_ block: UnsafeMutableRawPointer, capacity: Int) {
    if capacity > largestPooled { block.deallocate() }
  }

  /// The capacity that a request for `bytes` gets. Small blocks get no slack, since most customers are small and grow
  /// rarely; larger ones an eighth or a quarter, so that growth is amortised.
  static func capacity(for bytes: Int) -> Int {
    if bytes <= 512 { return max(granule, (bytes + granule - 1) / granule * granule) }
    let wanted = bytes + bytes / 8
    if wanted <= largestPooled { return (wanted + granule - 1) / granule * granule }
    return (bytes + bytes / 4 + pageBytes - 1) / pageBytes * pageBytes
  }

  /// `capacity` must come from `capacity(for:)`. Aligned to 16 bytes; contents undefined.
  mutating func allocate(capacity: Int) -> UnsafeMutableRawPointer {
    bytesInUse += capacity
    guard capacity <= TailArena.largestPooled else {
      bytesReserved += capacity
      return UnsafeMutableRawPointer.allocate(byteCount: capacity, alignment: 16)
    }
    let sizeClass = capacity / TailArena.granule
    if let block = free[sizeClass] {
      free[sizeClass] = block.load(as: UnsafeMutableRawPointer?.self)
      return block
    }
    if chunkUsed + capacity > TailArena.chunkBytes {
      chunks.append(UnsafeMutableRawPointer.allocate(byteCount: TailArena.chunkBytes, alignment: 64))
      bytesReserved += TailArena.chunkBytes
      chunkUsed = 0
    }
    defer { chunkUsed += capacity }
    return chunks[chunks.count - 1] + chunkUsed
  }

  mutating func deallocate(_ block: UnsafeMutableRawPointer, capacity: Int) {
    bytesInUse -= capacity
    guard capacity <= TailArena.largestPooled else {
      bytesReserved -= capacity
      block.deallocate()
      return
    }
    let sizeClass = capacity / TailArena.granule
    block.storeBytes(of: free[sizeClass], as: UnsafeMutableRawPointer?.self)
    free[sizeClass] = block
  }
}
