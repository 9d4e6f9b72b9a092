// Memory for customer records, as a log: blocks are handed out one behind the other, and what is given
// back stays a hole until its segment is cleaned, that is, until the blocks left in it have moved to the end of the log
// (Rumble, Kejriwal, Ousterhout: Log-structured Memory for DRAM-based Storage, FAST 2014). Records grow all the time: with
// free lists by size, customers who grow together would leave several times their size behind.

import CXXHash

/// Hands out raw blocks, each owned by a pointer somewhere that `clean` follows. One owner thread; frees everything when it
/// goes.
package struct RecordArena: ~Copyable {
  /// The place that holds a block's address, at an address that does not change while the block is in use.
  package typealias Owner = UnsafeMutablePointer<UnsafeMutableRawPointer?>

  /// Bytes: also the alignment of every block.
  package static let granule = 8
  static let pageBytes = 4096
  /// Larger blocks come straight from the system allocator, and stay where they are.
  static let largestPooled = 4096
  /// Blocks up to here get no slack of their own.
  static let smallAtMost = 576
  /// Also the alignment of a chunk, so that a block's chunk and segment follow from its address.
  private static let chunkBytes = 1 << 20
  private static let segmentBytes = 1 << 16
  private static let segmentsPerChunk = chunkBytes / segmentBytes
  /// Before each block: its owner's address, and in the upper 16 bits its granules, these 8 bytes among them.
  private static let headBytes = 8
  /// A new segment costs memory, cleaning one costs time: holes may take up to one part in so many of what is in use.
  private static let holesAtMost = 6
  /// Blocks between asking for an owner's memory and writing there, when a segment is cleaned.
  private static let ownersAhead = 8
  /// How far ahead of them the segment itself is asked for.
  private static let bytesAhead = 1 << 10

  /// Of a segment, kept apart from it: at the beginning of segments, which are aligned, all of these would lie in the same few
  /// places of a cache.
  private struct Segment {
    /// Neighbours among those equally full, or among the free ones.
    var next: Int32 = none
    var previous: Int32 = none
    /// Of blocks in use, with their heads.
    var bytesInUse: Int32 = 0
    /// Where the log goes on, from the segment's beginning.
    var end: Int32 = 0

    static let none: Int32 = -1
  }

  private var chunks: [UnsafeMutableRawPointer] = []
  /// Blocks that do not lie in chunks.
  private var large: Set<UnsafeMutableRawPointer> = []
  /// By the chunk's address over its size.
  private var chunkNumbers = FlatMap<Int32>(none: 0)
  private var chunkUsed = RecordArena.chunkBytes
  /// By number, those of the first chunk first.
  private var segments: UnsafeMutablePointer<Segment>
  private var segmentCapacity = 64
  /// Where blocks are handed out.
  private var open = Segment.none
  /// Other segments in use, by how full they are.
  private var byFill: [Int32]
  private var free = Segment.none
  private var freeCount = 0
  /// Of the segments: what blocks in use take with their heads.
  private var logBytesInUse = 0
  package private(set) var bytesInUse = 0
  package private(set) var bytesReserved = 0

  private static let fillClasses = 32

  package init() {
    byFill = Array(repeating: Segment.none, count: RecordArena.fillClasses + 1)
    segments = .allocate(capacity: segmentCapacity)
  }

  deinit {
    for chunk in chunks { chunk.deallocate() }
    for block in large { block.deallocate() }
    segments.deallocate()
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
    guard capacity <= RecordArena.largestPooled else {
      bytesReserved += capacity
      let block = UnsafeMutableRawPointer.allocate(byteCount: capacity, alignment: 16)
      large.insert(block)
      return block
    }
    return append(bytes: capacity + RecordArena.headBytes, owner: UInt64(UInt(bitPattern: owner)))
  }

  package mutating func deallocate(_ block: UnsafeMutableRawPointer, capacity: Int) {
    bytesInUse -= capacity
    guard capacity <= RecordArena.largestPooled else {
      bytesReserved -= capacity
      large.remove(block)
      block.deallocate()
      return
    }
    let bytes = capacity + RecordArena.headBytes
    // Whoever cleans the segment sees no owner.
    (block - RecordArena.headBytes).storeBytes(of: UInt64(bytes / RecordArena.granule) << 48, as: UInt64.self)
    logBytesInUse -= bytes
    let segment = number(of: block)
    let before = fill(segment)
    segments[Int(segment)].bytesInUse -= Int32(truncatingIfNeeded: bytes)
    if segment == open { return }
    if segments[Int(segment)].bytesInUse == 0 {
      unlink(segment, from: before)
      release(segment)
    } else if fill(segment) != before {
      unlink(segment, from: before)
      link(segment)
    }
  }

  /// A block has another owner from now on: the old one no longer points to it.
  func setOwner(_ owner: Owner, of block: UnsafeMutableRawPointer, capacity: Int) {
    guard capacity <= RecordArena.largestPooled else { return }
    let head = block - RecordArena.headBytes
    let granules = head.load(as: UInt64.self) >> 48
    head.storeBytes(of: granules << 48 | UInt64(UInt(bitPattern: owner)), as: UInt64.self)
  }

  // MARK: Cleaning

  /// Whether `clean` is due: the log is about to need more memory though much of what it has are holes. One segment is
  /// kept free for cleaning itself. Each cleaning leaves fewer holes, so it ends.
  @inline(__always)
  package var isCleaningDue: Bool { freeCount < 2 && chunkUsed == RecordArena.chunkBytes && hasManyHoles }

  private var hasManyHoles: Bool {
    let holes = chunks.count * RecordArena.chunkBytes - freeCount * RecordArena.segmentBytes - logBytesInUse
    return holes * RecordArena.holesAtMost > logBytesInUse && chunks.count > 1
  }

  /// Moves the blocks of the emptiest segment to the end of the log; their owners point there afterwards, and no pointer
  /// into a block is good any more. Some ten microseconds of work.
  /// - Parameter trim: is told an owner and the capacity of its block, and says which it is to have from now on: no more.
  package mutating func clean(trim: (Owner, Int) -> Int = { _, capacity in capacity }) {
    guard let segment = byFill.first(where: { $0 != Segment.none }) else { return }
    unlink(segment, from: fill(segment))
    let base = memory(of: segment)
    let end = Int(segments[Int(segment)].end)
    var place = 0
    // Owners lie anywhere: each is asked for some blocks before it is told.
    var ahead = 0
    for line in stride(from: 0, to: min(end, RecordArena.bytesAhead), by: 64) { tw_prefetch(base + line) }
    for _ in 0..<RecordArena.ownersAhead { prefetchOwner(of: &ahead, in: base, upTo: end) }
    while place < end {
      prefetchOwner(of: &ahead, in: base, upTo: end)
      let head = (base + place).load(as: UInt64.self)
      let bytes = Int(head >> 48) * RecordArena.granule
      if let owner = Owner(bitPattern: UInt(head & 0xffff_ffff_ffff)) {
        let capacity = bytes - RecordArena.headBytes
        let kept = trim(owner, capacity)
        let block = append(bytes: kept + RecordArena.headBytes, owner: head & 0xffff_ffff_ffff)
        block.copyMemory(from: base + place + RecordArena.headBytes, byteCount: kept)
        owner.pointee = block
        bytesInUse -= capacity - kept
        logBytesInUse -= bytes
      }
      place += bytes
    }
    release(segment)
  }

  @inline(__always)
  private func prefetchOwner(of place: inout Int, in base: UnsafeMutableRawPointer, upTo end: Int) {
    guard place < end else { return }
    let head = (base + place).load(as: UInt64.self)
    let next = place + Int(head >> 48) * RecordArena.granule
    // Each line of the segment once.
    for line in stride(from: (place + 63) & ~63, to: next, by: 64) where line + RecordArena.bytesAhead < end {
      tw_prefetch(base + line + RecordArena.bytesAhead)
    }
    place = next
    tw_prefetch(UnsafeRawPointer(bitPattern: UInt(head & 0xffff_ffff_ffff)))
  }

  // MARK: The log

  private mutating func append(bytes: Int, owner: UInt64) -> UnsafeMutableRawPointer {
    if open == Segment.none || Int(segments[Int(open)].end) + bytes > RecordArena.segmentBytes {
      let full = open
      if full != Segment.none {
        open = Segment.none
        if segments[Int(full)].bytesInUse == 0 { release(full) } else { link(full) }
      }
      open = takeSegment()
    }
    let log = segments + Int(open)
    let head = memory(of: open) + Int(log.pointee.end)
    head.storeBytes(of: UInt64(bytes / RecordArena.granule) << 48 | owner, as: UInt64.self)
    log.pointee.end += Int32(truncatingIfNeeded: bytes)
    log.pointee.bytesInUse += Int32(truncatingIfNeeded: bytes)
    logBytesInUse += bytes
    return head + RecordArena.headBytes
  }

  // MARK: Segments

  @inline(__always)
  private func memory(of segment: Int32) -> UnsafeMutableRawPointer {
    let number = Int(segment)
    return chunks[number / RecordArena.segmentsPerChunk]
      + number % RecordArena.segmentsPerChunk * RecordArena.segmentBytes
  }

  /// Addresses have 48 bits: see `headBytes`.
  @inline(__always)
  private static func chunkKey(_ address: UnsafeMutableRawPointer) -> UInt32 {
    UInt32(truncatingIfNeeded: UInt(bitPattern: address) / UInt(chunkBytes))
  }

  @inline(__always)
  private func number(of block: UnsafeMutableRawPointer) -> Int32 {
    let place = UInt(bitPattern: block) % UInt(RecordArena.chunkBytes) / UInt(RecordArena.segmentBytes)
    let chunk = chunkNumbers.find(RecordArena.chunkKey(block)).unsafelyUnwrapped
    return chunk * Int32(RecordArena.segmentsPerChunk) + Int32(truncatingIfNeeded: place)
  }

  private mutating func takeSegment() -> Int32 {
    let segment: Int32
    if free != Segment.none {
      segment = free
      free = segments[Int(segment)].next
      freeCount -= 1
    } else {
      if chunkUsed == RecordArena.chunkBytes { addChunk() }
      segment = Int32((chunks.count - 1) * RecordArena.segmentsPerChunk + chunkUsed / RecordArena.segmentBytes)
      chunkUsed += RecordArena.segmentBytes
    }
    (segments + Int(segment)).initialize(to: Segment())
    return segment
  }

  private mutating func addChunk() {
    let chunk = UnsafeMutableRawPointer.allocate(
      byteCount: RecordArena.chunkBytes, alignment: RecordArena.chunkBytes)
    chunkNumbers.update(RecordArena.chunkKey(chunk), to: Int32(chunks.count))
    chunks.append(chunk)
    bytesReserved += RecordArena.chunkBytes
    chunkUsed = 0
    let wanted = chunks.count * RecordArena.segmentsPerChunk
    if wanted > segmentCapacity {
      let larger = UnsafeMutablePointer<Segment>.allocate(capacity: 2 * wanted)
      larger.initialize(from: segments, count: wanted - RecordArena.segmentsPerChunk)
      segments.deallocate()
      segments = larger
      segmentCapacity = 2 * wanted
    }
  }

  private mutating func release(_ segment: Int32) {
    segments[Int(segment)].next = free
    free = segment
    freeCount += 1
  }

  @inline(__always)
  private func fill(_ segment: Int32) -> Int {
    Int(segments[Int(segment)].bytesInUse) * RecordArena.fillClasses / RecordArena.segmentBytes
  }

  private mutating func link(_ segment: Int32) {
    let fill = fill(segment)
    let next = byFill[fill]
    segments[Int(segment)].previous = Segment.none
    segments[Int(segment)].next = next
    if next != Segment.none { segments[Int(next)].previous = segment }
    byFill[fill] = segment
  }

  private mutating func unlink(_ segment: Int32, from fill: Int) {
    let (previous, next) = (segments[Int(segment)].previous, segments[Int(segment)].next)
    if next != Segment.none { segments[Int(next)].previous = previous }
    if previous != Segment.none { segments[Int(previous)].next = next } else { byFill[fill] = next }
  }
}
