// Counts of events by local day and type: sparse cells of 4 bytes, dropped when no window reaches them.

import Events

/// (day, type, count) in 32 bits: 16 bits day since 1970, 5 bits type, 11 bits count.
/// A count beyond 2047 goes on in another cell of the same day and type.
struct DayCell {
  static let largestCount: UInt32 = 2047
  /// Types that can be told apart.
  static let types = 32
  var bits: UInt32

  init(day: LocalDay, type: EventType, count: UInt32) {
    bits = UInt32(truncatingIfNeeded: day.number) << 16 | UInt32(type.rawValue) << 11 | count
  }
  var day: LocalDay { LocalDay(number: Int32(bits >> 16)) }
  var typeNumber: UInt32 { bits >> 11 & 31 }
  var count: UInt32 { bits & 2047 }
  /// Cells sort by day, then type.
  var key: UInt32 { bits >> 11 }
}

extension EventType {
  /// Days for which events of this type are counted: the largest N in `events.count(type, Nd)`; for refunds the largest
  /// in `refunds.count(Nd)`.
  public var countedDays: Int {
    switch self {
    case .orderRefunded: Window.longestDays
    case .supportTicket: 90
    default: Int(EventType.leastCountedDays)
    }
  }

  /// The least of `countedDays`.
  static let leastCountedDays: Int32 = 30
}

extension CustomerRecord {
  var cells: UnsafeMutableBufferPointer<DayCell> {
    UnsafeMutableBufferPointer(start: pointer(.cells).assumingMemoryBound(to: DayCell.self), count: count(.cells))
  }

  func countEvent(type: EventType, day: LocalDay, today: LocalDay, arena: inout RecordArena) {
    dropCells(today: today)
    guard day.number > today.number - Int32(type.countedDays), (0...65_535).contains(day.number) else { return }
    let cell = DayCell(day: day, type: type, count: 1)
    let list = cells
    let position = list.partitioningIndex { $0.key >= cell.key }
    if position < list.count, list[position].key == cell.key, list[position].count < DayCell.largestCount {
      list[position].bits += 1
      return
    }
    if list.count >= 60_000 { return }  // 60,000 cells of 2,047: more than any window can tell apart
    insert(.cells, at: position, in: &arena).assumingMemoryBound(to: DayCell.self).initialize(to: cell)
  }

  /// Forgets cells that no window will ever reach again.
  private func dropCells(today: LocalDay) {
    let list = cells
    // Sorted by day: those that may be out of reach come first, and some of them are kept, for they count for longer.
    let reached = today.number - EventType.leastCountedDays
    var old = 0
    var kept = 0
    while old < list.count, list[old].day.number <= reached {
      let reach = EventType(rawValue: UInt8(list[old].typeNumber))?.countedDays ?? 0
      if list[old].day.number > today.number - Int32(reach) {
        if kept < old { list[kept] = list[old] }
        kept += 1
      }
      old += 1
    }
    if kept < old { remove(.cells, at: kept, count: old - kept) }
  }
}
