// From the names of events to their types: one probe, without the standard dictionary's keyed hash.

/// Names as they are when cleaned.
struct EventNames {
  private var hashes: [UInt64]
  private var types: [EventType]

  init(_ names: [(String, EventType)]) {
    var size = 64
    while size < names.count * 4 { size *= 2 }
    hashes = Array(repeating: 0, count: size)
    types = Array(repeating: .activity, count: size)
    for (name, type) in names {
      let hash = Self.hash(name)
      var at = Int(truncatingIfNeeded: hash) & (size - 1)
      while hashes[at] != 0, hashes[at] != hash { at = (at + 1) & (size - 1) }
      hashes[at] = hash
      types[at] = type
    }
  }

  private static func hash(_ name: String) -> UInt64 {
    var name = name
    return name.withUTF8 { ByteSlice(base: $0.baseAddress, count: $0.count).hash() }
  }

  /// The type of a name that is already trimmed and lower-case; nil when it is not known.
  func type(_ name: ByteSlice) -> EventType? {
    let hash = name.hash()
    var at = Int(truncatingIfNeeded: hash) & (hashes.count - 1)
    while hashes[at] != 0 {
      if hashes[at] == hash { return types[at] }
      at = (at + 1) & (hashes.count - 1)
    }
    return nil
  }
}
