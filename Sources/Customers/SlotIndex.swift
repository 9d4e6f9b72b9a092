// Which slot has the customer with this hash: open addressing in small buckets behind a directory (extendible hashing).
// A bucket that is full is split by itself, by the hash bits that it keeps: no insertion reads a record for it or moves
// more than one bucket's entries, however many customers there are.

/// Owned by one thread.
///
/// Of the 64-bit hash the upper half is kept, the *tag*. Its high bits choose the bucket and its low bits the first place
/// in there, so that an entry's place depends on nothing but its tag.
struct SlotIndex: ~Copyable {
  struct Entry {
    var tag: UInt32
    /// Slot number + 1; 0 = empty.
    var slot: UInt32
  }
  typealias Bucket = UnsafeMutablePointer<Entry>

  /// 2^`depth` entries; a bucket has 2^(`depth` - its own depth) of them, side by side.
  private var directory: UnsafeMutablePointer<Bucket>
  /// 1...`maxDepth`.
  private var depth = 1
  /// 64 - `depth`.
  private var shift: UInt64 = 63
  /// Places of a bucket - 1; they are a power of two. Behind them lies what `count` and `ownDepth` read.
  private(set) var mask: Int
  private let bucketBits: Int
  private let maxDepth: Int
  private var bucketCount = 2

  /// - Parameters:
  ///   - bucketBits: a bucket has 2^`bucketBits` places, 4 or more. 16 kB: split within microseconds, and 8 kB of directory for a
  ///     million customers.
  ///   - maxDepth: deeper than this the directory does not grow; buckets do. 21 and 11 bits are a whole tag, and enough for
  ///     more customers than slots have numbers: only who knows the hash's seed could come to that.
  init(bucketBits: Int = 11, maxDepth: Int = 21) {
    mask = 1 << bucketBits - 1
    self.bucketBits = bucketBits
    self.maxDepth = maxDepth
    directory = .allocate(capacity: 2)
    for number in 0..<2 {
      (directory + number).initialize(to: Self.makeBucket(places: 1 << bucketBits, ownDepth: 1))
    }
  }

  deinit {
    var number = 0
    while number < 1 << depth {
      let bucket = directory[number]
      number += 1 << (depth - ownDepth(bucket))
      bucket.deallocate()
    }
    directory.deallocate()
  }

  var bytesInUse: Int {
    bucketCount * (mask + 2) * MemoryLayout<Entry>.stride + MemoryLayout<Bucket>.stride << depth
  }

  /// Forgets all entries.
  mutating func removeAll() { self = SlotIndex(bucketBits: bucketBits, maxDepth: maxDepth) }

  // MARK: Looking

  @inline(__always)
  static func tag(of hash: UInt64) -> UInt32 { UInt32(truncatingIfNeeded: hash >> 32) }

  @inline(__always)
  func bucket(of hash: UInt64) -> Bucket { directory[Int(truncatingIfNeeded: hash &>> shift)] }

  /// Where the search for a tag begins; it goes on, around the bucket's end, to the first empty place.
  @inline(__always)
  func home(of tag: UInt32) -> Int { Int(truncatingIfNeeded: tag) & mask }

  @inline(__always)
  func next(_ place: Int) -> Int { (place + 1) & mask }

  /// The first entry of the search for this hash, for prefetching.
  @inline(__always)
  func first(of hash: UInt64) -> Bucket { bucket(of: hash) + home(of: Self.tag(of: hash)) }

  /// The number of the first slot in the search for this hash that has its tag and that `isMeant` takes.
  @inline(__always)
  func find(_ hash: UInt64, where isMeant: (UInt32) -> Bool) -> UInt32? {
    let tag = Self.tag(of: hash)
    let bucket = bucket(of: hash)
    var place = home(of: tag)
    while bucket[place].slot != 0 {
      if bucket[place].tag == tag, isMeant(bucket[place].slot - 1) { return bucket[place].slot - 1 }
      place = next(place)
    }
    return nil
  }

  /// The same without a look at any record: one in billions is another customer's.
  @inline(__always)
  func likelySlot(of hash: UInt64) -> UInt32? { find(hash) { _ in true } }

  // MARK: Changing

  private static func makeBucket(places: Int, ownDepth: Int) -> Bucket {
    let bucket = Bucket.allocate(capacity: places + 1)
    bucket.initialize(repeating: Entry(tag: 0, slot: 0), count: places)
    (bucket + places).initialize(to: Entry(tag: 0, slot: UInt32(ownDepth)))
    return bucket
  }

  private func count(_ bucket: Bucket) -> Int { Int(bucket[mask + 1].tag) }
  private func ownDepth(_ bucket: Bucket) -> Int { Int(bucket[mask + 1].slot) }

  /// Adds an entry for the slot with this number; there must be none yet.
  mutating func insert(_ number: UInt32, hash: UInt64) {
    makeRoom(hash)
    let bucket = bucket(of: hash)
    put(Entry(tag: Self.tag(of: hash), slot: number + 1), into: bucket)
    bucket[mask + 1].tag += 1
  }

  private func put(_ entry: Entry, into bucket: Bucket) {
    var place = home(of: entry.tag)
    while bucket[place].slot != 0 { place = next(place) }
    bucket[place] = entry
  }

  /// A bucket is at most 3/4 full; where it cannot be split, a place stays empty, at which searches end.
  private mutating func makeRoom(_ hash: UInt64) {
    while true {
      let count = count(bucket(of: hash))
      if count * 4 < (mask + 1) * 3 { return }
      if split(hash) { continue }
      if count < mask { return }
      growBuckets()
    }
  }

  /// Divides the bucket of this hash in two; false when the directory cannot tell more of them apart.
  private mutating func split(_ hash: UInt64) -> Bool {
    let lower = bucket(of: hash)
    let own = ownDepth(lower)
    if own == depth {
      guard depth < maxDepth else { return false }
      doubleDirectory()
    }
    let upper = Self.makeBucket(places: mask + 1, ownDepth: own + 1)
    bucketCount += 1
    let span = 1 << (depth - own)
    let first = Int(truncatingIfNeeded: hash &>> shift) & ~(span - 1)
    for number in first + span / 2..<first + span { directory[number] = upper }

    let bit: UInt32 = 1 << (31 - UInt32(own))
    var moved: UInt32 = 0
    // From an empty place on, so that who stays finds its place among those before it.
    var start = 0
    while lower[start].slot != 0 { start += 1 }
    for step in 1...mask {
      let place = (start + step) & mask
      let entry = lower[place]
      if entry.slot == 0 { continue }
      lower[place].slot = 0
      if entry.tag & bit == 0 {
        put(entry, into: lower)
      } else {
        put(entry, into: upper)
        moved += 1
      }
    }
    lower[mask + 1] = Entry(tag: lower[mask + 1].tag - moved, slot: UInt32(own + 1))
    upper[mask + 1].tag = moved
    return true
  }

  private mutating func doubleDirectory() {
    let larger = UnsafeMutablePointer<Bucket>.allocate(capacity: 2 << depth)
    for number in 0..<2 << depth { (larger + number).initialize(to: directory[number / 2]) }
    directory.deallocate()
    directory = larger
    depth += 1
    shift -= 1
  }

  /// Doubles all buckets.
  private mutating func growBuckets() {
    let places = mask + 1
    mask = places * 2 - 1
    var number = 0
    while number < 1 << depth {
      let old = directory[number]
      let own = Int(old[places].slot)
      let larger = Self.makeBucket(places: places * 2, ownDepth: own)
      for place in 0..<places where old[place].slot != 0 { put(old[place], into: larger) }
      larger[mask + 1].tag = old[places].tag
      old.deallocate()
      let end = number + 1 << (depth - own)
      while number < end {
        directory[number] = larger
        number += 1
      }
    }
  }

  /// Takes out the entry of this slot, which is there. Entries behind it that would not be found over the gap move up.
  mutating func remove(_ number: UInt32, hash: UInt64) {
    let bucket = bucket(of: hash)
    var hole = home(of: Self.tag(of: hash))
    while bucket[hole].slot != number + 1 { hole = next(hole) }
    var place = next(hole)
    while bucket[place].slot != 0 {
      if (place - home(of: bucket[place].tag)) & mask >= (place - hole) & mask {
        bucket[hole] = bucket[place]
        hole = place
      }
      place = next(place)
    }
    bucket[hole].slot = 0
    bucket[mask + 1].tag -= 1
  }
}
