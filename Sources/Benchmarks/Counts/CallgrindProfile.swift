// Instructions by function, read from the file that `valgrind --tool=callgrind` writes.

/// Where instructions were spent, each counted in the function that executed them.
public struct CallgrindProfile: Sendable {
  /// By function, as its symbol is written in the program.
  public private(set) var byFunction: [String: Int] = [:]

  public var total: Int { byFunction.values.reduce(0, +) }

  /// - Parameter text: a file of callgrind's format 1, with one event (instructions).
  public init(text: String) {
    var names: [Substring: String] = [:]
    var function = ""
    var isCall = false
    for line in text.split(separator: "\n") {
      guard let first = line.utf8.first else { continue }
      if line.hasPrefix("fn=") {
        function = Self.name(line.dropFirst(3), &names)
      } else if line.hasPrefix("cfn=") {
        _ = Self.name(line.dropFirst(4), &names)
      } else if line.hasPrefix("calls=") {
        // The next line is the cost of what was called, which is counted there.
        isCall = true
      } else if (48...57).contains(first) || first == UInt8(ascii: "+") || first == UInt8(ascii: "-")
        || first == UInt8(ascii: "*")
      {
        if isCall {
          isCall = false
        } else if let cost = line.split(separator: " ").dropFirst().first.flatMap({ Int($0) }) {
          byFunction[function, default: 0] += cost
        }
      }
    }
  }

  /// `(12) name` declares a name, `(12)` is one that was declared.
  private static func name(_ text: Substring, _ names: inout [Substring: String]) -> String {
    guard let end = text.firstIndex(of: ")"), text.hasPrefix("(") else { return String(text) }
    let id = text[...end]
    let rest = text[text.index(after: end)...].drop { $0 == " " }
    if rest.isEmpty { return names[id] ?? String(id) }
    // A function that calls itself is written once for each depth.
    let plain = rest.split(separator: "'").first.map(String.init) ?? String(rest)
    names[id] = plain
    return plain
  }

  /// The same, by the part of the system that a function belongs to.
  public var byModule: [String: Int] {
    var sums: [String: Int] = [:]
    for (function, cost) in byFunction { sums[Self.module(of: function), default: 0] += cost }
    return sums
  }

  /// Our modules by their names; what is not ours by what it does.
  static func module(of symbol: String) -> String {
    if symbol.hasPrefix("$s") {
      let rest = symbol.dropFirst(2)
      let digits = rest.prefix { $0.isNumber }
      if let count = Int(digits), count > 0 { return String(rest.dropFirst(digits.count).prefix(count)) }
      return "Swift standard library"
    }
    let plain = symbol.drop { $0 == "_" }
    func begins(_ prefixes: String...) -> Bool { prefixes.contains { plain.hasPrefix($0) } }
    if begins("swift", "Z", "ZN5swift"), plain.contains("swift") { return "Swift runtime" }
    if plain.contains("simdjson") || plain.contains("tw_json") { return "JSON scan" }
    if begins("XXH", "tw_xxh") { return "hashing" }
    if begins(
      "malloc", "int_malloc", "int_free", "int_realloc", "free", "cfree", "libc_malloc", "libc_free", "libc_calloc",
      "libc_realloc", "libc_memalign", "realloc", "calloc", "posix_memalign", "aligned_alloc", "tcache", "unlink_chunk",
      "sysmalloc", "memalign")
    {
      return "malloc"
    }
    if begins("mem", "str", "bcmp") { return "memory copies" }
    return "other"
  }
}
