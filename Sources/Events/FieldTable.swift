// From the paths of the fields that a format wants to the keys that a scan looks for.

import CSimdJSON

/// Where a format's field stands: names joined by dots from the top level, and the slot its value goes to.
struct FieldPath {
  var path: String
  var slot: Int
  init(_ path: String, _ slot: Int) {
    self.path = path
    self.slot = slot
  }
}

/// The fields of a format, and the objects on the way to them, which are scopes.
struct FieldTable {
  private var fields: [tw_json_field] = []
  private var names: [[UInt8]] = []
  /// With those of objects that are only on the way to a field.
  private(set) var slotCount = 0

  /// - Parameter paths: each with a slot of its own.
  init(_ paths: [FieldPath]) {
    var scopes: [String: UInt8] = ["": 1]
    slotCount = (paths.map(\.slot).max() ?? -1) + 1
    for path in paths {
      let steps = path.path.split(separator: ".").map { Array($0.utf8) }
      var prefix = ""
      for (i, name) in steps.enumerated() {
        let isLast = i == steps.count - 1
        let field = entry(name, scope: scopes[prefix] ?? 1, slot: isLast ? path.slot : nil)
        prefix += "." + String(decoding: name, as: UTF8.self)
        if isLast { continue }
        let opened = scopes[prefix] ?? UInt8(scopes.count + 1)
        scopes[prefix] = opened
        fields[field].opens = opened
      }
    }
  }

  private mutating func entry(_ name: [UInt8], scope: UInt8, slot: Int?) -> Int {
    if let known = fields.indices.first(where: { names[$0] == name && fields[$0].scope == scope }) {
      if let slot { fields[known].slot = UInt16(slot) }
      return known
    }
    if slot == nil { slotCount += 1 }
    fields.append(
      tw_json_field(
        name: nil, length: UInt32(name.count), slot: UInt16(slot ?? slotCount - 1), scope: scope, opens: 0))
    names.append(name)
    return fields.count - 1
  }

  /// Aborts when memory is out.
  func makeParser(maxBytes: Int, maxDepth: Int, maxFields: Int) -> OpaquePointer {
    withUnsafeTemporaryAllocation(of: CChar.self, capacity: max(1, names.map(\.count).reduce(0, +))) { text in
      var fields = fields
      var used = 0
      for (i, name) in names.enumerated() {
        for (place, byte) in name.enumerated() { text[used + place] = CChar(bitPattern: byte) }
        fields[i].name = text.baseAddress.map { UnsafePointer($0 + used) }
        used += name.count
      }
      return tw_json_parser_new(
        maxBytes, Int32(clamping: maxDepth), Int32(clamping: maxFields), fields, Int32(fields.count))
    }
  }
}
