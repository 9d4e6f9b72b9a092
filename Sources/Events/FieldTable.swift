// From the keys of a JSON document to the numbered fields a format wants, by one hash look-up a key.

import CSimdJSON
import CXXHash

/// Where a format's field stands: names joined by dots from the top level, and the slot its value goes to.
struct FieldPath {
  var path: String
  var slot: Int
  init(_ path: String, _ slot: Int) {
    self.path = path
    self.slot = slot
  }
}

/// The hash that `tw_json_scan` gives for a key.
func nameHash(_ name: String) -> UInt64 {
  var name = name
  return name.withUTF8 { tw_xxh3_64($0.baseAddress, $0.count, 0) }
}

/// Finds the wanted fields of a scanned document. Objects on the way to a wanted field are scopes; all others are
/// skipped (they have been checked by the scan).
final class FieldTable {
  private struct Entry {
    var hash: UInt64 = 0
    /// The object the name is looked for in; 0 marks a free entry, 1 is the top level.
    var scope: UInt8 = 0
    /// The scope that begins with this name's object; 0 when nothing in it is wanted.
    var opens: UInt8 = 0
    var slot: Int16 = -1
  }
  private let entries: UnsafeMutablePointer<Entry>
  private let mask: Int
  let slotCount: Int

  init(_ paths: [FieldPath]) {
    var scopes: [String: UInt8] = ["": 1]
    var list: [Entry] = []
    slotCount = (paths.map(\.slot).max() ?? 0) + 1
    for field in paths {
      let names = field.path.split(separator: ".").map(String.init)
      var prefix = ""
      for (i, name) in names.enumerated() {
        let scope = scopes[prefix] ?? 1
        prefix += "." + name
        let hash = nameHash(name)
        let at = list.firstIndex { $0.hash == hash && $0.scope == scope } ?? list.count
        if at == list.count { list.append(Entry(hash: hash, scope: scope)) }
        if i == names.count - 1 {
          list[at].slot = Int16(field.slot)
        } else {
          let opened = scopes[prefix] ?? UInt8(scopes.count + 1)
          scopes[prefix] = opened
          list[at].opens = opened
        }
      }
    }
    var size = 64
    while size < list.count * 3 { size *= 2 }
    mask = size - 1
    entries = .allocate(capacity: size)
    entries.initialize(repeating: Entry(), count: size)
    for entry in list {
      var at = FieldTable.start(entry.hash, entry.scope) & mask
      while entries[at].scope != 0 { at = (at + 1) & mask }
      entries[at] = entry
    }
  }

  deinit { entries.deallocate() }

  private static func start(_ hash: UInt64, _ scope: UInt8) -> Int {
    Int(truncatingIfNeeded: hash >> 32 &+ UInt64(scope) &* 0x9e37_79b1)
  }

  /// Writes the node of every wanted field that occurs to its slot, -1 to the others.
  /// - Parameter scopes: room for `count` bytes.
  func locate(
    _ nodes: UnsafePointer<tw_json_node>, count: Int, scopes: UnsafeMutablePointer<UInt8>,
    slots: UnsafeMutablePointer<Int32>
  ) {
    slots.update(repeating: -1, count: slotCount)
    scopes[0] = 1
    var i = 1
    while i < count {
      let scope = scopes[Int(nodes[i].parent)]
      let hash = nodes[i].key_hash
      var at = FieldTable.start(hash, scope) & mask
      var opens: UInt8 = 0
      while entries[at].scope != 0 {
        if entries[at].hash == hash, entries[at].scope == scope {
          if entries[at].slot >= 0 { slots[Int(entries[at].slot)] = Int32(truncatingIfNeeded: i) }
          opens = entries[at].opens
          break
        }
        at = (at + 1) & mask
      }
      if opens != 0, Int32(nodes[i].kind) == Int32(TW_JSON_OBJECT) {
        scopes[i] = opens
        i += 1
      } else {
        i = Int(nodes[i].next)
      }
    }
  }
}

/// From cleaned names to event types: one probe, without the standard dictionary's keyed hash.
struct EventNames {
  private var hashes: [UInt64]
  private var types: [EventType]

  init(_ names: [(String, EventType)]) {
    var size = 64
    while size < names.count * 4 { size *= 2 }
    hashes = Array(repeating: 0, count: size)
    types = Array(repeating: .activity, count: size)
    for (name, type) in names {
      let hash = nameHash(name)
      var at = Int(truncatingIfNeeded: hash) & (size - 1)
      while hashes[at] != 0, hashes[at] != hash { at = (at + 1) & (size - 1) }
      hashes[at] = hash
      types[at] = type
    }
  }

  /// The type of a name that is already trimmed and lower-case; nil when it is not known.
  func type(_ name: ByteSlice) -> EventType? {
    let hash = tw_xxh3_64(name.base, name.count, 0)
    var at = Int(truncatingIfNeeded: hash) & (hashes.count - 1)
    while hashes[at] != 0 {
      if hashes[at] == hash { return types[at] }
      at = (at + 1) & (hashes.count - 1)
    }
    return nil
  }
}
