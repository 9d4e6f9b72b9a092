// What is wrong with a rule file: every problem with its place, the offending text and what was probably meant.

/// One thing wrong in a rule file.
public struct RuleProblem: Error, Hashable, Sendable, CustomStringConvertible {
  public let file: String
  /// From 1; 0 when the problem is with the file as a whole.
  public let line: Int
  /// From 1, in Unicode scalars; 0 when the problem is with the file as a whole.
  public let column: Int
  /// The text in the file that is at fault; may be empty.
  public let text: String
  /// What is wrong and what to do about it.
  public let message: String
  /// The known name nearest to the unknown one.
  public let suggestion: String?

  public init(file: String, line: Int, column: Int, text: String, message: String, suggestion: String? = nil) {
    self.file = file
    self.line = line
    self.column = column
    self.text = text
    self.message = message
    self.suggestion = suggestion
  }

  /// `file:line:column: message: offending text; did you mean ...?`
  public var description: String {
    var result = line > 0 ? "\(file):\(line):\(column): \(message)" : "\(file): \(message)"
    if !text.isEmpty { result += ": `\(text)`" }
    if let suggestion { result += "; did you mean `\(suggestion)`?" }
    return result
  }
}

/// All problems of a rule file, in the order of their place.
public struct RuleFileError: Error, Hashable, Sendable, CustomStringConvertible {
  /// Never empty.
  public let problems: [RuleProblem]

  public init(problems: [RuleProblem]) { self.problems = problems }

  /// One problem a line.
  public var description: String { problems.map(\.description).joined(separator: "\n") }
}

/// The candidate nearest to `name` by edit distance, when it is near enough to be a likely slip of the hand.
package func nearestName(to name: String, among candidates: some Sequence<String>) -> String? {
  let wanted = Array(name.lowercased().unicodeScalars.prefix(RuleLimits.nameLength))
  let reach = max(1, wanted.count / 3)
  var best: (name: String, distance: Int)?
  for candidate in candidates {
    let distance = editDistance(wanted, Array(candidate.lowercased().unicodeScalars))
    guard distance <= reach else { continue }
    if let current = best, (current.distance, current.name) <= (distance, candidate) { continue }
    best = (candidate, distance)
  }
  return best?.name
}

/// Insertions, deletions, substitutions and swaps of neighbours that turn `a` into `b`.
private func editDistance(_ a: [Unicode.Scalar], _ b: [Unicode.Scalar]) -> Int {
  if a.isEmpty || b.isEmpty { return max(a.count, b.count) }
  var before: [Int] = []
  var previous = Array(0...b.count)
  for i in 1...a.count {
    var row = [i]
    row.reserveCapacity(b.count + 1)
    for j in 1...b.count {
      var cost = min(previous[j] + 1, row[j - 1] + 1, previous[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1))
      if i > 1, j > 1, a[i - 1] == b[j - 2], a[i - 2] == b[j - 1] { cost = min(cost, before[j - 2] + 1) }
      row.append(cost)
    }
    before = previous
    previous = row
  }
  return previous[b.count]
}
