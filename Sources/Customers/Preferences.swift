// Which categories and channels a customer leans to: exponentially decayed weights in a bounded sketch
// (SpaceSaving; Metwally et al. 2005). A listed weight is too large by at most total / slots, never too small.

import Events
import Glibc

/// 8 bytes, as stored.
struct PreferenceEntry {
  var symbol: Symbol
  var weight: Float

  /// Between equal weights the smaller name hash, which no layout can change, counts as heavier.
  @inline(__always)
  func isHeavier(than other: PreferenceEntry, _ symbols: borrowing SymbolTable) -> Bool {
    weight != other.weight
      ? weight > other.weight : symbols.hash(of: symbol) < symbols.hash(of: other.symbol)
  }
}

extension EventType {
  /// What one event says about a preference: a view 1, a search 1, a favourite 2, a cart 3, a payment 5.
  var preferenceWeight: Float {
    switch self {
    case .favorite, .share, .like, .review, .comment: 2
    case .addToCart, .checkout: 3
    case .orderPaid: 5
    case .orderCancelled, .orderRefunded, .removeFromCart, .supportTicket, .profileUpdate, .identityLink, .alertAck: 0
    default: 1
    }
  }
}

extension CustomerRecord {
  @inline(__always)
  func preferences(_ section: Section) -> UnsafeMutableBufferPointer<PreferenceEntry> {
    UnsafeMutableBufferPointer(
      start: pointer(section).assumingMemoryBound(to: PreferenceEntry.self), count: count(section))
  }

  /// Brings all weights to `time` if that is ahead, and returns the factor for an event at `time`.
  func decayWeights(to time: Instant, halfLife: TimeSpan) -> Float {
    if header.weightsAt == .distantPast {
      header.weightsAt = time
      return 1
    }
    let elapsed = (time - header.weightsAt).microseconds
    if elapsed == 0 { return 1 }
    let factor = Float(exp2(-Double(abs(elapsed)) / Double(halfLife.microseconds)))
    if elapsed < 0 { return factor }
    fade(preferences(.categories), by: factor)
    fade(preferences(.channels), by: factor)
    header.categoryTotal *= factor
    header.channelTotal *= factor
    header.weightsAt = time
    return 1
  }

  @inline(__always)
  private func fade(_ list: UnsafeMutableBufferPointer<PreferenceEntry>, by factor: Float) {
    for i in list.indices { list[i].weight *= factor }
  }

  func addPreference(
    _ section: Section, symbol: Symbol, weight: Float, slots: Int, symbols: borrowing SymbolTable,
    arena: inout RecordArena
  ) {
    if section == .categories { header.categoryTotal += weight } else { header.channelTotal += weight }
    let list = preferences(section)
    for i in list.indices where list[i].symbol == symbol {
      list[i].weight += weight
      return
    }
    if list.count < slots {
      insert(section, at: list.count, in: &arena).assumingMemoryBound(to: PreferenceEntry.self)
        .initialize(to: PreferenceEntry(symbol: symbol, weight: weight))
      return
    }
    // The lightest gives way.
    var lightest = 0
    for i in 1..<list.count where list[lightest].isHeavier(than: list[i], symbols) { lightest = i }
    list[lightest] = PreferenceEntry(symbol: symbol, weight: list[lightest].weight + weight)
  }

  /// The heaviest name of a sketch and its share of all weight.
  func top(_ section: Section, symbols: borrowing SymbolTable) -> (symbol: Symbol, share: Double) {
    let list = preferences(section)
    guard var best = list.first else { return (.none, .nan) }
    for entry in list.dropFirst() where entry.isHeavier(than: best, symbols) { best = entry }
    let total = section == .categories ? header.categoryTotal : header.channelTotal
    return (best.symbol, total > 0 ? min(1, Double(best.weight) / Double(total)) : .nan)
  }
}
