// Where the memory of a table goes, for benchmarks and whoever wants to make records smaller.

/// Bytes of a table by what they hold.
public struct TableBytes: Sendable {
  public struct Field: Sendable {
    public var name: String
    public var bytes: Int
  }
  /// In the order in which they lie in a record; they add up to the table's `bytesInUse`.
  public var fields: [Field] = []
  public var customers = 0
}

extension CustomerTable {
  /// Goes over all customers.
  public func bytesByField() -> TableBytes {
    var sections = [Int](repeating: 0, count: Section.cells.rawValue + 1)
    var blocks = (purchases: 0, archive: 0, profile: 0, alerts: 0)
    var padding = 0
    var spare = 0
    for number in 0..<UInt32(slotCount) {
      let index = CustomerIndex(number: number)
      if isFree(index) { continue }
      let record = record(index)
      for section in 0..<sections.count {
        guard let section = Section(rawValue: section) else { continue }
        sections[section.rawValue] += record.count(section) * section.stride
      }
      let has = record.header.blocks
      blocks.purchases += has.intersection(.purchases).bytes
      blocks.archive += has.intersection(.archive).bytes
      blocks.profile += has.intersection(.profile).bytes
      blocks.alerts += has.intersection(.alerts).bytes
      padding -= (record.count(.tags) * Section.tags.stride + record.count(.id)) & 7
      if (record.count(.tags) * Section.tags.stride + record.count(.id)) & 7 != 0 { padding += 8 }
      spare += record.head.pointee.capacity - RecordHead.bytes - record.tailBytes
    }
    func bytes(_ section: Section) -> Int { sections[section.rawValue] }
    let named: [(String, Int)] = [
      ("index", indexBytes), ("places", placeBytes), ("headers", count * RecordHead.bytes), ("tags", bytes(.tags)),
      ("ids", bytes(.id)),
      ("alignment", padding), ("sums over orders", blocks.purchases + blocks.archive), ("profile", blocks.profile),
      ("alerts", blocks.alerts), ("orders", bytes(.orders)), ("cart", bytes(.cart)),
      ("event ids seen", bytes(.recent)), ("categories", bytes(.categories)), ("channels", bytes(.channels)),
      ("events by day and type", bytes(.cells)), ("room to grow", spare),
      ("holes, free segments and block heads", arena.bytesReserved - arena.bytesInUse),
    ]
    return TableBytes(fields: named.map { TableBytes.Field(name: $0.0, bytes: $0.1) }, customers: count)
  }
}
