// Memory for the variable part of customer records, as a log: blocks are handed out one behind the other, and what is given
// back stays a hole until its segment is cleaned, that is, until the blocks left in it have moved to the end of the log
// (Rumble, Kejriwal, Ousterhout: Log-structured Memory for DRAM-based Storage, FAST 2014). Records grow all the time: with
// free lists by size, customers who grow together would leave several times their size behind.

import CXXHash

/// Hands out raw blocks, each owned by a pointer somewhere that `clean` follows. One owner thread; frees everything when it
/// goes.
package struct TailArena: ~Copyable {
  /// The place that holds a block's address, at an address that does not change while the block is in use.
  package typealias Owner = UnsafeMutablePointer<UnsafeMutableRawPointer?>

  /// Bytes: also the alignment of every block.
  package static let granule = 8
  static let pageBytes = 4096
  /// Larger blocks come straight from the system allocator, and stay where they are.
  static let largestPooled = 4096
  /// Blocks up to here get no slack of their own.
  static let smallAtMost = 512
  private static let chunkBytes = 1 << 20
  /// Also the alignment of a segment, so that a block's segment follows from its address.
  private static let segmentBytes = 1 << 16
  /// Before each block: its owner's address, and in the upper 16 bits its granules, these 8 bytes among them.
  private static let headBytes = 8
  /// A new segment costs memory, cleaning one costs time: holes may take up to one part in so many of what is in use.
  private static let holesAtMost = 8
  /// Blocks between asking for an owner's memory and writing there, when a segment is cleaned.
  private static let ownersAhead = 8

  /// What stands at the beginning of a segment.
  private struct Segment {
    /// Neighbours among those equally full, or among the free ones.
    var next: UnsafeMutablePointer<Segment>?
    var previous: UnsafeMutablePointer<Segment>?
    /// Of blocks in use, with their heads.
    var bytesInUse: Int
    /// Where the log goes on, from the segment's beginning.
    var end: Int

    static let headerBytes = 64
  }

  private var chunks: [UnsafeMutableRawPointer] = []
  private var chunkUsed = TailArena.chunkBytes
  /// Where blocks are handed out.
  private var open: UnsafeMutablePointer<Segment>?
  /// Other segments in use, by how full they are.
  private var byFill: [UnsafeMutablePointer<Segment>?]
  private var free: UnsafeMutablePointer<Segment>?
  private var freeCount = 0
  /// Of the segments: what blocks in use take with their heads.
  private var logBytesInUse = 0
  package private(set) var bytesInUse = 0
  package private(set) var bytesReserved = 0

  private static let fillClasses = 32

  package init() { byFill = Array(repeating: nil, count: TailArena.fillClasses + 1) }

  deinit { for chunk in chunks { chunk.deallocate() } }

  /// At the arena's end: gives back what does not lie in its chunks.
  static func release(_ block: UnsafeMutableRawPointer, capacity: Int) {
    if capacity > largestPooled { block.deallocate() }
  }

  /// The capacity that a request for `bytes` gets. Small blocks get no slack, since most customers are small and grow
  /// rarely; larger ones a twenty-fourth or a quarter, so that growth is amortised.
  package static func capacity(for bytes: Int) -> Int {
    if bytes <= smallAtMost { return max(granule, (bytes + granule - 1) / granule * granule) }
    let wanted = (bytes + bytes / 24 + granule - 1) / granule * granule
    if wanted <= largestPooled { return wanted }
    return (bytes + bytes / 4 + pageBytes - 1) / pageBytes * pageBytes
  }

  /// `capacity` must come from `capacity(for:)`. Aligned to 8 bytes; contents undefined. The caller lets `owner` point to
  /// the block before `clean` is called next.
  package mutating func allocate(capacity: Int, owner: Owner) -> UnsafeMutableRawPointer {
    bytesInUse += capacity
    guard capacity <= TailArena.largestPooled else {
      bytesReserved += capacity
      return UnsafeMutableRawPointer.allocate(byteCount: capacity, alignment: 16)
    }
    return append(bytes: capacity + TailArena.headBytes, owner: UInt64(UInt(bitPattern: owner)))
  }

  package mutating func deallocate(_ block: UnsafeMutableRawPointer, capacity: Int) {
    bytesInUse -= capacity
    guard capacity <= TailArena.largestPooled else {
      bytesReserved -= capacity
      block.deallocate()
      return
    }
    let bytes = capacity + TailArena.headBytes
    // Whoever cleans the segment sees no owner.
    (block - TailArena.headBytes).storeBytes(of: UInt64(bytes / TailArena.granule) << 48, as: UInt64.self)
    logBytesInUse -= bytes
    let segment = UnsafeMutableRawPointer(bitPattern: UInt(bitPattern: block) & ~UInt(TailArena.segmentBytes - 1))
      .unsafelyUnwrapped.assumingMemoryBound(to: Segment.self)
    let before = TailArena.fill(segment)
    segment.pointee.bytesInUse -= bytes
    if segment == open { return }
    if segment.pointee.bytesInUse == 0 {
      unlink(segment, from: before)
      release(segment)
    } else if TailArena.fill(segment) != before {
      unlink(segment, from: before)
      link(segment)
    }
  }

  /// A block has another owner from now on: the old one no longer points to it.
  func setOwner(_ owner: Owner, of block: UnsafeMutableRawPointer, capacity: Int) {
    guard capacity <= TailArena.largestPooled else { return }
    let head = block - TailArena.headBytes
    let granules = head.load(as: UInt64.self) >> 48
    head.storeBytes(of: granules << 48 | UInt64(UInt(bitPattern: owner)), as: UInt64.self)
  }

  // MARK: Cleaning

  /// Whether `clean` is due: the log is about to need more memory though much of what it has are holes. One segment is
  /// kept free for cleaning itself. Each cleaning leaves fewer holes, so it ends.
  @inline(__always)
  package var isCleaningDue: Bool { freeCount < 2 && chunkUsed == TailArena.chunkBytes && hasManyHoles }

  private var hasManyHoles: Bool {
    let holes = chunks.count * TailArena.chunkBytes - freeCount * TailArena.segmentBytes - logBytesInUse
    return holes * TailArena.holesAtMost > logBytesInUse && chunks.count > 1
  }

  /// Moves the blocks of the emptiest segment to the end of the log; their owners point there afterwards, and no pointer
  /// into a block is good any more. Some ten microseconds of work.
  /// - Parameter trim: is told an owner and the capacity of its block, and says which it is to have from now on: no more.
  package mutating func clean(trim: (Owner, Int) -> Int = { _, capacity in capacity }) {
    guard let segment = byFill.lazy.compactMap(\.self).first else { return }
    unlink(segment, from: TailArena.fill(segment))
    let base = UnsafeMutableRawPointer(segment)
    var place = Segment.headerBytes
    // Owners lie anywhere: each is asked for some blocks before it is told.
    var ahead = place
    for _ in 0..<TailArena.ownersAhead { prefetchOwner(of: &ahead, in: segment) }
    while place < segment.pointee.end {
      prefetchOwner(of: &ahead, in: segment)
      let head = (base + place).load(as: UInt64.self)
      let bytes = Int(head >> 48) * TailArena.granule
      if let owner = Owner(bitPattern: UInt(head & 0xffff_ffff_ffff)) {
        let capacity = bytes - TailArena.headBytes
        let kept = trim(owner, capacity)
        let block = append(bytes: kept + TailArena.headBytes, owner: head & 0xffff_ffff_ffff)
        block.copyMemory(from: base + place + TailArena.headBytes, byteCount: kept)
        owner.pointee = block
        bytesInUse -= capacity - kept
        logBytesInUse -= bytes
      }
      place += bytes
    }
    release(segment)
  }

  @inline(__always)
  private func prefetchOwner(of place: inout Int, in segment: UnsafeMutablePointer<Segment>) {
    guard place < segment.pointee.end else { return }
    let head = (UnsafeMutableRawPointer(segment) + place).load(as: UInt64.self)
    place += Int(head >> 48) * TailArena.granule
    tw_prefetch(UnsafeRawPointer(bitPattern: UInt(head & 0xffff_ffff_ffff)))
  }

  // MARK: The log

  private mutating func append(bytes: Int, owner: UInt64) -> UnsafeMutableRawPointer {
    var segment = open
    if (segment?.pointee.end ?? TailArena.segmentBytes) + bytes > TailArena.segmentBytes {
      if let full = segment {
        open = nil
        if full.pointee.bytesInUse == 0 { release(full) } else { link(full) }
      }
      segment = takeSegment()
      open = segment
    }
    let log = segment.unsafelyUnwrapped
    let head = UnsafeMutableRawPointer(log) + log.pointee.end
    head.storeBytes(of: UInt64(bytes / TailArena.granule) << 48 | owner, as: UInt64.self)
    log.pointee.end += bytes
    log.pointee.bytesInUse += bytes
    logBytesInUse += bytes
    return head + TailArena.headBytes
  }

  private mutating func takeSegment() -> UnsafeMutablePointer<Segment> {
    let segment: UnsafeMutablePointer<Segment>
    if let free {
      segment = free
      self.free = free.pointee.next
      freeCount -= 1
    } else {
      if chunkUsed == TailArena.chunkBytes {
        chunks.append(
          UnsafeMutableRawPointer.allocate(byteCount: TailArena.chunkBytes, alignment: TailArena.segmentBytes))
        bytesReserved += TailArena.chunkBytes
        chunkUsed = 0
      }
      segment = (chunks[chunks.count - 1] + chunkUsed).assumingMemoryBound(to: Segment.self)
      chunkUsed += TailArena.segmentBytes
    }
    segment.initialize(to: Segment(bytesInUse: 0, end: Segment.headerBytes))
    return segment
  }

  private mutating func release(_ segment: UnsafeMutablePointer<Segment>) {
    segment.pointee.next = free
    free = segment
    freeCount += 1
  }

  @inline(__always)
  private static func fill(_ segment: UnsafeMutablePointer<Segment>) -> Int {
    segment.pointee.bytesInUse * fillClasses / segmentBytes
  }

  private mutating func link(_ segment: UnsafeMutablePointer<Segment>) {
    let fill = TailArena.fill(segment)
    segment.pointee.previous = nil
    segment.pointee.next = byFill[fill]
    segment.pointee.next?.pointee.previous = segment
    byFill[fill] = segment
  }

  private mutating func unlink(_ segment: UnsafeMutablePointer<Segment>, from fill: Int) {
    segment.pointee.next?.pointee.previous = segment.pointee.previous
    if let previous = segment.pointee.previous {
      previous.pointee.next = segment.pointee.next
    } else {
      byFill[fill] = segment.pointee.next
    }
  }
}
