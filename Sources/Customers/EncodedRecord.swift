// Records as a checkpoint has them: header, tags, and what lies behind the id, which is the entry's key. What follows from
// the rest of the record stands as its difference to that, which is mostly nothing, and compresses.

import Events

/// A record out of a checkpoint.
struct EncodedRecord {
  /// As it will be, but for the weights of preferences if `isByDifference`.
  let header: CustomerHeader
  /// Written since 0.4: see `addDifferences`.
  let isByDifference: Bool
  /// Likewise: instants of orders and cart entries are split.
  let hasSplitInstants: Bool
  /// Tags, and what lies behind the id.
  let tail: UnsafeRawBufferPointer

  // In an encoded header, among the blocks.
  static let differences = Blocks(rawValue: 128)
  static let splitInstants = Blocks(rawValue: 64)
  static var headerBytes: Int { MemoryLayout<CustomerHeader>.size }

  /// - Throws: when these are not the bytes of a customer with this id.
  init(_ encoded: UnsafeRawBufferPointer, id: UnsafeRawBufferPointer) throws(RecordError) {
    guard encoded.count >= Self.headerBytes else {
      throw RecordError(description: "a customer record has \(encoded.count) bytes, too few for its header")
    }
    var header = CustomerHeader()
    withUnsafeMutableBytes(of: &header) {
      $0.copyMemory(from: UnsafeRawBufferPointer(rebasing: encoded.prefix(Self.headerBytes)))
    }
    hasSplitInstants = header.blocks.remove(Self.splitInstants) != nil
    isByDifference = header.blocks.remove(Self.differences) != nil
    if hasSplitInstants { header.changeInstants { $0.joined } }
    header = header.decoded()
    guard header.blocks.subtracting(.all).isEmpty else {
      throw RecordError(
        description: "a customer record has blocks this version does not know (\(header.blocks.rawValue))")
    }
    guard header.count(.id) == id.count else {
      throw RecordError(
        description:
          "a customer record is of an id of \(header.count(.id)) bytes, its key has \(id.count)")
    }
    guard header.encodedBytes == encoded.count else {
      throw RecordError(
        description: "a customer record has \(encoded.count) bytes, its header says \(header.encodedBytes)")
    }
    self.header = header
    tail = UnsafeRawBufferPointer(rebasing: encoded[Self.headerBytes...])
  }
}

extension CustomerHeader {
  /// Of the record that has this header, encoded.
  var encodedBytes: Int {
    EncodedRecord.headerBytes + count(.tags) * Section.tags.stride + tailBytes - blocksOffset
  }

  /// In a checkpoint instants stand as differences to `asOf` (that of the weights to `lastSeen`), and the weight of channels to
  /// that of categories.
  fileprivate func encoded() -> CustomerHeader {
    var encoded = self
    encoded.firstSeen = Instant(microseconds: asOf.microseconds &- firstSeen.microseconds)
    encoded.lastSeen = Instant(microseconds: asOf.microseconds &- lastSeen.microseconds)
    encoded.weightsAt = Instant(microseconds: lastSeen.microseconds &- weightsAt.microseconds)
    encoded.dueSeconds = dueSeconds &- asOf.secondsClamped
    encoded.channelTotal = Float(bitPattern: channelTotal.bitPattern ^ categoryTotal.bitPattern)
    return encoded
  }

  /// The inverse of `encoded`.
  fileprivate func decoded() -> CustomerHeader {
    var header = self
    header.firstSeen = Instant(microseconds: asOf.microseconds &- firstSeen.microseconds)
    header.lastSeen = Instant(microseconds: asOf.microseconds &- lastSeen.microseconds)
    header.weightsAt = Instant(microseconds: header.lastSeen.microseconds &- weightsAt.microseconds)
    header.dueSeconds = dueSeconds &+ asOf.secondsClamped
    header.channelTotal = Float(bitPattern: channelTotal.bitPattern ^ categoryTotal.bitPattern)
    return header
  }

  /// Changes those that an encoded header has, but for `weightsAt`: that is mostly 0, or as far away as can be.
  @inline(__always)
  fileprivate mutating func changeInstants(_ change: (Instant) -> Instant) {
    asOf = change(asOf)
    firstSeen = change(firstSeen)
    lastSeen = change(lastSeen)
  }
}

extension Instant {
  /// Within some 140 years of 1970, or of each other.
  @inline(__always)
  fileprivate var isSplittable: Bool { microseconds.magnitude < 1 << 52 }

  /// Whole milliseconds, and in the lowest 10 bits the microseconds beyond: most clocks know milliseconds only, and that shows
  /// in the bits then.
  @inline(__always)
  fileprivate var split: Instant {
    let rest = microseconds % 1000
    let positive = rest < 0 ? rest + 1000 : rest
    return Instant(microseconds: ((microseconds - positive) / 1000) << 10 | positive)
  }

  /// The inverse of `split`; any bits have one.
  @inline(__always)
  fileprivate var joined: Instant {
    Instant(microseconds: (microseconds >> 10) &* 1000 &+ (microseconds & 1023))
  }
}

extension Float {
  /// How many numbers of the type this lies from `predicted`, folded so that few on either side are a small number. Any bits
  /// come back from it.
  @inline(__always)
  fileprivate func difference(to predicted: Float) -> Float {
    let steps = Int32(bitPattern: bitPattern &- predicted.stableBits)
    return Float(bitPattern: UInt32(bitPattern: steps &<< 1 ^ steps &>> 31))
  }

  /// The inverse of `difference`.
  @inline(__always)
  fileprivate func following(_ predicted: Float) -> Float {
    let folded = bitPattern
    let steps = (folded &>> 1) ^ (0 &- (folded & 1))
    return Float(bitPattern: steps &+ predicted.stableBits)
  }

  /// What is no number may have other bits the next time.
  private var stableBits: UInt32 { isFinite ? bitPattern : 0 }
}

// What a record's parts say of others of its parts. This is a part of the format, whatever the engine comes to hold of orders
// and weights: with another prediction all that was written by difference to this one would be read wrong.
extension CustomerRecord {
  /// All weight of categories, unless one was pushed out of the list: that of those listed.
  private var predictedCategoryTotal: Float { preferences(.categories).reduce(0) { $0 + $1.weight } }

  /// The weight of the last channel: what the others leave of all weight.
  private var predictedLastChannel: Float {
    preferences(.channels).dropLast().reduce(header.channelTotal) { $0 - $1.weight }
  }

  /// What the listed orders come to, each of a day of its own, with those that left the list. The cart was mostly cleared by
  /// the last of them.
  private var predictedPurchases: PurchaseState {
    var totals = header.blocks.contains(.archive) ? archived : PurchaseState.nothing
    for order in orders {
      let flags = order.flags
      totals.refunds &+= UInt32(order.refunds)
      if flags.contains(.unlinked) { totals.netMinor &-= order.refunded }
      guard flags.contains(.paid) else { continue }
      totals.paid &+= 1
      totals.grossMinor &+= order.gross
      if order.refunds > 0 { totals.refundedOrders &+= 1 }
      guard !flags.contains(.cancelled) else { continue }
      totals.netMinor &+= max(0, order.gross &- order.refunded)
      guard order.refunds == 0 || order.refunded < order.gross else { continue }
      if flags.contains(.discounted) { totals.discounted &+= 1 }
      totals.purchaseDays &+= 1
      if totals.purchases == 0 {
        totals.first = order.time
      } else {
        totals.lastGap = TimeSpan(microseconds: order.time.microseconds &- totals.last.microseconds)
      }
      totals.last = order.time
      totals.purchases &+= 1
    }
    return PurchaseState(totals: totals, cartClearedAt: totals.last)
  }

  /// Writes the encoded record of a customer: the header's `encodedBytes` in all.
  func encode(to target: UnsafeMutableRawPointer) {
    let tail = tail
    var encoded = header.encoded()
    encoded.categoryTotal = header.categoryTotal.difference(to: predictedCategoryTotal)
    encoded.blocks.insert(EncodedRecord.differences)
    if canSplitInstants(encoded) {
      encoded.changeInstants { $0.split }
      encoded.blocks.insert(EncodedRecord.splitInstants)
    }
    withUnsafeBytes(of: &encoded) {
      target.copyMemory(from: $0.baseAddress.unsafelyUnwrapped, byteCount: EncodedRecord.headerBytes)
    }
    let tags = count(.tags) * Section.tags.stride
    (target + EncodedRecord.headerBytes).copyMemory(from: tail, byteCount: tags)
    let blocks = target + EncodedRecord.headerBytes + tags
    blocks.copyMemory(from: tail + blocksOffset, byteCount: tailBytes - blocksOffset)

    // Where what lies behind the id is now.
    func place(_ section: Section) -> UnsafeMutableRawPointer { blocks + (offset(of: section) - blocksOffset) }
    if var purchases = purchases?.pointee {
      purchases.combine(with: predictedPurchases)
      blocks.storeBytes(of: purchases, as: PurchaseState.self)
    }
    if let alerts = alertsPointer { judgeByPurchase(blocks + (alerts - tail - blocksOffset)) }
    if let last = preferences(.channels).last {
      (place(.cells) - MemoryLayout<Float>.stride).storeBytes(
        of: last.weight.difference(to: predictedLastChannel), as: Float.self)
    }
    countArrivals(place(.recent))
    countDays(place(.cells), back: false)
    if encoded.blocks.contains(EncodedRecord.splitInstants) {
      forEachInstant(orders: place(.orders), cart: place(.cart)) { $0.split }
    }
  }

  /// Whether all instants of a record, of which `encoded` is the encoded header, can be split.
  private func canSplitInstants(_ encoded: CustomerHeader) -> Bool {
    encoded.asOf.isSplittable && encoded.firstSeen.isSplittable && encoded.lastSeen.isSplittable
      && orders.allSatisfy { $0.time.isSplittable } && cart.allSatisfy { $0.time.isSplittable }
  }

  /// Changes the instants of orders and cart entries that lie there, as many as this record has.
  @inline(__always)
  private func forEachInstant(
    orders: UnsafeMutableRawPointer, cart: UnsafeMutableRawPointer, _ change: (Instant) -> Instant
  ) {
    let time = (
      orders + MemoryLayout<OrderEntry>.offset(of: \.time).unsafelyUnwrapped,
      cart + MemoryLayout<CartEntry>.offset(of: \.time).unsafelyUnwrapped
    )
    for order in 0..<count(.orders) {
      let place = time.0 + order * Section.orders.stride
      place.storeBytes(of: change(place.loadUnaligned(as: Instant.self)), as: Instant.self)
    }
    for entry in 0..<count(.cart) {
      let place = time.1 + entry * Section.cart.stride
      place.storeBytes(of: change(place.loadUnaligned(as: Instant.self)), as: Instant.self)
    }
  }

  /// Purchases were mostly judged when the last of them was made: both bit by bit; the same brings it back.
  private func judgeByPurchase(_ alerts: UnsafeMutableRawPointer) {
    let place = alerts + MemoryLayout<AlertState>.offset(of: \.judgedAtSeconds).unsafelyUnwrapped
    place.storeBytes(of: place.loadUnaligned(as: UInt32.self) ^ totals.last.secondsClamped, as: UInt32.self)
  }

  /// Arrivals of recent events stand as seconds before `asOf`; the same brings them back.
  private func countArrivals(_ recent: UnsafeMutableRawPointer) {
    let asOf = header.asOf.secondsClamped
    let arrived = recent + RecentEvent.arrivedOffset
    for event in 0..<count(.recent) {
      let place = arrived + event * Section.recent.stride
      place.storeBytes(of: asOf &- place.loadUnaligned(as: UInt32.self), as: UInt32.self)
    }
  }

  /// The day of a cell stands as days after the one before it, that of the first as days before `asOf` (UTC).
  /// - Parameter back: the inverse.
  private func countDays(_ cells: UnsafeMutableRawPointer, back: Bool) {
    var before = UInt32(truncatingIfNeeded: header.asOf.microseconds / 86_400_000_000)
    for cell in 0..<count(.cells) {
      let place = cells + cell * Section.cells.stride
      let bits = place.loadUnaligned(as: UInt32.self)
      let day = bits >> 16
      let other = cell == 0 ? before &- day : back ? before &+ day : day &- before
      place.storeBytes(of: other << 16 | bits & 0xFFFF, as: UInt32.self)
      before = back ? other & 0xFFFF : day
    }
  }

  /// What encoded records are put together from, for whoever stores many of them.
  public enum EncodedPart: Sendable {
    /// Of each record the same number of bytes.
    case header(bytes: Int)
    /// As many elements as the UInt16 at `countAt` of the record says.
    case elements(countAt: Int, stride: Int)
    /// There if the byte at `flagsAt` of the record has the bit.
    case block(flagsAt: Int, bit: UInt8, bytes: Int)
  }

  /// The parts of an encoded record, one behind the other: those that `encode` writes.
  public static var encodedParts: [EncodedPart] {
    let counts = MemoryLayout<CustomerHeader>.offset(of: \.counts).unsafelyUnwrapped
    let flags = MemoryLayout<CustomerHeader>.offset(of: \.blocks).unsafelyUnwrapped
    func elements(_ section: Section) -> EncodedPart {
      .elements(countAt: counts + section.rawValue * MemoryLayout<UInt16>.stride, stride: section.stride)
    }
    let blocks = [Blocks.purchases, .archive, .profile, .alerts].map {
      EncodedPart.block(flagsAt: flags, bit: $0.rawValue, bytes: $0.bytes)
    }
    return [.header(bytes: EncodedRecord.headerBytes), elements(.tags)] + blocks
      + [.orders, .cart, .recent, .categories, .channels, .cells].map(elements)
  }

  /// Takes the place of whatever the customer had.
  func decode(_ encoded: EncodedRecord, id: UnsafeRawBufferPointer, in arena: inout RecordArena) {
    if let old = owner.pointee { arena.deallocate(old, capacity: head.pointee.capacity) }
    take(encoded.header, capacity: RecordArena.capacity(for: RecordHead.bytes + encoded.header.tailBytes), in: &arena)
    let tail = tail
    let tags = count(.tags) * Section.tags.stride
    let bytes = encoded.tail
    tail.initializeMemory(as: UInt8.self, repeating: 0, count: blocksOffset)
    UnsafeMutableRawBufferPointer(start: tail, count: tags).copyMemory(
      from: UnsafeRawBufferPointer(rebasing: bytes[..<tags]))
    UnsafeMutableRawBufferPointer(start: tail + tags, count: id.count).copyMemory(from: id)
    UnsafeMutableRawBufferPointer(start: tail + blocksOffset, count: bytes.count - tags)
      .copyMemory(from: UnsafeRawBufferPointer(rebasing: bytes[tags...]))
    if encoded.hasSplitInstants { forEachInstant(orders: pointer(.orders), cart: pointer(.cart)) { $0.joined } }
    if encoded.isByDifference { addDifferences() }
  }

  /// Puts what stands as a difference in its own words: the inverse of what `encode` did.
  private func addDifferences() {
    countArrivals(pointer(.recent))
    countDays(pointer(.cells), back: true)
    let channelDifference = header.channelTotal.bitPattern ^ header.categoryTotal.bitPattern
    header.categoryTotal = header.categoryTotal.following(predictedCategoryTotal)
    header.channelTotal = Float(bitPattern: channelDifference ^ header.categoryTotal.bitPattern)
    let channels = preferences(.channels)
    if let last = channels.indices.last {
      channels[last].weight = channels[last].weight.following(predictedLastChannel)
    }
    if let purchases { purchases.pointee.combine(with: predictedPurchases) }
    if let alerts = alertsPointer { judgeByPurchase(alerts) }
  }
}

extension PurchaseState {
  /// Over no orders, whatever new totals come to begin with.
  fileprivate static var nothing: OrderTotals {
    var totals = OrderTotals()
    totals.lastGap = TimeSpan(microseconds: -1)
    return totals
  }

  /// Bit by bit, of bytes without gaps: done twice it changes nothing.
  fileprivate mutating func combine(with other: PurchaseState) {
    withUnsafeMutableBytes(of: &self) { mine in
      withUnsafeBytes(of: other) { theirs in
        for place in stride(from: 0, to: mine.count, by: 8) {
          let bits = mine.load(fromByteOffset: place, as: UInt64.self)
          mine.storeBytes(
            of: bits ^ theirs.load(fromByteOffset: place, as: UInt64.self), toByteOffset: place, as: UInt64.self)
        }
      }
    }
  }
}
