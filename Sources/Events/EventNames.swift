// From the names of events to their types: one probe, without the standard dictionary's keyed hash.

/// Names as they are when cleaned. In raw memory, so that no references are counted.
struct EventNames {
  private struct Entry {
    /// Never 0 of a name.
    var hash: UInt64 = 0
    var type = EventType.activity
  }
  private let entries: UnsafeMutablePointer<Entry>
  private let mask: Int

  init(_ names: [(String, EventType)]) {
    var size = 64
    while size < names.count * 4 { size *= 2 }
    mask = size - 1
    entries = .allocate(capacity: size)
    entries.initialize(repeating: Entry(), count: size)
    for (name, type) in names {
      let hash = Self.hash(name)
      var at = Int(truncatingIfNeeded: hash) & mask
      while entries[at].hash != 0, entries[at].hash != hash { at = (at + 1) & mask }
      entries[at] = Entry(hash: hash, type: type)
    }
  }

  func deallocate() { entries.deallocate() }

  private static func hash(_ name: String) -> UInt64 {
    var name = name
    return name.withUTF8 { ByteSlice(base: $0.baseAddress, count: $0.count).hash() }
  }

  /// The type of a name that is already trimmed and lower-case; nil when it is not known.
  func type(_ name: ByteSlice) -> EventType? {
    let hash = name.hash()
    var at = Int(truncatingIfNeeded: hash) & mask
    while entries[at].hash != 0 {
      if entries[at].hash == hash { return entries[at].type }
      at = (at &+ 1) & mask
    }
    return nil
  }
}
