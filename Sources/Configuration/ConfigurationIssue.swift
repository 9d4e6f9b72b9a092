// What is wrong with a configuration: every mistake of the file at once, each with its place and a way out.

/// A place in a configuration file, both counted from 1.
public struct ConfigurationPosition: Hashable, Sendable {
  public var line: Int
  public var column: Int
  public init(line: Int, column: Int) {
    self.line = line
    self.column = column
  }
}

/// One mistake: `file:line:column: message`.
public struct ConfigurationIssue: Hashable, Sendable, CustomStringConvertible {
  public var file: String
  /// Absent when the file could not be read at all.
  public var position: ConfigurationPosition?
  /// What is wrong, the offending text, and what would be right.
  public var message: String

  public init(file: String, position: ConfigurationPosition?, message: String) {
    self.file = file
    self.position = position
    self.message = message
  }

  public var description: String {
    guard let position else { return "\(file): \(message)" }
    return "\(file):\(position.line):\(position.column): \(message)"
  }
}

/// A configuration that cannot be used, with all its mistakes in the order of the file.
public struct ConfigurationError: Error, CustomStringConvertible, Sendable {
  public var issues: [ConfigurationIssue]

  public init(_ issues: [ConfigurationIssue]) {
    self.issues = issues.sorted {
      ($0.position?.line ?? 0, $0.position?.column ?? 0) < ($1.position?.line ?? 0, $1.position?.column ?? 0)
    }
  }
  public var description: String { issues.map(\.description).joined(separator: "\n") }
}

/// The candidate nearest to `text` by edit distance, or nil when none is near enough to be what was meant.
public func nearest(to text: String, among candidates: [String]) -> String? {
  let folded = text.lowercased()
  let ranked = candidates.map { ($0, editDistance(folded, $0.lowercased())) }
  guard let best = ranked.min(by: { ($0.1, $0.0) < ($1.1, $1.0) }) else { return nil }
  return best.1 <= max(2, best.0.count / 3) ? best.0 : nil
}

/// Insertions, deletions, replacements and swaps of neighbours between two short texts.
func editDistance(_ a: String, _ b: String) -> Int {
  let a = Array(a.unicodeScalars)
  let b = Array(b.unicodeScalars)
  var rows = [[Int]](repeating: [Int](repeating: 0, count: b.count + 1), count: a.count + 1)
  for i in 0...a.count { rows[i][0] = i }
  for j in 0...b.count { rows[0][j] = j }
  guard !a.isEmpty, !b.isEmpty else { return max(a.count, b.count) }
  for i in 1...a.count {
    for j in 1...b.count {
      let cost = a[i - 1] == b[j - 1] ? 0 : 1
      var best = min(rows[i - 1][j] + 1, rows[i][j - 1] + 1, rows[i - 1][j - 1] + cost)
      if i > 1, j > 1, a[i - 1] == b[j - 2], a[i - 2] == b[j - 1] { best = min(best, rows[i - 2][j - 2] + 1) }
      rows[i][j] = best
    }
  }
  return rows[a.count][b.count]
}
