// Memory for the variable part of customer records. Blocks of one size lie together in slabs, and a slab whose last block
// is given back serves any other size: customers who grow together leave their old sizes behind together.

/// Hands out raw blocks in multiples of `granule`. One owner thread; frees everything when it goes.
package struct TailArena: ~Copyable {
  /// Bytes: also the alignment of every block.
  package static let granule = 16
  static let pageBytes = 4096
  /// Larger blocks come straight from the system allocator.
  static let largestPooled = pageBytes
  private static let chunkBytes = 1 << 20
  /// Also the alignment of a slab, so that a block's slab follows from its address.
  private static let slabBytes = 1 << 15

  /// What stands at the beginning of a slab.
  private struct Slab {
    /// Neighbours in the list of its size's slabs with room, or of the empty ones.
    var next: UnsafeMutablePointer<Slab>?
    var previous: UnsafeMutablePointer<Slab>?
    /// Blocks given back; the first word of each points to the next.
    var free: UnsafeMutableRawPointer?
    /// Bytes of each block.
    var blockBytes: UInt32
    /// Where the blocks begin that were never handed out, from the slab's beginning.
    var fresh: UInt32
    var blocksInUse: UInt32

    static let headerBytes = 64
    var hasRoom: Bool { free != nil || Int(fresh + blockBytes) <= TailArena.slabBytes }
  }

  private var chunks: [UnsafeMutableRawPointer] = []
  private var chunkUsed = TailArena.chunkBytes
  /// By size class: the first slab that has room.
  private var withRoom: [UnsafeMutablePointer<Slab>?]
  /// Slabs without a block in use.
  private var empty: UnsafeMutablePointer<Slab>?
  package private(set) var bytesInUse = 0
  package private(set) var bytesReserved = 0

  package init() { withRoom = Array(repeating: nil, count: TailArena.largestPooled / TailArena.granule + 1) }

  deinit { for chunk in chunks { chunk.deallocate() } }

  /// At the arena's end: gives back what does not lie in its chunks.
  package static func release(_ block: UnsafeMutableRawPointer, capacity: Int) {
    if capacity > largestPooled { block.deallocate() }
  }

  /// The capacity that a request for `bytes` gets. Small blocks get no slack, since most customers are small and grow
  /// rarely; larger ones an eighth or a quarter, so that growth is amortised.
  package static func capacity(for bytes: Int) -> Int {
    if bytes <= 512 { return max(granule, (bytes + granule - 1) / granule * granule) }
    let wanted = (bytes + bytes / 8 + 63) / 64 * 64
    if wanted <= largestPooled { return wanted }
    return (bytes + bytes / 4 + pageBytes - 1) / pageBytes * pageBytes
  }

  /// `capacity` must come from `capacity(for:)`. Aligned to 16 bytes; contents undefined.
  package mutating func allocate(capacity: Int) -> UnsafeMutableRawPointer {
    bytesInUse += capacity
    guard capacity <= TailArena.largestPooled else {
      bytesReserved += capacity
      return UnsafeMutableRawPointer.allocate(byteCount: capacity, alignment: 16)
    }
    let sizeClass = capacity / TailArena.granule
    let slab = withRoom[sizeClass] ?? makeSlab(blockBytes: capacity)
    let block: UnsafeMutableRawPointer
    if let free = slab.pointee.free {
      block = free
      slab.pointee.free = free.load(as: UnsafeMutableRawPointer?.self)
    } else {
      block = UnsafeMutableRawPointer(slab) + Int(slab.pointee.fresh)
      slab.pointee.fresh += UInt32(capacity)
    }
    slab.pointee.blocksInUse += 1
    if !slab.pointee.hasRoom { remove(slab, from: sizeClass) }
    return block
  }

  package mutating func deallocate(_ block: UnsafeMutableRawPointer, capacity: Int) {
    bytesInUse -= capacity
    guard capacity <= TailArena.largestPooled else {
      bytesReserved -= capacity
      block.deallocate()
      return
    }
    let sizeClass = capacity / TailArena.granule
    let slab = UnsafeMutableRawPointer(bitPattern: UInt(bitPattern: block) & ~UInt(TailArena.slabBytes - 1))
      .unsafelyUnwrapped.assumingMemoryBound(to: Slab.self)
    assert(Int(slab.pointee.blockBytes) == capacity)
    let hadRoom = slab.pointee.hasRoom
    block.storeBytes(of: slab.pointee.free, as: UnsafeMutableRawPointer?.self)
    slab.pointee.free = block
    slab.pointee.blocksInUse -= 1
    if slab.pointee.blocksInUse == 0 {
      if hadRoom { remove(slab, from: sizeClass) }
      slab.pointee.next = empty
      empty = slab
    } else if !hadRoom {
      insert(slab, into: sizeClass)
    }
  }

  /// An empty slab, first in the list of its size.
  private mutating func makeSlab(blockBytes: Int) -> UnsafeMutablePointer<Slab> {
    let slab: UnsafeMutablePointer<Slab>
    if let empty {
      slab = empty
      self.empty = empty.pointee.next
    } else {
      if chunkUsed == TailArena.chunkBytes {
        chunks.append(
          UnsafeMutableRawPointer.allocate(byteCount: TailArena.chunkBytes, alignment: TailArena.slabBytes))
        bytesReserved += TailArena.chunkBytes
        chunkUsed = 0
      }
      slab = (chunks[chunks.count - 1] + chunkUsed).assumingMemoryBound(to: Slab.self)
      chunkUsed += TailArena.slabBytes
    }
    slab.initialize(
      to: Slab(blockBytes: UInt32(blockBytes), fresh: UInt32(Slab.headerBytes), blocksInUse: 0))
    insert(slab, into: blockBytes / TailArena.granule)
    return slab
  }

  private mutating func insert(_ slab: UnsafeMutablePointer<Slab>, into sizeClass: Int) {
    slab.pointee.previous = nil
    slab.pointee.next = withRoom[sizeClass]
    slab.pointee.next?.pointee.previous = slab
    withRoom[sizeClass] = slab
  }

  private mutating func remove(_ slab: UnsafeMutablePointer<Slab>, from sizeClass: Int) {
    slab.pointee.next?.pointee.previous = slab.pointee.previous
    if let previous = slab.pointee.previous {
      previous.pointee.next = slab.pointee.next
    } else {
      withRoom[sizeClass] = slab.pointee.next
    }
  }
}
